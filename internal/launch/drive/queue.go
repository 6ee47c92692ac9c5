package drive

import (
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
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
	instead  time.Time // when sacct was last asked in its place
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

// next sets the time of the next question: soon after a change, then less and
// less often, and never in step with other drivers (spread, 0 to 1).
func (q *queueView) next(now time.Time, changed bool, first, bound time.Duration, spread float64) {
	if changed || q.interval <= 0 {
		q.interval = first
	} else {
		q.interval = q.interval * 3 / 2
	}
	q.interval = min(q.interval, bound)
	q.due = now.Add(q.interval - time.Duration(spread*float64(q.interval/10)))
}

// pollQueue asks squeue once for all jobs, when it is time.
func (t *transition) pollQueue() {
	if t.backend == rundir.BackendLocal || t.queue.busy || t.at.Before(t.queue.due) || !t.needsQueue() {
		return
	}
	t.queue.busy = true
	clusters := []string{""}
	routed := true // all of them: the default cluster has nothing of this run
	for i := range t.cases {
		if c := &t.cases[i]; c.live() {
			routed = routed && c.job.Routed != ""
			if !slices.Contains(clusters, c.job.Routed) {
				clusters = append(clusters, c.job.Routed)
			}
		}
	}
	if routed && len(clusters) > 1 {
		clusters = clusters[1:]
	}
	t.do(action{kind: doQueue, clusters: clusters})
}

// needsQueue reports whether anybody wants to know.
func (t *transition) needsQueue() bool {
	for i := range t.cases {
		if c := &t.cases[i]; c.watched() || c.stage == stageDue && t.cluster.limited() {
			return true
		}
	}
	return false
}

// queueAnswer hands every job its row.
func (t *transition) queueAnswer(e event) {
	t.queue.busy = false
	changed := false
	if e.err != nil {
		if t.queue.failing.IsZero() {
			t.queue.failing = t.at
			t.tell(Warning, -1, "squeue says nothing: %v", e.err)
		}
	} else {
		if !t.queue.failing.IsZero() {
			t.tell(Warning, -1, "squeue answers again after %v", t.at.Sub(t.queue.failing).Round(time.Second))
		}
		t.queue.failing, t.queue.rows, t.queue.at = time.Time{}, e.rows, t.at
		for i := range t.cases {
			if c := &t.cases[i]; c.watched() {
				changed = c.seeQueue(e.rows, t.at) || changed
				t.of(i).holdToLimits()
				t.of(i).endTwins()
			}
		}
	}
	first, bound := t.pollBound()
	t.queue.next(t.at, changed, first, bound, e.spread)
}

// pollBound is the first and the longest interval as things stand.
func (t *transition) pollBound() (first, bound time.Duration) {
	first, bound = t.poll.First, t.poll.Pending
	for i := range t.cases {
		c := &t.cases[i]
		switch {
		case !c.watched(), c.last.Waits != "", outcome.Silent(c.facts): // Slurm has nothing more to say, or does not answer
		case t.mode == modeInterrupted, !c.endSent.IsZero(), !c.facts.EndSeen.IsZero(), c.last.Ask != 0:
			return 2 * time.Second, 5 * time.Second // its end is due
		case c.silent(t.at):
			first, bound = 5*time.Second, 5*time.Second // its node may have died
		case c.facts.Agent != nil:
			bound = min(bound, t.poll.Running)
		}
	}
	return min(first, bound), bound
}

// silent reports whether an agent which used to give signs of life has stopped.
func (a *attempt) silent(now time.Time) bool {
	return a.facts.Agent != nil && a.facts.EndSeen.IsZero() && now.Sub(a.facts.AgentChanged) > 5*heartbeat/2
}

// heartbeat is how often the agent rewrites its record at the least.
const heartbeat = 5 * time.Second

// seeQueue takes squeue's answer. changed reports whether state or reason did.
func (a *attempt) seeQueue(rows []slurm.QueueRow, now time.Time) (changed bool) {
	f := &a.facts
	i := slices.IndexFunc(rows, func(r slurm.QueueRow) bool { return r.ID == a.job.ID && jobs.Is(a.job, r) })
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

// endTwins ends other jobs of the same unique name: a submission that went unanswered was repeated, and both arrived.
func (t caseTransition) endTwins() {
	c := t.c
	for _, r := range t.queue.rows {
		again := c.due.name != "" && jobs.Is(c.job, r) // else one of its script is somebody's own
		if r.Name != c.job.Name && !again || r.ID == c.job.ID || r.State.Class() == slurm.Terminal {
			continue
		}
		t.tell(Warning, t.i, "job %s is a second one of the same name: cancelling it", r.ID)
		twin := rundir.Job{Backend: c.job.Backend, Name: r.Name, ID: r.ID, Routed: c.job.Routed}
		t.do(action{kind: doCancel, of: c.key(t.i), job: twin})
	}
}

// tellQueue tells a change of Slurm's state or reason, once.
func (t caseTransition) tellQueue() {
	c := t.c
	q := c.facts.Queue.Row
	if q == nil {
		return
	}
	text := outcome.QueueText(*q, t.at)
	if text == c.told {
		return
	}
	c.told = text
	t.tell(Queue, t.i, "job %s: %s", c.job.ID, text)
}
