package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// queueView is squeue's last answer and when to ask again.
type queueView struct {
	rows     []slurm.QueueRow
	at       time.Time // of the last answer
	busy     bool
	interval time.Duration
	due      time.Time
	failing  time.Time // first of the unbroken series of failed queries
}

// reset asks again soon.
func (q *queueView) reset(now time.Time, in time.Duration) {
	q.interval = in
	q.soon(now, in)
}

// soon moves the next question forward.
func (q *queueView) soon(now time.Time, in time.Duration) {
	if at := now.Add(in); q.due.IsZero() || at.Before(q.due) {
		q.due = at
	}
}

// pollQueue asks squeue once for all jobs, when it is time.
func (d *driver) pollQueue(work context.Context) {
	if d.o.Backend == BackendLocal || d.queue.busy || d.o.Now().Before(d.queue.due) || !d.needsQueue() {
		return
	}
	d.queue.busy = true
	clusters := []string{""}
	for _, c := range d.cases {
		if a := c.cur; a != nil && !slices.Contains(clusters, a.job.Routed) {
			clusters = append(clusters, a.job.Routed)
		}
	}
	if d.allRouted() {
		clusters = clusters[1:]
	}
	d.background(func() {
		var rows []slurm.QueueRow
		var err error
		for _, cl := range clusters {
			var r []slurm.QueueRow
			if r, err = d.o.Slurm.Queue(work, cl); err != nil {
				break
			}
			rows = append(rows, r...)
		}
		d.send(work, func(work context.Context) { d.queueAnswer(work, rows, err) })
	})
}

// allRouted says that every job was routed, so the default cluster has nothing of
// this run.
func (d *driver) allRouted() bool {
	one := false
	for _, c := range d.cases {
		if c.cur != nil && c.cur.job.Routed == "" {
			return false
		}
		one = one || c.cur != nil
	}
	return one
}

// needsQueue says whether anybody wants to know.
func (d *driver) needsQueue() bool {
	for _, c := range d.cases {
		if c.cur != nil && c.cur.job.ID != "" && !c.cur.ending {
			return true
		}
		if c.cur == nil && c.next != nil && d.o.Cluster.limited() {
			return true
		}
	}
	return false
}

// queueAnswer hands every job its row.
func (d *driver) queueAnswer(work context.Context, rows []slurm.QueueRow, err error) {
	now := d.o.Now()
	d.queue.busy = false
	changed := false
	if err != nil {
		if d.queue.failing.IsZero() {
			d.queue.failing = now
			d.tell(Warning, nil, "squeue says nothing: %v", err)
		}
	} else {
		if !d.queue.failing.IsZero() {
			d.tell(Warning, nil, "squeue answers again after %v", now.Sub(d.queue.failing).Round(time.Second))
		}
		d.queue.failing, d.queue.rows, d.queue.at = time.Time{}, rows, now
		for _, c := range d.cases {
			if a := c.cur; a != nil && a.job.ID != "" && !a.ending {
				changed = a.seeQueue(rows, now) || changed
				d.endTwins(work, c, rows)
			}
		}
	}
	first, bound := d.pollBound()
	d.queue.next(now, changed, first, bound)
}

// next sets the time of the next question: soon after a change, then less and
// less often, and never in step with other drivers.
func (q *queueView) next(now time.Time, changed bool, first, bound time.Duration) {
	if changed || q.interval <= 0 {
		q.interval = first
	} else {
		q.interval = q.interval * 3 / 2
	}
	q.interval = min(q.interval, bound)
	jitter := time.Duration(rand.Int64N(int64(q.interval)/10 + 1)) //nolint:gosec // spreads load, guards nothing
	q.due = now.Add(q.interval - jitter)
}

// pollBound is the first and the longest interval as things stand.
func (d *driver) pollBound() (first, bound time.Duration) {
	first, bound = d.o.Poll.First, d.o.Poll.Pending
	for _, c := range d.cases {
		a := c.cur
		switch {
		case a == nil || a.ending || a.job.ID == "":
		case d.stopping.Load(), a.cancelled, !a.facts.EndSeen.IsZero(), a.last.Ask != 0:
			return 2 * time.Second, 5 * time.Second // its end is due
		case a.silent(d.o.Now()):
			first, bound = 5*time.Second, 5*time.Second // its node may have died
		case a.facts.Agent != nil:
			bound = min(bound, d.o.Poll.Running)
		}
	}
	return min(first, bound), bound
}

