package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// errDriven says that a run has a driver, who writes its records.
var errDriven = errors.New("the run is being driven")

// Finish writes down how the jobs of a run ended whose driver is dead: by the agents'
// own records, one squeue and one sacct. It gives how many are still open, because
// they go on, or nobody can say yet. A run that is driven is left alone.
func Finish(ctx context.Context, a Access, dir rundir.Dir) (left int, err error) {
	a = a.Complete()
	held, err := lease.Read(dir.LeaseFile())
	if err != nil {
		return 0, err
	}
	open, unread := Open(dir)
	if len(open) == 0 || held != nil && lease.Driven(*held, a.Now()) {
		if len(open) > 0 {
			return len(open), errDriven
		}
		return 0, unread
	}
	seen, err := a.ask(ctx, open)
	if err != nil {
		return len(open), errors.Join(unread, err)
	}
	var known []ending
	for _, e := range open {
		end, ok, err := a.conclude(ctx, dir, e, seen)
		unread = errors.Join(unread, err)
		if ok {
			known = append(known, end)
		}
	}
	if len(known) == 0 { // a driver may come back, or resume come: there is no reason to take the run over
		return len(open), unread
	}
	left, err = record(ctx, a, dir, known, len(open))
	return left, errors.Join(unread, err)
}

// record writes down what is known of the open attempts of a run, as its driver for that moment, and gives how many are
// open still. As long as one is, the run stays whose it was.
func record(ctx context.Context, a Access, dir rundir.Dir, known []ending, open int) (left int, err error) {
	held, err := lease.Read(dir.LeaseFile())
	if err != nil {
		return open, err
	}
	l, err := lease.Acquire(ctx, dir, a.Now, func(*lease.Lease) {})
	if err != nil {
		return open, errors.Join(errDriven, err)
	}
	defer func() {
		if left > 0 && held != nil {
			err = errors.Join(err, l.Return(*held))
		} else {
			err = errors.Join(err, l.Release(false))
		}
	}()
	left = open
	for _, e := range known {
		over, failed := e.write()
		if err = errors.Join(err, failed); over {
			left--
		}
	}
	return left, err
}

// ending is how an open attempt ended, or only the id that its job was found under.
type ending struct {
	JobEnd
	job     rundir.Job
	outcome *rundir.AttemptOutcome // nil: it goes on
}

// write writes it down, and first who had asked for the end: resume goes by that. It reports whether the attempt is
// over.
func (e ending) write() (over bool, err error) {
	if exists(e.Attempt.OutcomeFile()) {
		return true, nil // a driver came and went
	}
	var now rundir.Job
	if err := rundir.ReadJSON(e.Attempt.JobFile(), &now); err != nil || !reflect.DeepEqual(now, e.Job) {
		return false, err // likewise, and it has submitted the attempt anew, maybe: this is of the job before
	}
	if e.outcome == nil || e.outcome.Outcome == rundir.OutcomeCancelled && e.job.Cancel != e.Job.Cancel {
		if err := rundir.WriteJSON(e.Attempt.JobFile(), e.job); err != nil || e.outcome == nil {
			return false, err
		}
	}
	var left error
	if e.job.Backend == rundir.BackendLocal {
		left = jobs.KillLeft(e.job)
	}
	err = errors.Join(left, rundir.WriteJSON(e.Attempt.OutcomeFile(), *e.outcome))
	return err == nil, err
}

// answers are what Slurm says of the open jobs of a run.
type answers struct {
	at    time.Time
	queue []slurm.QueueRow
	acct  map[string][]slurm.AcctRow // by cluster
	off   bool                       // there is no accounting
}

