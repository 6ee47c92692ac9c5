package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	lookEvery   = 200 * time.Millisecond // at a process: one small file
	ownEvery    = 20 * time.Millisecond  // at a process whose own test is its client: it asks how it ended as soon as that fails
	soonEvery   = 300 * time.Millisecond // for an address, and for its process at first: it may be killed soon
	startEvery  = 100 * time.Millisecond // for a server whose own test is its client, while there is none
	searchEvery = time.Second            // for a process, and at its port
	healthEvery = time.Second
	again       = 300 * time.Millisecond // an error is asked for once more
	tellAgain   = 10 * time.Second       // what lasts is told again, with how often it was seen
	maxLooks    = 120                    // what lasts for longer is told to the agent alone: its file is bounded
	portLooks   = 3                      // the kernel's table of sockets may change while it is read
	blindAfter  = 10 * time.Second       // published address → its process is found, or cannot be seen
	stoodFor    = 2 * time.Second        // a server that stops for less, as under a profiler that looks at it, is within what varies
)

// unseen is why nobody knows how a server ended whose parent lives.
const unseen = "the one that had started it asked how before anybody else could, and nothing else tells"

// server is the watch over one role's server.
type server struct {
	role   watch.Role
	watch  *watch.Watch
	index  int // of the role in watch
	proc   procfs
	tell   func(rundir.NodeEvent)
	now    func() time.Time
	since  time.Time // its address has been known
	looked time.Time // for its process, or at its port
	blind  bool
	self   process
	parent process
	held   *held
	port   int
	misses int       // how often in a row nobody listened at its port
	stops  time.Time // since then it has been seen to stand still, zero = it goes on
	requests
	over bool
}

// requests are the connections to a server that last.
type requests struct {
	peers  map[string]bool // at the last look
	state  lasting
	steady int      // for how many looks that has been so
	told   *lasting // what was told last, nil = nothing
}

// lasting is whether connections to a server last that wait for it, and such on which it waits for the other side.
type lasting struct{ waits, unread bool }

// follow watches the server until it has gone or ctx is done.
func (s *server) follow(ctx context.Context) {
	every := lookEvery
	if s.role.Find != nil {
		every = ownEvery
	}
	t := time.NewTicker(every)
	defer t.Stop()
	defer s.stands(false)
	defer s.drop()
	for woke := (*held)(nil); !s.over; {
		s.look(s.now())
		if woke != nil && s.held == woke { // it is another process that has ended
			s.drop()
		}
		woke = nil
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-s.held.ends(): // the one that started it may ask at once
			woke = s.held
		}
	}
}

func (s *server) say(what rundir.NodeWhat, e rundir.NodeEvent) {
	e.Role, e.What, e.PID, e.Port = s.role.Name, what, s.self.pid, s.port
	s.tell(e)
}

func (s *server) look(now time.Time) {
	if s.self.pid != 0 {
		s.process()
	}
	every := searchEvery
	switch {
	case s.self.pid == 0 && s.role.Find != nil:
		every = startEvery
	case s.self.pid == 0 && !s.blind:
		every = soonEvery
	}
	if s.over || now.Sub(s.looked) < every {
		return
	}
	s.looked = now
	if s.self.pid == 0 {
		s.search(now)
		return
	}
	found, err := s.proc.sockets(s.port)
	switch {
	case err != nil:
	case found.listener != "":
		s.misses = 0
		s.connected(found.peers)
	case s.misses < portLooks:
		if s.misses++; s.misses == portLooks {
			s.say(rundir.NodePortGone, rundir.NodeEvent{Looks: portLooks})
		}
	}
}

// connected notes who is connected, and tells when connections that last have come or gone: a request that waits keeps
// its own open, a health check does not, and a server ends those that nobody uses. Where the other side does not take
// what the server has answered, it is not the server that is waited for.
func (s *server) connected(peers map[string]bool) {
	open, unread := 0, 0
	for p, sent := range peers {
		switch before, was := s.peers[p]; {
		case was && before && sent:
			unread++
		case was:
			open++
		}
	}
	s.peers = peers
	if now := (lasting{open > 0, unread > 0}); now != s.state || s.steady == 0 {
		s.state, s.steady = now, 0
	}
	if s.steady++; s.steady >= portLooks && (s.told == nil || *s.told != s.state) {
		told := s.state
		s.told = &told
		s.say(rundir.NodeRequests, rundir.NodeEvent{Open: open, Unread: unread})
	}
}

// search looks for the process that listens at the published address.
func (s *server) search(now time.Time) {
	addr := s.watch.Address(s.index)
	if addr == "" {
		return
	}
	if s.since.IsZero() {
		s.since = now
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		s.port, err = strconv.Atoi(port)
	}
	if err == nil {
		err = s.find()
	}
	if err != nil && !s.blind && !s.role.Given && now.Sub(s.since) >= blindAfter {
		s.blind = true
		s.say(rundir.NodeBlind, rundir.NodeEvent{Text: err.Error()})
	}
}

