package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/environment"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	clockEvery  = 5 * time.Second // how often a helper is told the time
	helperGrace = 2 * time.Second // from the end of its stdin to SIGKILL
)

// helpers are the processes on the nodes that watch servers there. Whatever becomes of
// them, the run goes on.
type helpers struct {
	all      []*helper
	quit     chan struct{}
	phases   chan rundir.Phase // that they are to be told
	names    []string          // of the nodes
	software *environment.Run
	switches map[string]string // that the nodes hang on, as the helpers there have told
}

// helper is one of them.
type helper struct {
	node  string
	clock *os.File // its stdin
	proc  *proc.Process
	err   error // why it could not be started
	early bool  // it had ended before it was let go
}

// startHelpers starts one helper per node, or one for all nodes where one machine
// plays them.
func (v *supervisor) startHelpers(ctx context.Context) *helpers {
	h := &helpers{quit: make(chan struct{}), phases: make(chan rundir.Phase, 16)}
	h.phases <- v.st.phase
	if v.o.HelperArgv == nil {
		return h
	}
	h.software = environment.Attempt{Files: v.files, Dir: v.dir, JobID: v.jobID, Plan: v.plan}.Begin(ctx, v.run, v.place.Build, v.o.Env)
	if v.backend() == rundir.BackendLocal {
		h.all = append(h.all, v.startHelper(ctx, node.AllNodes, "local"))
	} else {
		for i, name := range v.nodes[:v.plan.Nodes] {
			h.all = append(h.all, v.startHelper(ctx, i, name))
		}
	}
	for _, one := range h.all {
		h.names = append(h.names, one.node)
	}
	go h.tellTime(v.o.Now)
	return h
}

func (v *supervisor) startHelper(ctx context.Context, index int, name string) *helper {
	h := &helper{node: name}
	r, w, err := os.Pipe()
	if err != nil {
		h.err = err
		return h
	}
	defer func() { _ = r.Close() }()
	h.clock = w
	h.proc, h.err = v.starter.Helper(ctx, step.Helper{Node: name, Argv: v.o.HelperArgv(v.ref.Index, index, name), Stdin: r, Tell: &node.Heard{Take: v.hear}})
	return h
}

// enter tells all helpers, soon, which phase the run is in now.
func (h *helpers) enter(now rundir.Phase) {
	if h == nil {
		return
	}
	select {
	case h.phases <- now:
	default: // they take none: counters are missing, and nothing else
	}
}

// tellTime tells all helpers the agent's time, which is that of their records, and the
// run's phase.
func (h *helpers) tellTime(now func() time.Time) {
	t := time.NewTicker(clockEvery)
	defer t.Stop()
	line := ""
	for {
		for _, one := range h.all {
			if one.clock != nil {
				_, _ = fmt.Fprintf(one.clock, "%d\n%s", now().UnixNano(), line) // one that has gone sees nothing any more
			}
		}
		line = ""
		select {
		case <-h.quit:
			return
		case phase := <-h.phases:
			line = fmt.Sprintf("%s%s\n", node.PhaseLine, phase)
		case <-t.C:
		}
	}
}

// stop lets the helpers go, and ends those that stay.
func (h *helpers) stop() {
	if h == nil {
		return
	}
	close(h.quit)
	for _, one := range h.all {
		one.early = one.gone()
		if one.clock != nil {
			_ = one.clock.Close()
		}
	}
	late := time.NewTimer(helperGrace)
	defer late.Stop()
	for _, one := range h.all {
		if one.proc == nil {
			continue
		}
		select {
		case <-one.proc.Exited():
		case <-late.C:
			late.Reset(0) // for all of them
			_ = one.proc.Signal(syscall.SIGKILL)
		}
	}
}

// gone reports whether the helper's process has ended.
func (h *helper) gone() bool {
	return h.proc != nil && errors.Is(h.proc.Signal(0), os.ErrProcessDone)
}

