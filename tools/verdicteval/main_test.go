package main

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

func perfdata() string { return filepath.Join("..", "..", "testdata", "perfdata") }

// asked are histories without their ends that nobody asks about: behind the last run on which an alarm would be a false
// one, or that may still find a change, found within so many runs. A run judges nothing before it.
func asked(all []history, within int) []history {
	out := slices.Clone(all)
	for k, h := range out {
		end := 0
		for i, quiet := range h.quiet {
			if quiet {
				end = i + 1
			}
		}
		for _, c := range h.changes {
			end = max(end, min(c.at+within, len(h.runs)))
		}
		out[k].runs, out[k].quiet = h.runs[:end], h.quiet[:end]
	}
	return out
}

// What nobody asks about changes no count.
func TestAsked(t *testing.T) {
	t.Parallel()
	var all []history
	for k := 50; k < 175; k += 24 { // of each kind and noise, and each step
		all = append(all, generateOne(1, k))
	}
	cut := asked(all, 5)
	require.Less(t, runsOf(cut), runsOf(all))
	want, got := measure(all, syntheticRules()[1], 2), measure(cut, syntheticRules()[1], 2)
	require.Equal(t, [3]int{want.quiet, want.alarms, want.reruns}, [3]int{got.quiet, got.alarms, got.reruns})
	for _, size := range want.sizes() {
		for horizon := range 3 { // within 1, 3 and 5 runs
			require.InDelta(t, want.within(size, horizon), got.within(size, horizon), 0)
		}
	}
}

func runsOf(all []history) (n int) {
	for _, h := range all {
		n += len(h.runs)
	}
	return n
}

// The recorded half of the evaluation is small enough to run with every test.
func TestRecordedHistories(t *testing.T) {
	t.Parallel()
	need.Long(t, "a processor of its own for seconds")
	natural, own, err := load(perfdata())
	require.NoError(t, err)
	require.Len(t, natural, 373)
	require.Len(t, own, 5)
	for k := range own {
		require.NotEmpty(t, own[k].runs)
	}
	natural = asked(natural, 15)
	each := measureEach(natural, naturalRules()[0], 2)
	bws := sum(each)
	var c checks
	c.natural(measured{"bws": each})
	require.Empty(t, c.missed)
	upstream := measure(natural, naturalRules()[3], 2)
	require.Greater(t, upstream.alarms, 20*bws.alarms, "the rule that it replaces, on the same runs")
}

// A fifth of the generated half: enough to see that the rule works, with bounds
// that leave room for the smaller number.
func TestGeneratedHistories(t *testing.T) {
	t.Parallel()
	need.Long(t, "a processor of its own for seconds")
	all := asked(generate(1, 175), 5)
	got := measure(all, syntheticRules()[1], 2)
	require.Less(t, got.per100(got.alarms), 0.4)
	require.Less(t, got.per100(got.reruns), 5.5)
	require.Greater(t, got.within(0.05, 2), 60.0)
	require.Greater(t, got.within(0.10, 2), 85.0)
}

// The number of workers does not matter. This one runs under the race detector, which the two before it are spared.
func TestWorkers(t *testing.T) {
	t.Parallel()
	all := generate(1, 15)
	got := measure(all, syntheticRules()[1], 1)
	require.Positive(t, got.reruns)
	require.Equal(t, got, measure(all, syntheticRules()[1], 4))
}

// The mix is the documented one, and a series depends on the seed and its number only.
func TestGenerator(t *testing.T) {
	t.Parallel()
	all := generate(3, 175)
	require.Equal(t, all[100].runs, generate(3, 101)[100].runs)
	require.NotEqual(t, all[100].runs, generate(4, 101)[100].runs)
	count := map[string]int{}
	quiet, changed := 0, 0
	for _, h := range all {
		count[h.family]++
		require.Len(t, h.runs, nights)
		changed += len(h.changes)
		if len(h.changes) == 0 {
			quiet++
		}
	}
	require.Len(t, count, 5)
	for _, n := range count {
		require.Equal(t, 35, n)
	}
	require.Equal(t, 100, changed, "four step sizes, once for each family and noise")
	require.Equal(t, 75, quiet, "no change twice, an improvement once")

	h := all[0]
	a, _ := h.repeat(20, 1)
	b, _ := h.repeat(20, 2)
	again, _ := h.repeat(20, 1)
	require.NotEqual(t, a, b)
	require.Equal(t, a, again)
}

