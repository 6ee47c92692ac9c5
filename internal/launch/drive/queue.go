package drive

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
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
	if d.o.Backend == jobs.BackendLocal || d.queue.busy || d.o.Now().Before(d.queue.due) || !d.needsQueue() {
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
				d.holdToLimits(work, c)
				d.endTwins(work, c, rows)
			}
		}
	}
	first, bound := d.pollBound()
	d.queue.next(now, changed, first, bound, d.o.spread)
}

// next sets the time of the next question: soon after a change, then less and
// less often, and never in step with other drivers.
func (q *queueView) next(now time.Time, changed bool, first, bound time.Duration, spread func(time.Duration) time.Duration) {
	if changed || q.interval <= 0 {
		q.interval = first
	} else {
		q.interval = q.interval * 3 / 2
	}
	q.interval = min(q.interval, bound)
	q.due = now.Add(q.interval - spread(q.interval/10))
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
