package verdict_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func TestPullRequestAnswersForItsOwnStepOnly(t *testing.T) {
	t.Parallel()
	pr := verdict.Policy{Mode: verdict.PullRequest, Reruns: 3}
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{})
		l.nights(25, 0)
		row := l.nights(4, 0.1)
		require.True(t, row.Open, row.Reason)

		row = l.judge(l.run(l.value(0.1)), pr)
		require.Equal(t, verdict.Pass, row.Verdict, "not blamed for main: %s", row.Reason)
		require.Equal(t, l.judge(l.run(100), l.policy).Since, row.Since)
		require.Contains(t, row.Reason, "Main has a regression open")
		require.InDelta(t, 1.1, math.Pow(*row.Baseline/100, m.Sign()), 0.02)

		row = l.judge(l.run(l.value(0.2), l.value(0.2), l.value(0.2), l.value(0.2)), pr)
		require.Equal(t, verdict.Regression, row.Verdict, "blamed for its own: %s", row.Reason)

		row = l.judge(l.run(l.value(0), l.value(0), l.value(0)), pr)
		require.Equal(t, verdict.Improvement, row.Verdict, "it mends main: %s", row.Reason)
	})
}

func TestPullRequestOnAStepNobodyNoticed(t *testing.T) {
	t.Parallel()
	pr := verdict.Policy{Mode: verdict.PullRequest, Reruns: 3}
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(25, 0)
	for range 3 {
		l.runs = append(l.runs, l.run(l.value(0.1))) // never judged
	}
	values := []float64{l.value(0.1)}
	row := l.judge(l.run(values...), pr)
	for row.Suspicious {
		values = append(values, l.value(0.1))
		row = l.judge(l.run(values...), pr)
	}
	require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
	require.Contains(t, row.Reason, "Main itself probably has a step")
	require.InDelta(t, 110, *row.Baseline, 3)
}

func TestPullRequestWithAStepOfItsOwn(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{})
		l.nights(25, 0)
		p := verdict.Policy{Mode: verdict.PullRequest, Reruns: 3}
		values := []float64{l.value(0.06)}
		row := l.judge(l.run(values...), p)
		require.True(t, row.Suspicious, row.Reason)
		for row.Suspicious {
			values = append(values, l.value(0.06))
			row = l.judge(l.run(values...), p)
		}
		require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
		require.Equal(t, "n25", row.Onset)
	})
}

// Bad luck of main just before a pull request does not excuse the pull request's
// own step, and a step of main that is as good as certain does.
func TestPullRequestBehindANightOfBadLuck(t *testing.T) {
	t.Parallel()
	pr := verdict.Policy{Mode: verdict.PullRequest, Reruns: 3}
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		exact := func(worse float64) float64 { return 100 * math.Pow(1+worse, m.Sign()) }
		judge := func(main, own float64) verdict.Row {
			l := newLine(t, m, verdict.Policy{})
			l.nights(25, 0)
			l.runs = append(l.runs, l.run(exact(main)))
			return l.judge(l.run(exact(own), exact(own), exact(own), exact(own)), pr)
		}
		for _, main := range []float64{-0.01, 0, 0.01, 0.012, 0.015} {
			row := judge(main, 0.035)
			require.Equalf(t, verdict.Regression, row.Verdict, "main %+.1f %%: %s", 100*main, row.Reason)
			require.Equal(t, "n26", row.Onset)
		}
		for _, main := range []float64{0.03, 0.035, 0.04} {
			row := judge(main, 0.035)
			require.NotEqualf(t, verdict.Regression, row.Verdict, "main %+.1f %%: %s", 100*main, row.Reason)
		}
	})
}
