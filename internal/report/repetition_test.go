package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A repetition that the infrastructure took says nothing of the measurement before it, which stands.
func TestALostRepetitionDecidesNothing(t *testing.T) {
	t.Parallel()
	died := &rundir.Finding{Class: "infra", Kind: "node-fail", Message: "node gb-n01 died", Rule: "node-fail"}
	good := left(t, ended("GEN_0", rundir.KindServer, 0, 9, 0), 0, testCase(node1, 1, ""))
	for word, want := range map[verdict.Word]string{verdict.Regression: ResultRegression, verdict.Inconclusive: ResultNoVerdict} {
		slow := Judged{Rows: []verdict.Row{{Metric: "ttft", Gate: true, Verdict: word, Value: ptr(1.0)}}}
		for outcome, want := range map[rundir.Outcome]string{
			rundir.OutcomeInfra: want, rundir.OutcomeLost: want, rundir.TimeoutOf(rundir.PhaseQueue): want,
			rundir.OutcomeTestFailed: ResultTestFailed, rundir.OutcomeCancelled: ResultInfra,
		} {
			c := one(rundir.OutcomePassed, nil, good)
			second := one(outcome, died, stopped("GEN_0", rundir.KindServer, 0, 9)).Attempts[0]
			second.Rep, second.Counts = 1, true
			c.Attempts = append(c.Attempts, second)
			r := decided(c, slow, Policy{Judged: true})
			require.Equal(t, want, r.Result, "%s %s", word, outcome)
			if want == ResultInfra || want == ResultTestFailed {
				continue
			}
			require.Len(t, r.Attempts, 2)
			for _, check := range r.Checks.Lifecycle {
				require.False(t, check.Status().Red(), "%s %s", word, outcome)
			}
		}
	}
	alone := one(rundir.OutcomeInfra, died, stopped("GEN_0", rundir.KindServer, 0, 9))
	alone.Attempts[0].Rep = 1
	require.Equal(t, ResultInfra, decided(alone, Judged{}, Policy{Judged: true}).Result, "nothing else was measured")
}
