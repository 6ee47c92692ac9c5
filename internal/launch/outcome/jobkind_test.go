package outcome

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
)

// A state of Slurm's is one kind of finding, whether the agent lived to see it or not.
func TestKindOfJobState(t *testing.T) {
	t.Parallel()
	for _, state := range []slurm.State{
		slurm.NodeFail, slurm.BootFail, slurm.LaunchFailed, slurm.ReconfigFail, slurm.Preempted, slurm.Revoked, slurm.Cancelled,
	} {
		r := Resolve(facts(11*m, queue(11*m, 10*m, state, ""), acct(11*m, 10*m, string(state), "0:0")))
		require.NotNil(t, r.Finding, state)
		require.Equal(t, blame.JobKind(string(state)), r.Finding.Kind, state)
		seen := blame.Judge(blame.Evidence{Job: blame.Job{State: string(state)}})
		require.Equal(t, r.Finding.Kind, seen.Kind, "%s, seen by the agent", state)
		require.Equal(t, blame.Infra, seen.Class, state)
	}
}
