package ab_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// series is one throughput.
func series(t *testing.T) []ab.Series {
	t.Helper()
	var out []ab.Series
	for _, name := range []string{"output_token_throughput"} {
		m, ok := metric.Default().Lookup(name)
		require.True(t, ok)
		out = append(out, ab.Series{Key: ab.Key{Point: "con8", Metric: name}, Metric: m, MinEffect: 0.02})
	}
	return out
}

// pairs are runs of two builds, of which B has so much of the throughput of A.
func pairs(ratios ...float64) []ab.Pair {
	key := ab.Key{Point: "con8", Metric: "output_token_throughput"}
	at := time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
	var out []ab.Pair
	for i, r := range ratios {
		first := []string{ab.A, ab.B}[i%2]
		out = append(out, ab.Pair{
			A: ab.Run{Name: fmt.Sprint("a", i), At: &at, Values: map[ab.Key]float64{key: 1000}}, First: first,
			B: ab.Run{Name: fmt.Sprint("b", i), At: &at, Values: map[ab.Key]float64{key: 1000 * r}},
		})
	}
	return out
}

func TestJudge(t *testing.T) {
	t.Parallel()
	broken := pairs(0.97, 0.972, 0.968, 0.971)
	broken[1].B.Problems = []string{"truncated"}
	missing := pairs(1, 1, 1, 1)
	missing[0].B.Values = nil
	tests := []struct {
		name     string
		pairs    []ab.Pair
		word     paired.Word
		used     int
		headline string
		effect   float64
	}{
		{name: "worse", pairs: pairs(0.97, 0.972, 0.968, 0.971), word: paired.Regression, used: 4, headline: "con8 output_token_throughput is 3.0 % worse (2.7 to 3.2 %), 4 pairs", effect: 0.03},
		{name: "better", pairs: pairs(1.03, 1.032, 1.028, 1.031), word: paired.Improvement, used: 4, headline: "con8 output_token_throughput is 3.0 % better (2.7 to 3.3 %) and nothing is worse, 4 pairs", effect: -0.03},
		{name: "the same", pairs: pairs(1.001, 0.999, 1, 1.0005), word: paired.Pass, used: 4, headline: "4 pairs: no change that matters; a slowdown of 2 % or more would have been found in ", effect: 0},
		{name: "cut short", pairs: pairs(0.97, 0.97), word: paired.Inconclusive, used: 2, headline: "undecided: the session was cut short", effect: 0.03},
		{name: "a run that is no measurement", pairs: broken, word: paired.Inconclusive, used: 3, headline: "undecided: the session was cut short", effect: 0.03},
		{name: "a run that lacks the metric", pairs: missing, word: paired.Inconclusive, used: 3, headline: "undecided: the session was cut short", effect: 0},
		{name: "nothing", word: paired.Inconclusive, headline: "undecided: the session was cut short"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := ab.Judge(tt.pairs, series(t), 1, len(tt.pairs))
			require.Equal(t, tt.word, s.Verdict)
			require.Equal(t, tt.used, s.Pairs)
			require.Contains(t, s.Headline, tt.headline)
			for _, f := range s.Series {
				require.InDelta(t, tt.effect, f.Effect, 0.002)
				require.Len(t, f.Differences, tt.used)
				require.LessOrEqual(t, f.Interval[0], f.Effect)
				require.GreaterOrEqual(t, f.Interval[1], f.Effect)
			}
		})
	}
	unread := pairs(1, 1)
	for i := range unread {
		unread[i].A, unread[i].B = ab.Run{Problems: []string{"no file"}}, ab.Run{Problems: []string{"no file"}}
	}
	none := ab.Judge(unread, series(t), 1, 2)
	require.Equal(t, "undecided: no pair gave a measurement: no file", none.Headline)
	require.Equal(t, "0 of the 4 pairs that a decision needs at least were measured", none.Warnings[0])
	require.Contains(t, none.Warnings[1], "B gave no measurement in 2 of its 2 runs")
	require.Equal(t, paired.Invalid, ab.Judge(pairs(1, 1, 1, 1), nil, 1, 4).Verdict, "nothing to compare is no pass")
	require.Contains(t, ab.Judge(pairs(1, 1, 1, 1), series(t), 1, 4).Warnings[0], "all runs have the same numbers to the last digit")
	require.Empty(t, ab.Judge(pairs(1, 1, 1.0001, 1), series(t), 1, 4).Warnings)
}

