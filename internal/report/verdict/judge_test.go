package verdict_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func latency() metric.Metric {
	return metric.Metric{Name: "tpot_median_ms", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02}
}

func throughput() metric.Metric {
	return metric.Metric{Name: "output_token_throughput", Unit: "tok/s", Better: metric.HigherIsBetter, Gate: true, MinEffect: 0.02}
}

// bothDirections runs a test for a metric of which less is better and for one
// of which more is.
func bothDirections(t *testing.T, f func(t *testing.T, m metric.Metric)) {
	t.Helper()
	for _, m := range []metric.Metric{latency(), throughput()} {
		t.Run(m.Better.String(), func(t *testing.T) {
			t.Parallel()
			f(t, m)
		})
	}
}

// line writes a history: nights of one metric with 1 % noise, judged one after
// the other as a store would keep them.
type line struct {
	t      *testing.T
	m      metric.Metric
	policy verdict.Policy
	pcg    *rand.PCG // of rng
	rng    *rand.Rand
	runs   []verdict.Run
	noise  float64
}

func newLine(t *testing.T, m metric.Metric, policy verdict.Policy) *line {
	t.Helper()
	pcg := rand.NewPCG(7, 7)
	return &line{t: t, m: m, policy: policy, pcg: pcg, rng: rand.New(pcg), noise: 0.01}
}

// again is the line as it is now: what comes to it is not in this one.
func (l *line) again() *line {
	out, pcg := *l, *l.pcg
	out.pcg, out.rng, out.runs = &pcg, rand.New(&pcg), slices.Clone(l.runs)
	return &out
}

// value is 100 made worse by the share worse, with noise, 1 % if nothing else is said.
func (l *line) value(worse float64) float64 {
	return 100 * math.Exp(l.m.Sign()*(math.Log1p(worse)+l.noise*l.rng.NormFloat64()))
}

func (l *line) run(values ...float64) verdict.Run {
	n := len(l.runs)
	return verdict.Run{
		ID:   fmt.Sprintf("n%d", n),
		Time: time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC).AddDate(0, 0, n), Values: values,
	}
}

func (l *line) judge(r verdict.Run, p verdict.Policy) verdict.Row {
	return verdict.Judge(verdict.Series{Case: "c", Metric: l.m, History: l.runs, New: r}, p)
}

// night judges a run and stores it.
func (l *line) night(worse ...float64) verdict.Row {
	var values []float64
	for _, w := range worse {
		values = append(values, l.value(w))
	}
	r := l.run(values...)
	row := l.judge(r, l.policy)
	_, err := json.Marshal(row)
	require.NoError(l.t, err)
	l.runs = append(l.runs, row.Record(r))
	return row
}

func (l *line) nights(n int, worse float64) (last verdict.Row) {
	for range n {
		last = l.night(worse)
	}
	return last
}

func TestUnchangedRunPasses(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{Reruns: 3})
		l.nights(12, 0)
		row := l.night(0)
		require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
		require.False(t, row.Suspicious)
		require.Equal(t, 12, row.History)
		require.True(t, row.Strict)
		require.InDelta(t, 100, *row.Baseline, 1)
		require.Less(t, *row.P, 0.1)
		require.Less(t, row.Interval[0], *row.Worse)
		require.Greater(t, row.Interval[1], *row.Worse)
		require.Len(t, row.Series, 13)
		require.Len(t, row.Levels, 1)
	})
}

func TestSlowRunIsConfirmedByRepetitions(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{Reruns: 3})
		l.nights(12, 0)
		values := []float64{l.value(0.25)}
		row := l.judge(l.run(values...), l.policy)
		require.True(t, row.Suspicious, row.Reason)
		for row.Suspicious {
			require.Less(t, len(values), 5, "the rule asks for more than three repetitions")
			values = append(values, l.value(0.25))
			row = l.judge(l.run(values...), l.policy)
		}
		require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
		require.True(t, row.Alarm)
		require.Greater(t, *row.P, 0.85)
		require.InDelta(t, 0.25, m.Sign()*(*row.Value / *row.Baseline - 1), 0.06)
		require.Positive(t, *row.Worse)
		require.Equal(t, "n12", row.Onset)
	})
}

