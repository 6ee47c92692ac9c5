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

// next says what an event makes of the state, and what is to be done. It is pure: the same state and event always give
// the same answer, and the state that it was given stays as it was.
func next(s state, e event) (state, []action) {
	if s.over {
		return s, nil
	}
	s = s.clone()
	s.calls, s.acctOff = e.calls, s.acctOff || e.acctOff
	t := transition{state: &s, at: e.at}
	t.take(e)
	if !s.over {
		t.advance()
	}
	return s, t.todo
}

// transition is one call of next: the state being changed and the actions found.
type transition struct {
	*state
	at   time.Time
	todo []action
}

// caseTransition is a transition as far as one case goes.
type caseTransition struct {
	*transition
	i int
	c *caseState
}

func (t *transition) of(i int) caseTransition {
	return caseTransition{transition: t, i: i, c: &t.cases[i]}
}

func (t *transition) do(a action) { t.todo = append(t.todo, a) }

// doFor is do for something about an attempt.
func (t *transition) doFor(i int, a action) {
	c := &t.cases[i]
	a.of, a.dir, a.there, a.job = c.key(i), c.dir, c.there, c.job
	t.do(a)
}

func (t *transition) take(e event) {
	switch e.kind {
	case evBegin:
		t.pickUp(e.found)
	case evTick:
		t.tick()
	case evSaved:
		t.saved(e.err)
	case evQueue:
		t.queueAnswer(e)
	case evAgents:
		t.seeAgents(e.watched, e.sights)
	case evCancelFailed:
		t.tell(Warning, e.of.cas, "cancel: %v", e.err)
	case evRequested:
		t.end(rundir.CauseRequested, e.text)
	case evInterrupted:
		t.interrupt(e.err)
	case evBroken:
		t.fail(e.err)
	default:
		t.takeFor(e)
	}
}

// takeFor takes what is about one attempt, unless that is over.
func (t *transition) takeFor(e event) {
	c := &t.cases[e.of.cas]
	if c.rep != e.of.rep || c.number != e.of.number {
		return
	}
	switch {
	case e.kind == evSubmitted && c.stage == stageSubmitting:
		t.of(e.of.cas).submitted(e.submitted, e.err)
	case e.kind == evSearched && c.stage == stageSearching:
		t.of(e.of.cas).searched(e.search, e.err)
	case e.kind == evAnswers && c.stage == stageWatched && c.job.ID == e.of.id:
		t.takeAnswers(c, e.answers)
	case e.kind == evClosed && c.stage == stageClosing:
		t.of(e.of.cas).closed(e)
	case e.kind == evDecided && c.stage == stageDeciding:
		t.of(e.of.cas).decided(e.outcome, e.decision)
	}
}

// advance does everything that is due.
func (t *transition) advance() {
	for i := range t.cases {
		switch t.cases[i].stage {
		case stageSearching:
			t.of(i).search()
		case stageWatched:
			t.of(i).resolve()
		default: // waits for somebody else
		}
	}
	if t.mode == modeRun {
		t.fill()
	}
	t.pollQueue()
	if !t.unwritten.IsZero() && t.at.After(t.rewrite) {
		t.unsaved = true
	}
	if t.over {
		return
	}
	if t.finished() {
		t.finish()
	}
	if t.unsaved {
		t.unsaved = false
		t.do(action{kind: doSave, run: t.newRecord()})
	}
}

// tick is what time alone brings about.
func (t *transition) tick() {
	t.readAgents()
	t.statusLine()
	if !t.deadline.IsZero() && !t.at.Before(t.deadline) {
		t.over, t.err = true, t.stopped
	}
}

// finished reports whether the drive has nothing more to do.
func (t *transition) finished() bool {
	for i := range t.cases {
		c := &t.cases[i]
		switch {
		case c.live():
			if t.detach && t.mode != modeInterrupted && t.left(c) {
				continue
			}
			return false
		case c.stage == stageOver || t.mode != modeRun:
			continue
		}
		// A detached run leaves what a limit holds back, once it knows that one does, or that nobody will say.
		if why, blind := t.room(c); !t.detach || why == "" || blind && !t.blind() {
			return false
		}
	}
	return true
}

// left reports whether a detached run leaves an attempt to resume: it waits for no more than its submission.
func (t *transition) left(c *caseState) bool {
	if c.stage == stageSearching {
		return t.mode == modeRun && t.longBlind(c) && c.told != ""
	}
	return c.watched() && c.endSent.IsZero() && (!c.unchecked || t.blind())
}

