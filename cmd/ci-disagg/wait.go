package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// waitEvery is how often a waiting driver looks whether its turn has come.
const waitEvery = 2 * time.Second

// waitFlags say what to do about another driver of the same run.
type waitFlags struct{ wait bool }

// AddFlags registers the flags.
func (o *waitFlags) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.wait, "wait", false, "if another ci-disagg drives this run, wait for its end, or for its death, instead of refusing")
}

// drive is drive.Run, or with --wait drive.Run as soon as nobody else drives the
// run. A run that ended meanwhile is then only reported. Jenkins, having lost
// sight of a step that still runs, calls this.
//
// A signal while waiting ends the run's jobs, as it would have if we drove them.
func (o waitFlags) drive(ctx context.Context, h host, opts drive.Options) (rundir.Run, error) {
	told := false
	for {
		run, err := drive.Run(ctx, opts)
		var busy *lease.BusyError
		if !o.wait || !errors.As(err, &busy) {
			return run, err
		}
		if !told {
			told = true
			fmt.Fprintf(h.stderr, "ci-disagg: waiting: %v\n", err)
		}
		if runs.Sleep(ctx, waitEvery) != nil {
			return run, cancelOther(ctx, opts)
		}
	}
}

// cancelOther ends the jobs of a run that we do not drive. The error is the
// interruption, so that the exit code is the signal's.
func cancelOther(ctx context.Context, opts drive.Options) error {
	cause := context.Cause(ctx)
	return errors.Join(cause, runs.Interrupt(context.WithoutCancel(ctx), opts.Access, opts.Dir, fmt.Sprint(cause)))
}
