package drive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// silent says that an agent which used to give signs of life has stopped.
func (a *attempt) silent(now time.Time) bool {
	return a.facts.Agent != nil && a.facts.EndSeen.IsZero() && now.Sub(a.facts.AgentChanged) > 5*heartbeat/2
}

// heartbeat is how often the agent rewrites its record at the least.
const heartbeat = 5 * time.Second

// look resolves one attempt and acts on it.
func (d *driver) look(work context.Context, c *theCase) {
	a := c.cur
	switch {
	case a.ending || a.submitting:
		return
	case a.searching:
		d.search(work, c)
		return
	}
	a.facts.Now, a.facts.Job, a.facts.AcctOff = d.o.Now(), a.job, a.facts.AcctOff || d.o.Slurm.AccountingOff()
	r := outcome.Resolve(a.facts)
	if r.Cancel != "" && (!a.cancelled || a.facts.Now.Sub(a.cancelAt) > cancelAgain) {
		d.cancelJob(work, c, r.Cancel, r.As)
		a.facts.Job = a.job
	}
	if r.Done {
		d.finish(c, r)
		return
	}
	a.last = r
	d.tellQueue(c)
	if r.Ask != 0 {
		d.ask(work, c)
	}
	if a.cancelled && a.facts.Now.Sub(a.cancelAt) > cancelAgain {
		d.cancelJob(work, c, a.job.Cancel.Reason, a.job.Cancel.Outcome)
	}
}

// cancelAgain is how long a cancelled job may go on before it is cancelled once
// more: a scancel can get lost.
const cancelAgain = 30 * time.Second

// cancelJob asks for the end of one attempt and notes why.
func (d *driver) cancelJob(work context.Context, c *theCase, why string, as rundir.Outcome) {
	a := c.cur
	if a.job.Cancel == nil {
		a.job.Cancel = &rundir.Cancel{At: d.o.Now(), Reason: why, Outcome: as}
		d.tell(Warning, c, "ending it: %s", why)
	}
	a.cancelled, a.cancelAt = true, d.o.Now()
	a.facts.Job = a.job
	d.registry.put(a.job)
	j, write := a.job, a.record.next(a.job)
	d.background(func() {
		err := d.back.Cancel(work, []rundir.Job{j})
		err = errors.Join(err, write())
		if err != nil {
			d.send(work, func(context.Context) { d.tell(Warning, c, "cancel: %v", err) })
		}
	})
	d.queue.reset(d.o.Now(), time.Second)
}

// ask puts the questions that would settle more, at most every few seconds.
func (d *driver) ask(work context.Context, c *theCase) {
	a := c.cur
	wait := 2 * time.Second
	if !a.facts.AbsentSince.IsZero() && a.facts.Now.Sub(a.facts.AbsentSince) > 30*time.Second {
		wait = 20 * time.Second
	}
	if a.asked || a.facts.Now.Sub(a.askedAt) < wait {
		return
	}
	a.asked, a.askedAt = true, a.facts.Now
	j, what, since, nodes := a.slurmJob(), a.last.Ask, a.job.Intent.Add(-10*time.Minute), a.last.Nodes
	d.background(func() {
		var ctl *slurm.ControlJob
		var rows []slurm.AcctRow
		var down []string
		var err1, err2, err3 error
		if what&outcome.AskControl != 0 {
			ctl, err1 = d.o.Slurm.Control(work, j)
		}
		if what&outcome.AskAccounting != 0 {
			rows, err2 = d.o.Slurm.Accounting(work, j.Cluster, []string{j.ID}, since)
		}
		if what&outcome.AskNodes != 0 {
			down, err3 = d.o.Slurm.DownNodes(work, j.Cluster, nodes)
		}
		d.send(work, func(context.Context) {
			a.asked = false
			now := d.o.Now()
			if what&outcome.AskControl != 0 && err1 == nil {
				a.facts.Control = outcome.Seen[slurm.ControlJob]{At: now, Row: ctl}
			}
			if what&outcome.AskAccounting != 0 && err2 == nil {
				a.facts.Acct = outcome.Seen[slurm.AcctRow]{At: now, Row: newestJob(rows, j.ID)}
			}
			if what&outcome.AskNodes != 0 && err3 == nil {
				a.facts.Down = outcome.Seen[[]string]{At: now, Row: &down}
			}
			a.facts.AcctOff = a.facts.AcctOff || errors.Is(err2, slurm.ErrNoAccounting)
		})
	})
}

// newestJob is the job's row, not a step's; of several restarts, the last.
func newestJob(rows []slurm.AcctRow, id string) *slurm.AcctRow {
	var best *slurm.AcctRow
	for i := range rows {
		if rows[i].ID == id && (best == nil || !rows[i].Submit.Before(best.Submit)) {
			best = &rows[i]
		}
	}
	return best
}

// statusLine says once a minute where things stand.
func (d *driver) statusLine() {
	now := d.o.Now()
	if d.status.IsZero() {
		d.status = now
	}
	if now.Sub(d.status) < time.Minute {
		return
	}
	d.status = now
	counts := map[string]int{}
	for _, c := range d.cases {
		switch a := c.cur; {
		case a != nil && a.ending:
			counts["ending"]++
		case a != nil && a.facts.Agent == nil:
			counts["queued"]++
		case a != nil:
			counts["running"]++
		case c.next != nil:
			counts["waiting"]++
		default:
			counts["done"]++
		}
	}
	var parts []string
	for _, k := range []string{"running", "queued", "waiting", "ending", "done"} {
		if counts[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
		}
	}
	text := strings.Join(parts, ", ")
	if d.o.Backend == jobs.BackendSlurm {
		text += fmt.Sprintf("; %d Slurm calls so far", d.o.Slurm.TotalCalls())
	}
	d.tell(Status, nil, "%s", text)
}

// tellCalls says in the end what the drive has asked of Slurm.
func (d *driver) tellCalls() {
	if d.o.Backend != jobs.BackendSlurm {
		return
	}
	calls := d.o.Slurm.Calls()
	parts := make([]string, 0, len(calls))
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, calls[name]))
	}
	d.tell(Status, nil, "%d Slurm calls in all: %s", d.o.Slurm.TotalCalls(), strings.Join(parts, ", "))
}
