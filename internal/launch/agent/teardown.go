package agent

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func (m *machine) takeSignal(e event) {
	if m.ending != nil && m.ending.signal != "" {
		return // asked again while roles have their grace: it does not begin anew
	}
	m.note(e.at, "", "agent received "+e.text)
	cause := blame.Event{Kind: blame.Signalled, At: e.at, Text: e.text}
	if e.alone > 0 {
		cause.Kind = blame.Abandoned
	}
	if m.ending != nil && !m.ending.soft {
		// Already ending: a job cancelled as a whole signals the roles first, us after.
		m.extra = append(m.extra, cause)
		m.ending.signal = e.text
		m.ending.grace = min(m.ending.grace, cancelGrace)
		if m.ending.termed.IsZero() {
			m.ending.termAt = e.at
		}
		return
	}
	m.ending = nil
	m.begin(e.at, "agent received "+e.text, 0, cause)
	m.ending.signal = e.text
	m.ending.grace = min(m.grace, cancelGrace)
}

// begin starts a teardown. A second reason makes it no later, and changes nothing else:
// the first event is what the run ends for. cause is kept as evidence when it has a kind.
func (m *machine) begin(at time.Time, why string, settle time.Duration, cause blame.Event) {
	if cause.Kind != "" {
		m.extra = append(m.extra, cause)
	}
	if m.ending != nil {
		m.ending.hurry(at.Add(settle))
		return
	}
	m.ending = &ending{at: at, phase: m.phase, why: why, cause: cause, termAt: at.Add(settle), grace: m.grace}
	m.note(at, "", "teardown: "+why)
}

// hurry makes SIGTERM due by then at the latest.
func (e *ending) hurry(by time.Time) {
	if by.Before(e.termAt) {
		e.termAt = by
	}
}

// tearDown moves a teardown on: SIGTERM when due, SIGKILL after the grace, and
// the question to Slurm, which has the last word on whether a role is to blame.
func (m *machine) tearDown(at time.Time) {
	en := m.ending
	switch {
	case en.termed.IsZero():
		if !at.Before(en.termAt) {
			en.termed = at
			m.signalAll(doTerm, at)
		}
	case en.killed.IsZero():
		if at.Sub(en.termed) >= en.grace {
			en.killed = at
			m.signalAll(doKill, at)
		}
	case at.Sub(en.killed) >= reapBound && !en.gaveUp:
		m.giveUp(at)
	}
	for i := range m.roles {
		if r := &m.roles[i]; r.live() && r.unsent && r.killSent.IsZero() && !en.killed.IsZero() && !en.gaveUp {
			r.killSent = at
			m.do(doKill, i)
		}
	}
	if en.asks == 0 && at.Sub(en.at) >= askJobAfter {
		m.ask(at)
	}
	if en.asks > 0 && !en.answered && at.Sub(en.askedAt) >= m.askJobBound {
		en.answered, en.unanswered = true, true
	}
}

// giveUp waits no longer for the steps that are left: Slurm has taken their SIGKILL, or it has not.
func (m *machine) giveUp(at time.Time) {
	m.ending.gaveUp = true
	for _, r := range m.roles {
		switch {
		case !r.live():
		case r.unsent && (r.killSent.IsZero() || at.Sub(r.killSent) < sendBound):
			m.note(at, r.name, "could not be ended: given up")
			m.extra = append(m.extra, blame.Event{Role: r.name, Kind: blame.Unreached, At: at, Text: "Slurm took no signal for its step"})
		default:
			m.note(at, r.name, "did not go away after SIGKILL: given up")
			m.extra = append(m.extra, blame.Event{Role: r.name, Kind: blame.Unkillable, At: at, Text: "its step did not go away after SIGKILL"})
		}
	}
}

func (m *machine) ask(at time.Time) {
	if !m.askJob || m.ending.soft {
		return
	}
	m.ending.asks++
	m.ending.askedAt, m.ending.answered = at, false
	m.do(doAskJob, 0)
}

func (m *machine) signalAll(k actionKind, at time.Time) {
	for i := range m.roles {
		r := &m.roles[i]
		if !r.live() || k == doTerm && !r.stopSent.IsZero() {
			continue
		}
		if k == doTerm {
			r.stopSent = at
		} else {
			r.killSent = at
			m.note(at, r.name, "SIGKILL: still there after the grace")
		}
		m.do(k, i)
	}
}

// jobSettled reports whether Slurm has been asked and has answered, or cannot be. An
// answer from long before the last step went is asked for once more: Slurm takes
// its time to notice a dead node.
func (m *machine) jobSettled(at time.Time) bool {
	en := m.ending
	if !m.askJob || en.soft {
		return true
	}
	if en.answered && !en.unanswered && en.asks == 1 && at.Sub(en.askedAt) > askJobAgain {
		m.ask(at)
	}
	return en.answered
}

func (m *machine) collect(at time.Time) {
	for i := range m.roles {
		if m.roles[i].state == rundir.RolePending {
			m.roles[i].state = rundir.RoleNeverStarted
		}
	}
	m.enter(rundir.PhaseCollect, at)
	m.do(doCollect, 0)
}