func TestSlowByChancePasses(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{Reruns: 3})
		l.nights(12, 0)
		values := []float64{l.value(0.25)}
		row := l.judge(l.run(values...), l.policy)
		require.True(t, row.Suspicious)
		for row.Suspicious {
			values = append(values, l.value(0))
			row = l.judge(l.run(values...), l.policy)
		}
		require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
		require.Greater(t, len(row.Values), 1)
	})
}

func TestWithoutRepetitionsASuspicionIsInconclusive(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(20, 0)
	slow := l.run(l.value(0.08))
	row := l.judge(slow, verdict.Policy{})
	require.Equal(t, verdict.Inconclusive, row.Verdict, row.Reason)
	require.False(t, row.Suspicious, "no repetition is allowed")

	row = l.judge(slow, verdict.Policy{Reruns: 3})
	require.True(t, row.Suspicious)
	row = l.judge(slow, verdict.Policy{Reruns: 3, RerunsUnavailable: true})
	require.False(t, row.Suspicious)
	require.Equal(t, verdict.Inconclusive, row.Verdict)
	row = l.judge(slow, verdict.Policy{Reruns: 2, RerunsUsed: 2})
	require.False(t, row.Suspicious, "two were tried and gave nothing")
	require.Equal(t, verdict.Inconclusive, row.Verdict)
	require.Contains(t, row.Reason, "did not settle it")

	l.m.Gate = false
	row = l.judge(slow, verdict.Policy{Reruns: 3})
	require.False(t, row.Suspicious, "nobody repeats a job for a metric that cannot turn it red")
	require.True(t, row.Advisory)
}

func TestRegressionStaysOpenAtItsOldLevel(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{})
		l.nights(20, 0)
		first := ""
		for k := range 60 { // any moving level has absorbed the step by then
			row := l.night(0.1)
			if first == "" && row.Verdict == verdict.Regression {
				first = row.Series[len(row.Series)-1].ID
				require.Less(t, k, 4)
				continue
			}
			if first == "" {
				continue
			}
			require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
			require.True(t, row.Open)
			require.False(t, row.Alarm, "nothing new: %s", row.Reason)
			require.Equal(t, first, row.Since)
			require.Equal(t, "n20", row.Onset)
			require.InDelta(t, 100, *row.Baseline, 1)
		}
		for k := range 3 {
			row := l.night(0)
			if k < 2 {
				require.Equal(t, verdict.Regression, row.Verdict, "run %d back: %s", k+1, row.Reason)
				require.Contains(t, row.Reason, fmt.Sprintf("back (%d of 3 in a row)", k+1))
				continue
			}
			require.NotEqual(t, verdict.Regression, row.Verdict, row.Reason)
			require.False(t, row.Open)
			require.Contains(t, row.Reason, "is over")
		}
		require.NotEqual(t, verdict.Regression, l.night(0).Verdict)
	})
}

func TestTwoRunsBackAreNotEnough(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(20, 0)
	l.nights(5, 0.1)
	l.nights(2, 0)
	l.night(0.1)
	require.Equal(t, verdict.Regression, l.nights(2, 0).Verdict)
	require.NotEqual(t, verdict.Regression, l.night(0).Verdict)
}

func TestFurtherStepWhileOpen(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(20, 0)
	l.nights(10, 0.05)
	alarm := false
	for range 5 {
		row := l.night(0.15)
		require.Equal(t, verdict.Regression, row.Verdict)
		require.True(t, row.Open)
		if row.Alarm {
			alarm = true
			require.Contains(t, row.Reason, "since n30 there is a further step")
		}
	}
	require.True(t, alarm)
}

// The level that the runs have to come back to is stored with the alarm; a
// history without it gives the same answer.
func TestOpenRegressionWithoutStoredLevel(t *testing.T) {
	t.Parallel()
	l := newLine(t, throughput(), verdict.Policy{})
	l.nights(20, 0)
	l.nights(10, 0.1)
	want := l.judge(l.run(90), l.policy)
	require.True(t, want.Open)
	for k := range l.runs {
		l.runs[k].Level = 0
	}
	got := l.judge(l.run(90), l.policy)
	require.Equal(t, want.Since, got.Since)
	require.InEpsilon(t, *want.Baseline, *got.Baseline, 1e-9)
}

