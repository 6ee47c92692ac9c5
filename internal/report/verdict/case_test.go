package verdict_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// family is a case of several gating series that share most of their noise.
type family struct {
	lines  []*line
	rng    *rand.Rand
	policy verdict.Policy
}

func newFamily(t *testing.T, count int, policy verdict.Policy) *family {
	t.Helper()
	f := &family{rng: rand.New(rand.NewPCG(11, 11)), policy: policy}
	for q := range count {
		m := latency()
		if q%2 == 1 {
			m = throughput()
		}
		m.Name += string(rune('a' + q))
		m.Gate = true
		l := newLine(t, m, policy)
		l.noise = 0
		f.lines = append(f.lines, l)
	}
	return f
}

// measure is a run of each series, each worse by its share.
func (f *family) measure(worse ...float64) []verdict.Run {
	common := 0.01 * f.rng.NormFloat64()
	var runs []verdict.Run
	for q, l := range f.lines {
		runs = append(runs, l.run(l.value(worse[q%len(worse)]+common+0.004*f.rng.NormFloat64())))
	}
	return runs
}

// unchanged stores n nights that nobody judged.
func (f *family) unchanged(n int) {
	for range n {
		for q, r := range f.measure(0) {
			f.lines[q].runs = append(f.lines[q].runs, r)
		}
	}
}

// night judges a run of all series and stores it.
func (f *family) night(worse ...float64) ([]verdict.Row, verdict.Case) {
	var all []verdict.Question
	runs := f.measure(worse...)
	for q, l := range f.lines {
		r := runs[q]
		all = append(all, verdict.Question{Policy: f.policy, Series: verdict.Series{Case: "c", Point: "con8", Metric: l.m, History: l.runs, New: r}})
	}
	rows, c := verdict.JudgeCase(all)
	for q, l := range f.lines {
		l.runs = append(l.runs, rows[q].Record(runs[q]))
	}
	return rows, c
}

func (f *family) nights(n int, worse ...float64) (rows []verdict.Row, c verdict.Case) {
	for range n {
		rows, c = f.night(worse...)
	}
	return rows, c
}

// What moves all series of a case by little is seen in all of them together, with
// one onset.
func TestCaseDecidesTogether(t *testing.T) {
	t.Parallel()
	f := newFamily(t, 4, verdict.Policy{})
	rows, c := f.nights(40, 0)
	require.Equal(t, verdict.Pass, verdict.Worst(rows))
	require.Equal(t, 4, c.Series)
	require.Less(t, *c.P, 0.5)
	require.InDelta(t, 0.004, c.FalseAlarms, 1e-9)
	for night := 1; ; night++ {
		require.LessOrEqual(t, night, 6, "a step of 4 % in all series")
		if rows, c = f.night(0.04); c.Alarm {
			break
		}
	}
	require.Equal(t, "con8/"+f.lines[0].m.Name, c.Moved[0])
	require.NotNil(t, c.Onset)
	require.Equal(t, verdict.Regression, verdict.Worst(rows))
	for _, r := range rows {
		if r.Verdict == verdict.Regression {
			require.Equal(t, c.Onset.Run, r.Onset)
			require.Contains(t, r.Reason, "4 gating series of the case together")
		}
		_, err := json.Marshal(r)
		require.NoError(t, err)
	}
	onset := c.Onset.Run
	_, c = f.night(0.04)
	require.True(t, c.Open)
	require.Equal(t, onset, c.Onset.Run, "the onset stays what it was")

	for _, l := range f.lines[:3] {
		l.runs[len(l.runs)-1].Accepted = true
	}
	_, c = f.night(0.04)
	if len(c.Moved) > 0 {
		require.Equal(t, []string{"con8/" + f.lines[3].m.Name}, c.Moved, "what is accepted leaves the set")
	}
	_, c = f.nights(3, 0.04, 0.04, 0.04, 0)
	require.False(t, c.Open, "back or accepted: closed")
	require.Empty(t, c.Moved)
}

// One series that stands out is no alarm of its case, unless it is beyond doubt.
func TestOneSeriesOfACase(t *testing.T) {
	t.Parallel()
	f := newFamily(t, 5, verdict.Policy{})
	f.nights(40, 0)
	calmed := false
	for range 5 {
		rows, c := f.night(0.03, 0, 0, 0, 0)
		if p := *rows[0].P; p >= 0.7 && p < 0.995 && *c.P < 0.5 {
			calmed = true
			require.Equal(t, verdict.Pass, rows[0].Verdict, rows[0].Reason)
			require.Contains(t, rows[0].Reason, "too little for an alarm")
			require.False(t, c.Alarm)
		}
	}
	require.True(t, calmed)
	f = newFamily(t, 5, verdict.Policy{Reruns: 3})
	f.nights(40, 0)
	rows, c := f.nights(3, 0.25, 0, 0, 0, 0)
	require.Equal(t, verdict.Regression, rows[0].Verdict, rows[0].Reason)
	require.Equal(t, []string{"con8/" + f.lines[0].m.Name}, c.Moved)
}

