package runs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// CancelOptions say whose jobs are to end.
type CancelOptions struct {
	Access
	Dir    rundir.Dir
	Reason string
	Cause  rundir.CancelCause // "" = rundir.CauseRequested
	// Driver is the lease owner of the driver that this is done for, "" = nobody's: what another one has taken up since is
	// left alone.
	Driver string
	// Wait waits until every job is gone and, where no driver sees to that, writes
	// down how it ended.
	Wait    bool
	Patient bool // waits longer: for whatever a submission may still make
}

// JobEnd is one job that Cancel dealt with.
type JobEnd struct {
	Case    string // slug
	Attempt rundir.AttemptDir
	Job     rundir.Job
	What    string // what became of it, for people
	Err     error  // it may go on

	over bool // it was before anybody was asked to end it
}

// there is its directory as the job sees it.
func (e JobEnd) there() rundir.AttemptDir {
	return rundir.AttemptDir(cmp.Or(e.Job.Dir, string(e.Attempt)))
}

// Interrupt ends the jobs of a run for somebody who is told to stop before he drives it. Its driver stops for a request
// only; where it has none, resume goes on with the cases.
func Interrupt(ctx context.Context, a Access, dir rundir.Dir, reason string) error {
	o := CancelOptions{Access: a, Dir: dir, Reason: reason}
	held, err := lease.Read(dir.LeaseFile())
	if held == nil || !lease.Driven(*held, a.Now()) {
		o.Cause = rundir.CauseInterrupted
	}
	if held != nil && o.Cause != "" {
		o.Driver = held.Owner
	}
	_, cancelErr := Cancel(ctx, o)
	return errors.Join(err, cancelErr)
}

// leave says that the job is left alone.
func (e *JobEnd) leave() { e.Err, e.What = nil, "left to the driver that has the run now" }

// Cancel ends every job that the run may have. It takes no lease while a driver holds
// it: that finds the request and stops, and stays the only writer of the run's records.
func Cancel(ctx context.Context, o CancelOptions) ([]JobEnd, error) {
	var run rundir.Run
	if err := rundir.ReadJSON(o.Dir.RunFile(), &run); err != nil {
		return nil, fmt.Errorf("not a run directory: %w", err)
	}
	open, unread := Open(o.Dir)
	if unread != nil { // which must not keep the other jobs alive
		unread = fmt.Errorf("its records cannot be read, so it may have jobs that go on: %w", unread)
	}
	o.Access = o.Complete()
	if next := o.successor(ctx); next != nil { // looked for once the jobs are listed, none of which it has submitted then
		for i := range open {
			open[i].leave()
		}
		return open, errors.Join(unread, o.request(open, next.Acquired))
	}
	// Both at once: a live driver must not put other jobs in the place of these, and these must not wait for a disk.
	asked := make(chan error, 1)
	listed, now := slices.Clone(open), o.Now() // before any job can end for it
	go func() { asked <- o.request(listed, now) }()
	for i := range open {
		e := &open[i]
		was, known := whereabouts{}, false
		if o.Wait && e.Job.ID != "" {
			was, known = o.look(ctx, e.Job)
		}
		if known && was.gone {
			e.over, e.What = true, "was over already"
			continue
		}
		e.Err = o.backend(e.Job).Cancel(ctx, []rundir.Job{e.Job})
		e.What = "its end has been asked for"
	}
	err := <-asked
	if o.Wait || o.Patient {
		for i := range open {
			if !open[i].over {
				o.chase(ctx, &open[i])
			}
		}
		o.writeDown(ctx, open)
	}
	return open, errors.Join(unread, err)
}

// successor is the lease of another driver that has taken the run over from ours, nil = there is none. One that lasts
// for moments only is of somebody who writes down how jobs ended.
func (o CancelOptions) successor(ctx context.Context) (held *rundir.Lease) {
	for range 5 {
		var err error
		held, err = lease.Read(o.Dir.LeaseFile())
		gaveUp := held != nil && held.Released != nil && !held.Detached
		if o.Driver == "" || err != nil || held == nil || gaveUp || held.Owner == o.Driver { // nobody takes over what he cannot read
			return nil
		}
		if Sleep(ctx, time.Second) != nil {
			break
		}
	}
	return held
}

// request leaves word of who ends the jobs, at that time. What somebody else has asked for about them stands before a
// driver that is told to stop.
func (o CancelOptions) request(open []JobEnd, at time.Time) error {
	if o.Cause == rundir.CauseInterrupted {
		var since time.Time
		for i, e := range open {
			if i == 0 || e.Job.Intent.Before(since) {
				since = e.Job.Intent
			}
		}
		if c, ok := o.Dir.CancelledAfter(since); ok && c.Cause != rundir.CauseInterrupted {
			return nil
		}
	}
	return rundir.WriteJSON(o.Dir.CancelFile(), rundir.Cancel{
		At: at, Reason: o.Reason, Outcome: rundir.OutcomeCancelled, Cause: cmp.Or(o.Cause, rundir.CauseRequested),
	})
}

