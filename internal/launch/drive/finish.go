package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// finish closes an attempt: what is there is brought home, the last word is
// written, and then it is decided what follows.
func (d *driver) finish(c *theCase, r outcome.Resolution) {
	a := c.cur
	a.ending, a.last = true, r
	d.registry.drop(a.job.Name)
	o := rundir.AttemptOutcome{
		Schema: rundir.Schema, Outcome: r.Outcome, Phase: r.Phase, Confidence: r.Confidence, Reason: r.Reason, Finding: r.Finding,
		JobID: a.job.ID, State: string(r.State), ExitCode: r.Exit, Nodes: r.Nodes, Queued: r.Queued, Started: r.Started, Ended: r.Ended,
		SlurmCalls: d.o.Slurm.TotalCalls(),
	}
	if o.Ended.IsZero() {
		o.Ended = d.o.Now()
	}
	if o.Queued == nil {
		o.Queued = a.job.Submitted
	}
	if a.facts.Agent != nil && o.Started == nil {
		o.Started = &a.facts.Agent.Started
	}
	d.pending = append(d.pending, func(work context.Context) {
		rest := d.console.offsets(map[string]*theCase{a.there.SlurmOut(): c})
		d.background(func() {
			parts, _ := d.o.Host.ReadAt(work, 16*consolePart, rest)
			warn := d.bringHome(work, a)
			if o.Outcome == rundir.OutcomeCancelled && a.job.Cancel == nil {
				o.Reason += d.requested(a.job)
			}
			err := writeOutcome(work, a.dir, o)
			d.send(work, func(work context.Context) {
				for p, data := range parts {
					d.console.print(c, p, data)
				}
				if warn != nil {
					d.tell(Warning, c, "%v", warn)
				}
				if err != nil {
					d.fatal = fmt.Errorf("the outcome cannot be written: %w", err)
					return
				}
				d.tell(EndedNow, c, "%s: %s", o.Outcome, o.Reason)
				d.decideNext(work, c, o)
			})
		})
	})
}

// writeOutcome tries for as long as writeRun does.
func writeOutcome(work context.Context, dir rundir.AttemptDir, o rundir.AttemptOutcome) error {
	for tried := time.Duration(0); ; tried += writeAgain {
		err := rundir.WriteJSON(dir.OutcomeFile(), o)
		if err == nil || tried >= patience(err) || sleep(work, writeAgain) != nil {
			return err
		}
	}
}

// bringHome collects the attempt's files from behind a login node, and leaves no
// process of a local attempt behind. A connection that comes and goes is not a
// lost attempt: it is tried for some minutes.
func (d *driver) bringHome(work context.Context, a *attempt) error {
	if d.o.Backend == jobs.BackendLocal && a.job.ID != "" {
		return jobs.KillLeft(a.job)
	}
	if d.o.Host.Shared() || a.job.ID == "" {
		return nil
	}
	var err error
	for i := range 8 {
		_, err = collect.Gather(work, d.o.Host, string(a.there), string(a.dir), d.o.Collect)
		if err == nil {
			return nil
		}
		if d.stopping.Load() || errors.Is(err, fs.ErrNotExist) || errors.Is(err, collect.ErrIncomplete) {
			break
		}
		if sleep(work, min(time.Minute, time.Second<<i)) != nil {
			break
		}
	}
	return fmt.Errorf("not everything could be collected from %s:%s, where it stays: %w", d.o.Host.Name(), a.there, err)
}

// decideNext asks the policy what follows.
func (d *driver) decideNext(work context.Context, c *theCase, o rundir.AttemptOutcome) {
	a := c.cur
	s := d.state(c)
	s.Attempts[len(s.Attempts)-1].Outcome = o.Outcome
	if d.stopping.Load() || d.failed {
		d.decided(c, o, Decision{Action: Done})
		return
	}
	if n := due(a.job, a.rep, a.number, o.Outcome); n != nil {
		c.next, c.cur = n, nil
		_ = d.writeRun() // it says itself what goes wrong, and is tried again
		return
	}
	e := Ended{
		Plan: c.plan, Rep: a.rep, Attempt: a.number, Dir: a.dir, Outcome: o, Excluded: a.job.Excluded,
		History: append([]rundir.Attempt(nil), s.Attempts...), Retries: d.retries,
	}
	d.background(func() {
		d.decide.Lock()
		dec := d.o.Decide(work, e)
		d.decide.Unlock()
		d.send(work, func(context.Context) { d.decided(c, o, dec) })
	})
}

// decided does what the policy said.
func (d *driver) decided(c *theCase, o rundir.AttemptOutcome, dec Decision) {
	a, s := c.cur, d.state(c)
	if d.stopping.Load() || d.failed {
		dec.Action = Done
	}
	switch dec.Action {
	case RetryCase:
		d.retries++
		d.noteBadNodes(dec.Exclude, o.Reason)
		c.next = &next{rep: a.rep, number: a.number + 1, why: dec.Why, after: d.o.Now().Add(dec.After)}
		d.tell(Next, c, "a new attempt%s: %s", inText(dec.After), dec.Why)
	case RepeatCase:
		c.next = &next{rep: a.rep + 1, number: 1, why: dec.Why, after: d.o.Now().Add(dec.After), exclude: dec.Exclude}
		d.tell(Next, c, "a further repetition%s: %s", inText(dec.After), dec.Why)
	default:
		if d.stopping.Load() && o.Outcome == rundir.OutcomeCancelled {
			break // resume goes on with it
		}
		s.State = rundir.CaseDone
		if o.Outcome != rundir.OutcomePassed {
			d.failFast(c)
		}
	}
	c.cur = nil
	_ = d.writeRun() // it says itself what goes wrong, and is tried again
}

func inText(after time.Duration) string {
	if after <= 0 {
		return ""
	}
	return " in " + after.String()
}

// failFast ends the other cases after the first that did not pass.
func (d *driver) failFast(c *theCase) {
	if !d.o.FailFast || d.failed {
		return
	}
	d.failed = true
	d.tell(Next, c, "did not pass: --fail-fast ends the other cases")
	for _, k := range d.cases {
		if k != c && k.cur != nil && !k.cur.ending && k.cur.job.ID != "" {
			d.pending = append(d.pending, func(work context.Context) {
				if k.cur != nil && !k.cur.ending {
					d.cancelJob(work, k, "--fail-fast: "+c.plan.Case.ID+" did not pass", rundir.OutcomeCancelled)
				}
			})
		}
	}
}
