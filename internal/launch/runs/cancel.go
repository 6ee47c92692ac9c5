package runs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
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
	open, unread := Open(o.Dir) // a record that cannot be read must not keep the other jobs alive
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
	for i := range open {
		open[i].Err = backendOf(open[i].Job, o).Cancel(ctx, []rundir.Job{open[i].Job})
	}
	err := <-asked
	if o.Patient {
		for i := range open {
			open[i].Err = errors.Join(open[i].Err, chase(ctx, o, open[i].Job))
		}
	}
	return open, errors.Join(unread, err)
}

func backendOf(j rundir.Job, o CancelOptions) jobs.Backend {
	if j.Backend == jobs.BackendLocal {
		return jobs.Local{Env: o.Environ}
	}
	return jobs.Slurm{Client: o.Slurm}
}

// chase goes on cancelling until the job is over, or certainly never was.
func chase(ctx context.Context, o CancelOptions, j rundir.Job) error {
	b := backendOf(j, o)
	until := o.Now().Add(jobs.SubmitBound + time.Minute)
	for o.Now().Before(until) {
		if err := sleep(ctx, 2*time.Second); err != nil {
			return err
		}
		over := jobs.SubmissionOver(j, o.Now(), o.Host.Name() != "here")
		gone, err := isOver(ctx, o, j)
		switch {
		case err != nil:
		case gone && (j.ID != "" || over):
			return nil
		case !gone:
			err = b.Cancel(ctx, []rundir.Job{j})
		}
		if err != nil && o.Log != nil {
			o.Log.Warn("cancel", "job", j.Name, "err", err)
		}
	}
	return fmt.Errorf("job %s %s is still there", j.ID, j.Name)
}

// isOver says that no live job carries the name.
func isOver(ctx context.Context, o CancelOptions, j rundir.Job) (bool, error) {
	if j.Backend == jobs.BackendLocal {
		return len(proc.WithCookie(jobs.Cookie(j))) == 0, nil
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

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
