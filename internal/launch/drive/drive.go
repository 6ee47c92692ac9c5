package drive

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Run drives a run to its end, from wherever it stands: a new run directory is
// filled, an existing one of the same run id is taken up where its last driver
// stopped, and a live job is never submitted a second time.
//
// The error is *Interrupted when ctx was cancelled (the jobs have been cancelled
// by then), *BusyError when another driver holds the lease, and ErrLeaseLost
// when another took over. The record is valid in every case.
func Run(ctx context.Context, o Options) (rundir.Run, error) {
	return rundir.Run{}, errors.New("not built")
}

// Resume is Run with run and plans read from the run directory.
func Resume(ctx context.Context, o Options) (rundir.Run, error) {
	run, plans, err := Load(o.Dir)
	if err != nil {
		return run, err
	}
	o.Run, o.Plans = run, plans
	return Run(ctx, o)
}

// Load reads run.json and the plans of its cases.
func Load(dir rundir.Dir) (rundir.Run, []rundir.Plan, error) {
	return rundir.Run{}, nil, errors.New("not built")
}

// Notify derives a context that ends with *Interrupted as its cause on SIGTERM,
// SIGINT and SIGHUP. A SIGHUP that was ignored when the process started (nohup,
// which Jenkins' sh uses) stays ignored.
func Notify(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// Interrupted says which signal ended the drive.
type Interrupted struct{ Signal syscall.Signal }

func (e *Interrupted) Error() string { return "interrupted by " + e.Signal.String() }

// ExitCode is 128 + the signal's number.
func (e *Interrupted) ExitCode() int { return 128 + int(e.Signal) }

// ErrLeaseLost is returned when another driver has taken the run over.
var ErrLeaseLost = errors.New("another ci-disagg has taken over this run")

// BusyError says who drives the run.
type BusyError struct{ Lease rundir.Lease }

func (e *BusyError) Error() string {
	return fmt.Sprintf("this run is driven by process %d on %s (last sign of life %s)",
		e.Lease.PID, e.Lease.Host, e.Lease.Heartbeat.UTC().Format("15:04:05Z"))
}