// What another rule or tool called a regression holds nothing open on its own.
func TestForeignRegressionsOpenNothing(t *testing.T) {
	t.Parallel()
	l := newLine(t, throughput(), verdict.Policy{})
	l.nights(30, 0)
	for _, k := range []int{3, 12, 25, 29} {
		l.runs[k].Verdict = verdict.Regression
	}
	row := l.night(0)
	require.Equal(t, verdict.Pass, row.Verdict, row.Reason)

	l = newLine(t, throughput(), verdict.Policy{Rule: verdict.RuleUpstream})
	l.nights(30, 0)
	row = l.night(0.08)
	require.Equal(t, verdict.Regression, row.Verdict)
	require.Zero(t, l.runs[30].Level)
}

func TestForgetOpen(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{ForgetOpen: true})
	l.nights(20, 0)
	require.Equal(t, verdict.Pass, l.nights(25, 0.1).Verdict, "the moving level takes the step in")
}

func TestAcceptMovesTheLevel(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{})
		l.nights(12, 0)
		row := l.nights(4, 0.25)
		require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
		l.runs[len(l.runs)-1].Accepted = true
		row = l.night(0.25)
		require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
		require.InDelta(t, 1, *row.Baseline/100/math.Pow(1.25, m.Sign()), 0.03, "the baseline is the new level")
		row = l.nights(8, 0.25)
		require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
		require.Equal(t, verdict.Regression, l.nights(3, 0.4).Verdict, "a further step is a new regression")
		require.Equal(t, "n25", l.night(0.4).Onset)
	})
}

func TestAcceptRightAtTheAlarm(t *testing.T) {
	t.Parallel()
	l := newLine(t, throughput(), verdict.Policy{Reruns: 3})
	l.nights(12, 0)
	row := l.night(0.25, 0.25, 0.25)
	require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
	l.runs[12].Accepted = true
	row = l.night(0.25)
	require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
	require.InDelta(t, 80, *row.Baseline, 2)
	row = l.judge(l.runs[12], l.policy)
	require.Equal(t, verdict.Pass, row.Verdict, "judging the accepted run again: %s", row.Reason)
}

func TestImprovement(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{})
		l.nights(20, 0)
		row := l.nights(4, -0.1)
		require.Equal(t, verdict.Improvement, row.Verdict, row.Reason)
		require.Negative(t, *row.Worse)
		require.Negative(t, row.Interval[1])
		require.Equal(t, "n20", row.Onset)
		row = l.nights(10, -0.1)
		require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
		require.Len(t, row.Levels, 2)
		require.Equal(t, "n20", row.Levels[1].Run)
	})
}

func TestLateChannelFindsASmallStep(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(40, 0)
	slow := false
	for range 15 {
		row := l.night(0.018)
		slow = slow || (row.Slow && row.Alarm)
		if row.Slow {
			require.Equal(t, verdict.Regression, row.Verdict)
			require.Contains(t, row.Reason, "slow regression")
		}
	}
	require.True(t, slow)
}

func TestShortHistories(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	for n := range 7 {
		row := l.night(0)
		require.Equal(t, verdict.Collecting, row.Verdict)
		require.Equal(t, n, row.History)
		require.Equal(t, n == 0, row.Baseline == nil)
	}
	require.Equal(t, verdict.Pass, l.night(0).Verdict)

	row := l.judge(l.run(100), verdict.Policy{MinHistory: 20})
	require.Equal(t, 20, row.Needed)
	require.Equal(t, verdict.Collecting, row.Verdict)

	s := verdict.Series{Metric: latency(), New: l.run(120), Pinned: &verdict.Pin{Value: 100, Source: "pins.yaml:3"}}
	row = verdict.Judge(s, verdict.Policy{Rule: verdict.RuleBWS})
	require.Equal(t, verdict.Regression, row.Verdict, "a pinned value decides until there is a history")
	require.Equal(t, "fixed", row.Rule)
}

