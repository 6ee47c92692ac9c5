package report

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
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

// What the roles of a draft left, and what the draft then did, decide together how its attempt ended.
func TestRolesOfADraftDecide(t *testing.T) {
	t.Parallel()
	var rules []blame.Rule
	require.NoError(t, yaml.Unmarshal([]byte(blame.ClassesYAML), &rules))
	classes, err := blame.Compile(rules)
	require.NoError(t, err)
	red := func(text string) string { return `<failure message="` + text + `">tb</failure>` }
	const cuda, killed, missed = "RuntimeError: CUDA error: an illegal memory access was encountered",
		"RuntimeError: the server of GEN_0 ended with -9: loading", "RuntimeError: requests failed:"
	gen, router, client := unwatched("GEN_0", "server"), unwatched("DISAGG_SERVER", "router"), unwatched("BENCHMARK", "client")
	gone := func(rule string) *rundir.Finding {
		return &rundir.Finding{Class: "infra", Kind: blame.KindCancelled, Rule: rule, Message: "the job was cancelled by uid 0"}
	}
	step := &rundir.Finding{Class: "test", Kind: blame.KindDraftFailed, Rule: "job-state", Message: "the draft ended with 0:0, but a step of it with 1:0"}
	own := gone(blame.RuleOwnUser)
	tests := map[string]struct {
		outcome       rundir.Outcome
		finding       *rundir.Finding
		gen, client   string // what each left: the text of its failure, "green" or nothing
		files         bool   // any of the roles has written something
		want          rundir.Outcome
		root, message string
	}{
		"a server fails, and the draft cancels its job":    {rundir.OutcomeCancelled, own, cuda, "", true, rundir.OutcomeTestFailed, "GEN_0", "CUDA error"},
		"somebody else cancels it":                         {rundir.OutcomeCancelled, gone("job-state"), cuda, "", true, rundir.OutcomeCancelled, "", "cancelled by"},
		"it cancels its job when its client has passed":    {rundir.OutcomeCancelled, own, "", "green", true, rundir.OutcomePassed, "", ""},
		"its client passed, a server failed":               {rundir.OutcomeCancelled, own, cuda, "green", true, rundir.OutcomeTestFailed, "GEN_0", "CUDA error"},
		"cancelled before the client had said a word":      {rundir.OutcomeCancelled, own, "green", "", true, rundir.OutcomeCancelled, "", "cancelled by"},
		"a server is killed, and the client misses it":     {rundir.OutcomeCancelled, own, killed, missed, true, rundir.OutcomeInfra, "GEN_0", "ended with -9"},
		"the client misses somebody, and nobody is red":    {rundir.OutcomeCancelled, own, "green", missed, true, rundir.OutcomeTestFailed, "BENCHMARK", missed},
		"the only red one is the client":                   {rundir.OutcomeTestFailed, step, "", cuda, true, rundir.OutcomeTestFailed, "BENCHMARK", "CUDA error"},
		"the client was killed and left nothing":           {rundir.OutcomePassed, nil, "", "", true, rundir.OutcomeTestFailed, "BENCHMARK", "no results.xml"},
		"a server fails, and the draft waits for its time": {rundir.TimeoutOf(rundir.PhaseBenchmark), &rundir.Finding{Class: "test", Kind: blame.KindTimeLimit}, cuda, "", true, rundir.OutcomeTestFailed, "GEN_0", "CUDA error"},
		"a node failed":              {rundir.OutcomeInfra, &rundir.Finding{Class: "infra", Kind: blame.KindNodeFail, Message: "a node"}, cuda, missed, true, rundir.OutcomeInfra, "", "a node"},
		"the draft itself is broken": {rundir.OutcomeTestFailed, &rundir.Finding{Class: "test", Kind: blame.KindDraftFailed, Message: "the draft failed (exit 2)"}, "", "", false, rundir.OutcomeInfra, "", "the draft failed (exit 2) before any role had begun; see slurm.out"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leave := func(r results.Role, text string) results.Role {
				switch text {
				case "":
					return r
				case "green":
					return left(t, r, 0, testCase(node1, 1, ""))
				}
				return left(t, r, 0, testCase(node1, 1, red(text)))
			}
			c := underDraft(one(tc.outcome, tc.finding, leave(gen, tc.gen), router, leave(client, tc.client)))
			if tc.files {
				c.Attempts[0].Files = []results.KeptFile{{Label: "run-0/output/GEN_0.log"}}
			}
			r := DecideCase(c.Plan, results.Conclude(c, fold.Pass, classes), Judged{}, Policy{})
			require.Equal(t, tc.want, r.Outcome, r.Message)
			if tc.want == rundir.OutcomePassed {
				require.Empty(t, reds(r))
				return
			}
			require.Equal(t, tc.root, r.Finding.Root, r.Finding.Message)
			require.Contains(t, r.Finding.Message, tc.message)
			if strings.Contains(r.Finding.Message, missed) {
				require.Equal(t, "unknown", r.Finding.Class, "it misses somebody")
			}
		})
	}
}
