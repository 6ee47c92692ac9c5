package node

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// program is what a test runs as its server that publishes no address: that of an aggregated case.
const program = "trtllm-serve"

// unpublished finds such a server by its command line. No port is tried out: of a program's ports others may be for
// peers that take every connection for one of theirs.
type unpublished struct {
	proc procfs
	mark string // by which the job's processes are known
	now  func() time.Time

	mu     sync.Mutex
	looked time.Time
	self   process
	addr   string
}

// address is where the server listens, "" = there is none now.
func (u *unpublished) address() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.self.pid != 0 && u.proc.lives(u.self) {
		return u.addr
	}
	u.self, u.addr = process{}, ""
	if now := u.now(); now.Sub(u.looked) >= soonEvery {
		u.looked = now
		u.search()
	}
	return u.addr
}

func (u *unpublished) search() {
	list := proc.WithCookie // exact: 12 is no job that begins with 1
	if strings.HasSuffix(u.mark, ".") {
		list = proc.WithPrefix
	}
	for _, pid := range list(u.mark) {
		host, port, ok := u.proc.serves(pid)
		if ok && port == 0 {
			port = u.proc.listens(pid)
		}
		if !ok || port == 0 {
			continue
		}
		open, err := u.proc.sockets(port)
		if err != nil || open.listener == "" {
			continue // still loading
		}
		if found, ok := u.proc.holder(open.listener); ok {
			u.self, u.addr = found, net.JoinHostPort(host, strconv.Itoa(port))
			return
		}
	}
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