func TestStrictnessIsAThreshold(t *testing.T) {
	t.Parallel()
	for s, want := range map[verdict.Strictness]float64{verdict.Sensitive: 0.5, verdict.Normal: 0.7, "": 0.7, verdict.Strict: 0.85} {
		seen := false
		before := newLine(t, latency(), verdict.Policy{Strictness: s})
		before.nights(30, 0)
		for worse := 0.02; worse < 0.06; worse += 0.001 {
			l := before.again()
			for range 5 {
				row := l.night(worse)
				if row.Open || row.Slow {
					break
				}
				require.Equal(t, *row.P >= want, row.Verdict == verdict.Regression, row.Reason)
				seen = seen || *row.P >= want
			}
		}
		require.True(t, seen, "strictness %q", s)
	}
}

func TestNoMeasurementIsInvalid(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(20, 0)
	for _, rule := range []verdict.Rule{verdict.RuleBWS, verdict.RuleFixed, verdict.RuleUpstream} {
		for _, values := range [][]float64{nil, {math.NaN()}, {math.Inf(1)}, {0}, {-1}, {100, math.NaN()}} {
			row := l.judge(l.run(values...), verdict.Policy{Rule: rule})
			require.Equal(t, verdict.Invalid, row.Verdict)
			require.NotEmpty(t, row.Reason)
			_, err := json.Marshal(row)
			require.NoError(t, err)
		}
	}
	row := verdict.Judge(verdict.Series{New: l.run(1)}, verdict.Policy{})
	require.Equal(t, verdict.Invalid, row.Verdict, "no direction")
}

func TestBadValuesInTheHistoryAreLeftOut(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(20, 0)
	want := l.judge(l.run(100), l.policy)
	clean := l.runs
	l.runs = nil
	for k, r := range clean {
		if k%5 == 0 {
			l.runs = append(l.runs, verdict.Run{ID: "bad", Values: []float64{0, math.NaN()}})
		}
		r.Values = append(r.Values, math.Inf(1))
		l.runs = append(l.runs, r)
	}
	r := want.Series[len(want.Series)-1]
	got := l.judge(r, l.policy)
	require.Equal(t, *want.P, *got.P)
	require.Equal(t, 20, got.History)
	require.Contains(t, got.Reason, "4 past runs without a usable value")
}

func TestARunIsNotItsOwnBaseline(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	l.nights(30, 0)
	for _, rule := range []verdict.Rule{verdict.RuleBWS, verdict.RuleUpstream} {
		p := verdict.Policy{Rule: rule}
		want := verdict.Judge(verdict.Series{Metric: l.m, History: l.runs[:20], New: l.runs[20]}, p)
		got := verdict.Judge(verdict.Series{Metric: l.m, History: l.runs, New: l.runs[20]}, p)
		require.Equal(t, want, got)
	}
}

// Seconds or milliseconds, tokens per second or seconds per token: the same
// verdict.
func TestUnitAndDirectionDoNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		s := noisy(seed, 40, 0.02)
		s.New.Values[0] *= 1.05
		want := verdict.Judge(s, verdict.Policy{})
		scaled, mirrored := s, s
		mirrored.Metric = throughput()
		scaled.History, mirrored.History = nil, nil
		convert := func(r verdict.Run, f func(float64) float64) verdict.Run {
			r.Values = []float64{f(r.Values[0])}
			return r
		}
		times := func(v float64) float64 { return v * 1e-3 }
		inverse := func(v float64) float64 { return 1 / v }
		for _, r := range s.History {
			scaled.History = append(scaled.History, convert(r, times))
			mirrored.History = append(mirrored.History, convert(r, inverse))
		}
		scaled.New, mirrored.New = convert(s.New, times), convert(s.New, inverse)
		for _, other := range []verdict.Series{scaled, mirrored} {
			got := verdict.Judge(other, verdict.Policy{})
			require.InDelta(t, *want.P, *got.P, 1e-9)
			require.Equal(t, want.Verdict, got.Verdict)
		}
	}
}
