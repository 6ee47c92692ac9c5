package drive

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// next says what an event makes of the state, and what is to be done. It is pure:
// the same state and event always give the same answer, and the state that it was
// given stays as it was.
func next(s state, e event) (state, []action) {
	if s.over {
		return s, nil
	}
	s = s.clone()
	s.calls, s.acctOff = e.calls, s.acctOff || e.acctOff
	m := machine{state: &s, at: e.at}
	m.take(e)
	if !s.over {
		m.advance()
	}
	return s, m.todo
}

// machine is one step of next: the state being changed and the actions found.
type machine struct {
	*state
	at   time.Time
	todo []action
}

// caseStep is a step as far as one case goes.
type caseStep struct {
	*machine
	i int
	c *caseState
}

func (m *machine) of(i int) caseStep { return caseStep{machine: m, i: i, c: &m.cases[i]} }

func (m *machine) do(a action) { m.todo = append(m.todo, a) }

// doFor is do for something about an attempt.
func (m *machine) doFor(i int, a action) {
	c := &m.cases[i]
	a.of, a.dir, a.there, a.job = c.key(i), c.dir, c.there, c.job
	m.do(a)
}

func (m *machine) take(e event) {
	switch e.kind {
	case evBegin:
		m.pickUp(e.found)
	case evTick:
		m.tick()
	case evSaved:
		m.saved(e.err)
	case evQueue:
		m.queueAnswer(e)
	case evAgents:
		m.seeAgents(e.watched, e.sights)
	case evCancelFailed:
		m.tell(Warning, e.of.cas, "cancel: %v", e.err)
	case evRequested:
		m.end(rundir.CauseRequested, e.text)
	case evInterrupted:
		m.interrupt(e.err)
	case evBroken:
		m.fail(e.err)
	default:
		m.takeFor(e)
	}
}

// takeFor takes what is about one attempt, unless that is over.
func (m *machine) takeFor(e event) {
	c := &m.cases[e.of.cas]
	if c.rep != e.of.rep || c.number != e.of.number {
		return
	}
	switch {
	case e.kind == evSubmitted && c.stage == stageSubmitting:
		m.of(e.of.cas).submitted(e.submitted, e.err)
	case e.kind == evSearched && c.stage == stageSearching:
		m.of(e.of.cas).searched(e.search, e.err)
	case e.kind == evAnswers && c.stage == stageWatched && c.job.ID == e.of.id:
		m.takeAnswers(c, e.answers)
	case e.kind == evClosed && c.stage == stageClosing:
		m.of(e.of.cas).closed(e)
	case e.kind == evDecided && c.stage == stageDeciding:
		m.of(e.of.cas).decided(e.outcome, e.decision)
	}
}

// advance does everything that is due.
func (m *machine) advance() {
	for i := range m.cases {
		switch m.cases[i].stage {
		case stageSearching:
			m.of(i).search()
		case stageWatched:
			m.of(i).resolve()
		default: // waits for somebody else
		}
	}
	if m.mode == modeRun {
		m.fill()
	}
	m.pollQueue()
	if !m.unwritten.IsZero() && m.at.After(m.rewrite) {
		m.unsaved = true
	}
	if m.over {
		return
	}
	if m.finished() {
		m.finish()
	}
	if m.unsaved {
		m.unsaved = false
		m.do(action{kind: doSave, run: m.newRecord()})
	}
}

// tick is what time alone brings about.
func (m *machine) tick() {
	m.readAgents()
	m.statusLine()
	if !m.deadline.IsZero() && !m.at.Before(m.deadline) {
		m.over, m.err = true, m.stopped
	}
}

// finished reports whether the drive has nothing more to do.
func (m *machine) finished() bool {
	for i := range m.cases {
		c := &m.cases[i]
		switch {
		case c.live():
			if m.detach && m.mode != modeInterrupted && c.watched() && c.endSent.IsZero() && (!c.unchecked || m.blind()) {
				continue // submitted: that is all a detached run waits for
			}
			return false
		case c.stage == stageOver || m.mode != modeRun:
			continue
		}
		// A detached run leaves what a limit holds back, once it knows that one does, or that nobody will say.
		if why, blind := m.room(c); !m.detach || why == "" || blind && !m.blind() {
			return false
		}
	}
	return true
}

// finish ends the drive as it should end.
func (m *machine) finish() {
	m.over = true
	if m.mode == modeInterrupted {
		m.err = m.stopped
		return
	}
	if m.detach && m.leaves() {
		return
	}
	at := m.at
	m.run.Ended, m.unsaved = &at, true
}

