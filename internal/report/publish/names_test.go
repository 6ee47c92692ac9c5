package publish

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// TestCasesOfPipelinesKeepTheirNames: the brackets of a pytest id tell a test from its neighbours, those of a
// pipeline's case do not without its name.
func TestCasesOfPipelinesKeepTheirNames(t *testing.T) {
	t.Parallel()
	c := newCase(0)
	c.ID, c.Slug = "redis[concurrency=8]", "redis-concurrency-8"
	d := document(0, report.ResultPassed, "1 case: 1 passed", c)
	require.Contains(t, Summary(d), look.Markdown(c.ID))
	_, files := written(t, d)
	require.Contains(t, string(files["index.html"]), c.ID)
	require.Contains(t, string(files[casePath(c)]), c.ID+"</h1>")
}

// TestWhatDoesNotGateIsSaid: a case whose measurements decide nothing tells which key makes them.
func TestWhatDoesNotGateIsSaid(t *testing.T) {
	t.Parallel()
	c := newCase(0)
	c.Result, c.Verdict = report.ResultNoVerdict, ""
	c.Metrics = c.Metrics[:1]
	c.Metrics[0].Metric, c.Metrics[0].Gate = "e2el_median_ms", false
	require.Equal(t, "The test passed; e2el_median_ms was measured and does not gate; with perf.metrics.e2el_median_ms.gate: true it decides.", fault.Of(c))
	c.Metrics = nil
	require.Equal(t, "The test passed; nothing says how fast it was.", fault.Of(c))
}

// Where the answers fail as known and the speed is worse, all that names one metric names the speed.
func TestTheRowThatDecidesLeads(t *testing.T) {
	t.Parallel()
	value, worse := 1.0, 0.2
	c := report.CaseReport{Measurement: report.Measurement{Metrics: []verdict.Row{
		{Metric: "accuracy_gsm8k", Gate: true, Verdict: verdict.Regression, Rule: verdict.RuleAccuracy, Value: &value},
		{Metric: "ttft_median_ms", Gate: true, Verdict: verdict.Regression, Value: &value, Worse: &worse},
	}}}
	c.Worst = &report.MetricRef{Metric: "ttft_median_ms"}
	require.Equal(t, "ttft_median_ms", moved(c)[0].Metric)
	require.Len(t, moved(c), 2)
	c.Worst = nil
	require.Equal(t, "accuracy_gsm8k", moved(c)[0].Metric)
}
