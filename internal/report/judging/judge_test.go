package judging_test

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// noisy is a value around 100 with a deterministic run-to-run noise of about 0.5 %.
func noisy(i int) float64 { return 100 * (1 + 0.005*math.Sin(float64(i)*2.399)) }

func setup(s baseline.Store) judging.Setup {
	return judging.Setup{Store: s, Metrics: metric.Default(), Policy: verdict.Policy{Reruns: 3}}
}

func judge(t testing.TB, set judging.Setup, r baseline.Record) judging.Judgement {
	t.Helper()
	return judging.Case(t.Context(), set, judging.Subject{Record: r, Mode: "e2e"})
}

func word(t testing.TB, j judging.Judgement, name string) verdict.Row {
	t.Helper()
	for _, r := range j.Rows {
		if r.Metric == name {
			return r
		}
	}
	require.Fail(t, "no row of "+name)
	return verdict.Row{}
}

const tput = "output_token_throughput"

// Whatever begins a new history says so, and what the old one was.
func TestNewHistoryBesideAnother(t *testing.T) {
	t.Parallel()
	inStore(t, func(t *testing.T, url string) {
		s := open(t, url)
		for i := range 9 {
			save(t, s, nightly("c", i, noisy(i)), nightly("d", i, noisy(i)))
		}
		reason := func(change func(*baseline.Record)) string {
			r := nightly("c", 9, 100)
			change(&r)
			row := word(t, judge(t, setup(s), r.Normal()), tput)
			require.Equal(t, verdict.Collecting, row.Verdict)
			return row.Reason
		}
		const first = "first run of this series: 7 past runs are needed for a verdict"
		require.Equal(t, first, reason(func(r *baseline.Record) { r.Case = "new" }))
		require.Equal(t, first+". A new history begins here: the case has one with branch main (here release/1.2)",
			reason(func(r *baseline.Record) { r.Build.Branch = "release/1.2" }))
		require.Equal(t, first+". A new history begins here: the case has one with gpu_type GB200 (here GB300), spec none (here eagle)",
			reason(func(r *baseline.Record) {
				r.Match = map[string]string{"gpu_type": "GB300", "tp": "8", "spec": "eagle"}
			}))
		row := word(t, judge(t, setup(s), nightly("c", 9, 100)), tput)
		require.Equal(t, verdict.Pass, row.Verdict, "the history is its own")
	})
}

// The life of a series, each run judged and then stored: collecting, pass, a
// regression that stays open, its acceptance, the new level as baseline.
func TestLifeOfASeries(t *testing.T) {
	t.Parallel()
	inStore(t, func(t *testing.T, url string) {
		s := open(t, url)
		set := setup(s)
		step := func(i int, value float64, reps ...float64) verdict.Row {
			r := nightly("c", i, value)
			r.Measurements[0].Values = append(r.Measurements[0].Values, reps...)
			r.Measurements = r.Measurements[:1]
			j := judge(t, set, r)
			require.Len(t, j.Warnings, map[bool]int{true: 1}[i == 0], "the store is new")
			require.NoError(t, j.Record.Validate())
			save(t, s, j.Record)
			return word(t, j, tput)
		}
		for i := range 12 {
			row := step(i, noisy(i))
			require.True(t, row.Gate)
			require.Equal(t, i, row.History)
			if i < 7 {
				require.Equal(t, verdict.Collecting, row.Verdict, "run %d", i)
			} else {
				require.Equal(t, verdict.Pass, row.Verdict, "run %d: %s", i, row.Reason)
			}
		}
		slow := step(12, 75, 75.2, 74.9, 75.1)
		require.Equal(t, verdict.Regression, slow.Verdict, slow.Reason)
		require.Equal(t, 12, slow.History)

		open := step(13, 75.3)
		require.Equal(t, verdict.Regression, open.Verdict, "it stays open: %s", open.Reason)
		require.True(t, open.Open)
		require.InDelta(t, 100, *open.Baseline, 1, "against the level before it")

		pr := nightly("c", 14, 75.2)
		pr.Build.Mode, pr.Build.Change = "pr", "17"
		pr.Measurements = pr.Measurements[:1]
		j := judge(t, set, pr)
		require.Equal(t, verdict.Pass, word(t, j, tput).Verdict, "a change is not blamed for main")
		save(t, s, j.Record)

		h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: pr.Match})
		require.NoError(t, err)
		require.Len(t, h.Runs, 14, "the pull request's run is in no history")
		require.Equal(t, verdict.Regression, h.Runs[13].Measurements[0].Verdict)
		require.True(t, h.Runs[13].Measurements[0].Open)
		require.InDelta(t, 100, h.Runs[12].Measurements[0].Level, 1)

		save(t, s, act(baseline.KindAccept, h.Runs[13], tput))
		after := step(15, 75.4)
		require.Equal(t, verdict.Pass, after.Verdict, after.Reason)
		require.InDelta(t, 75.2, *after.Baseline, 0.5)
	})
}