// writeDown finishes the run, unless it is driven, and tells of each job how that was
// written down. What cannot be is left to the next who looks.
func (o CancelOptions) writeDown(ctx context.Context, open []JobEnd) {
	_, err := Finish(ctx, o.Access, o.Dir)
	if !errors.Is(err, errDriven) && o.chaseFound(ctx, open) {
		_, err = Finish(ctx, o.Access, o.Dir)
	}
	if err != nil {
		if !errors.Is(err, errDriven) {
			o.Log.Warn("how the jobs ended is not written down yet", "err", err)
		}
		return
	}
	for i := range open {
		var out rundir.AttemptOutcome
		if rundir.ReadJSON(open[i].Attempt.OutcomeFile(), &out) != nil {
			continue
		}
		if jobs.Elsewhere(open[i].Job) != "" && out.Outcome != rundir.OutcomeLost { // its own record tells of its end
			open[i].Err, open[i].What = nil, "was over already"
		}
		if out.Outcome != rundir.OutcomeCancelled {
			open[i].What += fmt.Sprintf(", %s: %s", out.Outcome, out.Reason)
		}
	}
}

// chaseFound ends the jobs whose ids have only been found when their ends were to be written down. It reports whether
// there are any.
func (o CancelOptions) chaseFound(ctx context.Context, open []JobEnd) (found bool) {
	for i := range open {
		e := &open[i]
		var j rundir.Job
		if e.Job.ID == "" && rundir.ReadJSON(e.Attempt.JobFile(), &j) == nil && j.ID != "" {
			e.Job, found = j, true
			o.chase(ctx, e)
		}
	}
	return found
}

// chase goes on cancelling until the job is over, or certainly never was.
func (o CancelOptions) chase(ctx context.Context, e *JobEnd) {
	begun, bound := o.Now(), 2*time.Minute
	if o.Patient || e.Job.ID == "" { // its sbatch may still be out, whatever has become of its driver
		bound = jobs.SubmitBound + time.Minute
	}
	seen := e.Job.ID != ""
	for unknown := 0; ; {
		over := o.SubmissionOver(e.Job) // asked first: what ends after the look may leave a job that this has not seen
		was, known := o.look(ctx, e.Job)
		if unknown++; known {
			unknown = 0
		}
		switch {
		case e.Err != nil && unknown > 2: // neither its end nor its state can be asked for
			e.Err = errors.Join(e.Err, was.err)
			return
		case known && was.gone && (e.Job.ID != "" || over):
			e.Err, e.What = nil, "cancelled, and gone"
			if !seen {
				e.What = "never became a job, or is gone"
			}
			return
		case known && !was.gone && o.successor(ctx) != nil:
			e.leave()
			return
		case known && !was.gone:
			seen = true
			o.cancelAgain(ctx, e.Job, was.id)
		}
		if o.Now().Sub(begun) > bound {
			e.Err = errors.Join(e.Err, was.err, was.still(known, bound))
			return
		}
		if err := Sleep(ctx, time.Second); err != nil {
			e.Err = errors.Join(e.Err, err)
			return
		}
	}
}

// cancelAgain asks once more for the end of a job that is still there, by the id that
// it has been found under.
func (a Access) cancelAgain(ctx context.Context, j rundir.Job, id string) {
	j.ID = id
	if err := a.backend(j).Cancel(ctx, []rundir.Job{j}); err != nil {
		a.Log.Warn("cancel", "job", j.Name, "err", err)
	}
}

// whereabouts is whether a live job carries the id, the name or the script.
type whereabouts struct {
	gone bool
	id   string
	err  error
}

// still says in words that a job is not known to be gone after that time.
func (w whereabouts) still(known bool, after time.Duration) error {
	if known && !w.gone {
		return fmt.Errorf("it is still there after %v", after)
	}
	return fmt.Errorf("whether it is gone is not known after %v", after)
}

// look asks where a job is; false = that is not known.
func (a Access) look(ctx context.Context, j rundir.Job) (whereabouts, bool) {
	if host := jobs.Elsewhere(j); host != "" {
		return whereabouts{err: fmt.Errorf("nothing of it can be seen from this host, only on %s", host)}, false
	}
	if j.Backend == rundir.BackendLocal {
		return whereabouts{gone: len(proc.WithCookie(jobs.Cookie(j))) == 0, id: j.ID}, true
	}
	rows, err := a.Slurm.Queue(ctx, j.Routed)
	if err != nil {
		return whereabouts{err: err}, false
	}
	for _, r := range rows {
		if jobs.Is(j, r) && r.State.Class() != slurm.Terminal {
			return whereabouts{id: r.ID}, true
		}
	}
	return whereabouts{gone: true}, true
}