// leaves reports whether a detached run leaves something to resume, and tells how
// many cases were not even submitted.
func (m *machine) leaves() bool {
	waiting := 0
	for i := range m.cases {
		if m.cases[i].stage == stageDue && m.mode == modeRun {
			waiting++
		}
	}
	if waiting > 0 {
		m.tell(Warning, -1, "%d cases are not submitted yet: resume goes on with them", waiting)
	}
	return waiting > 0 || m.liveCount() > 0
}

// fail ends a drive that cannot go on. Jobs that nobody can write down any more
// must not hold nodes; those of a run that another driver has taken over must be
// left alone, and so must those that the caller only wants to leave.
func (m *machine) fail(err error) {
	m.over, m.err = true, err
	if !errors.Is(err, lease.ErrLost) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		m.do(action{kind: doAbandon})
	}
}

// saved takes what became of run.json. A file server may be away for a moment: a
// failure is made good by the next success, and ends the drive only when it lasts.
func (m *machine) saved(err error) {
	switch {
	case err == nil:
		m.unwritten = time.Time{}
	case m.unwritten.IsZero():
		m.unwritten = m.at
		m.tell(Warning, -1, "the run's record cannot be written, trying on: %v", err)
	case m.at.Sub(m.unwritten) > patience(err):
		m.fail(fmt.Errorf("the run's record cannot be written: %w", err))
		return
	}
	if err != nil {
		m.rewrite = m.at.Add(writeAgain)
	}
	for i := range m.cases {
		c := &m.cases[i]
		switch {
		case c.stage != stageRecording:
		case err != nil || m.mode != modeRun: // what is not on disk cannot be taken up again
			c.stage, c.due.after = stageDue, m.at.Add(writeAgain)
		default:
			m.of(i).submit()
		}
	}
}

const (
	writeFor   = 2 * time.Minute
	fullFor    = 10 * time.Second
	writeAgain = 5 * time.Second
)

// patience is how long a failure to write is borne: a file server may come back,
// a full or read-only disk seldom does while a job holds its nodes.
func patience(err error) time.Duration {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) {
		return fullFor
	}
	if errors.As(err, new(*rundir.NodeError)) {
		return 0 // nothing takes it away
	}
	return writeFor
}

// end submits nothing more and ends every attempt: the run goes on to its report.
func (m *machine) end(cause rundir.CancelCause, why string) {
	if m.mode != modeRun {
		return
	}
	m.mode, m.cause, m.why = modeEnd, cause, why
	m.tell(Next, -1, "the run was cancelled: %s", why)
	for i := range m.cases {
		if m.cases[i].watched() {
			m.of(i).cancel(cause, rundir.OutcomeCancelled, why)
		}
	}
}

// interrupt notes that the drive is over. The cancellation is already under way:
// it does not wait for anybody, and so not for us.
func (m *machine) interrupt(err error) {
	var by *Interrupted
	if !errors.As(err, &by) {
		m.fail(err) // the jobs go on; resume finds them
		return
	}
	m.mode, m.stopped, m.deadline = modeInterrupted, err, m.at.Add(m.poll.Abort)
	m.cause, m.why = rundir.CauseInterrupted, err.Error()
	m.run.Interrupted, m.unsaved = &rundir.Interruption{Signal: int(by.Signal), At: m.at}, true
	for i := range m.cases {
		c := &m.cases[i]
		if !c.watched() {
			continue
		}
		if c.job.Cancel == nil { // else it was ending already, for a reason of its own
			c.job.Cancel = &rundir.Cancel{At: m.at, Cause: m.cause, Reason: m.why, Outcome: rundir.OutcomeCancelled}
		}
		c.endSent = m.at
		m.doFor(i, action{kind: doNote})
	}
	m.queue.reset(m.at, time.Second)
}

// tell tells the user of one change; i is the case, -1 = the run.
func (m *machine) tell(kind UpdateKind, i int, format string, args ...any) {
	u := Update{At: m.at, Kind: kind, Text: fmt.Sprintf(format, args...)}
	if i >= 0 {
		c := &m.cases[i]
		u.Case, u.Slug = c.plan.Case.ID, c.plan.Case.Slug
		if c.live() {
			u.Rep, u.Attempt, u.JobID, u.Phase = c.rep, c.number, c.job.ID, c.last.Phase
		}
	}
	m.do(action{kind: doTell, update: u})
}
