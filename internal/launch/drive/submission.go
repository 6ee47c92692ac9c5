package drive

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// fill takes up what is due and may run, in suite order.
func (t *transition) fill() {
	for i := range t.cases {
		c := &t.cases[i]
		if c.stage != stageDue || t.at.Before(c.due.after) {
			continue
		}
		if why, _ := t.room(c); why != "" {
			if c.due.told != why {
				c.due.told = why
				t.tell(Queue, i, "waits: %s", why)
			}
			continue
		}
		t.record(c)
	}
}

// record makes the attempt and has it written into run.json. It is submitted once that is done.
func (t *transition) record(c *caseState) {
	d := c.due
	c.attempt = t.newAttempt(c, d.rep, d.number, t.at)
	c.stage = stageRecording
	c.record.State = rundir.CaseRunning
	if k := len(c.record.Attempts); k == 0 || c.record.Attempts[k-1].Rep != d.rep || c.record.Attempts[k-1].Attempt != d.number {
		c.record.Attempts = append(slices.Clip(c.record.Attempts), rundir.Attempt{Rep: d.rep, Attempt: d.number, Why: d.why, Due: d.kind, Session: c.plan.ForRep(d.rep).IsSession()})
	}
	t.unsaved = true
}

// submit hands the attempt to a worker.
func (t caseTransition) submit() {
	c := t.c
	c.stage = stageSubmitting
	c.job = rundir.Job{
		Schema: rundir.Schema, Backend: t.backend, Cluster: t.cluster.Name, Owner: t.tag, Name: c.due.name, Dir: string(c.there), Intent: t.at,
	}
	t.doFor(t.i, action{kind: doSubmit, order: submit.Order{
		Case: t.i, Rep: c.rep, Number: c.number, Dir: c.dir, There: c.there, Job: c.job, Plan: c.plan.ForRep(c.rep), Avoid: c.due.avoid, Bad: t.badNodes,
	}})
}

const (
	// notReadyFor is how long a submission is repeated that finds Slurm's controller away, in standby or full.
	notReadyFor = 10 * time.Minute
	searchEvery = 5 * time.Second
	// searchSettle is how long a controller that did not answer in time may still work on the submission.
	searchSettle = 15 * time.Second
)

// submitted goes on with the answer to a submission.
func (t caseTransition) submitted(res submit.Submitted, err error) {
	c := t.c
	c.job = res.Job
	for _, w := range res.Warnings {
		t.tell(Warning, t.i, "%s", w)
	}
	var ambiguous *slurm.AmbiguousError
	var cancelled *cancelledError
	switch {
	case c.job.ID != "":
		if err != nil {
			t.tell(Warning, t.i, "job %s is submitted, but its record cannot be written: %v", c.job.ID, err)
		}
		t.attach()
		if t.backend == rundir.BackendSlurm && c.job.Routed == "" && t.cluster.limited() {
			c.unchecked = true
			t.queue.soon(t.at, 2*time.Second)
		}
		t.tell(Submitted, t.i, "%s", submit.Text(c.job))
	case errors.As(err, &ambiguous):
		t.tell(Warning, t.i, "%v: looking for it by its name", err)
		c.stage, c.askedAt = stageSearching, t.at.Add(searchSettle-searchEvery)
		c.job.Intent = t.at
		if t.mode == modeInterrupted {
			t.interrupted()
		}
	case errors.As(err, &cancelled):
		t.withdraw(c)
		t.end(rundir.CauseRequested, cancelled.reason)
	case errors.Is(err, lease.ErrLost):
		t.withdraw(c)
		t.fail(err)
	case errors.Is(err, errTooLate):
		t.withdraw(c)
	case notReady(err):
		t.again(err)
	default:
		t.refused(err)
	}
}

// notReady reports whether nothing was submitted for a reason that goes away.
func notReady(err error) bool {
	var refused *slurm.CallError
	return errors.As(err, &refused) && (refused.Standby() || refused.Busy() || refused.Unanswered() || refused.Unauthenticated()) ||
		errors.Is(err, host.ErrUnreachable) || momentary(err)
}

// momentary reports whether an error is one of this machine when it is full of processes, or of a file server that is
// away. What else the system says of a file or of a program stays.
func momentary(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EAGAIN, syscall.EINTR, syscall.ENOMEM, syscall.ENOBUFS, syscall.EMFILE, syscall.ENFILE, syscall.ETXTBSY,
		syscall.EIO, syscall.EREMOTEIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.ESHUTDOWN, syscall.ENOTCONN, syscall.ENETDOWN, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED,
	}, func(e error) bool { return errors.Is(err, e) })
}

// attach goes on with an attempt whose job is known.
func (t caseTransition) attach() {
	c := t.c
	t.watch(c)
	t.queue.reset(t.at, t.poll.First)
	switch t.mode {
	case modeInterrupted:
		t.cancel(t.cause, rundir.OutcomeCancelled, t.why)
	case modeEnd:
		t.cancel(t.cause, rundir.OutcomeCancelled, "the run was ended while this was being submitted")
	case modeRun:
	}
}

