package drive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Run drives a run to its end, from wherever it stands: a new run directory is filled, an existing one of the same run
// id is taken up where its last driver stopped, and a live job is never submitted a second time.
//
// The error is *Interrupted when ctx ended with it as cause (the jobs have been cancelled by then), *lease.BusyError
// when another driver holds the lease, *runs.OtherRunError when the run of that id there is not the one asked for, and
// lease.ErrLost when another took over. The record is valid in every case.
func Run(ctx context.Context, o Options) (rundir.Run, error) {
	if err := o.complete(); err != nil {
		return o.Run, err
	}
	var early error
	l, err := lease.Acquire(ctx, o.Dir, o.Now, func(l *lease.Lease) {
		if interrupts(ctx) {
			early = cancelOpen(o, l) // an earlier driver's jobs are ours to end, at once
		}
	})
	if err != nil {
		return o.Run, errors.Join(err, early)
	}
	run, plans, err := runs.Adopt(runs.New{Dir: o.Dir, Run: o.Run, Plans: o.Plans, Keep: o.Keep})
	if err != nil {
		return o.Run, errors.Join(err, l.Release(false))
	}
	d := newDriver(o, run, plans, l)
	err = d.drive(ctx)
	if !errors.Is(err, lease.ErrLost) {
		err = errors.Join(err, d.release(ctx, err == nil))
	}
	return d.state.newRecord(), err
}

// release gives the lease back. Jobs that are left on purpose would be swept, and end by their lifeline, if that stood
// here only.
func (d *driver) release(ctx context.Context, well bool) error {
	detached := d.o.Detach && d.state.liveCount() > 0
	if err := d.lease.Release(detached); err != nil || !detached || !well {
		return err
	}
	if err := d.shown.Last(ctx); err != nil {
		d.o.Progress(Update{At: d.o.Now(), Kind: Warning, Text: fmt.Sprintf("that its jobs are left on purpose cannot be written down behind the login node, so sweep may end them: %v", err)})
	}
	return nil
}

// complete fills what may be left out, and refuses what cannot work.
func (o *Options) complete() error {
	if o.Backend != rundir.BackendSlurm && o.Backend != rundir.BackendLocal {
		return fmt.Errorf("backend %q is not %s or %s", o.Backend, rundir.BackendSlurm, rundir.BackendLocal)
	}
	abs, err := filepath.Abs(string(o.Dir))
	if err != nil {
		return err
	}
	o.Dir = rundir.Dir(abs)
	o.Access = o.Complete()
	if o.Self == "" {
		o.Self = o.Binary.Path
	}
	if o.Decide == nil {
		o.Decide = retry.Policy{}.Decide
	}
	if o.Progress == nil {
		o.Progress = func(Update) {}
	}
	if o.spread == nil {
		o.spread = rand.Float64
	}
	if !o.Host.Shared() && o.Binary.Dir == "" {
		return errors.New("a login node without a shared file system needs a directory there (agent_dir)")
	}
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Poll.First, 10*time.Second)
	def(&o.Poll.Pending, 30*time.Second)
	def(&o.Poll.Running, 30*time.Second)
	def(&o.Poll.Lease, 10*time.Second)
	def(&o.Poll.Abort, 45*time.Second)
	if o.Host.Shared() {
		def(&o.Poll.Agent, time.Second)
	}
	def(&o.Poll.Agent, 3*time.Second)
	return nil
}

// Interrupted says which signal ended the drive.
type Interrupted struct{ Signal syscall.Signal }

func (e *Interrupted) Error() string { return "interrupted: " + e.Signal.String() }

// ExitCode is exit.Signal + the signal's number.
func (e *Interrupted) ExitCode() int { return exit.Signal + int(e.Signal) }
