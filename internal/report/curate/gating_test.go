package curate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// measured are the metrics of the tests' runs: the built-in ones that gate in some mode, one that never does, and one
// each that the settings and the pins have made to gate, and not to.
func measured() []string {
	return []string{
		"request_throughput", "output_token_throughput", "total_token_throughput", "ttft_median_ms", "tpot_median_ms",
		"run_time_median_ms", "bus_bandwidth", "gen_device_step_time_mean_ms", "gen_device_step_time_median_ms",
		"duration_s", "itl_median_ms", "itl_mean_ms", "e2el_median_ms", "e2el_mean_ms",
	}
}

const (
	caseID = "c"
	good   = 10 // nights, then
	bad    = 8  // of which all metrics are 10 % worse
)

func day(i int) time.Time { return time.Date(2026, 8, 1, 3, 0, 0, 0, time.UTC).AddDate(0, 0, i) }

// value is what the i-th night measured: in no mode do two metrics differ in how much worse they are.
func value(def metric.Metric, i int) float64 {
	v := 1 + 0.004*math.Sin(float64(i)*2.399)
	if i >= good {
		v *= 1.1
	}
	if def.Better == metric.HigherIsBetter {
		v = 1 / v
	}
	return 100 * v
}

func night(i int, match map[string]string, names []string) baseline.Record {
	started := day(i)
	r := baseline.Record{
		Kind: baseline.KindRun, Case: caseID, Match: match, Time: day(i), Source: baseline.SourceOwn, Run: fmt.Sprintf("nightly-%d", i),
		Build:       rundir.Build{Mode: baseline.ModeNightly, Branch: "main", Commit: fmt.Sprintf("%012x", 0xabc000000000+i)},
		Repetitions: []baseline.Repetition{{JobID: "1", Nodes: []string{fmt.Sprintf("n%d", i%3)}, Started: &started}},
		Valid:       true,
	}
	for _, name := range names {
		def, _ := metric.Default().Lookup(name)
		v := value(def, i)
		r.Measurements = append(r.Measurements, baseline.Measurement{Point: "con8", Metric: name, Unit: def.Unit, Values: []float64{v, v * 1.0003, v * 0.9998}, Reps: []int{0, 0, 0}})
	}
	return r.Normal()
}

// answers are what one reader says: whether each metric gates, and where it stands, 0 = not said.
type answers struct {
	gates map[string]bool
	level map[string]float64
}

