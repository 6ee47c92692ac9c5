package drive

import (
	"context"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// resumedPrefix begins Attempt.Why of an attempt that takes the place of an
// interrupted one: no retry.
const resumedPrefix = "resumed; the attempt before was "

// againPrefix is the same for one that was over a limit.
const againPrefix = "again; the attempt before was "

// due is the attempt that takes the place of one which ended for no reason of
// its own: the run was interrupted, or its job was one too many. nil = none does.
func due(j rundir.Job, rep, number int, o rundir.Outcome) *next {
	if j.Cancel == nil || o != rundir.OutcomeCancelled {
		return nil
	}
	n := &next{rep: rep, number: number + 1, exclude: j.Avoided}
	switch {
	case strings.HasPrefix(j.Cancel.Reason, interruptedPrefix):
		n.why = resumedPrefix + j.Cancel.Reason
	case strings.HasPrefix(j.Cancel.Reason, withdrawnPrefix):
		n.why = againPrefix + j.Cancel.Reason
	default:
		return nil
	}
	return n
}

// retriesOf counts the retries that a run has used: its budget holds over all
// drivers of it.
func retriesOf(r rundir.Run) int {
	n := 0
	for _, c := range r.Cases {
		for _, a := range c.Attempts {
			if a.Attempt > 1 && !strings.HasPrefix(a.Why, resumedPrefix) && !strings.HasPrefix(a.Why, againPrefix) {
				n++
			}
		}
	}
	return n
}

// pickUp finds out where every case stands.
func (d *driver) pickUp() error {
	d.retries = retriesOf(d.run)
	for _, c := range d.cases {
		s := d.state(c)
		switch {
		case s.State == rundir.CaseDone || s.State == rundir.CaseSkipped:
			continue
		case len(s.Attempts) == 0:
			c.next = &next{number: 1, why: "first"}
			continue
		}
		if err := d.pickUpCase(c); err != nil {
			return err
		}
	}
	return nil
}

// pickUpCase goes on with the last attempt of a case.
func (d *driver) pickUpCase(c *theCase) error {
	s := d.state(c)
	last := s.Attempts[len(s.Attempts)-1]
	a := d.newAttempt(c, last.Rep, last.Attempt)
	if exists(a.dir.JobFile()) {
		if err := rundir.ReadJSON(a.dir.JobFile(), &a.job); err != nil {
			return err
		}
		d.noteBadNodes(slices.DeleteFunc(slices.Clone(a.job.Excluded), func(n string) bool { return slices.Contains(a.job.Avoided, n) }), "an earlier attempt")
	}
	if exists(a.dir.OutcomeFile()) {
		// It had ended; what follows had not been decided, or not been written.
		var o rundir.AttemptOutcome
		if err := rundir.ReadJSON(a.dir.OutcomeFile(), &o); err != nil {
			return err
		}
		if c.next = due(a.job, last.Rep, last.Attempt, o.Outcome); c.next != nil {
			// Whoever resumes an interrupted run wants the rest of it.
			s.Attempts[len(s.Attempts)-1].Outcome = o.Outcome
			return nil
		}
		c.cur, a.ending = a, true
		d.pending = append(d.pending, func(work context.Context) { d.decideNext(work, c, o) })
		return nil
	}
	if a.job.Name == "" { // not even the intent: nothing was submitted
		s.Attempts = s.Attempts[:len(s.Attempts)-1]
		c.next = &next{rep: last.Rep, number: last.Attempt, why: last.Why}
		return nil
	}
	if a.job.Dir != "" {
		a.there = rundir.AttemptDir(a.job.Dir)
	}
	c.cur = a
	a.facts.Job = a.job
	d.registry.put(a.job)
	if a.job.ID == "" {
		a.searching, a.due = true, next{rep: last.Rep, number: last.Attempt, why: last.Why}
		return nil
	}
	d.console.resume(a.dir)
	d.tell(Submitted, c, "goes on with job %s of attempt %d", a.job.ID, a.number)
	return nil
}