// An injected history is a real one: nothing but the step is added, and a
// repetition is another run near by.
func TestInject(t *testing.T) {
	t.Parallel()
	natural, _, err := load(perfdata())
	require.NoError(t, err)
	h := natural[0]
	require.NotEmpty(t, h.stretches)
	all := inject(natural[:1], 1)
	require.Len(t, all, 5*len(h.stretches))
	for k, s := range h.stretches {
		plain := all[5*k]
		require.Empty(t, plain.changes)
		require.NotContains(t, plain.quiet, false)
		for n, step := range []float64{0.02, 0.03, 0.05, 0.10} {
			stepped := all[5*k+1+n]
			require.NotContains(t, stepped.quiet, true)
			at := stepped.changes[0].at
			require.Equal(t, change{at: at, size: step}, stepped.changes[0])
			require.Equal(t, all[5*k+1].changes[0].at, at, "every size at the same place")
			for i := range stepped.runs {
				was := h.runs[s[0]+i].Values[0]
				require.Equal(t, was, plain.runs[i].Values[0])
				want := 0.0
				if i >= at {
					want = math.Log1p(step)
				}
				require.InDelta(t, want, h.metric.Sign()*math.Log(stepped.runs[i].Values[0]/was), 1e-12)
			}
		}
		for i := range plain.runs {
			var seen []float64
			for q := range 3 {
				v, _ := plain.repeat(i, q+1)
				near := plain.runs[max(0, i-nearest):min(len(plain.runs), i+nearest+1)]
				require.True(t, slices.ContainsFunc(near, func(r verdict.Run) bool { return r.Values[0] == v }), "it is a real run near by")
				seen = append(seen, v)
			}
			again, _ := plain.repeat(i, 3)
			require.Equal(t, seen[2], again)
		}
	}
	require.Equal(t, all[1].runs, inject(natural[:1], 1)[1].runs)
}

// Nothing changes within a stretch.
func TestStationary(t *testing.T) {
	t.Parallel()
	r := recorded{Labels: []int{40, 70}, Ambiguous: [][2]int{{90, 95}}}
	r.Points = make([]struct {
		T int64   `json:"t"`
		V float64 `json:"v"`
	}, 320)
	require.Equal(t, [][2]int{{0, 40}, {40, 70}, {70, 90}, {96, 186}, {186, 276}, {276, 320}}, r.stationary())
	r.Labels = []int{19, 300}
	require.Equal(t, [][2]int{{19, 90}, {96, 186}, {186, 276}, {276, 300}, {300, 320}}, r.stationary())
}

// A case holds all its concurrencies, each series has one run a night, and the three
// metrics of a concurrency are there.
func TestBenchmarks(t *testing.T) {
	t.Parallel()
	natural, _, err := load(perfdata())
	require.NoError(t, err)
	wide, narrow := benchmarks(natural, true), benchmarks(natural, false)
	require.Len(t, wide, 17)
	require.Len(t, narrow, 46)
	count := func(all []benchmark) (series int) {
		for _, b := range all {
			series += len(b.series)
			for _, h := range b.series {
				for i := 1; i < len(h.runs); i++ {
					require.Greater(t, day(h.runs[i]), day(h.runs[i-1]), "one run a night")
				}
			}
		}
		return series
	}
	require.Equal(t, 98, count(wide))
	require.Equal(t, 98, count(narrow))
}

// A repetition is another night near by, and each of them comes once.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	for i := range 30 {
		seen := map[int]int{}
		for k := range nearest {
			n := neighbour(i, k, 30)
			require.NotEqual(t, i, n, "not the night itself")
			require.GreaterOrEqual(t, n, 0)
			require.Less(t, n, 30)
			require.LessOrEqual(t, max(n-i, i-n), nearest/2)
			seen[n]++
		}
		if i >= nearest/2 && i < 30-nearest/2 {
			require.Len(t, seen, nearest)
		}
	}
}

// A step makes every series worse from its night on, and nothing before it.
func TestPlayWithAStep(t *testing.T) {
	t.Parallel()
	natural, _, err := load(perfdata())
	require.NoError(t, err)
	b := benchmarks(natural, true)[0]
	plain, stepped := b.play(verdict.Policy{}, -1, 0), b.play(verdict.Policy{}, 15, 0.05)
	for q, h := range b.series {
		for i, r := range stepped.runs[q] {
			want := 0.0
			if day(r) >= b.nights[15] {
				want = math.Log1p(0.05)
			}
			require.InDelta(t, want, h.metric.Sign()*math.Log(r.Values[0]/plain.runs[q][i].Values[0]), 1e-12)
		}
	}
}