// TestPowerFollowsTheNoise: what a session would have noticed grows with its pairs and
// shrinks with its noise.
func TestPowerFollowsTheNoise(t *testing.T) {
	t.Parallel()
	known := series(t)
	known[0].Noise = 0.001 // as earlier sessions had it
	quiet := ab.Judge(pairs(1.0005, 0.9995, 1.0004, 0.9996), known, 1, 4)
	loud := ab.Judge(pairs(1.02, 0.98, 1.015, 0.985), series(t), 1, 4)
	require.Greater(t, quiet.Power.Found, 0.7)
	require.Less(t, loud.Power.Found, 0.3)
	require.Greater(t, loud.Power.Noise, quiet.Power.Noise)
	four, ten := ab.Judge(pairs(1.005, 0.995, 1.004, 0.996), series(t), 1, 4), ab.Judge(pairs(1.005, 0.995, 1.004, 0.996), series(t), 1, 10)
	require.Equal(t, paired.Pass, ten.Verdict)
	require.Greater(t, ten.Power.Found, four.Power.Found+0.2, "a slowdown would have had all ten pairs to be found in")
	require.Zero(t, ab.Judge(pairs(1, 1), series(t), 1, 2).Power.Found, "two pairs find nothing")
}

// TestPowerTakesNoLuckForQuiet: a few pairs that differ little by chance promise no more than the test began with, and
// what is found if several metrics move at once is not told of one.
func TestPowerTakesNoLuckForQuiet(t *testing.T) {
	t.Parallel()
	lucky := ab.Judge(pairs(1, 1, 1, 1), series(t), 1, 10).Power
	require.InDelta(t, 0.007/math.Sqrt2, lucky.Noise, 1e-9)
	require.Contains(t, lucky.Sentence(), "(noise of a run 0.49 % assumed, below 0.05 % seen)")
	loud := ab.Judge(pairs(1.02, 0.98, 1.015, 0.985), series(t), 1, 10).Power
	require.NotContains(t, loud.Sentence(), "assumed")
	learnt := series(t)
	learnt[0].Noise = 0.002
	require.InDelta(t, 0.002/math.Sqrt2, ab.Judge(pairs(1, 1, 1, 1), learnt, 1, 10).Power.Noise, 1e-9)

	four := series(t)
	measured := pairs(1.001, 0.999, 1, 1)
	for _, point := range []string{"con1", "con2", "con4"} {
		one := four[0]
		one.Point = point
		four = append(four, one)
		for i := range measured {
			measured[i].A.Values[one.Key], measured[i].B.Values[one.Key] = 1000, 1000
		}
	}
	four[3].MinEffect = 0.05
	power := ab.Judge(measured, four, 1, 10).Power
	require.Equal(t, 3, power.Metrics)
	require.Less(t, power.Alone, power.Found)
	require.Regexp(t, `^a slowdown of 2 % or more in one metric would have been found in \d+ of 100 such sessions, in 3 at once in \d+ `, power.Sentence())
}

func TestOrderOfTheRuns(t *testing.T) {
	t.Parallel()
	always := pairs(1, 1, 1, 1)
	for i := range always {
		always[i].First = ab.A
	}
	require.Contains(t, ab.Judge(always, series(t), 1, 4).Warnings[0], "A was measured first in every pair")
	require.Empty(t, ab.Judge(pairs(1, 1.001, 1, 1), series(t), 1, 4).Warnings)
}

// TestDistinct: a run counts once, by its name or by its numbers.
func TestDistinct(t *testing.T) {
	t.Parallel()
	run := func(name string, values ...float64) ab.Run {
		out := ab.Run{Name: name, Values: map[ab.Key]float64{}}
		for i, v := range values {
			out.Values[ab.Key{Metric: fmt.Sprint(i)}] = v
		}
		return out
	}
	table := []float64{533.95, 61.53, 7.51, 7.49, 1983.2}
	require.NoError(t, ab.Distinct([]ab.Run{run("a", table...), run("b", append([]float64{534.01}, table[1:]...)...), run("empty"), run("empty")}))
	require.ErrorContains(t, ab.Distinct([]ab.Run{run("a", table...), run("c", 1), run("b", table...)}), "a and b are the same output to the last digit")
	require.ErrorContains(t, ab.Distinct([]ab.Run{run("a", 3, 2), run("a", 3, 2)}), "a and a are the same output")
	require.NoError(t, ab.Distinct([]ab.Run{run("a", 3, 2), run("b", 3, 2)}), "two counts are the same by chance")
}
