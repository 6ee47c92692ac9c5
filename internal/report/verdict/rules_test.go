package verdict_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func TestFixed(t *testing.T) {
	t.Parallel()
	pin := func(value, tolerance float64) *verdict.Pin {
		return &verdict.Pin{Value: value, Tolerance: tolerance, Source: "pins.yaml:3"}
	}
	for _, c := range []struct {
		name   string
		metric metric.Metric
		pin    *verdict.Pin
		policy verdict.Policy
		values []float64
		want   verdict.Word
		limit  float64
	}{
		{"slower than allowed", latency(), pin(100, 0), verdict.Policy{}, []float64{105.1}, verdict.Regression, 105},
		{"exactly at the limit", latency(), pin(100, 0.125), verdict.Policy{}, []float64{112.5}, verdict.Pass, 112.5},
		{"faster", latency(), pin(100, 0), verdict.Policy{}, []float64{94}, verdict.Improvement, 105},
		{"less throughput", throughput(), pin(100, 0), verdict.Policy{}, []float64{94.9}, verdict.Regression, 95},
		{"exactly at the lower limit", throughput(), pin(100, 0.125), verdict.Policy{}, []float64{87.5}, verdict.Pass, 87.5},
		{"more throughput", throughput(), pin(100, 0), verdict.Policy{}, []float64{106}, verdict.Improvement, 95},
		{"the pin's tolerance goes first", latency(), pin(100, 0.2), verdict.Policy{Threshold: 0.01}, []float64{119}, verdict.Pass, 120},
		{"threshold of the policy", latency(), pin(100, 0), verdict.Policy{Threshold: 0.01}, []float64{102}, verdict.Regression, 101},
		{
			"threshold of the metric", latency(), pin(100, 0),
			verdict.Policy{Threshold: 0.01, Metrics: map[string]verdict.MetricPolicy{"tpot_median_ms": {Threshold: 0.03}}},
			[]float64{102},
			verdict.Pass, 103,
		},
		{"median of the repetitions", latency(), pin(100, 0), verdict.Policy{}, []float64{120, 101, 102}, verdict.Pass, 105},
		{"no pin", latency(), nil, verdict.Policy{Rule: verdict.RuleFixed}, []float64{100}, verdict.NoBaseline, 0},
		{"a pin that is no number", latency(), pin(0, 0), verdict.Policy{}, []float64{100}, verdict.NoBaseline, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := verdict.Series{Metric: c.metric, New: verdict.Run{ID: "x", Values: c.values}, Pinned: c.pin}
			row := verdict.Judge(s, c.policy)
			require.Equal(t, c.want, row.Verdict, row.Reason)
			require.Equal(t, "fixed", row.Rule)
			require.NotEmpty(t, row.Reason)
			if c.limit != 0 {
				require.InDelta(t, c.limit, *row.Limit, 1e-9)
			}
		})
	}
}

// However bad a run is, and however noisy its series, it is not taken for a stray one: what is worse is no less a
// regression.
func TestCollapseIsNoOutlier(t *testing.T) {
	t.Parallel()
	for _, noise := range []float64{0.001, 0.01, 0.05, 0.15} {
		for _, dmin := range []float64{0.001, 0, 0.1} {
			for _, m := range []metric.Metric{latency(), throughput()} {
				for _, reps := range []int{1, 4} {
					last := 0.0
					for _, times := range []float64{2, 5, 10, 100, 1e3, 1e6} {
						s := verdict.Series{Metric: m, New: verdict.Run{ID: "x"}}
						for i := range 20 {
							s.History = append(s.History, verdict.Run{Values: []float64{100 * (1 + noise*math.Sin(float64(i)*2.399))}})
						}
						for range reps {
							s.New.Values = append(s.New.Values, 100*math.Pow(times, m.Sign()))
						}
						row := verdict.Judge(s, verdict.Policy{Metrics: map[string]verdict.MetricPolicy{m.Name: {MinEffect: dmin}}})
						require.GreaterOrEqual(t, *row.P, last-1e-4, "%s %g times, noise %g, effect %g", m.Name, times, noise, dmin)
						last = *row.P
						if times > 5 {
							require.NotContains(t, []verdict.Word{verdict.Pass, verdict.Improvement}, row.Verdict, "%g times, noise %g, effect %g: %s", times, noise, dmin, row.Reason)
						}
						if row.Verdict == verdict.Regression && times >= 100 {
							require.InDelta(t, *row.Worse, *row.Effect, 0.05*math.Abs(*row.Worse), row.Reason)
						}
						if dmin != 0.001 && noise <= 0.05 && reps > 1 {
							require.Equal(t, verdict.Regression, row.Verdict, "%g times, noise %g, effect %g: %s", times, noise, dmin, row.Reason)
						}
					}
				}
			}
		}
	}
}