// silent says that an agent which used to give signs of life has stopped.
func (a *attempt) silent(now time.Time) bool {
	return a.facts.Agent != nil && a.facts.EndSeen.IsZero() && now.Sub(a.facts.AgentChanged) > 5*heartbeat/2
}

// heartbeat is how often the agent rewrites its record at the least.
const heartbeat = 5 * time.Second

// seeQueue takes squeue's answer. changed says that state or reason did.
func (a *attempt) seeQueue(rows []slurm.QueueRow, now time.Time) (changed bool) {
	f := &a.facts
	i := slices.IndexFunc(rows, func(r slurm.QueueRow) bool { return r.ID == a.job.ID && r.Name == a.job.Name })
	old := f.Queue.Row
	first := f.Queue.At.IsZero()
	f.Queue.At = now
	if i < 0 {
		f.Queue.Row = nil
		if f.AbsentSince.IsZero() {
			f.AbsentSince = now
		}
		return old != nil
	}
	row := rows[i]
	f.Queue.Row, f.AbsentSince = &row, time.Time{}
	if first || old == nil || old.State != row.State || old.Reason != row.Reason {
		f.StateSince = now
		return true
	}
	return false
}

// endTwins ends other jobs of the same unique name: a submission that went
// unanswered was repeated, and both arrived.
func (d *driver) endTwins(work context.Context, c *theCase, rows []slurm.QueueRow) {
	for _, r := range rows {
		if r.Name != c.cur.job.Name || r.ID == c.cur.job.ID || r.State.Class() == slurm.Terminal {
			continue
		}
		d.tell(Warning, c, "job %s is a second one of the same name: cancelling it", r.ID)
		id, cluster := r.ID, c.cur.job.Routed
		d.background(func() { _ = d.o.Slurm.Cancel(work, cluster, id) })
	}
}

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
		err := d.back.cancel(work, []rundir.Job{j})
		err = errors.Join(err, write())
		if err != nil {
			d.send(work, func(context.Context) { d.tell(Warning, c, "cancel: %v", err) })
		}
	})
	d.queue.reset(d.o.Now(), time.Second)
}

// tellQueue tells a change of Slurm's state or reason, once.
func (d *driver) tellQueue(c *theCase) {
	a := c.cur
	q := a.facts.Queue.Row
	if q == nil {
		return
	}
	text := queueText(*q, d.o.Now())
	if text == a.text {
		return
	}
	a.text = text
	d.tell(Queue, c, "job %s: %s", a.job.ID, text)
}