// read is what the helpers have seen, in the order of time. One that has not been
// heard of is blind.
func (h *helpers) read(files *rundir.Tree, run rundir.RunDir) []rundir.NodeEvent {
	if h == nil {
		return nil
	}
	var out []rundir.NodeEvent
	for _, one := range h.all {
		out = append(out, node.Read(files, run, one.node, one.err, one.early)...)
	}
	slices.SortStableFunc(out, func(a, b rundir.NodeEvent) int { return a.At.Compare(b.At) })
	return out
}

// sighted puts what was seen of servers into the timeline, and what had not been heard of how they went. How they
// answered was judged when it was heard: the record does not say what they wrote meanwhile.
func (s *state) sighted(seen []rundir.NodeEvent) {
	for _, e := range seen {
		if i := slices.IndexFunc(s.roles, func(r role) bool { return r.name == e.Role }); i >= 0 {
			s.roles[i].server.left(event{at: e.At, seen: e})
		}
		if words := node.Words(e); words != "" && !node.Again(e) {
			s.note(cmp.Or(e.At, s.since), e.Role, words)
		}
	}
	slices.SortStableFunc(s.timeline, func(a, b rundir.Event) int { return a.At.Compare(b.At) })
}

// witnessed is what was seen of servers that explains why a run did not pass: one died,
// or answered with errors, while its role lived and had not been told to end.
func (s state) witnessed(seen []rundir.NodeEvent) []blame.Event {
	var out []blame.Event
	well := s.endedWell()
	for _, r := range s.roles {
		if e, ok := s.silent(r); ok {
			out = append(out, e)
		}
		if well && s.fell(r) {
			out = append(out, goneEvent(r))
		}
	}
	if well {
		return out
	}
	for n, e := range seen {
		i := slices.IndexFunc(s.roles, func(r role) bool { return r.name == e.Role })
		if i < 0 || s.roles[i].loading(seen, n) || s.roles[i].optional || s.afterEnd(s.roles[i], e) || node.Again(e) || s.ending != nil && s.ending.cause.Role == e.Role {
			continue // or it is known: told again, or what the attempt ended for
		}
		ev := blame.Event{Role: e.Role, At: e.At, Exit: e.Exit, Signal: e.Signal, Node: slices.Concat(s.roles[i].nodes, []string{""})[0]}
		switch e.What {
		case rundir.NodeEnded:
			ev.Kind = blame.ServerGone
		case rundir.NodeSick:
			ev.Kind, ev.Text = blame.ServerSick, fmt.Sprint(e.Status)
		default:
			continue
		}
		out = append(out, ev)
	}
	return out
}

// loading reports whether the n-th that was seen is an error that the role's server answered before it was ready, and
// well for the first time: nobody had missed it.
func (r role) loading(seen []rundir.NodeEvent, n int) bool {
	well := func(e rundir.NodeEvent) bool { return e.Role == r.name && e.What == rundir.NodeHealthy }
	return seen[n].What == rundir.NodeSick && !slices.ContainsFunc(seen[:n], well) &&
		(r.readyAt.IsZero() || seen[n].At.Before(r.readyAt) && slices.ContainsFunc(seen[n:], well))
}

// afterEnd reports whether something may have been seen of a server because its role ended or was ended, or had ended
// it. A role ends its server once the client is through, which the client says also where it failed for that very
// server: then only a signal that no test sends to its server tells the two apart, and an answer.
func (s state) afterEnd(r role, e rundir.NodeEvent) bool {
	if !r.stopSent.IsZero() && e.At.After(r.stopSent) || !r.failedAt().IsZero() && e.At.After(r.failedAt()) ||
		!r.ended.IsZero() && r.end.Exit == 0 && e.Signal == 9 && r.ended.Sub(e.At) < settleZero { // what a step leaves behind is killed
		return true
	}
	if told := node.Told(e); told || s.drainAt.IsZero() {
		return told
	}
	late := e.At.Sub(s.drainAt)
	if r.kind == rundir.KindRouter && e.What == rundir.NodeSick { // its servers leave now, and it says so
		return late > 0
	}
	return late > noticed || late > 0 && e.What == rundir.NodeEnded && e.Signal == 0
}
