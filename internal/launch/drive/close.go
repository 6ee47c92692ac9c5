package drive

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// close ends an attempt: what is there is brought home, the last word is written, and then it is decided what follows.
func (t caseTransition) close(r outcome.Resolution) {
	c := t.c
	c.stage, c.last = stageClosing, r
	o := outcome.Record(r, c.job, c.facts.Agent, t.at)
	o.SlurmCalls = t.calls
	t.doFor(t.i, action{kind: doClose, outcome: o})
}

// closed goes on once outcome.json is written.
func (t caseTransition) closed(e event) {
	if e.warning != nil {
		t.tell(Warning, t.i, "%v", e.warning)
	}
	if e.err != nil {
		t.fail(fmt.Errorf("the outcome cannot be written: %w", e.err))
		return
	}
	t.c.job.Cancel = cmp.Or(e.endedBy, t.c.job.Cancel)
	t.tell(EndedNow, t.i, "%s: %s", e.outcome.Outcome, e.outcome.Reason)
	t.todo[len(t.todo)-1].update.Outcome = e.outcome.Outcome
	t.decide(e.outcome)
}

// decide asks the policy what follows.
func (t caseTransition) decide(o rundir.AttemptOutcome) {
	c := t.c
	c.record.Attempts = slices.Clone(c.record.Attempts)
	c.record.Attempts[len(c.record.Attempts)-1].Outcome = o.Outcome
	if t.mode != modeRun {
		t.decided(o, retry.Decision{}) // nobody was asked
		return
	}
	if d, ok := inPlaceOf(c.job, c.rep, c.number, o); ok {
		c.stage, c.due, t.unsaved = stageDue, d, true
		return
	}
	c.stage = stageDeciding
	t.doFor(t.i, action{kind: doDecide, outcome: o, ended: retry.Ended{
		Plan: c.plan, Rep: c.rep, Attempt: c.number, Outcome: o,
		History: slices.Clone(c.record.Attempts), Retries: t.retries,
	}})
}

// decided does what the policy said.
func (t caseTransition) decided(o rundir.AttemptOutcome, dec retry.Decision) {
	c := t.c
	open := t.mode == modeInterrupted && dec.Action != retry.Done // resume asks again, and does it
	if t.mode != modeRun {
		dec.Action = retry.Done
	}
	switch dec.Action {
	case retry.Again:
		t.retries++
		t.avoid(dec.Exclude...)
		t.tell(Next, t.i, "a new attempt%s: %s", inText(dec.After), dec.Why)
		c.stage, c.due = stageDue, due{rep: c.rep, number: c.number + 1, kind: rundir.DueRetry, why: dec.Why, after: t.at.Add(dec.After)}
	case retry.Repeat:
		t.tell(Next, t.i, "a further repetition%s: %s", inText(dec.After), dec.Why)
		c.stage, c.due = stageDue, due{rep: c.rep + 1, number: 1, kind: rundir.DueRepeat, why: dec.Why, after: t.at.Add(dec.After), avoid: dec.Exclude}
	default:
		if !open {
			c.record.State = rundir.CaseDone
			t.failFast(cmp.Or(dec.Stands, o.Outcome))
		}
		c.stage = stageOver
	}
	t.unsaved = true
}

func inText(after time.Duration) string {
	if after <= 0 {
		return ""
	}
	return " in " + after.String()
}

// failFast ends the other cases after the first that did not pass.
func (t caseTransition) failFast(o rundir.Outcome) {
	if !t.settings.failFast || t.mode != modeRun || o == rundir.OutcomePassed {
		return
	}
	t.mode, t.cause, t.why = modeEnd, rundir.CauseFailFast, "--fail-fast: "+t.c.plan.Case.ID+" did not pass"
	t.tell(Next, t.i, "did not pass: --fail-fast ends the other cases")
	for k := range t.cases {
		if k != t.i && t.cases[k].watched() {
			t.of(k).cancel(t.cause, rundir.OutcomeCancelled, t.why)
		}
	}
}

// avoid keeps further jobs from nodes.
func (t *transition) avoid(nodes ...string) {
	t.badNodes = append(t.badNodes, nodes...)
	slices.Sort(t.badNodes)
	t.badNodes = slices.Compact(t.badNodes)
}

// inPlaceOf is the attempt that takes the place of one which ended for no reason of
// its own: the run was interrupted, or its job was one too many.
func inPlaceOf(j rundir.Job, rep, number int, o rundir.AttemptOutcome) (due, bool) {
	if j.Cancel == nil || o.Outcome != rundir.OutcomeCancelled || outcome.Outlived(*j.Cancel, o.Ended) {
		return due{}, false
	}
	d := due{rep: rep, number: number + 1, avoid: j.Avoided}
	switch j.Cancel.Cause {
	case rundir.CauseInterrupted:
		d.kind, d.why = rundir.DueResumed, "resumed; the attempt before was "+j.Cancel.Reason
	case rundir.CauseLimit:
		d.kind, d.why = rundir.DueAgain, "again; the attempt before was "+j.Cancel.Reason
	default:
		return due{}, false
	}
	return d, true
}

// pickUp finds out where every case stands, from what the run directory says.
func (t *transition) pickUp(all []found) {
	t.retries = retry.Used(t.run)
	for i, f := range all {
		c := &t.cases[i]
		switch {
		case c.record.State == rundir.CaseDone || c.record.State == rundir.CaseSkipped:
		case len(c.record.Attempts) == 0:
			c.stage, c.due = stageDue, due{number: 1, kind: rundir.DueFirst, why: string(rundir.DueFirst)}
		default:
			t.of(i).pickUpAttempt(f)
		}
	}
}

// pickUpAttempt goes on with the last attempt of a case.
func (t caseTransition) pickUpAttempt(f found) {
	c := t.c
	last := c.record.Attempts[len(c.record.Attempts)-1]
	c.attempt = t.newAttempt(c, last.Rep, last.Attempt, t.at)
	c.due = due{rep: last.Rep, number: last.Attempt, kind: last.Due, why: last.Why}
	if f.job != nil {
		c.job = *f.job
		t.avoid(slices.DeleteFunc(slices.Clone(c.job.Excluded), func(n string) bool { return slices.Contains(c.job.Avoided, n) })...)
	}
	c.there = rundir.AttemptDir(cmp.Or(c.job.Dir, string(c.there)))
	if f.away {
		c.stage = stageClosing
		t.doFor(t.i, action{kind: doClose, outcome: *f.outcome})
		return
	}
	if f.outcome != nil { // what follows had not been decided, or not been written
		t.decide(*f.outcome)
		return
	}
	if c.job.Name == "" { // not even the intent: nothing was submitted
		c.record.Attempts = slices.Clip(c.record.Attempts[:len(c.record.Attempts)-1])
		c.stage = stageDue
		return
	}
	if c.job.ID == "" {
		c.stage = stageSearching
		return
	}
	t.watch(c)
	t.tell(Submitted, t.i, "goes on with job %s of attempt %d", c.job.ID, c.number)
}
