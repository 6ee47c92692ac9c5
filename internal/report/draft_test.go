package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// unwatched is a role of a draft: nobody saw it begin or end.
func unwatched(name, kind string) results.Role {
	r := results.Role{JUnit: true, Expected: []string{node1}}
	r.RoleRecord = rundir.RoleRecord{Name: name, Kind: kind, State: rundir.RoleEnded}
	return r
}

func underDraft(c results.Case) results.Case {
	c.Plan.Draft = true
	c.Attempts[0].Agent = nil
	return c
}

// Upstream's draft ends right after its client: Slurm ends the servers, which have not
// written their results by then. That is a healthy run.
func TestHealthyDraftIsGreen(t *testing.T) {
	t.Parallel()
	client := left(t, unwatched("BENCHMARK", "client"), 0, testCase(node1, 1, ""))
	r := decided(underDraft(one(rundir.OutcomePassed, nil, unwatched("GEN_0", "server"), unwatched("DISAGG_SERVER", "router"), client)), Judged{}, Policy{})
	require.Equal(t, rundir.OutcomePassed, r.Outcome, r.Message)
	require.Empty(t, reds(r))

	mute := decided(underDraft(one(rundir.OutcomePassed, nil, unwatched("GEN_0", "server"), unwatched("BENCHMARK", "client"))), Judged{}, Policy{})
	require.Equal(t, rundir.OutcomeTestFailed, mute.Outcome, "without the client's results nothing is proven")

	failed := left(t, unwatched("GEN_0", "server"), 0, testCase(node1, 1, failure))
	r = decided(underDraft(one(rundir.OutcomePassed, nil, failed, client)), Judged{}, Policy{})
	require.Equal(t, rundir.OutcomeTestFailed, r.Outcome, "what a role did leave counts")
}

// A draft whose client failed cancels its own job: that is its clean-up and not the cause.
func TestDraftThatCancelsItself(t *testing.T) {
	t.Parallel()
	cancelled := &rundir.Finding{Class: "infra", Kind: "cancelled", Message: "the job was cancelled by uid 1000"}
	client := left(t, unwatched("BENCHMARK", "client"), 0, testCase(node1, 1, failure))
	r := decided(underDraft(one(rundir.OutcomeCancelled, cancelled, unwatched("GEN_0", "server"), client)), Judged{}, Policy{})
	require.Equal(t, rundir.OutcomeTestFailed, r.Outcome)
	require.Equal(t, "BENCHMARK", r.Finding.Root)
	require.Contains(t, r.Finding.Message, "ValueError: x")
	green := left(t, unwatched("BENCHMARK", "client"), 0, testCase(node1, 1, ""))
	r = decided(underDraft(one(rundir.OutcomeCancelled, cancelled, unwatched("GEN_0", "server"), green)), Judged{}, Policy{})
	require.Equal(t, rundir.OutcomeCancelled, r.Outcome, "somebody else did it")
}
