package agent

import (
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// evidence is all that the agent can tell blame: no result files yet, those
// belong to the report.
func (v *supervisor) evidence(seen []rundir.NodeEvent) blame.Evidence {
	ev := v.st.evidence()
	ev.Events = append(ev.Events, v.st.witnessed(seen)...)
	ev.Classes = v.classes
	for i, l := range v.logs {
		if l == nil {
			continue
		}
		ev.Lines = append(ev.Lines, v.watch.Logs.Lines(i, v.st.roles[i].name, v.look)...)
		ev.Lines = append(ev.Lines, l.Explaining()...)
		ev.Roles[i].Address = v.watch.Address(i)
		l.State().SentBy(ev.Events, v.st.roles[i].name, v.st.roles[i].end.Status)
	}
	return ev
}

// evidence is what the state holds for blame.
func (s state) evidence() blame.Evidence {
	ev := blame.Evidence{Events: s.extra}
	for _, r := range s.roles {
		ev.Roles = append(ev.Roles, blame.Role{Name: r.name, Kind: r.kind, Nodes: r.nodes, Started: r.started})
		if r.state != rundir.RoleEnded || r.err != "" || r.optional {
			continue
		}
		e := blame.Event{
			Role: r.name, Kind: blame.RoleEnd, At: r.failedAt(), Exit: r.end.Exit, Signal: r.end.Signal, OOM: r.end.OOM,
			Stopped: r.stopSent, Killed: r.killSent, ByUs: s.stoppedBy(r) != "", Sent: blame.Sent{Forced: r.end.Forced}, Drained: r.drained && !s.failed,
			// The client ends when it is through and a precheck when it is done;
			// exit 0 of a server counts only after the client's word.
			Expected: r.wave != waveMain || s.isClient(r) || r.drained && (!r.early || !s.failed),
		}
		if f := r.end.First; f != nil {
			e.Task, e.Node = f.Task, f.Node
		}
		ev.Events = append(ev.Events, e)
		if r.end.Lost != "" {
			ev.Events = append(ev.Events, blame.Event{Role: r.name, Kind: blame.NodeLost, At: r.failedAt(), Node: r.end.Lost})
		}
	}
	for _, r := range s.roles {
		if r.end.Stuck && r.end.Lost == "" {
			ev.Events = append(ev.Events, blame.Event{Role: r.name, Kind: blame.Unkillable, At: r.ended})
		}
	}
	if s.ending != nil {
		ev.Job = s.ending.job
	}
	return ev
}

// conclude says how the attempt ended.
func conclude(s state, ev blame.Evidence) (*rundir.Finding, rundir.Outcome, string) {
	f := blame.Judge(ev)
	if s.passed() {
		return nil, rundir.OutcomePassed, s.passedHow()
	}
	if f.Kind == "" {
		f = blame.Finding{Class: blame.Unknown, Kind: blame.KindUnattributed, Rule: "nothing-proven", Message: "the attempt did not complete, and nothing says why"}
		if s.ending != nil {
			f.Message += ": " + s.ending.why
		}
	}
	return f.Record(), s.outcome(f), f.Message
}

// passedHow is the reason of an attempt that passed, with what is worth knowing all the same.
func (s state) passedHow() string {
	reason := "every role ended well"
	if n := s.count(func(r role) bool { return s.stoppedBy(r) != "" && !r.stopsWithClient() }); n > 0 {
		reason = fmt.Sprintf("the client passed; %d servers did not leave by themselves within %v and were ended", n, s.drainBound)
	}
	for _, r := range s.roles {
		switch {
		case r.optional && r.state == rundir.RoleNeverStarted:
			reason += fmt.Sprintf("; %s (critical: false) was not started", r.name)
		case r.optional && s.stoppedBy(r) == "" && r.end.Exit != 0:
			reason += fmt.Sprintf("; %s (critical: false) left: %s", r.name, endWords(r.end))
		case s.stoppedBy(r) != "" && rundir.Ending{Signal: r.end.Signal}.Crashed():
			reason += fmt.Sprintf("; %s crashed while it was ended: %s", r.name, endWords(r.end))
		}
	}
	return reason
}

// passed reports whether all roles ended well, and no server died before the client was through.
func (s state) passed() bool { return s.endedWell() && !slices.ContainsFunc(s.roles, s.fell) }

// endedWell reports whether the client and every other role ended well, or were ended
// after the client was through, and nothing about them is unknown.
func (s state) endedWell() bool {
	if s.broken != "" || s.ending != nil && !s.ending.soft || s.ending != nil && s.ending.gaveUp {
		return false
	}
	for _, r := range s.roles {
		ok := r.optional || r.state == rundir.RoleEnded && r.err == "" && (r.end.Exit == 0 || s.stoppedBy(r) == rundir.StoppedByAgent && !s.isClient(r))
		if !ok || r.end.Lost != "" || r.end.Stuck {
			return false
		}
	}
	return len(s.roles) > 0
}

func (s state) outcome(f blame.Finding) rundir.Outcome {
	phase := s.phase
	if s.ending != nil {
		phase = s.ending.phase
	}
	switch f.Kind {
	case blame.KindCancelled:
		return rundir.OutcomeCancelled
	case blame.KindTimeout, blame.KindHang, blame.KindReadyTimeout, blame.KindTimeLimit:
		return rundir.TimeoutOf(phase)
	}
	if f.Class == blame.Infra {
		return rundir.OutcomeInfra
	}
	return rundir.OutcomeTestFailed
}
