package trends_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/nights"
)

var last = time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC)

func storeOf(t *testing.T, records []baseline.Record) baseline.Store {
	t.Helper()
	store, err := baseline.Create(t.Context(), "dir:"+t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	_, err = store.Save(t.Context(), records...)
	require.NoError(t, err)
	return store
}

func records(t *testing.T, s nights.Suite) []baseline.Record {
	t.Helper()
	var out []baseline.Record
	require.NoError(t, s.Records(func(r baseline.Record) error {
		out = append(out, r)
		return nil
	}))
	return out
}

func options() trends.Options { return trends.Options{Setup: judging.Setup{Metrics: metric.Default()}} }

func TestSpellsAreTheRecordedOnes(t *testing.T) {
	t.Parallel()
	g, err := trends.Gather(t.Context(), storeOf(t, records(t, nights.Suite{Cases: 6, Nights: 100, Last: last})), time.Time{}, nil)
	require.NoError(t, err)
	require.Len(t, g.Histories, 6)
	for _, h := range g.Histories {
		for _, s := range h.Series(options()) {
			var how []string
			for _, p := range s.Spells {
				how = append(how, p.How)
				require.InDelta(t, 0.055, p.Worse, 0.02)
			}
			switch h.Case {
			case nights.CaseID(1):
				require.Equal(t, []string{trends.Accepted, trends.Open}, how)
				require.Equal(t, "ana", s.Spells[0].Accept.Act.By)
				require.NotNil(t, s.Current())
			case nights.CaseID(5):
				require.Equal(t, []string{trends.Accepted, trends.Back}, how)
				require.Len(t, s.Levels, 4)
				require.Nil(t, s.Current())
			default:
				require.Empty(t, how, h.Case)
				require.Len(t, s.Levels, 1)
			}
		}
	}
}

// TestNothingIsJudgedAgain: a run that is twice as slow and was recorded as a pass is one.
func TestNothingIsJudgedAgain(t *testing.T) {
	t.Parallel()
	all := records(t, nights.Suite{Cases: 1, Nights: 40, Last: last})
	for i := range all[30:] {
		for m := range all[30+i].Measurements {
			all[30+i].Measurements[m].Values[0] *= 2
		}
	}
	g, err := trends.Gather(t.Context(), storeOf(t, all), time.Time{}, nil)
	require.NoError(t, err)
	for _, s := range g.Histories[0].Series(options()) {
		require.Empty(t, s.Spells)
	}
}

// TestOnsetBeforeTheRunThatRaisedIt: a regression that was seen late began where it was judged to.
func TestOnsetBeforeTheRunThatRaisedIt(t *testing.T) {
	t.Parallel()
	all := records(t, nights.Suite{Cases: 1, Nights: 40, Last: last})
	raised := &all[35]
	raised.Changed = "driver: 580 against 590"
	raised.Repetitions[0].Machine = &rundir.Machine{Facts: map[string]string{"driver": "590"}}
	all[34].Repetitions[0].Machine = &rundir.Machine{Facts: map[string]string{"driver": "580"}}
	for m := range raised.Measurements {
		at := &raised.Measurements[m]
		at.Verdict, at.Onset, at.Level = verdict.Regression, all[32].ID, at.Values[0]
	}
	g, err := trends.Gather(t.Context(), storeOf(t, all), time.Time{}, nil)
	require.NoError(t, err)
	h := g.Histories[0]
	s := h.Series(options())[0]
	require.Len(t, s.Spells, 1)
	first, before := s.Onset(s.Spells[0])
	require.Equal(t, all[32].ID, first.ID)
	require.Equal(t, all[31].ID, before.ID)
	require.Equal(t, "driver: 580 against 590", s.Raised(s.Spells[0]).Changed)
	require.Contains(t, h.Machines(), trends.Machine{Night: h.Nights[35], Fact: "driver", Before: "580", Then: "590"})
}

// TestANightThatKnowsNothingEndsNoSpell: only a night that is good again does.
func TestANightThatKnowsNothingEndsNoSpell(t *testing.T) {
	t.Parallel()
	for word, want := range map[verdict.Word][]string{
		verdict.Inconclusive: {trends.Open},
		verdict.Pass:         {trends.Back, trends.Open},
		verdict.Improvement:  {trends.Back, trends.Open},
	} {
		all := records(t, nights.Suite{Cases: 1, Nights: 40, Last: last})
		for i := 35; i < 40; i++ {
			for m := range all[i].Measurements {
				at := &all[i].Measurements[m]
				at.Verdict, at.Open, at.Level = verdict.Regression, i > 35, at.Values[0]
				if i == 37 {
					at.Verdict, at.Open, at.Level = word, false, 0
				}
			}
		}
		g, err := trends.Gather(t.Context(), storeOf(t, all), time.Time{}, nil)
		require.NoError(t, err)
		var how []string
		for _, p := range g.Histories[0].Series(options())[0].Spells {
			how = append(how, p.How)
		}
		require.Equal(t, want, how, word)
	}
}

// TestABrokenPinIsOneSpell: a rule that keeps no level does not begin anew each night.
func TestABrokenPinIsOneSpell(t *testing.T) {
	t.Parallel()
	all := records(t, nights.Suite{Cases: 1, Nights: 40, Last: last})
	for i := 33; i < 40; i++ {
		for m := range all[i].Measurements {
			all[i].Measurements[m].Verdict = verdict.Regression
		}
	}
	g, err := trends.Gather(t.Context(), storeOf(t, all), time.Time{}, nil)
	require.NoError(t, err)
	s := g.Histories[0].Series(options())[0]
	require.Len(t, s.Spells, 1)
	require.Equal(t, 33, s.Spells[0].Onset)
	require.Equal(t, trends.Open, s.Spells[0].How)
}

// TestOneNightMore: what is known is not read again, and comes to the same as reading all of it.
func TestOneNightMore(t *testing.T) {
	t.Parallel()
	all := records(t, nights.Suite{Cases: 4, Nights: 60, Last: last})
	var before, after []baseline.Record
	for _, r := range all {
		if r.Kind == baseline.KindRun && !r.Time.Before(last) {
			after = append(after, r)
		} else {
			before = append(before, r)
		}
	}
	store := storeOf(t, before)
	dir := t.TempDir()
	g, err := trends.Gather(t.Context(), store, time.Time{}, trends.ReadCache(dir))
	require.NoError(t, err)
	require.Equal(t, 4*59, g.Read)
	require.NoError(t, g.Save(dir, time.Time{}, last))
	_, err = store.Save(t.Context(), after...)
	require.NoError(t, err)

	again, err := trends.Gather(t.Context(), store, time.Time{}, trends.ReadCache(dir))
	require.NoError(t, err)
	require.Less(t, again.Read, 4*17)
	whole, err := trends.Gather(t.Context(), store, time.Time{}, nil)
	require.NoError(t, err)
	require.Equal(t, whole.Histories, again.Histories)

	// What lies before since stays out, though the newest days are read again.
	since := last.AddDate(0, 0, -5)
	short, err := trends.Gather(t.Context(), store, since, trends.ReadCache(dir))
	require.NoError(t, err)
	whole, err = trends.Gather(t.Context(), store, since, nil)
	require.NoError(t, err)
	require.Equal(t, whole.Histories, short.Histories)

	// Runs that were judged afterwards are read again, all of them.
	replay := baseline.Record{Kind: baseline.KindReplay, Case: "*", Time: last, Act: &baseline.Act{By: "ana", At: last.Add(time.Hour), Why: "new rules"}}
	_, err = store.Save(t.Context(), replay.Normal())
	require.NoError(t, err)
	again, err = trends.Gather(t.Context(), store, time.Time{}, trends.ReadCache(dir))
	require.NoError(t, err)
	require.Equal(t, 4*60, again.Read)
}

func TestMovers(t *testing.T) {
	t.Parallel()
	g, err := trends.Gather(t.Context(), storeOf(t, records(t, nights.Suite{Cases: 6, Nights: 100, Last: last})), time.Time{}, nil)
	require.NoError(t, err)
	var all [][]trends.Series
	for _, h := range g.Histories {
		all = append(all, h.Series(options()))
	}
	worse, _ := trends.Movers(all, 5)
	require.Len(t, worse, 1, "one for each case")
	require.Equal(t, nights.CaseID(1), worse[0].Case)
	require.Greater(t, worse[0].Worse, 0.02)
}

// TestMetricsOfPipelines: cases of a config's own pipelines have metrics of their own that gate.
func TestMetricsOfPipelines(t *testing.T) {
	t.Parallel()
	for pipeline, want := range map[string]int{"": 0, "redis": 1} {
		h := trends.History{Case: "redis", Match: map[string]string{"pipeline": pipeline}, Nights: []trends.Night{{
			Time: last, Values: []trends.Value{{Metric: "request_throughput", Value: 1}},
		}}}
		require.Len(t, h.Series(options()), want, pipeline)
	}
}

// A metric that does not gate is shown and opens nothing, unless the store says that its night was red and nothing that
// gates here explains it: the run had other settings.
func TestAdvisoryRegressionsAreNotOpen(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		night verdict.Word
		gates bool // a metric that does is red, too
		cases int
	}{
		"inconclusive":                   {night: verdict.Inconclusive},
		"red by a metric that gates":     {night: verdict.Regression, gates: true, cases: 1},
		"red by a setting of its own":    {night: verdict.Regression, cases: 1},
		"green, whatever was judged bad": {night: verdict.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := records(t, nights.Suite{Cases: 1, Nights: 20, Last: last})
			for i := range all {
				m := baseline.Measurement{Point: "con8", Metric: "e2el_median_ms", Unit: "ms", Values: []float64{100}, Verdict: verdict.Pass}
				if i == len(all)-1 {
					m.Values, m.Verdict, m.Level, all[i].Verdict = []float64{400}, verdict.Regression, 100, tt.night
					for k := range all[i].Measurements {
						if tt.gates && all[i].Measurements[k].Metric == "ttft_median_ms" {
							all[i].Measurements[k].Verdict, all[i].Measurements[k].Level = verdict.Regression, 1
						}
					}
				}
				all[i].Measurements = append(all[i].Measurements, m)
			}
			g, err := trends.Gather(t.Context(), storeOf(t, all), time.Time{}, nil)
			require.NoError(t, err)
			series := g.Histories[0].Series(options())
			open := trends.OpenFindings([][]trends.Series{series}, last, func(string) string { return "" })
			require.Len(t, open, tt.cases)
			shown := false
			for _, s := range series {
				shown = shown || s.Metric.Name == "e2el_median_ms" && !s.Gates && s.Current() != nil
			}
			require.True(t, shown, "on its own page")
			if tt.gates {
				require.Equal(t, "ttft_median_ms", open[0].Series.Metric.Name)
			}
		})
	}
}