// queueText is a row in plain words.
func queueText(q slurm.QueueRow, now time.Time) string {
	switch q.State.Class() {
	case slurm.Waiting:
		text := strings.ToLower(string(q.State)) + ": " + outcome.Explain(q.Reason)
		if q.Reason != "" && outcome.Explain(q.Reason) != q.Reason {
			text += " (" + q.Reason + ")"
		}
		if q.Start.After(now) {
			text += ", estimated start " + q.Start.UTC().Truncate(time.Minute).Format("15:04Z")
			if q.Start.Sub(now) > 12*time.Hour {
				text += q.Start.UTC().Format(" on 2006-01-02")
			}
		}
		return text
	case slurm.Unknown:
		return fmt.Sprintf("%s: a state that this version does not know", q.State)
	default:
		text := strings.ToLower(string(q.State))
		if q.NodeList != "" {
			text += " on " + q.NodeList
		}
		if q.Reason != "" {
			text += " (" + q.Reason + ")"
		}
		return text
	}
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
	j, what, since := a.slurmJob(), a.last.Ask, a.job.Intent.Add(-10*time.Minute)
	d.background(func() {
		var ctl *slurm.ControlJob
		var rows []slurm.AcctRow
		var err1, err2 error
		if what&outcome.AskControl != 0 {
			ctl, err1 = d.o.Slurm.Control(work, j)
		}
		if what&outcome.AskAccounting != 0 {
			rows, err2 = d.o.Slurm.Accounting(work, j.Cluster, []string{j.ID}, since)
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

// maxRecord bounds agent.json: thousands of timeline entries and log lines.
const maxRecord = 32 << 20

// readAgents reads the agents' records: free of charge for Slurm.
func (d *driver) readAgents(work context.Context) {
	if d.agentBusy {
		return
	}
	paths := map[string]*theCase{}
	logs := map[string]*theCase{}
	for _, c := range d.cases {
		if a := c.cur; a != nil && a.job.ID != "" && !a.ending {
			paths[a.there.AgentFile()] = c
			logs[a.there.SlurmOut()] = c
		}
	}
	if len(paths) == 0 {
		return
	}
	d.agentBusy = true
	names := make([]string, 0, len(paths))
	for p := range paths {
		names = append(names, p)
	}
	offsets := d.console.offsets(logs)
	d.background(func() {
		got, err := d.o.Host.Read(work, maxRecord, names...)
		parts, _ := d.o.Host.ReadAt(work, consolePart, offsets)
		d.send(work, func(context.Context) {
			d.agentBusy = false
			if err != nil {
				d.o.Log.Debug("agent records", "err", err)
			}
			for p, data := range got {
				d.seeAgent(paths[p], data)
			}
			for p, data := range parts {
				d.console.print(logs[p], p, data)
			}
		})
	})
}

// seeAgent takes a record. One that cannot be read, or is another job's, says
// nothing.
func (d *driver) seeAgent(c *theCase, data []byte) {
	a := c.cur
	if a == nil || a.ending || string(data) == string(a.raw) {
		return
	}
	var rec rundir.AgentRecord
	if err := json.Unmarshal(data, &rec); err != nil || rec.Schema > rundir.Schema || rec.JobID != a.job.ID {
		return
	}
	now := d.o.Now()
	before := a.facts.Agent
	a.raw, a.facts.Agent, a.facts.AgentChanged = data, &rec, now
	if a.facts.AgentSeen.IsZero() {
		a.facts.AgentSeen = now
	}
	d.tellAgent(c, before, &rec)
	if rec.End != nil && a.facts.EndSeen.IsZero() {
		a.facts.EndSeen = now
		d.queue.reset(now, 1500*time.Millisecond) // the batch script ends in a moment
	}
}

// tellAgent tells what changed in the record.
func (d *driver) tellAgent(c *theCase, before, rec *rundir.AgentRecord) {
	a := c.cur
	a.last.Phase = rec.Phase
	if before == nil || before.Phase != rec.Phase {
		d.tell(PhaseNow, c, "phase %s", rec.Phase)
	}
	for _, r := range rec.Roles {
		if a.roles[r.Name] == r.State {
			continue
		}
		a.roles[r.Name] = r.State
		switch r.State {
		case rundir.RoleEnded:
			d.tell(Role, c, "%s ended: %s", r.Name, endText(r))
			if r.StoppedBy == "" {
				d.queue.soon(d.o.Now(), 5*time.Second) // perhaps the whole job is ending
			}
		case rundir.RolePending:
		default:
			d.tell(Role, c, "%s %s", r.Name, strings.ReplaceAll(r.State, "_", " "))
		}
	}
}

func endText(r rundir.RoleRecord) string {
	text := fmt.Sprintf("exit %d", r.Exit)
	if r.Signal != 0 {
		text = fmt.Sprintf("signal %d", r.Signal)
	}
	if r.StoppedBy != "" {
		text += ", stopped by " + r.StoppedBy
	}
	return text
}

// lookAtProcesses finds out whether the local agents are alive.
func (d *driver) lookAtProcesses(context.Context) {
	if d.o.Backend != BackendLocal {
		return
	}
	for _, c := range d.cases {
		a := c.cur
		if a == nil || a.job.ID == "" || a.ending {
			continue
		}
		p := a.facts.Local
		p.Alive = alive(a.job)
		if !p.Alive && p.GoneSince.IsZero() {
			p.GoneSince = d.o.Now()
		}
	}
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
	if d.o.Backend == BackendSlurm {
		text += fmt.Sprintf("; %d Slurm calls so far", d.o.Slurm.TotalCalls())
	}
	d.tell(Status, nil, "%s", text)
}