// What nobody answers for does not stay red for weeks.
func TestAdvisoryRowsCloseByThemselves(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{FunctionalOnly: true})
		l.nights(30, 0)
		red := 0
		for range 20 {
			if l.night(0.2).Verdict == verdict.Regression {
				red++
			}
		}
		require.NotZero(t, red)
		require.LessOrEqual(t, red, 8)
		require.Equal(t, verdict.Pass, l.night(0.2).Verdict)
	})
}

// Few series, and those of a night that was repeated, need more than many that were
// measured once.
func TestBoundOfACase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		series int
		policy verdict.Policy
		red    bool // with P between 0.5 and 0.7
	}{
		{series: 6, policy: verdict.Policy{}, red: true},
		{series: 6, policy: verdict.Policy{Strictness: verdict.Strict}},
		{series: 3, policy: verdict.Policy{}},
		{series: 3, policy: verdict.Policy{Strictness: verdict.Sensitive}, red: true},
	} {
		seen := false
		for seed := range uint64(20) {
			f := newFamily(t, c.series, c.policy)
			f.rng = rand.New(rand.NewPCG(seed, 3))
			f.unchanged(30)
			for range 4 {
				rows, got := f.night(0.022)
				if got.Open || got.P == nil {
					break
				}
				sure := slices.ContainsFunc(rows, func(r verdict.Row) bool { return *r.P >= 0.995 || r.Slow })
				tonight := c.red && verdict.Worst(rows) == verdict.Inconclusive // left open
				if *got.P < 0.5 || *got.P >= 0.7 || sure || tonight {
					continue
				}
				seen = true
				require.Equal(t, c.red, got.Alarm, "%d series, P %.2f: %s", c.series, *got.P, rows[0].Reason)
			}
		}
		require.True(t, seen, "%d series", c.series)
	}
}

// One night of bad luck that all series share looks like a step: it is left open until it
// was measured again, and is over with the next night. A step is red with its second one.
func TestBadNightOfAllSeries(t *testing.T) {
	t.Parallel()
	for _, p := range []verdict.Policy{{}, {Reruns: 3}, {Mode: verdict.PullRequest}} {
		open := 0
		for seed := range uint64(8) {
			f := newFamily(t, 8, p)
			f.rng = rand.New(rand.NewPCG(seed, 5))
			f.unchanged(40)
			rows, c := f.night(0.09)
			require.False(t, c.Alarm, "P %.3f: %s", *c.P, rows[0].Reason)
			if *c.P < 0.5 {
				continue
			}
			open++
			require.Equal(t, verdict.Inconclusive, verdict.Worst(rows))
			k := slices.IndexFunc(rows, func(r verdict.Row) bool { return r.Verdict == verdict.Inconclusive })
			require.Contains(t, rows[k].Reason, "by this one run, which was measured once: bad luck that all of them share looks the same (a regression from 0.995 on, or once it was measured again)")
			require.Equal(t, p.Reruns > 0, rows[k].Suspicious, "it is measured again where that can be")
			if p.Mode == verdict.PullRequest {
				continue
			}
			require.Nil(t, c.Onset)
			_, c = f.night(0)
			require.False(t, c.Alarm, "the next night is as ever")
		}
		require.Greater(t, open, 3)
		f := newFamily(t, 8, p)
		f.unchanged(40)
		f.night(0.09)
		rows, c := f.night(0.09)
		if p.Mode != verdict.PullRequest {
			require.True(t, c.Alarm, "a second night: P %.3f: %s", *c.P, rows[0].Reason)
		}
	}
}

// A collapse is no bad luck: it is red on its first night, measured once.
func TestCollapseIsRedOnItsFirstNight(t *testing.T) {
	t.Parallel()
	for _, p := range []verdict.Policy{{}, {Reruns: 3}, {Mode: verdict.PullRequest}} {
		for _, count := range []int{1, 3, 8} {
			f := newFamily(t, count, p)
			f.unchanged(40)
			rows, c := f.night(0.9)
			require.Equal(t, verdict.Regression, verdict.Worst(rows), "%d series: %s", count, rows[0].Reason)
			require.Len(t, c.Moved, count)
			require.True(t, c.P == nil || *c.P >= 0.995)
		}
	}
}
