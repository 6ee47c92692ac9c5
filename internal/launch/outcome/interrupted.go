package outcome

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// reach is how long after a driver was told to stop that may be why a job ends: the detached cancel asks for four
// minutes, and the roles have theirs to leave.
const reach = 10 * time.Minute

// Outlived reports whether a job that ended at that time, zero = nobody knows when, has outlived an interruption of its
// driver: somebody else has ended it.
func Outlived(c rundir.Cancel, end time.Time) bool {
	return c.Cause == rundir.CauseInterrupted && end.After(c.At.Add(reach))
}

// unheeded reports whether a job that an interruption was to end has ended for another reason: a scancel may get lost.
func unheeded(f Facts) bool {
	if f.Job.Cancel == nil || f.Job.Cancel.Cause != rundir.CauseInterrupted {
		return false
	}
	v, said := look(f), rundir.Outcome("")
	end := v.ended
	if ended(f) {
		said = f.Agent.End.Outcome
		if f.Agent.End.At.After(end) {
			end = f.Agent.End.At
		}
	}
	return Outlived(*f.Job.Cancel, end) || said.IsTimeout() || v.over && v.state != slurm.Cancelled && said != rundir.OutcomeCancelled
}