// ask asks once per cluster that jobs were routed to, which is most often one.
func (a Access) ask(ctx context.Context, open []JobEnd) (answers, error) {
	got := answers{acct: map[string][]slurm.AcctRow{}}
	ids, since := map[string][]string{}, map[string]time.Time{}
	for _, e := range open {
		j := e.Job
		if j.Backend == rundir.BackendLocal {
			continue
		}
		if at := since[j.Routed]; at.IsZero() || j.Intent.Before(at) {
			since[j.Routed] = j.Intent
		}
		if j.ID != "" {
			ids[j.Routed] = append(ids[j.Routed], j.ID)
		}
	}
	for cluster, from := range since {
		rows, err := a.Slurm.Queue(ctx, cluster)
		if err != nil {
			return got, err
		}
		got.queue = append(got.queue, rows...)
		if len(ids[cluster]) == 0 {
			continue
		}
		acct, err := a.Slurm.Accounting(ctx, cluster, ids[cluster], from.Add(-10*time.Minute))
		if err != nil && !errors.Is(err, slurm.ErrNoAccounting) {
			a.Log.Debug("accounting", "err", err) // the agents' records may do
		}
		got.acct[cluster] = acct
	}
	got.at, got.off = a.Now(), a.Slurm.AccountingOff()
	return got, nil
}

// settled is how old a job that nobody knows must be for that to mean something: Slurm
// forgets a job five minutes after its end, and accounting may trail.
const settled = 15 * time.Minute

// conclude says how one attempt ended, or what else is to be written down of it; false = nothing.
func (a Access) conclude(ctx context.Context, dir rundir.Dir, e JobEnd, seen answers) (ending, bool, error) {
	j := e.Job
	if j.ID == "" {
		found, err := a.Search(ctx, j, e.there())
		switch {
		case err != nil:
			return ending{}, false, err
		case found.OK:
			j.ID = found.Job.ID
			return ending{JobEnd: e, job: j}, true, nil // the next look has its rows
		case !found.Over:
			return ending{}, false, nil
		}
		j.Cancel = EndedBy(dir, j, time.Time{})
		o := unfound(j, found.Ran, a.Now())
		return ending{JobEnd: e, job: j, outcome: &o}, true, nil
	}
	f, stands, err := a.facts(ctx, dir, e, seen)
	if err != nil {
		return ending{}, false, err
	}
	a.askNodes(ctx, &f)
	r := outcome.Resolve(f)
	if !r.Done || r.Cancel != "" && a.Now().Sub(j.Intent) < settled {
		return ending{}, false, nil
	}
	o := outcome.Planted(outcome.Record(r, j, f.Agent, a.Now()), stands)
	return ending{JobEnd: e, job: f.Job, outcome: &o}, true, nil
}

// askNodes asks sinfo what a driver would ask while the job's end is new: whether one of its nodes ended it. As long as
// there is no answer the attempt is left to the next look, until it is settled without.
func (a Access) askNodes(ctx context.Context, f *outcome.Facts) {
	fresh := *f
	fresh.StateSince = f.Now
	if !f.AbsentSince.IsZero() {
		fresh.AbsentSince = f.Now
	}
	r := outcome.Resolve(fresh)
	if r.Ask&outcome.AskNodes == 0 {
		return
	}
	rows, err := a.Slurm.Troubles(ctx, f.Job.Routed, r.Nodes)
	if err != nil {
		a.Log.Debug("nodes", "err", err)
		return
	}
	f.Trouble = outcome.Seen[[]slurm.NodeTrouble]{At: f.Now, Row: &rows}
}