// Whoever takes a bad run out of the history does not take back what was accepted at it.
func TestAnAcceptanceOutlivesItsRun(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	set := setup(s)
	step := func(i int, value float64) judging.Judgement {
		r := nightly("c", i, value)
		for len(r.Measurements[0].Values) < 4 {
			r.Measurements[0].Values = append(r.Measurements[0].Values, value)
		}
		r.Measurements = r.Measurements[:1]
		j := judge(t, set, r)
		save(t, s, j.Record)
		return j
	}
	for i := range 12 {
		step(i, noisy(i))
	}
	require.Equal(t, verdict.Regression, word(t, step(12, 0.75*noisy(12)), tput).Verdict)
	target := step(13, 0.75*noisy(13))
	require.Equal(t, verdict.Regression, word(t, target, tput).Verdict)
	elsewhere := target.Record
	elsewhere.Build.Branch, elsewhere.Time = "release/1.2", target.Record.Time.Add(-36*time.Hour)
	elsewhere = elsewhere.Normal()
	save(t, s, act(baseline.KindAccept, elsewhere))
	require.Equal(t, verdict.Regression, word(t, step(13, 0.75*noisy(13)), tput).Verdict, "accepted on another branch only")
	save(t, s, act(baseline.KindAccept, target.Record))
	require.Equal(t, verdict.Pass, word(t, step(14, 0.75*noisy(14)), tput).Verdict)
	save(t, s, act(baseline.KindWithdraw, target.Record))
	require.Equal(t, verdict.Pass, word(t, step(15, 0.75*noisy(15)), tput).Verdict)
}

func TestUnavailableStoreIsNeverGreen(t *testing.T) {
	t.Parallel()
	set := setup(nil)
	set.StoreErr = &baseline.UnavailableError{Store: "postgres://h/db", Err: errors.New("connection refused")}
	r := nightly("c", 1, 100)
	j := judge(t, set, r)
	row := word(t, j, tput)
	require.Equal(t, verdict.BaselineUnavailable, row.Verdict)
	require.Contains(t, row.Reason, "connection refused")
	require.InDelta(t, 100, *row.Value, 0)
	require.Equal(t, verdict.BaselineUnavailable, j.Record.Verdict)

	value := 100.0
	set.Pins = judging.Pins{Cases: map[string][]judging.PinEntry{"c": {{Metric: tput, Value: &value, Source: "b.yaml:3"}}}}
	row = word(t, judge(t, set, r), tput)
	require.Equal(t, verdict.Pass, row.Verdict, "a pinned value needs no store")
	require.Equal(t, verdict.BaselineUnavailable, word(t, judge(t, set, r), "ttft_median_ms").Verdict)

	set.StoreErr = nil
	set.Pins = judging.Pins{}
	row = word(t, judge(t, set, r), tput)
	require.Equal(t, verdict.NoBaseline, row.Verdict)
}

