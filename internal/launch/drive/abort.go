package drive

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// armAbort waits for the end of ctx beside the owner, which may be busy with a stalled file server, and cancels every
// job that may exist: at once, by id, and by unique name where sbatch has not answered yet.
func (d *driver) armAbort(ctx, work context.Context) (stop func()) {
	quit := make(chan struct{})
	d.workers.Go(func() {
		select {
		case <-quit:
			return
		case <-ctx.Done():
		}
		if !interrupts(ctx) {
			return
		}
		jobs := d.registry.closeAll()
		if len(jobs) == 0 {
			return
		}
		short, cancel := context.WithTimeout(work, abortBound)
		defer cancel()
		if err := d.cancelAll(short, jobs); err != nil {
			d.send(work, event{kind: evCancelFailed, of: key{cas: -1}, err: err})
		}
	})
	return func() { close(quit) }
}

// cancelAll cancels jobs. If that fails, or takes longer than a first scancel may, or a
// submission is still out, a detached `ci-disagg cancel` goes on with it, because
// Jenkins leaves us about five seconds (docs/facts/jenkins.md#five-seconds).
func (d *driver) cancelAll(ctx context.Context, jobs []rundir.Job) error {
	helper := sync.OnceFunc(d.helper)
	late := time.AfterFunc(3*time.Second, helper)
	defer late.Stop()
	if slices.ContainsFunc(jobs, func(j rundir.Job) bool { return j.ID == "" }) {
		helper()
	}
	err := d.back.Cancel(ctx, jobs)
	if err != nil {
		helper()
	}
	return err
}

// abandon ends the jobs of a drive that cannot go on.
func (d *driver) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), abortBound)
	defer cancel()
	d.result = errors.Join(d.result, d.back.Cancel(ctx, d.registry.closeAll()))
}

// abortBound is for all tries of one cancellation.
const abortBound = 20 * time.Second

// interrupts reports whether the end of ctx is an order to cancel the jobs. A caller
// that only wants to stop driving ends it with context.Canceled.
func interrupts(ctx context.Context) bool {
	var i *Interrupted
	return errors.As(context.Cause(ctx), &i)
}

// helper starts a detached process that cancels what this run has, and goes on when we are killed.
func (d *driver) helper() {
	if d.o.Self == "" {
		return
	}
	_, err := proc.Detach(proc.Command{
		Argv: []string{d.o.Self, "cancel", "--reason", "interrupted", "--interrupted", d.lease.Record().Owner, string(d.o.Dir)},
		Dir:  "/", Env: proc.WithoutStore(proc.WithoutJenkins(d.o.Environ)),
	}, filepath.Join(string(d.o.Dir), "cancel.log"))
	if err != nil {
		d.o.Log.Warn("detached cancel", "err", err)
	}
}

// cancelOpen ends the jobs that an earlier driver of this run has left, when the
// signal comes before they have been picked up.
func cancelOpen(o Options, l *lease.Lease) error {
	open, unread := runs.Open(o.Dir)
	if len(open) == 0 {
		return unread
	}
	d := newDriver(o, o.Run, nil, l)
	jobs := make([]rundir.Job, 0, len(open))
	for _, j := range open {
		jobs = append(jobs, j.Job)
	}
	ctx, cancel := context.WithTimeout(context.Background(), abortBound)
	defer cancel()
	return errors.Join(unread, d.cancelAll(ctx, jobs))
}
