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

// close ends an attempt: what is there is brought home, the last word is written,
// and then it is decided what follows.
func (m caseStep) close(r outcome.Resolution) {
	c := m.c
	c.stage, c.last = stageClosing, r
	o := outcome.Record(r, c.job, c.facts.Agent, m.at)
	o.SlurmCalls = m.calls
	m.doFor(m.i, action{kind: doClose, outcome: o})
}

// closed goes on once outcome.json is written.
func (m caseStep) closed(e event) {
	if e.warning != nil {
		m.tell(Warning, m.i, "%v", e.warning)
	}
	if e.err != nil {
		m.fail(fmt.Errorf("the outcome cannot be written: %w", e.err))
		return
	}
	m.tell(EndedNow, m.i, "%s: %s", e.outcome.Outcome, e.outcome.Reason)
	m.todo[len(m.todo)-1].update.Outcome = e.outcome.Outcome
	m.decide(e.outcome)
}

// decide asks the policy what follows.
func (m caseStep) decide(o rundir.AttemptOutcome) {
	c := m.c
	c.record.Attempts = slices.Clone(c.record.Attempts)
	c.record.Attempts[len(c.record.Attempts)-1].Outcome = o.Outcome
	if m.mode != modeRun {
		m.decided(o, retry.Decision{}) // nobody was asked
		return
	}
	if d, ok := inPlaceOf(c.job, c.rep, c.number, o.Outcome); ok {
		c.stage, c.due, m.unsaved = stageDue, d, true
		return
	}
	c.stage = stageDeciding
	m.doFor(m.i, action{kind: doDecide, outcome: o, ended: retry.Ended{
		Plan: c.plan, Rep: c.rep, Attempt: c.number, Outcome: o,
		History: slices.Clone(c.record.Attempts), Retries: m.retries,
	}})
}

// decided does what the policy said.
func (m caseStep) decided(o rundir.AttemptOutcome, dec retry.Decision) {
	c := m.c
	open := m.mode == modeInterrupted && dec.Action != retry.Done // resume asks again, and does it
	if m.mode != modeRun {
		dec.Action = retry.Done
	}
	switch dec.Action {
	case retry.Again:
		m.retries++
		m.avoid(dec.Exclude...)
		m.tell(Next, m.i, "a new attempt%s: %s", inText(dec.After), dec.Why)
		c.stage, c.due = stageDue, due{rep: c.rep, number: c.number + 1, kind: rundir.DueRetry, why: dec.Why, after: m.at.Add(dec.After)}
	case retry.Repeat:
		m.tell(Next, m.i, "a further repetition%s: %s", inText(dec.After), dec.Why)
		c.stage, c.due = stageDue, due{rep: c.rep + 1, number: 1, kind: rundir.DueRepeat, why: dec.Why, after: m.at.Add(dec.After), avoid: dec.Exclude}
	default:
		if !open {
			c.record.State = rundir.CaseDone
			m.failFast(o.Outcome)
		}
		c.stage = stageOver
	}
	m.unsaved = true
}

func inText(after time.Duration) string {
	if after <= 0 {
		return ""
	}
	return " in " + after.String()
}

// failFast ends the other cases after the first that did not pass.
func (m caseStep) failFast(o rundir.Outcome) {
	if !m.settings.failFast || m.mode != modeRun || o == rundir.OutcomePassed {
		return
	}
	m.mode, m.cause = modeEnd, rundir.CauseFailFast
	m.tell(Next, m.i, "did not pass: --fail-fast ends the other cases")
	for k := range m.cases {
		if k != m.i && m.cases[k].watched() {
			m.of(k).cancel(m.cause, rundir.OutcomeCancelled, "--fail-fast: "+m.c.plan.Case.ID+" did not pass")
		}
	}
}

// avoid keeps further jobs from nodes.
func (m *machine) avoid(nodes ...string) {
	m.badNodes = append(m.badNodes, nodes...)
	slices.Sort(m.badNodes)
	m.badNodes = slices.Compact(m.badNodes)
}

// inPlaceOf is the attempt that takes the place of one which ended for no reason of
// its own: the run was interrupted, or its job was one too many.
func inPlaceOf(j rundir.Job, rep, number int, o rundir.Outcome) (due, bool) {
	if j.Cancel == nil || o != rundir.OutcomeCancelled {
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
func (m *machine) pickUp(all []found) {
	m.retries = retry.Used(m.run)
	for i, f := range all {
		c := &m.cases[i]
		switch {
		case c.record.State == rundir.CaseDone || c.record.State == rundir.CaseSkipped:
		case len(c.record.Attempts) == 0:
			c.stage, c.due = stageDue, due{number: 1, kind: rundir.DueFirst, why: string(rundir.DueFirst)}
		default:
			m.of(i).pickUpAttempt(f)
		}
	}
}

// pickUpAttempt goes on with the last attempt of a case.
func (m caseStep) pickUpAttempt(f found) {
	c := m.c
	last := c.record.Attempts[len(c.record.Attempts)-1]
	c.attempt = m.newAttempt(c, last.Rep, last.Attempt, m.at)
	c.due = due{rep: last.Rep, number: last.Attempt, kind: last.Due, why: last.Why}
	if f.job != nil {
		c.job = *f.job
		m.avoid(slices.DeleteFunc(slices.Clone(c.job.Excluded), func(n string) bool { return slices.Contains(c.job.Avoided, n) })...)
	}
	if f.outcome != nil { // what follows had not been decided, or not been written
		m.decide(*f.outcome)
		return
	}
	if c.job.Name == "" { // not even the intent: nothing was submitted
		c.record.Attempts = slices.Clip(c.record.Attempts[:len(c.record.Attempts)-1])
		c.stage = stageDue
		return
	}
	c.there = rundir.AttemptDir(cmp.Or(c.job.Dir, string(c.there)))
	if c.job.ID == "" {
		c.stage = stageSearching
		return
	}
	m.watch(c)
	m.tell(Submitted, m.i, "goes on with job %s of attempt %d", c.job.ID, c.number)
}