func TestInvalidRunsAreNotJudged(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	r := nightly("c", 1, 100)
	r.Valid, r.Problems = false, []string{"bench.log:12: 3 failed requests"}
	j := judge(t, setup(s), r)
	for _, row := range j.Rows {
		require.Equal(t, verdict.Invalid, row.Verdict)
		require.Equal(t, "bench.log:12: 3 failed requests", row.Reason)
	}
	require.Equal(t, verdict.Invalid, word(t, j, "tpot_median_ms").Verdict, "a gating metric that is not there at all")
	require.Equal(t, verdict.Invalid, j.Record.Verdict)
	require.NoError(t, j.Record.Validate())
	save(t, s, j.Record)
	h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
	require.NoError(t, err)
	require.Empty(t, h.Runs, "never stored as good")
}

func TestAMetricThatDisappearsIsNotAPass(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	for i := range 10 {
		save(t, s, nightly("c", i, noisy(i)))
	}
	r := nightly("c", 10, noisy(10))
	r.Measurements = r.Measurements[:1]
	row := word(t, judge(t, setup(s), r), "ttft_median_ms")
	require.Equal(t, verdict.Invalid, row.Verdict)
	require.Equal(t, "con64", row.Point)
	require.Equal(t, "not measured by this run, but by 5 of the last 5 runs", row.Reason)
}

// However often it is missing: nobody gets used to it but by saying so.
func TestAMetricThatDisappearedStaysMissing(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	for i := range 10 {
		save(t, s, nightly("c", i, noisy(i)))
	}
	without := func(i int, value float64) judging.Judgement {
		r := nightly("c", i, value)
		r.Measurements = r.Measurements[:1]
		j := judge(t, setup(s), r.Normal())
		require.True(t, j.Record.Valid, j.Record.Problems)
		save(t, s, j.Record)
		return j
	}
	for i := 10; i < 20; i++ {
		value := noisy(i)
		if i > 14 {
			value *= 0.7 // a regression is worse, and hides nothing
		}
		j := without(i, value)
		row := word(t, j, "ttft_median_ms")
		require.Equal(t, verdict.Invalid, row.Verdict, "night %d", i)
		if i == 12 {
			require.Equal(t, "not measured by this run, but by 5 of 5 runs before 2 runs lacked it (where that is intended: baseline accept)", row.Reason)
		}
	}

	q := baseline.Query{Case: "c", Match: nightly("c", 0, 1).Match}
	h, err := s.History(t.Context(), q)
	require.NoError(t, err)
	some, err := setup(s).Accept(h, "", []string{tput}, baseline.Act{By: "ana", At: day(400), Why: "slower"})
	require.NoError(t, err)
	require.Empty(t, some.Retired)
	save(t, s, some.Record)
	require.Equal(t, verdict.Invalid, word(t, without(20, 0.7*noisy(20)), "ttft_median_ms").Verdict, "of another metric")

	h, err = s.History(t.Context(), q)
	require.NoError(t, err)
	whole, err := setup(s).Accept(h, "", nil, baseline.Act{By: "ana", At: day(400), Why: "no longer measured"})
	require.NoError(t, err)
	require.Equal(t, []string{"con64/ttft_median_ms"}, whole.Retired)
	save(t, s, whole.Record)
	for i := 21; i < 24; i++ {
		require.Len(t, without(i, 0.7*noisy(i)).Rows, 1)
	}
	for i := 24; i < 27; i++ {
		require.NotEqual(t, verdict.Invalid, word(t, judge(t, setup(s), nightly("c", i, 0.7*noisy(i))), "ttft_median_ms").Verdict)
		save(t, s, nightly("c", i, 0.7*noisy(i)))
	}
	require.Equal(t, verdict.Invalid, word(t, without(27, 0.7*noisy(27)), "ttft_median_ms").Verdict, "measured again")
}