// finish ends the drive as it should end.
func (t *transition) finish() {
	t.over = true
	if t.mode == modeInterrupted {
		t.err = t.stopped
		return
	}
	if t.detach && t.leaves() {
		return
	}
	at := t.at
	t.run.Ended, t.unsaved = &at, true
}

// leaves reports whether a detached run leaves something to resume, and tells how many cases were not even submitted.
func (t *transition) leaves() bool {
	waiting := 0
	for i := range t.cases {
		if t.cases[i].stage == stageDue && t.mode == modeRun {
			waiting++
		}
	}
	if waiting > 0 {
		t.tell(Warning, -1, "%d cases are not submitted yet: resume goes on with them", waiting)
	}
	return waiting > 0 || t.liveCount() > 0
}

// fail ends a drive that cannot go on. Jobs that nobody can write down any more must not hold nodes; those of a run
// that another driver has taken over must be left alone, and so must those that the caller only wants to leave.
func (t *transition) fail(err error) {
	t.over, t.err = true, err
	if !errors.Is(err, lease.ErrLost) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.do(action{kind: doAbandon})
	}
}

// saved takes what became of run.json. A file server may be away for a moment: a
// failure is made good by the next success, and ends the drive only when it lasts.
func (t *transition) saved(err error) {
	switch {
	case err == nil:
		t.unwritten = time.Time{}
	case t.unwritten.IsZero():
		t.unwritten = t.at
		t.tell(Warning, -1, "the run's record cannot be written, trying on: %v", err)
	case t.at.Sub(t.unwritten) > patience(err):
		t.fail(fmt.Errorf("the run's record cannot be written: %w", err))
		return
	}
	if err != nil {
		t.rewrite = t.at.Add(writeAgain)
	}
	for i := range t.cases {
		c := &t.cases[i]
		switch {
		case c.stage != stageRecording:
		case err != nil || t.mode != modeRun: // what is not on disk cannot be taken up again
			c.stage, c.due.after = stageDue, t.at.Add(writeAgain)
		default:
			t.of(i).submit()
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
func (t *transition) end(cause rundir.CancelCause, why string) {
	if t.mode != modeRun {
		return
	}
	t.mode, t.cause, t.why = modeEnd, cause, why
	t.tell(Next, -1, "the run was cancelled: %s", why)
	for i := range t.cases {
		if t.cases[i].watched() {
			t.of(i).cancel(cause, rundir.OutcomeCancelled, why)
		}
	}
}

// interrupt notes that the drive is over. The cancellation is already under way:
// it does not wait for anybody, and so not for us.
func (t *transition) interrupt(err error) {
	var by *Interrupted
	if !errors.As(err, &by) {
		t.fail(err) // the jobs go on; resume finds them
		return
	}
	if t.mode == modeRun { // else all was ending already, for a reason of its own
		t.cause, t.why = rundir.CauseInterrupted, err.Error()
	}
	t.mode, t.stopped, t.deadline = modeInterrupted, err, t.at.Add(t.poll.Abort)
	t.run.Interrupted, t.unsaved = &rundir.Interruption{Signal: int(by.Signal), At: t.at}, true
	for i := range t.cases {
		if c := &t.cases[i]; c.watched() || c.stage == stageSearching {
			t.of(i).interrupted()
		}
	}
	t.queue.reset(t.at, time.Second)
}

// interrupted notes that an attempt's job has been cancelled with the drive: resume makes another.
func (t caseTransition) interrupted() {
	c := t.c
	if !c.toEnd() { // else it was ending already, for a reason of its own
		c.job.Cancel = &rundir.Cancel{At: t.at, Cause: t.cause, Reason: t.why, Outcome: rundir.OutcomeCancelled}
	}
	c.endSent = t.at
	t.doFor(t.i, action{kind: doNote})
}

// tell tells the user of one change; i is the case, -1 = the run.
func (t *transition) tell(kind UpdateKind, i int, format string, args ...any) {
	u := Update{At: t.at, Kind: kind, Text: fmt.Sprintf(format, args...)}
	if i >= 0 {
		c := &t.cases[i]
		u.Case, u.Slug = c.plan.Case.ID, c.plan.Case.Slug
		if c.live() {
			u.Rep, u.Attempt, u.JobID, u.Phase = c.rep, c.number, c.job.ID, c.last.Phase
		}
	}
	t.do(action{kind: doTell, update: u})
}
