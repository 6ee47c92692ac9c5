package outcome

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A role that may leave may also never have been started: the agent says so, and passed.
func TestPassedWithoutARoleThatMayLeave(t *testing.T) {
	t.Parallel()
	plan := rundir.Plan{Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: []rundir.RolePlan{
		{Name: "GEN_0"}, {Name: "monitor", Lifecycle: rundir.Lifecycle{Optional: true}}, {Name: "BENCHMARK"},
	}}}}
	neverStarted := func(name string) fact {
		return func(f *Facts) {
			f.Roles = Accountable(plan)
			f.Agent.Roles = append(f.Agent.Roles, rundir.RoleRecord{Name: "monitor", State: rundir.RoleEnded})
			for i, r := range f.Agent.Roles {
				if r.Name == name {
					f.Agent.Roles[i].State = rundir.RoleNeverStarted
				}
			}
		}
	}
	for name, want := range map[string]rundir.Outcome{
		"monitor": rundir.OutcomePassed, "GEN_0": rundir.OutcomeInfra, "BENCHMARK": rundir.OutcomeInfra, "": rundir.OutcomePassed,
	} {
		r := Resolve(facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), agentEnd(10*m, "passed", "", 9*m), neverStarted(name)))
		require.Equal(t, want, r.Outcome, "%s: %s", name, r.Reason)
	}
}
