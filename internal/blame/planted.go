package blame

import (
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Planted is how an attempt ended in whose run directory something else stands where a record was, as stands says: the
// agent and the driver make files and directories, and nobody but a role writes there beside them. Who makes a record
// unreadable must not gain by it. It is nil where an attempt that ended so gains nothing.
func Planted(ended rundir.Outcome, stands string) *rundir.Finding {
	gains := []rundir.Outcome{"", rundir.OutcomePassed, rundir.OutcomeInfra, rundir.OutcomeLost, rundir.TimeoutOf(rundir.PhaseSetup)}
	if !slices.Contains(gains, ended) {
		return nil
	}
	return &rundir.Finding{
		Class: string(Test), Kind: KindPlanted, Rule: KindPlanted,
		Message: stands + ": a role has put something else in the place of a file or directory of the run",
	}
}