// Someone wrote a value down, so somebody wants to know.
func TestAPinnedMetricThatIsNotMeasuredIsNotAPass(t *testing.T) {
	t.Parallel()
	pins, err := judging.ParsePins("p.yaml", []byte(`schema: 1
cases:
  c:
    output_token_throughput: 1000
    ttft_median_ms: {gate: true}
    tpot_median_ms: {value: 10, gate: false}
    con128/output_token_throughput: 2000
    con64/e2el_median_ms: {match: {gpu_type: B200}, value: 3, gate: true}
    request_throughput: 7
`), metric.Default())
	require.NoError(t, err)
	set := setup(nil)
	set.Pins = pins
	r := nightly("c", 1, 1000)
	r.Measurements = r.Measurements[:1]
	require.Equal(t, tput, r.Measurements[0].Metric)
	got := map[string]string{}
	for _, row := range judge(t, set, r.Normal()).Rows {
		if row.Verdict == verdict.Invalid {
			require.True(t, row.Gate)
			got[row.Point+"/"+row.Metric] = row.Reason
		}
	}
	require.Equal(t, map[string]string{
		"/ttft_median_ms":                "not measured by this run, but pinned at p.yaml:5:5",
		"con128/output_token_throughput": "not measured by this run, but pinned at p.yaml:7:5",
	}, got, "at any point, at its own point; not what gates nothing or is about other runs")
}

// 0 tok/s is no measurement, and is no history either.
func TestAGateWithoutAUsableValueMakesTheRunInvalid(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	for _, v := range []float64{0, -5} {
		r := nightly("c", 1, v)
		j := judge(t, setup(s), r)
		require.Equal(t, verdict.Invalid, j.Record.Verdict)
		require.False(t, j.Record.Valid)
		require.Contains(t, j.Record.Problems[0], "con64 output_token_throughput: the value")
		require.NoError(t, j.Record.Validate())
		save(t, s, j.Record)
		h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
		require.NoError(t, err)
		require.Empty(t, h.Runs)
	}
	set := setup(s)
	off := false
	set.Policy.Metrics = map[string]verdict.MetricPolicy{tput: {Gate: &off}}
	require.True(t, judge(t, set, nightly("c", 1, 0)).Record.Valid, "a value that gates nothing harms nobody")
}

func TestRowsAreInNaturalOrder(t *testing.T) {
	t.Parallel()
	r := nightly("c", 1, 100)
	r.Measurements = nil
	for _, point := range []string{"con1024", "con8", "con64"} {
		for _, m := range []string{"ttft_p99_ms", "ttft_median_ms", tput} {
			r.Measurements = append(r.Measurements, baseline.Measurement{Point: point, Metric: m, Unit: "x", Values: []float64{1}})
		}
	}
	var got []string
	for _, row := range judge(t, setup(nil), r).Rows {
		got = append(got, row.Point+"/"+row.Metric)
	}
	require.Equal(t, []string{
		"con8/" + tput, "con8/ttft_median_ms", "con8/ttft_p99_ms",
		"con64/" + tput, "con64/ttft_median_ms", "con64/ttft_p99_ms",
		"con1024/" + tput, "con1024/ttft_median_ms", "con1024/ttft_p99_ms",
	}, got)
}

