package node

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	lookEvery   = 200 * time.Millisecond // at a process: one small file
	searchEvery = time.Second            // for a process, and at its port
	healthEvery = time.Second
	again       = 300 * time.Millisecond // an error is asked for once more
	blindAfter  = 10 * time.Second       // published address → its process is found, or cannot be seen
)

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
	port   int
	closed bool
	over   bool
}

// follow watches the server until it has gone or ctx is done.
func (s *server) follow(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for !s.over {
		s.look(s.now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
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
	if s.over || now.Sub(s.looked) < searchEvery {
		return
	}
	s.looked = now
	if s.self.pid == 0 {
		s.search(now)
		return
	}
	if inode, err := s.proc.listener(s.port); err == nil && inode == "" && !s.closed {
		s.closed = true
		s.say(rundir.NodePortGone, rundir.NodeEvent{})
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
	inode, err := s.proc.listener(s.port)
	if err != nil {
		return err
	}
	if inode == "" {
		return fmt.Errorf("nobody listens on port %d here", s.port)
	}
	found, ok := s.proc.holder(inode)
	if !ok {
		return fmt.Errorf("the process that listens on port %d cannot be seen", s.port)
	}
	parent, err := s.proc.process(found.parent)
	if err != nil {
		return err
	}
	s.self, s.parent = found, parent
	s.say(rundir.NodeServer, rundir.NodeEvent{})
	return nil
}

// process looks whether the server's process has ended. How is known as long as its
// parent has not asked. One that ends with its parent tells nothing by itself.
func (s *server) process() {
	now, err := s.proc.process(s.self.pid)
	same := err == nil && now.start == s.self.start
	if same && !now.ended {
		return
	}
	s.over = true
	if !same || !s.proc.lives(s.parent) {
		s.say(rundir.NodeGone, rundir.NodeEvent{})
		return
	}
	status := syscall.WaitStatus(now.status) //nolint:gosec // 16 bits
	e := rundir.NodeEvent{Exit: status.ExitStatus()}
	if status.Signaled() {
		e.Signal = int(status.Signal())
		e.Exit = 128 + e.Signal
	}
	s.say(rundir.NodeEnded, e)
}

// health is what a server's health check says.
type health struct {
	watch *watch.Watch
	index int
	role  string
	tell  func(rundir.NodeEvent)
	last  rundir.NodeWhat
}

// follow asks until ctx is done. What a server says before it was healthy once is no news.
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

func (h *health) ask(ctx context.Context) {
	what, e := h.answer(ctx)
	if what == h.last || h.last == "" && what != rundir.NodeHealthy || ctx.Err() != nil {
		return
	}
	if what != rundir.NodeHealthy { // a single error may be an accident
		select {
		case <-ctx.Done():
			return
		case <-time.After(again):
		}
		if twice, _ := h.answer(ctx); twice != what {
			return
		}
	}
	h.last = what
	e.Role, e.What = h.role, what
	h.tell(e)
}

// answer asks once.
func (h *health) answer(ctx context.Context) (rundir.NodeWhat, rundir.NodeEvent) {
	code, err := h.watch.Health(ctx, h.index)
	switch {
	case err != nil:
		return rundir.NodeSilent, rundir.NodeEvent{Text: rundir.Clip(err.Error(), 200)}
	case code >= http.StatusInternalServerError:
		return rundir.NodeSick, rundir.NodeEvent{Status: code}
	}
	return rundir.NodeHealthy, rundir.NodeEvent{Status: code}
}
