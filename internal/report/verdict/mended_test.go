package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// A step in a quiet series is found whatever its size: none lies between two
// hypotheses, and past outliers do not explain four repetitions.
func TestQuietSeriesHaveNoBlindSizes(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{Reruns: 3})
		l.noise = 0.001
		for i := range 40 {
			worse := 0.0
			if i == 11 || i == 20 || i == 29 {
				worse += 0.12
			}
			l.runs = append(l.runs, l.run(l.value(worse)))
		}
		for step := 0.03; step < 0.62; step += 0.01 {
			row := l.judge(l.run(l.value(step), l.value(step), l.value(step), l.value(step)), verdict.Policy{Reruns: 3})
			require.Equal(t, verdict.Regression, row.Verdict, "%.2f: %s", step, row.Reason)
			require.LessOrEqual(t, row.Interval[0], *row.Worse+0.0005, "%.2f", step)
			require.GreaterOrEqual(t, row.Interval[1], *row.Worse-0.0005, "%.2f", step)
			require.InDelta(t, *row.Worse, *row.Effect, 0.01)
		}
	})
}

// Power never falls when the step grows.
func TestPowerIsMonotone(t *testing.T) {
	t.Parallel()
	for _, noise := range []float64{0.001, 0.005, 0.02} {
		l := newLine(t, latency(), verdict.Policy{})
		l.noise = noise
		for i := range 40 {
			worse := 0.0
			if i%13 == 7 {
				worse += 0.1
			}
			l.runs = append(l.runs, l.run(l.value(worse)))
		}
		l.noise = 0
		last := 0.0
		for step := 0.01; step < 2; step *= 1.02 {
			row := l.judge(l.run(l.value(step), l.value(step), l.value(step), l.value(step)), verdict.Policy{Reruns: 3})
			require.GreaterOrEqual(t, *row.P, min(last-0.02, 0.97), "noise %v, step %.3f", noise, step)
			last = *row.P
		}
	}
}

// A regression that was repaired and lands again is found at once: its first runs
// are no bad luck of the series.
func TestRelandedRegression(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{Reruns: 3})
		night := func(worse float64) verdict.Row { return l.night(worse, worse, worse, worse) }
		for range 30 {
			l.night(0)
		}
		for range 5 {
			require.Equal(t, verdict.Regression, night(0.10).Verdict)
		}
		for range 4 {
			l.night(0)
		}
		require.Equal(t, verdict.Pass, l.night(0).Verdict)
		before := len(l.runs)
		row := night(0.10)
		require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
		require.True(t, row.Alarm)
		require.Equal(t, before, row.History, "the runs stay in the history")
		require.Len(t, row.Series, before+1, "and in the chart")
		require.Less(t, *row.Noise, 0.02)
	})
}

// Two groups of nodes that the runs keep to for nights: the difference is the
// nodes', not a change.
func TestStickyNodes(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	for i := range 90 {
		r := l.run(l.value(0.03 * float64(i/12%2)))
		r.NodeSet = []string{"rack-a", "rack-b"}[i/12%2]
		row := l.judge(r, verdict.Policy{})
		require.NotEqual(t, verdict.Regression, row.Verdict, "night %d: %s", i, row.Reason)
		if i == 88 {
			require.InDelta(t, 0.03, *row.NodeEffect, 0.008)
		}
		l.runs = append(l.runs, row.Record(r))
	}
	r := l.run(l.value(0.08))
	r.NodeSet = "rack-b"
	require.Equal(t, verdict.Regression, l.judge(verdict.Run{ID: r.ID, Time: r.Time, NodeSet: "rack-b", Values: []float64{l.value(0.08), l.value(0.08), l.value(0.08)}}, verdict.Policy{Reruns: 3}).Verdict)
}

// The first runs on nodes that nobody knows show nodes and changes alike: no
// verdict, and no pass. Where every run has other nodes this says nothing.
func TestFirstRunsOnNewNodes(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		l := newLine(t, latency(), verdict.Policy{})
		l.noise = 0.005
		for i := range 30 {
			r := l.run(l.value(0))
			r.NodeSet = "rack-a"
			if !kept {
				r.NodeSet = string(rune('A' + i))
			}
			l.runs = append(l.runs, r)
		}
		r := l.run(l.value(0.05), l.value(0.05), l.value(0.05), l.value(0.05))
		r.NodeSet = "rack-b"
		row := l.judge(r, verdict.Policy{Reruns: 3})
		if !kept {
			require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
			continue
		}
		require.Equal(t, verdict.Inconclusive, row.Verdict, row.Reason)
		require.Contains(t, row.Reason, "rack-b")
		r.NodeSets = []string{"rack-b", "rack-b", "rack-b", "rack-a"}
		require.Equal(t, verdict.Regression, l.judge(r, verdict.Policy{Reruns: 3}).Verdict, "one repetition ran on known nodes")
	}
}
