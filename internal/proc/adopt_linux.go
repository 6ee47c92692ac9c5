package proc

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes the processes that our descendants leave behind children of ours, as init would make them its own: so
// they are known whatever their environment is. From then on Reap has to be called when a child has ended. ours is a
// child that Start has started: ok = it can be told from those, and the processes of others are adopted.
func Adopt(ours int) (ok bool) {
	started, ok := here.started()
	return ok && started[ours] && unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == nil
}

// Reap takes note of the adopted processes that have ended: else they stay. It must not run beside EndAdopted: a number
// that one of them has seen is a process's own until the other has waited for it.
func Reap() {
	for _, c := range here.adopted() {
		if c.ended {
			_, _ = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
		}
	}
}

// EndAdopted kills what was adopted, and what that leaves behind in turn. It returns the command lines of those that
// had not ended, and does not wait for long for one that cannot be killed.
func EndAdopted() (commands []string) {
	seen := map[offspring]bool{}
	over := time.NewTimer(adoptedEnd)
	defer over.Stop()
	for {
		left := here.adopted()
		if len(left) == 0 {
			return commands
		}
		for _, c := range left {
			if c.ended {
				_, _ = unix.Wait4(c.pid, nil, unix.WNOHANG, nil)
				continue
			}
			if !seen[c] {
				seen[c] = true
				commands = append(commands, here.command(c.pid))
			}
			_ = syscall.Kill(c.pid, syscall.SIGKILL) // a child of ours keeps its number until we have waited for it
		}
		select {
		case <-over.C:
			return commands
		case <-time.After(execPause):
		}
	}
}

// adoptedEnd is how long adopted processes may take to end once they were killed.
const adoptedEnd = 2 * time.Second

// offspring is a child of ours.
type offspring struct {
	pid   int
	start string
	ended bool // it is a zombie
}

// adopted are our children that we have not started; none where that is not known. The list of all is read first: of
// one that was started since then nothing stands there. Go closes its descriptor of one after it has waited for it: who
// is still there after the descriptors were read, and among none of them, was never started by us.
func (t table) adopted() (out []offspring) {
	me := os.Getpid()
	children := t.children(me)
	started, ok := t.started()
	if !ok {
		return nil
	}
	for _, c := range children {
		if started[c.pid] {
			continue
		}
		if now, ok := t.child(c.pid, me); ok && now.start == c.start {
			out = append(out, now)
		}
	}
	return out
}

func (t table) children(of int) (out []offspring) {
	dir, err := os.ReadDir(string(t))
	if err != nil {
		return nil
	}
	for _, e := range dir {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if c, ok := t.child(pid, of); ok {
			out = append(out, c)
		}
	}
	return out
}

// child is a process as it is now; ok = it is a child of that one.
func (t table) child(pid, of int) (c offspring, ok bool) {
	const state, parent, start = 0, 4 - 3, 22 - 3 // of proc(5), whose third field is the first of stat
	f := t.stat(strconv.Itoa(pid))
	if len(f) <= start || f[parent] != strconv.Itoa(of) {
		return offspring{}, false
	}
	return offspring{pid: pid, start: f[start], ended: f[state] == "Z" || f[state] == "X"}, true
}

// started are the children that we have started ourselves: of each Go holds a descriptor until it has waited for it.
// One is listed before it has its descriptor, while Go has the lock: none that was listed is without when we have it.
// ok = all descriptors could be read.
func (t table) started() (out map[int]bool, ok bool) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dir := filepath.Join(string(t), "self/fdinfo")
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, false
	}
	out = map[int]bool{}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if errors.Is(err, fs.ErrNotExist) { // it was closed meanwhile
			continue
		}
		if err != nil {
			return nil, false
		}
		for line := range strings.Lines(string(text)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "Pid:"))); err == nil && strings.HasPrefix(line, "Pid:") {
				out[pid] = true
			}
		}
	}
	return out, true
}

// command is a process's command line, or its name in brackets where it has none.
func (t table) command(pid int) string {
	dir := filepath.Join(string(t), strconv.Itoa(pid))
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if words := bytes.TrimSpace(bytes.ReplaceAll(line, []byte{0}, []byte(" "))); len(words) > 0 {
		return string(words)
	}
	name, nameErr := os.ReadFile(filepath.Join(dir, "comm"))
	if errors.Join(err, nameErr) != nil {
		return "?"
	}
	return "[" + strings.TrimSpace(string(name)) + "]"
}