func (s *server) find() error {
	open, err := s.proc.sockets(s.port)
	if err != nil {
		return err
	}
	if open.listener == "" {
		return fmt.Errorf("nobody listens on port %d here", s.port)
	}
	found, ok := s.proc.holder(open.listener)
	if !ok {
		return fmt.Errorf("the process that listens on port %d cannot be seen", s.port)
	}
	parent, err := s.proc.process(found.parent)
	if err != nil {
		return err
	}
	s.drop()
	s.self, s.parent, s.held = found, parent, hold(found.pid)
	s.say(rundir.NodeServer, rundir.NodeEvent{})
	return nil
}

// process looks whether the server's process has ended. How is known as long as its
// parent has not asked, and then from the kernel, where that tells. One that ends with its parent tells nothing by
// itself.
func (s *server) process() {
	now, err := s.proc.process(s.self.pid)
	same := err == nil && now.start == s.self.start
	if s.stands(same && now.stops); same && !now.ended {
		return
	}
	known := same
	if !same {
		now.status, known = s.held.ended()
	}
	status := syscall.WaitStatus(now.status) //nolint:gosec // 16 bits
	lives := s.proc.lives(s.parent)
	seen := known && lives
	if (!seen || status.Exited() && status.ExitStatus() == 0) && s.replaced() {
		return
	}
	what, e := rundir.NodeGone, rundir.NodeEvent{}
	if lives {
		e.Text = unseen
	}
	if seen {
		e.Text = ""
		what, e.Exit = rundir.NodeEnded, status.ExitStatus()
		if status.Signaled() {
			e.Signal = int(status.Signal())
			e.Exit = 128 + e.Signal
		}
	}
	s.say(what, e)
	s.drop()
	s.over, s.self = s.role.Find == nil, process{} // a test may have several servers, one after the other
}

// drop lets the process go.
func (s *server) drop() {
	s.held.release()
	s.held = nil
}

// stands tells, when the server goes on, that somebody had stopped it.
func (s *server) stands(stops bool) {
	switch since := s.stops; {
	case stops && since.IsZero():
		s.stops = s.now()
	case !stops && !since.IsZero():
		s.stops = time.Time{}
		if stood := s.now().Sub(since); stood >= stoodFor {
			s.say(rundir.NodeStood, rundir.NodeEvent{For: rundir.Duration(stood)})
		}
	}
}

// replaced reports whether the process has left its port to another one, as servers do
// that restart themselves; that one is watched from now on.
func (s *server) replaced() bool {
	before := s.self
	if err := s.find(); err != nil || s.self == before {
		s.self = before
		return false
	}
	return true
}

// health is what a server's health check says.
type health struct {
	watch *watch.Watch
	index int
	role  string
	tell  func(rundir.NodeEvent)
	now   func() time.Time
	found bool        // it publishes no address
	ready func() bool // its role was ready before it was asked for the first time
	last  rundir.NodeWhat
	looks int // how often in a row it was that
	at    time.Time
}

// follow asks until ctx is done. What a server says before it was healthy once, or its role ready, is no news.
func (h *health) follow(ctx context.Context) {
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	for {
		h.ask(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// ask tells what is new, and of what is wrong now and then that it still is: only what
// lasts is no accident.
func (h *health) ask(ctx context.Context) {
	what, e := h.answer(ctx)
	if what == "" { // the next one begins anew
		h.last = ""
		return
	}
	if h.last == "" && what != rundir.NodeHealthy && !h.ready() || ctx.Err() != nil {
		return
	}
	if what == h.last {
		if h.looks++; what == rundir.NodeHealthy || h.now().Sub(h.at) < tellAgain {
			return
		}
	} else {
		looks := 1
		if what != rundir.NodeHealthy { // a single error may be an accident
			if looks++; h.askAgain(ctx) != what {
				return
			}
		}
		h.last, h.looks = what, looks
	}
	h.at = h.now()
	if e.Role, e.What = h.role, what; what != rundir.NodeHealthy {
		e.Looks = h.looks
	}
	h.tell(e)
}

func (h *health) askAgain(ctx context.Context) rundir.NodeWhat {
	select {
	case <-ctx.Done():
		return ""
	case <-time.After(again):
	}
	what, _ := h.answer(ctx)
	return what
}

// answer asks once.
func (h *health) answer(ctx context.Context) (rundir.NodeWhat, rundir.NodeEvent) {
	code, err := h.watch.Health(ctx, h.index)
	switch {
	case errors.Is(err, os.ErrNotExist) && h.found: // there is no server now
		return "", rundir.NodeEvent{}
	case errors.Is(err, syscall.ECONNREFUSED):
		return rundir.NodeRefused, rundir.NodeEvent{}
	case err != nil:
		return rundir.NodeSilent, rundir.NodeEvent{Text: rundir.Clip(err.Error(), 200)}
	case code >= http.StatusInternalServerError:
		return rundir.NodeSick, rundir.NodeEvent{Status: code}
	}
	return rundir.NodeHealthy, rundir.NodeEvent{Status: code}
}
