package runs

import (
	"context"
	"log/slog"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Access is how the jobs of runs are reached.
type Access struct {
	Host    host.Host     // where the cluster's commands run and its files are; nil = here
	Slurm   *slurm.Client // nil = a client of Host
	Environ []string
	Passed  []string // see jobs.Local
	Now     func() time.Time
	Log     *slog.Logger
	// Processes lists those on this machine that carry a job's mark; nil = proc.WithCookie.
	Processes func(cookie string) []int
}

// Complete fills what may be left out.
func (a Access) Complete() Access {
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
	if a.Host == nil {
		a.Host = host.NewHere(a.Environ)
	}
	if a.Processes == nil {
		a.Processes = proc.WithCookie
	}
	if a.Slurm == nil {
		a.Slurm = slurm.New(a.Host, slurm.Options{Log: a.Log})
	}
	return a
}

// backend is where a job runs.
func (a Access) backend(j rundir.Job) jobs.Backend {
	if j.Backend == rundir.BackendLocal {
		return jobs.Local{Env: a.Environ, Passed: a.Passed}
	}
	return jobs.Slurm{Client: a.Slurm}
}

// SubmissionOver reports whether whatever was started to submit the job has certainly ended: its time is over, or it
// ran here and no process carries its name.
func (a Access) SubmissionOver(j rundir.Job) bool {
	if a.Now().Sub(j.Intent) > jobs.SubmitBound {
		return true
	}
	return a.Host.Name() == "here" && j.Host == lease.HostName() && len(a.Processes(jobs.Cookie(j))) == 0
}

// Sleep waits for a time, or until ctx is done and gives its cause.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