// A result that is too good is another unit or no work far more often than a miracle.
func TestTooGoodIsDoubted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		metric metric.Metric
		rule   verdict.Rule
		values []float64
		want   verdict.Word
	}{
		{latency(), verdict.RuleBWS, []float64{0.1}, verdict.Inconclusive},
		{latency(), verdict.RuleBWS, []float64{0.1, 0.1, 0.1}, verdict.Inconclusive},
		{latency(), verdict.RuleBWS, []float64{21, 21, 21}, verdict.Improvement},
		{latency(), verdict.RuleUpstream, []float64{0.1}, verdict.Inconclusive},
		{throughput(), verdict.RuleBWS, []float64{501}, verdict.Inconclusive},
		{throughput(), verdict.RuleUpstream, []float64{499}, verdict.Improvement},
		{latency(), verdict.RuleFixed, []float64{5}, verdict.Improvement}, // a loose promise
		{latency(), verdict.RuleFixed, []float64{0.1}, verdict.Inconclusive},
	} {
		s := verdict.Series{Metric: c.metric, New: verdict.Run{ID: "x", Values: c.values, Time: time.Unix(40*86400, 0)}, Pinned: &verdict.Pin{Value: 100}}
		for i := range 30 {
			s.History = append(s.History, verdict.Run{Time: time.Unix(int64(i)*86400, 0), Values: []float64{100 + float64(i%3)/10}})
		}
		row := verdict.Judge(s, verdict.Policy{Rule: c.rule})
		require.Equal(t, c.want, row.Verdict, "%s %v: %s", c.rule, c.values, row.Reason)
		if row.Interval != nil {
			require.LessOrEqual(t, row.Interval[0], *row.Worse, "what is shown is what was measured")
			require.GreaterOrEqual(t, row.Interval[1], *row.Worse)
		}
		s.Metric.Gate = false
		require.NotEqual(t, verdict.Inconclusive, verdict.Judge(s, verdict.Policy{Rule: c.rule}).Verdict, "nothing hangs on it")
	}
}

// at is a run at a time of day, in UTC unless the text says otherwise.
func at(t *testing.T, when string, values ...float64) verdict.Run {
	t.Helper()
	ts, err := time.Parse(time.RFC3339, when)
	require.NoError(t, err)
	return verdict.Run{ID: when, Time: ts, Values: values}
}

func TestUpstreamBaseline(t *testing.T) {
	t.Parallel()
	// Days 1..4 have the means 110, 90, 100 and 120; rolled over 3 they are 110,
	// 100, 100 and 103.33. The 95th percentile lies at 0.95*3 = 2.85 of the
	// sorted ones: 103.33 + 0.85*(110-103.33); the 5th at 0.15: 100.
	history := []verdict.Run{
		at(t, "2026-01-01T01:00:00Z", 100, 120), // a day's values count alike, whichever run has them
		at(t, "2026-01-02T23:59:00Z", 90),
		at(t, "2026-01-04T07:30:00+08:00", 100), // still the 3rd in UTC
		at(t, "2026-01-04T12:00:00Z", 120),
	}
	newest := at(t, "2026-01-05T00:00:00Z", 95)
	s := verdict.Series{Metric: throughput(), History: history, New: newest}
	row := verdict.Judge(s, verdict.Policy{Rule: verdict.RuleUpstream})
	require.InDelta(t, 103.3333333+0.85*6.6666667, *row.Baseline, 1e-6)
	require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
	require.InDelta(t, 109*0.95, *row.Limit, 1e-6)

	s.Metric = latency()
	row = verdict.Judge(s, verdict.Policy{Rule: verdict.RuleUpstream})
	require.InDelta(t, 100, *row.Baseline, 1e-9)
	require.Equal(t, verdict.Pass, row.Verdict, "better by exactly 5 %% is within: %s", row.Reason)
}

func TestUpstreamLeavesOut(t *testing.T) {
	t.Parallel()
	red := at(t, "2026-03-02T00:00:00Z", 10)
	red.Verdict = verdict.Regression
	undated := at(t, "2026-03-02T00:00:00Z", 10)
	undated.Time = time.Time{}
	history := []verdict.Run{
		at(t, "2025-12-30T23:59:59Z", 10), // 91 days before
		at(t, "2025-12-31T00:00:00Z", 100),
		red,
		undated,
		at(t, "2026-03-03T00:00:00Z", 100),
		at(t, "2026-04-02T00:00:00Z", 10), // later than the judged run
	}
	s := verdict.Series{Metric: throughput(), History: history, New: at(t, "2026-03-31T12:00:00Z", 96)}
	row := verdict.Judge(s, verdict.Policy{Rule: verdict.RuleUpstream})
	require.InDelta(t, 100, *row.Baseline, 1e-9)
	require.Equal(t, verdict.Pass, row.Verdict)

	s.History = history[:1]
	row = verdict.Judge(s, verdict.Policy{Rule: verdict.RuleUpstream})
	require.Equal(t, verdict.NoBaseline, row.Verdict)

	s.Pinned = &verdict.Pin{Value: 200, Source: "imported"}
	row = verdict.Judge(s, verdict.Policy{Rule: verdict.RuleUpstream})
	require.Equal(t, verdict.Regression, row.Verdict, "a stored baseline goes first")
	require.InDelta(t, 190, *row.Limit, 1e-9)
}