// watch looks at an attempt whose job is known from now on.
func (t *transition) watch(c *caseState) {
	c.stage, c.facts.Job = stageWatched, c.job
	if t.backend == rundir.BackendLocal {
		c.facts.Local = &outcome.Process{Alive: true}
	}
}

// withdraw takes an attempt back that was never submitted.
func (t *transition) withdraw(c *caseState) {
	last := c.record.Attempts[len(c.record.Attempts)-1]
	c.stage = stageDue
	c.due = due{rep: c.rep, number: c.number, kind: last.Due, why: last.Why, name: c.job.Name}
	c.record.Attempts = slices.Clip(c.record.Attempts[:len(c.record.Attempts)-1])
	if len(c.record.Attempts) == 0 {
		c.record.State = rundir.CaseWaiting
	}
}

// again submits once more, later: nothing was submitted, and nothing is wrong with the job.
func (t caseTransition) again(err error) {
	c := t.c
	if c.due.since.IsZero() {
		c.due.since = t.at
	}
	if t.at.Sub(c.due.since) > notReadyFor {
		t.refused(fmt.Errorf("for %v: %w", notReadyFor, err))
		return
	}
	delay := min(time.Minute, 10*time.Second<<min(c.due.tries, 3))
	c.due.tries, c.due.after, c.due.name = c.due.tries+1, t.at.Add(delay), c.job.Name
	t.tell(Warning, t.i, "not submitted yet: %v; again in %v", err, delay)
	c.stage = stageDue
}

// refused closes an attempt that never became a job.
func (t caseTransition) refused(err error) {
	kind := outcome.KindNotSubmitted // ours: disk, binary, connection
	var refused *slurm.CallError
	if errors.As(err, &refused) && refused.Command == "sbatch" {
		kind = outcome.KindSubmit
	}
	t.close(outcome.NotSubmitted(err.Error(), kind, t.at))
}

// search looks for a job whose submission left no id.
func (t caseTransition) search() {
	c := t.c
	every := searchEvery
	if t.longBlind(c) {
		every = 30 * time.Second
	}
	if c.asking || t.at.Sub(c.askedAt) < every {
		return
	}
	c.asking, c.askedAt = true, t.at
	t.doFor(t.i, action{kind: doSearch})
}

// longBlind reports whether squeue has long been silent while a job is looked for.
func (t *transition) longBlind(c *caseState) bool {
	return !c.blindSince.IsZero() && t.at.Sub(c.blindSince) > notReadyFor
}

// searched goes on with what a search has found.
func (t caseTransition) searched(s runs.Search, err error) {
	c := t.c
	c.asking = false
	switch {
	case s.OK:
		at := c.job.Intent
		c.job.ID, c.job.Routed, c.job.Submitted = s.Job.ID, s.Job.Cluster, &at
		t.doFor(t.i, action{kind: doNote})
		t.attach()
		t.tell(Submitted, t.i, "found job %s", s.Job.ID)
	case err != nil:
		t.unanswered(s, err)
	case !s.Over:
	case c.toEnd():
		t.close(outcome.Resolution{
			Phase: rundir.PhaseQueue, Done: true, Outcome: rundir.OutcomeCancelled, Confidence: "client", Reason: c.job.Cancel.Reason, Ended: t.at,
		})
	case s.Ran:
		t.close(outcome.Unread(t.at))
	default:
		t.again(errors.New("it left no job"))
	}
}

// unanswered bears that nobody says whether the job exists. As long as squeue itself is silent it may run, and where
// there is a record it may have: then no other may be submitted in its place.
func (t caseTransition) unanswered(s runs.Search, err error) {
	c := t.c
	if c.searchSince.IsZero() {
		c.searchSince = t.at
	}
	switch {
	case s.Blind && c.blindSince.IsZero():
		c.blindSince = t.at
	case !s.Blind && !c.blindSince.IsZero(): // sacct has the time that it would have had before
		c.searchSince, c.blindSince = c.searchSince.Add(t.at.Sub(c.blindSince)), time.Time{}
	}
	most, since := notReadyFor, c.searchSince
	if s.Blind {
		most, since = cmp.Or(t.bounds.Blind, outcome.Defaults().Blind), c.blindSince
	}
	switch {
	case t.at.Sub(since) > most:
		t.doFor(t.i, action{kind: doCancel}) // should it exist after all
		if s.Blind || s.Ran {
			t.close(outcome.Unfound(fmt.Sprintf("for %v: %v", most, err), t.at))
		} else {
			t.refused(fmt.Errorf("whether its job exists could not be found out for %v: %w", most, err))
		}
	case t.longBlind(c) && c.told == "":
		c.told = err.Error()
		on := fmt.Sprintf("looking on for up to %v", most)
		if t.detach && t.left(c) {
			on = "resume looks on"
		}
		t.tell(Warning, t.i, "whether its job exists cannot be found out, %s: %v", on, err)
	}
}