// facts are what is known of an attempt that nobody has watched. stands is what else stands where its agent's record
// was.
func (a Access) facts(ctx context.Context, dir rundir.Dir, e JobEnd, seen answers) (f outcome.Facts, stands, err error) {
	j, now := e.Job, a.Now()
	var plan rundir.Plan
	if err := rundir.ReadJSON(e.Attempt.PlanFile(), &plan); err != nil {
		return f, nil, fmt.Errorf("the plan of %s: %w", e.Attempt, err)
	}
	old := now
	if now.Sub(j.Intent) > settled {
		old = now.Add(-settled)
	}
	f = outcome.Facts{
		Now: now, Since: j.Intent, Job: j, Roles: outcome.Accountable(plan), Draft: plan.Draft, Budget: plan.Budgets, AcctOff: seen.off, StateSince: old, Looked: now,
	}
	row := slurm.NewestRow(seen.acct[j.Routed], j.ID)
	if j.Backend == rundir.BackendLocal { // before its record is read, which is complete when it was gone
		f.Local = &outcome.Process{Alive: jobs.Alive(j), GoneSince: now.Add(-time.Minute), Elsewhere: jobs.Elsewhere(j)}
	}
	path := e.there().AgentFile()
	got, err := a.Host.Read(ctx, MaxRecord, path)
	switch {
	case errors.As(err, new(*rundir.NodeError)):
		stands = err
	case err != nil:
		return f, nil, err
	}
	var rec rundir.AgentRecord
	if json.Unmarshal(got[path], &rec) == nil && rec.JobID == j.ID && rec.Schema <= rundir.Schema {
		f.Agent, f.AgentSeen, f.AgentChanged = &rec, rec.Started, rec.Heartbeat
		if rec.End != nil {
			f.EndSeen = rec.End.At
		}
	}
	over := endOf(row)
	if over.IsZero() {
		over = f.EndSeen
	}
	f.Job.Cancel = EndedBy(dir, j, over)
	if j.Backend == rundir.BackendLocal {
		return f, stands, nil
	}
	f.Queue.At, f.AbsentSince = seen.at, old
	for _, r := range seen.queue {
		if r.ID == j.ID && jobs.Is(j, r) {
			f.Queue.Row, f.AbsentSince = &r, time.Time{}
			if r.State.Class() == slurm.Leaving {
				f.StateSince = leftSince(row, now)
			}
		}
	}
	if row != nil {
		f.Acct = outcome.Seen[slurm.AcctRow]{At: seen.at, Row: row}
	}
	return f, stands, nil
}

// leftSince is since when a job has been leaving, as far as accounting tells.
func leftSince(row *slurm.AcctRow, now time.Time) time.Time {
	if end := endOf(row); !end.IsZero() && !end.After(now) {
		return end
	}
	return now
}

// endOf is when a job ended, zero where accounting does not tell.
func endOf(row *slurm.AcctRow) time.Time {
	if row == nil || row.State.Class() != slurm.Terminal {
		return time.Time{}
	}
	return row.End
}

// EndedBy is who has asked for the end of a job that was over at that time, zero = nobody knows when, nil = nobody: the
// run's request, if it came before and the job's record says nothing, or that a driver was told to stop.
func EndedBy(dir rundir.Dir, j rundir.Job, over time.Time) *rundir.Cancel {
	c, ok := dir.CancelledAfter(j.Intent)
	late := blame.ClockSkew
	switch {
	case c.Cause == rundir.CauseInterrupted:
		late = time.Minute // the driver has asked, and the detached cancel that leaves word had to start and to read
	case j.Backend == rundir.BackendLocal:
		late = 0 // by one clock
	}
	outlived := j.Cancel != nil && j.Cancel.Cause == rundir.CauseInterrupted && c.Cause != rundir.CauseInterrupted
	if !ok || j.Cancel != nil && !outlived || !over.IsZero() && over.Add(late).Before(c.At) || outcome.Outlived(c, over) {
		return j.Cancel
	}
	return &c
}

// unfound is how an attempt ended of which no job can be found. ran says that its agent has left a record.
func unfound(j rundir.Job, ran bool, at time.Time) rundir.AttemptOutcome {
	r := outcome.NotSubmitted("its driver died first", outcome.KindNotSubmitted, at)
	switch c := j.Cancel; {
	case c != nil && (!ran || c.Cause == rundir.CauseInterrupted): // as a driver says that is told to stop
		r.Outcome, r.Reason, r.Finding = rundir.OutcomeCancelled, c.Reason, nil
	case ran:
		r = outcome.Unread(at)
	}
	return outcome.Record(r, j, nil, at)
}