func TestUpstreamPullRequest(t *testing.T) {
	t.Parallel()
	pr := verdict.Policy{Rule: verdict.RuleUpstream, Mode: verdict.PullRequest}
	var history []verdict.Run
	for day := range 20 {
		history = append(history, verdict.Run{Time: time.Date(2026, 1, 1+day, 0, 0, 0, 0, time.UTC), Values: []float64{100}})
	}
	s := verdict.Series{Metric: latency(), History: history, New: at(t, "2026-01-22T00:00:00Z", 108)}
	require.Equal(t, verdict.Pass, verdict.Judge(s, pr).Verdict, "10 % before the merge")
	require.Equal(t, verdict.Regression, verdict.Judge(s, verdict.Policy{Rule: verdict.RuleUpstream}).Verdict, "5 % behind it")
	s.New.Values = []float64{111}
	require.Equal(t, verdict.Regression, verdict.Judge(s, pr).Verdict)

	s.History = append(history, at(t, "2026-01-21T00:00:00Z", 112))
	row := verdict.Judge(s, pr)
	require.Equal(t, verdict.Pass, row.Verdict)
	require.Contains(t, row.Reason, "itself breaches the limit")
	s.History[20].Values = []float64{109}
	require.Equal(t, verdict.Regression, verdict.Judge(s, pr).Verdict, "main is within its limit: no exemption")
}

func TestPolicyPicksTheRule(t *testing.T) {
	t.Parallel()
	pin := &verdict.Pin{Value: 100}
	with := func(r verdict.Rule) verdict.Policy {
		return verdict.Policy{Rule: r, Metrics: map[string]verdict.MetricPolicy{"tpot_median_ms": {Rule: verdict.RuleUpstream}}}
	}
	history := noisy(1, 30, 0.01).History
	for _, c := range []struct {
		metric metric.Metric
		pin    *verdict.Pin
		policy verdict.Policy
		want   string
	}{
		{latency(), nil, verdict.Policy{}, "bws"},
		{latency(), pin, verdict.Policy{}, "fixed"},
		{latency(), pin, verdict.Policy{Rule: verdict.RuleBWS}, "bws"},
		{latency(), pin, with(verdict.RuleFixed), "upstream"},
		{throughput(), pin, with(verdict.RuleFixed), "fixed"},
	} {
		s := verdict.Series{Metric: c.metric, Pinned: c.pin, History: history, New: verdict.Run{Values: []float64{100}}}
		require.Equal(t, c.want, verdict.Judge(s, c.policy).Rule)
	}
}

func TestAdvisory(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, c := range []struct {
		policy         verdict.Policy
		gate, advisory bool
	}{
		{verdict.Policy{}, true, false},
		{verdict.Policy{FunctionalOnly: true}, true, true},
		{verdict.Policy{Metrics: map[string]verdict.MetricPolicy{"tpot_median_ms": {Gate: &no}}}, false, true},
		{verdict.Policy{Metrics: map[string]verdict.MetricPolicy{"tpot_median_ms": {Gate: &yes}}}, true, false},
	} {
		row := verdict.Judge(noisy(1, 30, 0.01), c.policy)
		require.Equal(t, c.gate, row.Gate)
		require.Equal(t, c.advisory, row.Advisory)
	}
}

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, verdict.Policy{}.Validate())
	var p verdict.Policy
	require.NoError(t, yaml.Unmarshal([]byte(`
rule: bws
strictness: sensitive
mode: pr
functional_only: true
min_history: 10
allow_collecting: true
allow_no_baseline: true
reruns: 3
forget_open: true
threshold: 0.03
post_merge: 0.05
pre_merge: 0.1
metrics:
  ttft_median_ms: {rule: fixed, strictness: strict, gate: false, min_effect: 0.05, threshold: 0.2}
`), &p))
	require.NoError(t, p.Validate())
	require.Equal(t, 0.05, p.Metrics["ttft_median_ms"].MinEffect)

	require.NoError(t, yaml.Unmarshal([]byte(`
rule: guess
strictness: very
mode: weekly
min_history: 3
reruns: 9
threshold: 5
post_merge: -1
pre_merge: .nan
metrics:
  ttft_median_ms: {rule: x, strictness: y, min_effect: 2, threshold: -3}
`), &p))
	err := p.Validate()
	require.Error(t, err)
	for _, key := range []string{
		"rule:", "strictness:", "mode:", "min_history:", "reruns:", "threshold:", "post_merge:", "pre_merge:",
		"metrics.ttft_median_ms.rule:", "metrics.ttft_median_ms.strictness:",
		"metrics.ttft_median_ms.min_effect:", "metrics.ttft_median_ms.threshold:",
	} {
		require.ErrorContains(t, err, key)
	}
}
