package outcome

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Reach is how long after a driver was told to stop that may be why a job ends: the detached cancel asks for four
// minutes, and the roles have theirs to leave.
const Reach = 10 * time.Minute

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
	return end.After(f.Job.Cancel.At.Add(Reach)) || said.IsTimeout() || v.over && v.state != slurm.Cancelled && said != rundir.OutcomeCancelled
}