// In every mode one series gates, and stands where it stands, whoever is asked: the judge, and who shows it, compares
// it or writes its level down. All of them ask the settings and the pins, too.
func TestOneGating(t *testing.T) {
	t.Parallel()
	e2e := []string{"output_token_throughput", "ttft_median_ms", "tpot_median_ms"}
	step := []string{"gen_device_step_time_mean_ms", "gen_device_step_time_median_ms"}
	own := append([]string{"request_throughput", "run_time_median_ms", "bus_bandwidth"}, e2e...)
	for name, tt := range map[string]struct {
		match map[string]string
		mode  string // that the judge is told
		also  string // measured besides
		want  []string
	}{
		"e2e":                     {match: map[string]string{"mode": "e2e"}, want: e2e},
		"gen_only":                {match: map[string]string{"mode": "gen_only"}, want: step},
		"ctx_only":                {match: map[string]string{"mode": "ctx_only"}, want: []string{"total_token_throughput", "ttft_median_ms"}},
		"pipeline":                {match: map[string]string{"pipeline": "redis"}, want: own},
		"pipeline's mode":         {match: map[string]string{"pipeline": "redis", "mode": "gen_only"}, want: own},
		"speculative":             {match: map[string]string{"mode": "gen_only"}, also: metric.DecodedTokens, want: append(step, metric.DecodedTokens)},
		"not in the match":        {match: map[string]string{"gpu_type": "B200"}, mode: "gen_only", want: step},
		"a pipeline's variable":   {match: map[string]string{"mode": "fast"}, mode: "custom", want: own},
		"a pipeline's gen_only":   {match: map[string]string{"mode": "gen_only"}, mode: "custom", want: own},
		"a value that is no mode": {match: map[string]string{"mode": "prefill"}, mode: "ctx_only", want: []string{"total_token_throughput", "ttft_median_ms"}},
		"not told":                {match: map[string]string{"gpu_type": "B200"}, want: e2e},
		"told otherwise":          {match: map[string]string{"mode": "ctx_only"}, mode: "e2e", want: []string{"total_token_throughput", "ttft_median_ms"}},
		"a pipeline's told":       {match: map[string]string{"gpu_type": "B200"}, mode: "custom", want: own},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := measured()
			if tt.also != "" {
				names = append(names, tt.also)
			}
			url := "dir:" + t.TempDir() + "/store"
			store, err := baseline.Open(t.Context(), url, true)
			require.NoError(t, err)
			defer func() { _ = store.Close() }()
			setup := setupOf(t, store)
			want := map[string]bool{"itl_median_ms": true, "e2el_median_ms": true}
			for _, m := range slices.DeleteFunc(slices.Clone(tt.want), func(m string) bool { return m == "ttft_median_ms" }) {
				want[m] = true
			}

			var judge answers
			for i := range good + bad + 1 {
				j := judging.Case(t.Context(), setup, judging.Subject{Record: of(night(i, tt.match, names), tt.mode)})
				if judge = judgeOf(j); i < good+bad { // the last night is that which the others tell the level for
					_, err := store.Save(t.Context(), j.Record)
					require.NoError(t, err)
				}
			}
			require.Equal(t, slices.Sorted(maps.Keys(want)), gating(judge), "the judge")
			require.Len(t, judge.level, len(names))

			for reader, got := range map[string]answers{
				"baseline show": shown(t, setup), "baseline show --all": {level: shownAll(t, setup)}, "baseline accept": accepting(t, setup),
				"baseline pin": {level: pinned(t, setup, url, names)}, "trends": trending(t, setup), "compare": comparing(t, setup, url),
				"lemons": slow(setup, tt.match, tt.mode, names), "a paired session": session(setup, tt.match, tt.mode, names),
			} {
				if got.gates != nil {
					require.Equal(t, gating(judge), gating(got), reader)
				}
				exact := 1e-5                    // a pin has six digits
				if reader == "baseline accept" { // it tells the level that the accepted run was held against
					exact = 0.005
				}
				for _, m := range slices.Sorted(maps.Keys(got.level)) {
					require.InEpsilon(t, judge.level[m], got.level[m], exact, "%s: %s", reader, m)
				}
			}
		})
	}
}

// of is a record as whoever measures makes it, of a case in a mode.
func of(r baseline.Record, mode string) baseline.Record {
	r.CaseMode = mode
	return r
}

func setupOf(t *testing.T, store baseline.Store) judging.Setup {
	t.Helper()
	yes, no := true, false
	pins, err := judging.ParsePins("baselines.yaml", []byte("schema: 1\ncases:\n  c:\n    con8/e2el_median_ms: {gate: true}\n    e2el_mean_ms: {gate: false}\n"), metric.Default())
	require.NoError(t, err)
	return judging.Setup{Store: store, Metrics: metric.Default(), Pins: pins, Policy: verdict.Policy{
		RerunsUnavailable: true,
		Metrics:           map[string]verdict.MetricPolicy{"itl_median_ms": {Gate: &yes}, "ttft_median_ms": {Gate: &no}},
	}}
}

func gating(a answers) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(a.gates)) {
		if a.gates[name] {
			out = append(out, name)
		}
	}
	return out
}

func judgeOf(j judging.Judgement) answers {
	out := answers{map[string]bool{}, map[string]float64{}}
	for _, r := range j.Rows {
		out.gates[r.Metric] = r.Decides()
		if r.Baseline != nil {
			out.level[r.Metric] = *r.Baseline
		}
	}
	return out
}