func TestMeasurements(t *testing.T) {
	t.Parallel()
	result := func(con int, value float64) bench.Result {
		return bench.Result{File: "f", Point: rundir.Point{Concurrency: con}, Samples: []bench.Sample{{Metric: tput, Value: value}}}
	}
	got, problems := judging.Measurements([][]bench.Result{
		{result(64, 1), result(8, 2), result(64, 1)}, {result(64, 3)}, {result(8, 5), result(64, 4)},
	}, metric.Default(), judging.PointNames)
	require.Empty(t, problems)
	require.Equal(t, []baseline.Measurement{
		{Point: "con64", Metric: tput, Unit: "tok/s", Values: []float64{1, 3, 4}},
		{Point: "con8", Metric: tput, Unit: "tok/s", Values: []float64{2, 5}, Reps: []int{0, 2}},
	}, got)

	_, problems = judging.Measurements([][]bench.Result{{result(8, 1), result(8, 2)}}, metric.Default(), judging.PointNames)
	require.Equal(t, []string{`f: output_token_throughput of point "con8" is 2, but another result of the same point says 1`}, problems)
	bad := result(8, 1)
	bad.Samples[0].Metric = "speed"
	_, problems = judging.Measurements([][]bench.Result{{bad}}, metric.Default(), judging.PointNames)
	require.Len(t, problems, 1)
}

func TestPointNames(t *testing.T) {
	t.Parallel()
	r := func(con, isl int, name string) bench.Result {
		return bench.Result{Point: rundir.Point{Concurrency: con, InputLen: isl, OutputLen: isl, Name: name}}
	}
	require.Equal(t, []string{"con8", "con64"}, judging.PointNames([]bench.Result{r(8, 0, "x"), r(64, 0, "y")}))
	require.Equal(t, []string{"con8", "con8"}, judging.PointNames([]bench.Result{r(8, 0, ""), r(0, 0, "gen_server_0")}), "a server's log")
	require.Equal(t, []string{"con8_isl1_osl1", "con8_isl2_osl2", "con4"}, judging.PointNames([]bench.Result{r(8, 1, ""), r(8, 2, ""), r(4, 1, "")}))
	require.Equal(t, []string{"a", "b"}, judging.PointNames([]bench.Result{r(8, 1, "a"), r(8, 1, "b")}))
	require.Equal(t, []string{"con8", "con8"}, judging.PointNames([]bench.Result{r(8, 1, ""), r(8, 1, "")}))
	require.Equal(t, []string{"", "x"}, judging.PointNames([]bench.Result{r(0, 0, ""), r(0, 0, "x")}))
}

func TestPinsFile(t *testing.T) {
	t.Parallel()
	const text = `# curated by the perf team
schema: 1
cases:
  "perf/t.py::t[a.b]":
    output_token_throughput: 12500
    con64/ttft_median_ms: {value: 81.5, tolerance: 5%}
    tpot_median_ms:
      - {match: {gpu_type: GB200}, value: 9.1, tolerance: 0.03}
      - {match: {gpu_type: B200}, value: 11.4}
    e2el_median_ms: {rule: upstream, tolerance: 8%, gate: true, min_effect: 3%}
`
	pins, err := judging.ParsePins("baselines.yaml", []byte(text), metric.Default())
	require.NoError(t, err)
	r := nightly("perf/t.py::t[a.b]", 1, 12000)
	r.Measurements = append(r.Measurements,
		baseline.Measurement{Point: "con64", Metric: "tpot_median_ms", Unit: "ms", Values: []float64{9.5}},
		baseline.Measurement{Point: "con64", Metric: "e2el_median_ms", Unit: "ms", Values: []float64{9.5}})
	set := setup(nil)
	set.Pins = pins
	j := judge(t, set, r.Normal())

	row := word(t, j, tput)
	require.Equal(t, verdict.Pass, row.Verdict, "4 % of 12500 is inside the rule's 5 %")
	require.InDelta(t, 12500, *row.Baseline, 0)
	require.Contains(t, row.Reason, "baselines.yaml:5:5")
	require.Equal(t, verdict.Regression, word(t, j, "ttft_median_ms").Verdict)
	require.Equal(t, verdict.Regression, word(t, j, "tpot_median_ms").Verdict, "GB200's entry with 3 %, not B200's")
	e2el := word(t, j, "e2el_median_ms")
	require.Equal(t, "upstream", e2el.Rule)
	require.True(t, e2el.Gate)
	require.Equal(t, verdict.NoBaseline, e2el.Verdict)
}

