package node

import (
	"net"
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