func show(t *testing.T, setup judging.Setup, all bool) answers {
	t.Helper()
	var out, warn bytes.Buffer
	e := curate.Editor{Out: &out, Warn: &warn, Setup: setup}
	require.NoError(t, e.Show(t.Context(), tables.Printer{W: &out}, curate.Standing{Filter: baseline.Filter{Counts: true}, JSON: true, All: all}))
	var doc curate.Shown
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	got := answers{map[string]bool{}, map[string]float64{}}
	for _, s := range doc.Series {
		got.gates[s.Metric] = true
		got.level[s.Metric] = s.Level.Value
	}
	return got
}

func shown(t *testing.T, setup judging.Setup) answers { t.Helper(); return show(t, setup, false) }

func shownAll(t *testing.T, setup judging.Setup) map[string]float64 {
	t.Helper()
	return show(t, setup, true).level
}

func accepting(t *testing.T, setup judging.Setup) answers {
	t.Helper()
	h, err := curate.Series{Case: caseID}.History(t.Context(), setup.Store)
	require.NoError(t, err)
	a, err := setup.Accept(h, "", nil, baseline.Act{By: "ana", At: day(30), Why: "intended"})
	require.NoError(t, err)
	out := answers{map[string]bool{}, map[string]float64{}}
	for _, c := range a.Changes {
		out.gates[c.Metric.Name], out.level[c.Metric.Name] = c.Metric.Gate, c.From.Level
	}
	return out
}

func pinned(t *testing.T, setup judging.Setup, url string, names []string) map[string]float64 {
	t.Helper()
	entries, err := curate.PinRequest{Series: curate.Series{Case: caseID}, Metrics: names, Point: "con8"}.Pins(t.Context(), setup, url)
	require.NoError(t, err)
	out := map[string]float64{}
	for _, e := range entries {
		out[e.Metric] = *e.Value
	}
	return out
}

func trending(t *testing.T, setup judging.Setup) answers {
	t.Helper()
	g, err := trends.Gather(t.Context(), setup.Store, time.Time{}, nil)
	require.NoError(t, err)
	require.Len(t, g.Histories, 1)
	out := answers{gates: map[string]bool{}}
	for _, s := range g.Histories[0].Series(trends.Options{Setup: setup, All: true}) {
		out.gates[s.Metric.Name] = s.Gates
		if now := s.Current(); now != nil {
			require.Equal(t, s.Gates, now.Gates, s.Metric.Name)
		}
	}
	return out
}

func comparing(t *testing.T, setup judging.Setup, url string) answers {
	t.Helper()
	find := compare.Finder{Store: url, Window: "90d", Dir: t.TempDir()}
	out := answers{gates: map[string]bool{}}
	for _, all := range []bool{true, false} {
		doc, err := find.Compare(t.Context(), "date:2026-08-01..2026-08-10", "date:2026-08-11..2026-12-31", compare.Options{Setup: setup, All: all})
		require.NoError(t, err)
		for _, r := range doc.Rows {
			require.True(t, all || r.Gate, "%s is shown without --all", r.Metric)
			out.gates[r.Metric] = r.Gate
		}
	}
	return out
}

// slow asks the search for slow machines which metrics it reads, one at a time.
func slow(setup judging.Setup, match map[string]string, mode string, names []string) answers {
	out := answers{gates: map[string]bool{}}
	for _, name := range names {
		var records []baseline.Record
		for i := range good {
			r := night(i, match, []string{name})
			r.CaseMode = mode
			records = append(records, r)
		}
		out.gates[name] = len(lemons.Readings(records, setup.Metrics, setup.Gates)) > 0
	}
	return out
}

func session(setup judging.Setup, match map[string]string, mode string, names []string) answers {
	run := ab.Run{Values: map[ab.Key]float64{}}
	for _, name := range names {
		run.Values[ab.Key{Point: "con8", Metric: name}] = 1
	}
	out := answers{gates: map[string]bool{}}
	of := baseline.Record{Case: caseID, Match: match, Beside: baseline.Beside{CaseMode: mode}}
	for _, s := range builder.Gating([]ab.Run{run}, setup, of) {
		out.gates[s.Metric.Name] = true
	}
	return out
}
