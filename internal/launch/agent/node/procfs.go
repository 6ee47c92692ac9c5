package node

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// procfs is where the kernel tells of processes and sockets.
type procfs string

// process is what /proc tells of one process.
type process struct {
	pid    int
	parent int
	start  uint64 // in ticks since boot: with the pid it names the process
	ended  bool   // it is a zombie: nobody has asked yet how it ended
	status int    // then: how, as wait(2) has it
	stops  bool   // somebody has stopped it, by a signal or as a debugger does
}

// process reads /proc/<pid>/stat, proc(5). The second field, a name in brackets, may
// hold anything; 3 is the state, 4 the parent, 22 the start, 52 the wait status.
func (p procfs) process(pid int) (process, error) {
	b, err := os.ReadFile(filepath.Join(string(p), strconv.Itoa(pid), "stat"))
	if err != nil {
		return process{}, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 50 {
		return process{}, fmt.Errorf("stat of %d has %d fields", pid, len(f)+2)
	}
	out := process{pid: pid, ended: f[0] == "Z" || f[0] == "X", stops: f[0] == "T" || f[0] == "t"}
	var errs [3]error
	out.parent, errs[0] = strconv.Atoi(f[1])
	out.start, errs[1] = strconv.ParseUint(f[19], 10, 64)
	out.status, errs[2] = strconv.Atoi(f[49])
	return out, errors.Join(errs[:]...)
}

// children are the processes that a process has started and that have not ended.
func (p procfs) children(pid int) []int {
	threads := filepath.Join(string(p), strconv.Itoa(pid), "task")
	entries, _ := os.ReadDir(threads)
	var out []int
	for _, e := range entries {
		text, _ := os.ReadFile(filepath.Join(threads, e.Name(), "children")) // the thread may have ended
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// lives reports whether the process still runs.
func (p procfs) lives(was process) bool {
	now, err := p.process(was.pid)
	return err == nil && now.start == was.start && !now.ended
}

// sockets are those of a TCP port.
type sockets struct {
	listener string          // inode of the one that listens, "" = none does
	peers    map[string]bool // who is connected, and whether he has not taken yet what was sent to him
}

func (p procfs) sockets(port int) (sockets, error) {
	found := sockets{peers: map[string]bool{}}
	var errs []error
	for _, name := range []string{"tcp", "tcp6"} {
		err := found.read(filepath.Join(string(p), "net", name), port)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if found.listener != "" {
		return found, nil
	}
	return found, errors.Join(errs...)
}

// read looks through one table of sockets: local and remote address in the second and
// third field, state in the fourth (0A = listening, 01 = connected), bytes that the other side has not taken before the
// colon of the fifth, inode in the tenth.
func (s *sockets) read(table string, port int) error {
	f, err := os.Open(table)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	want := fmt.Sprintf(":%04X", port)
	in := bufio.NewScanner(f)
	for in.Scan() {
		field := strings.Fields(in.Text())
		switch {
		case len(field) < 10 || !strings.HasSuffix(field[1], want):
		case field[3] == "0A" && s.listener == "":
			s.listener = field[9]
		case field[3] == "01":
			s.peers[field[2]] = strings.Trim(strings.Split(field[4], ":")[0], "0") != ""
		}
	}
	return in.Err()
}

// holder is the process that holds a socket: of several the one that started the others.
func (p procfs) holder(inode string) (process, bool) {
	dirs, err := filepath.Glob(filepath.Join(string(p), "[0-9]*"))
	if err != nil {
		return process{}, false
	}
	holds := map[int]process{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !hasSocket(filepath.Join(dir, "fd"), inode) {
			continue
		}
		if found, err := p.process(pid); err == nil {
			holds[pid] = found
		}
	}
	for _, found := range holds {
		if _, ok := holds[found.parent]; !ok {
			return found, true
		}
	}
	return process{}, false
}

// hasSocket reports whether a process holds a socket. Of others' processes it may not be asked.
func hasSocket(fds, inode string) bool {
	entries, err := os.ReadDir(fds)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil && to == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}

// serves is where a process was told to serve; port 0 = wherever it likes.
func (p procfs) serves(pid int) (host string, port int, ok bool) {
	line, err := os.ReadFile(filepath.Join(string(p), strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return "", 0, false
	}
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	host = "localhost"
	for i, arg := range args {
		name, value, given := strings.Cut(arg, "=")
		if !given && i+1 < len(args) {
			value = args[i+1]
		}
		switch {
		case filepath.Base(arg) == program:
			ok = true
		case ok && name == "--host":
			host = value
		case ok && name == "--port":
			port, _ = strconv.Atoi(value)
		}
	}
	return host, port, ok
}

// listens is the TCP port on which a process listens, 0 where it is not one.
func (p procfs) listens(pid int) (port int) {
	for _, name := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(string(p), "net", name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			field := strings.Fields(line)
			if len(field) < 10 || field[3] != "0A" || !hasSocket(filepath.Join(string(p), strconv.Itoa(pid), "fd"), field[9]) {
				continue
			}
			_, hex, _ := strings.Cut(field[1], ":")
			n, err := strconv.ParseUint(hex, 16, 16)
			if err != nil || port != 0 && port != int(n) {
				return 0
			}
			port = int(n)
		}
	}
	return port
}
