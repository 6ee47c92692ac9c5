package report

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A known failure hides no regression: of another repetition, or beside a wrong answer.
func TestKnownFailureThatIsSlower(t *testing.T) {
	t.Parallel()
	crash := &rundir.Finding{Root: "GEN_0", Class: "test", Kind: "role-crash", Message: "[GEN_0] exit 1"}
	c := one(rundir.OutcomePassed, nil, left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 0), 0, testCase(node1, 7, "")), left(t, ended("GEN_0", rundir.KindServer, 0, 9, 0), 0, testCase(node1, 8, "")))
	again := one(rundir.OutcomeTestFailed, crash, left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 1), 0, testCase(node1, 1, failure)), ended("GEN_0", rundir.KindServer, 0, 8, 1)).Attempts[0]
	again.Rep = 1
	tpot := verdict.Row{Metric: "tpot_median_ms", Point: "con8", Value: ptr(2.0), Gate: true, Verdict: verdict.Regression, Worse: ptr(0.5)}
	wrong := verdict.Row{Metric: "accuracy_gsm8k", Value: ptr(1.0), Gate: true, Rule: verdict.RuleAccuracy, Verdict: verdict.Regression, Reason: "1 is below 60"}
	for _, attempts := range [][]results.Attempt{c.Attempts, append(slices.Clone(c.Attempts), again)} {
		c := c
		c.Attempts, c.Plan.Case.KnownBug = attempts, "nvbugs/1"
		r := decided(c, Judged{Rows: []verdict.Row{wrong, tpot}}, Policy{Judged: true})
		require.Equal(t, []any{ResultRegression, exit.Regression, Red}, []any{r.Result, r.ExitCode, r.Colour})
		require.Contains(t, r.Message, "tpot_median_ms")
		require.Contains(t, verdictOf(r).Message, "[metrics] tpot_median_ms")
		require.Equal(t, &MetricRef{"con8", "tpot_median_ms"}, r.Worst)
		require.Equal(t, []string{"verdict test_e2e[dsr1-1k1k-c2048]", "metrics tpot_median_ms[con8]"}, reds(r), "what failed as known is not red")
		require.Contains(t, r.Checks.Metrics[1].Results[0].Message, "known failure nvbugs/1: ")
	}
	red := decided(c, Judged{Rows: []verdict.Row{tpot, wrong}}, Policy{Judged: true})
	require.Equal(t, []any{ResultTestFailed, &MetricRef{Metric: "accuracy_gsm8k"}}, []any{red.Result, red.Worst})
	require.Contains(t, verdictOf(red).Message, "[metrics] accuracy_gsm8k", "everybody names the same")
	c.Plan.Case.KnownBug = "nvbugs/1"
	answers := decided(c, Judged{Rows: []verdict.Row{wrong}}, Policy{Judged: true})
	require.Equal(t, []any{ResultKnown, exit.Passed}, []any{answers.Result, answers.ExitCode}, "answers that are known to be wrong")
	session := ab.Session{Verdict: paired.Regression, Headline: "B is slower"}
	r := decided(c, Judged{Rows: []verdict.Row{wrong}, AB: &session}, Policy{Judged: true})
	require.Equal(t, []any{ResultRegression, "B is slower"}, []any{r.Result, r.Message})
}
