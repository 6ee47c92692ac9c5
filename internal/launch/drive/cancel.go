package drive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// CancelOptions say whose jobs are to end.
type CancelOptions struct {
	Dir    rundir.Dir
	Reason string
	Host   host.Host     // as in Options
	Slurm  *slurm.Client // as in Options
	// Patient waits for a submission that may still be on its way, and makes sure
	// that jobs are gone: what a driver that is about to be killed leaves to do.
	Patient bool
	Environ []string
	Now     func() time.Time
	Log     *slog.Logger
}

// JobEnd is one job that Cancel dealt with.
type JobEnd struct {
	Case string // slug
	Job  rundir.Job
	Err  error // nil: its end has been asked for, or it was over
}

// Cancel ends every job that the run may have. It takes no lease: the driver, if
// there is one, finds the request and stops, and stays the only writer of the
// run's records.
func Cancel(ctx context.Context, o CancelOptions) ([]JobEnd, error) {
	var run rundir.Run
	if err := rundir.ReadJSON(o.Dir.RunFile(), &run); err != nil {
		return nil, fmt.Errorf("not a run directory: %w", err)
	}
	jobs, unread := openJobs(o.Dir) // a record that cannot be read must not keep the other jobs alive
	if o.Host == nil {
		o.Host = host.NewHere(o.Environ)
	}
	if o.Slurm == nil {
		o.Slurm = slurm.New(o.Host, slurm.Options{Log: o.Log})
	}
	// Both at once: a live driver must not put other jobs in the place of these, and these must not wait for a disk.
	request := rundir.Cancel{At: o.Now(), Reason: o.Reason, Outcome: rundir.OutcomeCancelled}
	asked := make(chan error, 1)
	go func() { asked <- rundir.WriteJSON(o.Dir.CancelFile(), request) }()
	for i := range jobs {
		jobs[i].Err = backendOf(jobs[i].Job, o).cancel(ctx, []rundir.Job{jobs[i].Job})
	}
	err := <-asked
	if o.Patient {
		for i := range jobs {
			jobs[i].Err = errors.Join(jobs[i].Err, chase(ctx, o, jobs[i].Job))
		}
	}
	return jobs, errors.Join(unread, err)
}

func backendOf(j rundir.Job, o CancelOptions) backend {
	if j.Backend == BackendLocal {
		return localBackend{env: o.Environ}
	}
	return slurmBackend{client: o.Slurm}
}

// openJobs lists the submissions that have no outcome yet. The error names those
// whose record cannot be read; the others are listed all the same.
func openJobs(dir rundir.Dir) ([]JobEnd, error) {
	files, err := filepath.Glob(filepath.Join(string(dir), "cases", "*", "rep-*", "attempt-*", "job.json"))
	if err != nil {
		return nil, err
	}
	var jobs []JobEnd
	var errs []error
	for _, f := range files {
		a := rundir.AttemptDir(filepath.Dir(f))
		if exists(a.OutcomeFile()) {
			continue
		}
		var j rundir.Job
		if err := rundir.ReadJSON(f, &j); err != nil {
			errs = append(errs, err)
			continue
		}
		jobs = append(jobs, JobEnd{Case: filepath.Base(filepath.Dir(filepath.Dir(string(a)))), Job: j})
	}
	return jobs, errors.Join(errs...)
}

// chase goes on cancelling until the job is over, or certainly never was.
func chase(ctx context.Context, o CancelOptions, j rundir.Job) error {
	b := backendOf(j, o)
	until := o.Now().Add(submitBound + time.Minute)
	for o.Now().Before(until) {
		if err := sleep(ctx, 2*time.Second); err != nil {
			return err
		}
		over := submissionOver(j, o.Now(), o.Host.Name() != "here")
		gone, err := isOver(ctx, o, j)
		switch {
		case err != nil:
		case gone && (j.ID != "" || over):
			return nil
		case !gone:
			err = b.cancel(ctx, []rundir.Job{j})
		}
		if err != nil && o.Log != nil {
			o.Log.Warn("cancel", "job", j.Name, "err", err)
		}
	}
	return fmt.Errorf("job %s %s is still there", j.ID, j.Name)
}

// isOver says that no live job carries the name.
func isOver(ctx context.Context, o CancelOptions, j rundir.Job) (bool, error) {
	if j.Backend == BackendLocal {
		return len(proc.WithCookie(cookieOf(j))) == 0, nil
	}
	rows, err := o.Slurm.Queue(ctx, j.Routed)
	if err != nil {
		return false, err
	}
	for _, r := range rows {
		if r.Name == j.Name && r.State.Class() != slurm.Terminal {
			return false, nil
		}
	}
	return true, nil
}

// cancelRequested reads a request that is newer than our lease.
func (d *driver) cancelRequested() (rundir.Cancel, bool) {
	var c rundir.Cancel
	err := rundir.ReadJSON(d.o.Dir.CancelFile(), &c)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			d.o.Log.Warn("cancel request", "err", err)
		}
		return c, false
	}
	return c, c.At.After(d.lease.record().Acquired)
}

// requested is why ci-disagg cancel has ended a job, as the tail of a text; "" =
// it was not that. Often the job is over before its driver finds the request.
func (d *driver) requested(j rundir.Job) string {
	var c rundir.Cancel
	if err := rundir.ReadJSON(d.o.Dir.CancelFile(), &c); err != nil || c.At.Before(j.Intent) {
		return ""
	}
	return ": " + c.Reason
}

// cancelAll ends every attempt and submits nothing more: the run goes on to its
// report.
func (d *driver) cancelAll(work context.Context, why string) {
	if d.failed {
		return
	}
	d.failed = true
	d.tell(Next, nil, "the run was cancelled: %s", why)
	for _, c := range d.cases {
		if c.cur != nil && !c.cur.ending && c.cur.job.ID != "" {
			d.cancelJob(work, c, why, rundir.OutcomeCancelled)
		}
	}
}
