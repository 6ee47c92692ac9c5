package node

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/proc"
)

// program is what a test runs as its server that publishes no address: that of an aggregated case.
const program = "trtllm-serve"

// rareEvery is how often all processes are searched for such a server where there has been none for long: that costs
// the node that is measured.
const rareEvery = 5 * time.Second

// unpublished finds such a server by its command line. No port is tried out: of a program's ports others may be for
// peers that take every connection for one of theirs.
type unpublished struct {
	proc procfs
	list func() []int // the job's processes
	now  func() time.Time

	mu      sync.Mutex
	looked  time.Time // through the list
	without time.Time // since when there has been none
	job     []int     // whom the list named, and whom those have started since
	peeked  time.Time // at whom they have started
	loading []process // that run the program and do not listen yet
	self    process
	addr    string
}

func newUnpublished(o Options) *unpublished {
	mark, list := mark(o), proc.WithCookie // exact: 12 is no job that begins with 1
	if strings.HasSuffix(mark, ".") {
		list = proc.WithPrefix
	}
	return &unpublished{proc: "/proc", list: func() []int { return list(mark) }, now: o.Now}
}

// address is where the server listens, "" = there is none now.
func (u *unpublished) address() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.self.pid != 0 && u.proc.lives(u.self) {
		return u.addr
	}
	now := u.now()
	if u.self.pid != 0 || u.without.IsZero() { // the next one may come soon
		u.self, u.addr, u.without = process{}, "", now
	}
	if now.Sub(u.looked) >= min(max(now.Sub(u.without)/8, soonEvery), rareEvery) {
		u.looked, u.peeked, u.loading, u.job = now, now, nil, u.list()
		for _, pid := range u.job {
			if p, err := u.proc.process(pid); err == nil {
				u.loading = append(u.loading, p)
			}
		}
	}
	if len(u.loading) == 0 && now.Sub(u.peeked) >= soonEvery {
		u.peeked = now
		u.peek()
	}
	u.loading = slices.DeleteFunc(u.loading, func(p process) bool { return !u.serves(p) })
	return u.addr
}

// peek finds whom the job's processes have started since the list was looked through, and who runs the program: that
// costs little, and a server that loads fast may not live until the next look.
func (u *unpublished) peek() {
	for i := 0; i < len(u.job); i++ {
		for _, child := range u.proc.children(u.job[i]) {
			if _, _, ok := u.proc.serves(child); ok { // which it may do only after the fork
				if p, err := u.proc.process(child); err == nil {
					u.loading = append(u.loading, p)
				}
			} else if !slices.Contains(u.job, child) {
				u.job = append(u.job, child)
			}
		}
	}
}

// serves reports whether a process runs the program, and notes the one that listens.
func (u *unpublished) serves(p process) bool {
	host, port, ok := u.proc.serves(p.pid)
	if !ok || !u.proc.lives(p) {
		return false
	}
	if port == 0 {
		port = u.proc.listens(p.pid)
	}
	if port == 0 || u.addr != "" {
		return true
	}
	open, err := u.proc.sockets(port)
	if err != nil || open.listener == "" {
		return true // still loading
	}
	if found, ok := u.proc.holder(open.listener); ok {
		u.self, u.addr = found, net.JoinHostPort(host, strconv.Itoa(port))
	}
	return true
}