func TestPinsFileProblems(t *testing.T) {
	t.Parallel()
	for want, line := range map[string]string{
		`f:4:5: cases.c.ttft_medain_ms: "ttft_medain_ms" is not a known metric`:                           `ttft_medain_ms: 3`,
		`f:4:5: cases.c.ttft-median: "ttft-median" is not a known metric; did you mean "ttft_median_ms"?`: `ttft-median: 3`,
		`f:4:21: cases.c.ttft_median_ms: expects a number, but "fast" is text`:                            `ttft_median_ms: fast`,
		`f:4:22: cases.c.ttft_median_ms.valeu: unknown key; did you mean "value"?`:                        `ttft_median_ms: {valeu: 3}`,
		`f:4:43: cases.c.ttft_median_ms.tolerance: "5" is not a relative size: write 5% or 0.05`:          `ttft_median_ms: {value: 3, tolerance: 5}`,
		`f:4:5: cases.c.ttft_median_ms: the value -3 is not above 0`:                                      `ttft_median_ms: -3`,
		`f:4:5: cases.c.ttft_median_ms: says nothing`:                                                     `ttft_median_ms: {why: because}`,
		`f:4:5: cases.c.ttft_median_ms: "p95" is not a rule`:                                              `ttft_median_ms: {rule: p95}`,
		`f:4:34: cases.c.ttft_median_ms[1]: is for the same match values as an entry before it`:           `ttft_median_ms: [{value: 3}, {value: 4}]`,
	} {
		_, err := judging.ParsePins("f", []byte("schema: 1\ncases:\n  c:\n    "+line+"\n"), metric.Default())
		require.ErrorContains(t, err, want)
	}
	_, err := judging.ParsePins("f", []byte("cases: {}\n"), metric.Default())
	require.ErrorContains(t, err, "schema: must be 1")
}

// What a benchmark file holds must not keep its run out of the store.
func TestTextsFromFilesAreMadeFit(t *testing.T) {
	t.Parallel()
	r := nightly("c", 1, 100)
	r.Measurements[0].Point = "con\x1b[31m64\xff"
	r.Valid, r.Problems = false, []string{"line 3: \x00\x01 bad\nnews"}
	r = r.Normal()
	require.NoError(t, r.Validate())
	require.Equal(t, []string{"line 3: ·· bad·news"}, r.Problems)
}

// A pull request whose merge base was never measured is compared with the runs
// up to the commit's time: a step of main after it is not its own.
func TestPullRequestsEndTheHistoryAtTheirMergeBase(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	for i := range 30 {
		value := noisy(i)
		if i >= 20 {
			value *= 0.9
		}
		save(t, s, nightly("c", i, value))
	}
	pr := nightly("c", 31, 100)
	pr.Build.Mode, pr.Build.MergeBase = "pr", "fffffff"
	pr.Measurements = pr.Measurements[:1]
	j := judge(t, setup(s), pr)
	require.Equal(t, 30, word(t, j, tput).History)
	require.Contains(t, j.Warnings[0], "no run of the merge base fffffff")

	at := day(19).Add(time.Hour)
	pr.Build.MergeBaseTime = &at
	j = judge(t, setup(s), pr)
	require.Empty(t, j.Warnings)
	row := word(t, j, tput)
	require.Equal(t, 20, row.History)
	require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
	require.InDelta(t, 100, *row.Baseline, 1)
}

// The example in the documentation is a file that works.
func TestDocumentedPinsAreValid(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../docs/baseline.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(data), "```yaml\nschema: 1\n")
	require.True(t, ok)
	text, _, _ := strings.Cut(rest, "```")
	pins, err := judging.ParsePins("baselines.yaml", []byte("schema: 1\n"+text), metric.Default())
	require.NoError(t, err)
	require.Len(t, pins.Cases, 1)
}
