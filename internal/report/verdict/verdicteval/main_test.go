package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func perfdata() string { return filepath.Join("..", "..", "..", "..", "testdata", "perfdata") }

// The recorded half of the evaluation is small enough to run with every test.
func TestRecordedHistories(t *testing.T) {
	t.Parallel()
	natural, own, err := load(perfdata())
	require.NoError(t, err)
	require.Len(t, natural, 373)
	require.Len(t, own, 5)
	for k := range own {
		require.NotEmpty(t, own[k].runs)
	}
	bws := measure(natural, naturalRules()[0], 2)
	var c checks
	c.natural(map[string]tally{"bws": bws})
	require.Empty(t, c.missed)
	upstream := measure(natural, naturalRules()[3], 2)
	require.Greater(t, upstream.alarms, 20*bws.alarms, "the rule that it replaces, on the same runs")
}

// A fifth of the generated half: enough to see that the rule works, with bounds
// that leave room for the smaller number.
func TestGeneratedHistories(t *testing.T) {
	t.Parallel()
	all := generate(1, 175)
	got := measure(all, syntheticRules()[1], 2)
	require.Less(t, got.per100(got.alarms), 0.4)
	require.Less(t, got.per100(got.reruns), 5.5)
	require.Greater(t, got.within(0.05, 2), 60.0)
	require.Greater(t, got.within(0.10, 2), 85.0)
	require.Equal(t, got, measure(all, syntheticRules()[1], 1), "the number of workers does not matter")
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
