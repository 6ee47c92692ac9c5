package runs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Held is an error that keeps a caller from going on with a run. What would be the caller's to mend is no mere usage
// error while a job of the run may be live; where another run is asked for, it is one, and says how to end that job.
func Held(err error, dir rundir.Dir, run rundir.Run) error {
	var end *exit.Error
	switch {
	case !errors.As(err, &end) || end.Code != exit.Usage || end.Err == nil || !MayBeLive(run):
		return err
	case errors.As(err, new(*lease.BusyError)):
		return err
	case errors.As(err, new(*OtherRunError)):
		return exit.ByUser(fmt.Errorf("%w; jobs of that run may be live: ci-disagg cancel %s ends them", end.Err, dir))
	}
	return exit.ByInfra(fmt.Errorf("%w; jobs of this run may be live: mend this and resume, or end them with: ci-disagg cancel %s", end.Err, dir))
}

// MayBeLive reports whether the record of a run says that a job of it is live: nobody has seen the end of that.
func MayBeLive(run rundir.Run) bool {
	return slices.ContainsFunc(run.Cases, func(c rundir.CaseState) bool { return c.State == rundir.CaseRunning })
}
