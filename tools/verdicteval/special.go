package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// player plays one generated series through the judge, with repetitions.
type player struct {
	rng    *rand.Rand
	metric metric.Metric
	noise  float64
	policy verdict.Policy
	runs   []verdict.Run
}

func newPlayer(seed, k uint64, noise float64, p verdict.Policy) *player {
	m := metric.Metric{Name: "generated", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02}
	return &player{rng: rand.New(rand.NewPCG(seed, k)), metric: m, noise: noise, policy: p}
}

// night measures, repeats while the verdict asks for it, and stores.
func (p *player) night(worse float64, node string) verdict.Row {
	draw := func() float64 { return fromLog(p.metric, 100, worse+p.noise*p.rng.NormFloat64()) }
	n := len(p.runs)
	run := verdict.Run{ID: fmt.Sprint(n), Time: time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC).AddDate(0, 0, n), NodeSet: node, Values: []float64{draw()}}
	for {
		row := verdict.Judge(verdict.Series{Metric: p.metric, History: p.runs, New: run}, p.policy)
		if !row.Suspicious {
			p.runs = append(p.runs, row.Record(run))
			return row
		}
		run.Values = append(run.Values, draw())
	}
}

const specialSeries = 40

// printQuiet: series of 0.1 to 0.3 % noise with one to three bad nights behind
// them; a step of any size is red on its first night, and its interval holds it.
func printQuiet(w io.Writer, seed uint64, c *checks) {
	fmt.Fprint(w, "## Quiet series with 1 to 3 bad nights, found on the first night, %\n\n| step |")
	noises := []float64{0.001, 0.002, 0.003}
	for _, s := range noises {
		fmt.Fprintf(w, " noise %.1f %% |", 100*s)
	}
	fmt.Fprint(w, "\n|---|---|---|---|\n")
	all, hit, last, falls := 0, 0, 0, 0
	for _, step := range []float64{0.05, 0.07, 0.09, 0.11, 0.14, 0.18, 0.23, 0.30} {
		fmt.Fprintf(w, "| %.0f %% |", 100*step)
		row := 0
		for _, s := range noises {
			found := 0
			for k := range uint64(specialSeries) {
				p := newPlayer(seed, k, s, verdict.Policy{Reruns: verdict.MaxReruns})
				for i := range 40 {
					bad := 0.0
					if uint64(i%13) == 11 && uint64(i/13) <= k%3 {
						bad = 0.04 + 0.2*p.rng.Float64()
					}
					p.night(bad, "")
				}
				found += count(p.night(math.Log1p(step), "").Verdict == verdict.Regression)
			}
			fmt.Fprintf(w, " %.0f |", 100*float64(found)/specialSeries)
			row += found
			all, hit = all+specialSeries, hit+found
		}
		fmt.Fprintln(w)
		falls = max(falls, last-row)
		last = row
	}
	fmt.Fprintln(w)
	share := 100 * float64(hit) / float64(all)
	c.check(share >= 98, "quiet series: %.1f %% of the steps of 5 to 30 %% found on the first night (at least 98)", share)
	c.check(falls <= 2, "quiet series: power falls by at most %d of %d series when the step grows (at most 2)", falls, len(noises)*specialSeries)
}

// printLife: a regression that lands again, and pools that runs keep to.
func printLife(w io.Writer, seed uint64, c *checks) {
	again := 0
	for k := range uint64(specialSeries) {
		p := newPlayer(seed, 100+k, 0.01, verdict.Policy{Reruns: verdict.MaxReruns})
		for _, part := range []struct {
			nights int
			worse  float64
		}{{30, 0}, {5, 0.1}, {6, 0}} {
			for range part.nights {
				p.night(part.worse, "")
			}
		}
		again += count(p.night(0.1, "").Verdict == verdict.Regression)
	}
	unrecorded, _ := pools(seed, false)
	recorded, judged := pools(seed, true)
	per := func(n int) float64 { return 100 * float64(n) / float64(judged) }
	fmt.Fprintf(w, "## Regressions that land again, and pools 3 %% apart that runs keep to for 12 nights\n\n")
	fmt.Fprintf(w, "landed again: %.0f %% found on the first night; pools: %.1f false alarms per 100 unrecorded, %.2f with the node recorded\n\n", 100*float64(again)/specialSeries, per(unrecorded), per(recorded))
	c.check(again*100 >= 98*specialSeries, "a 10 %% regression that lands again is found on its first night in %.0f %% (at least 98)", 100*float64(again)/specialSeries)
	c.check(per(recorded) <= 1, "pools that runs keep to: %.2f false alarms per 100 with the node recorded (at most 1)", per(recorded))
}

// pools counts the false alarms of series on two pools of nodes, and the judged runs.
func pools(seed uint64, known bool) (alarms, judged int) {
	for k := range uint64(specialSeries) {
		p := newPlayer(seed, 200+k, 0.01, verdict.Policy{ForgetOpen: true})
		phase := p.rng.IntN(24)
		for i := range nights {
			pool := (i + phase) / 12 % 2
			node := ""
			if known {
				node = []string{"a", "b"}[pool]
			}
			alarm := p.night(0.03*float64(pool), node).Alarm
			alarms += count(alarm && i >= warmUp)
			judged += count(i >= warmUp)
		}
	}
	return alarms, judged
}

// printCoverage: how often the shown interval holds the true step, alarmed or not.
func printCoverage(w io.Writer, seed uint64, c *checks) {
	holds, all := 0, 0
	for k := range uint64(6 * specialSeries) {
		step := []float64{0.02, 0.03, 0.05, 0.10, 0.15, 0.20}[k%6]
		p := newPlayer(seed, 300+k, []float64{0.002, 0.005, 0.01, 0.02}[k/6%4], verdict.Policy{ForgetOpen: true})
		for range 30 {
			p.night(0, "")
		}
		var row verdict.Row
		for range 3 {
			row = p.night(math.Log1p(step), "")
		}
		all++
		holds += count(row.Interval != nil && row.Interval[0] <= step && step <= row.Interval[1])
	}
	share := 100 * float64(holds) / float64(all)
	fmt.Fprintf(w, "## Coverage\n\nthe 5..95 %% interval on the third night holds the true step in %.1f %% of %d series with steps of 2 to 20 %%, alarmed or not\n\n", share, all)
	c.check(share >= 85 && share <= 97, "the interval holds the true step in %.1f %% (85 to 97)", share)
}

// sessions is the file of the H200 sessions: one row per repetition.
type sessions struct {
	Columns []string
	Rows    [][]any
	metrics []metric.Metric
}

func (f *sessions) of(row []any, column string) any { return row[slices.Index(f.Columns, column)] }

// printH200: repetitions on real GPUs, each as a night; the others of its server
// start are its repetitions.
func printH200(w io.Writer, dir string, c *checks) error {
	raw, err := os.ReadFile(filepath.Join(dir, "h200_sessions.json"))
	if err != nil {
		return err
	}
	f := sessions{metrics: []metric.Metric{
		{Name: "output_tok_s", Unit: "tok/s", Better: metric.HigherIsBetter, Gate: true, MinEffect: 0.02},
		{Name: "tpot_median_ms", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02},
		{Name: "ttft_median_ms", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.05},
	}}
	if err := json.Unmarshal(raw, &f); err != nil {
		return err
	}
	judged, red, doubted := map[string]int{}, map[string]int{}, 0
	for _, agg := range []float64{0, 1} { // two configurations, two histories
		history := make([][]verdict.Run, len(f.metrics))
		for k, row := range f.Rows {
			kind, _ := f.of(row, "kind").(string)
			if f.of(row, "agg") != agg || kind == "warm" {
				continue
			}
			rows, runs := f.judge(k, kind, history)
			word := verdict.Worst(rows)
			judged[kind] += count(word != verdict.Collecting)
			red[kind] += count(word == verdict.Regression)
			if kind != "a" {
				continue
			}
			doubted += count(!slices.Contains([]verdict.Word{verdict.Collecting, verdict.Pass, verdict.Improvement}, word))
			for q := range history {
				history[q] = append(history[q], rows[q].Record(runs[q]))
			}
		}
	}
	fmt.Fprintf(w, "## H200 sessions, each repetition as a night\n\nunchanged: %d of %d not green; 8 %% more work: %d of %d red on night 1; 2.6 %% more work: %d of %d\n\n",
		doubted, judged["a"], red["l"], judged["l"], red["s"], judged["s"])
	c.check(100*doubted <= judged["a"], "H200: %d of %d unchanged runs are not green (at most 1 %%)", doubted, judged["a"])
	c.check(red["l"] == judged["l"] && judged["l"] > 0, "H200: %d of %d runs with 8 %% more work are red on night 1 (all)", red["l"], judged["l"])
	return nil
}

// judge judges repetition k, with others of its session while the verdict asks.
func (f *sessions) judge(k int, kind string, history [][]verdict.Run) ([]verdict.Row, []verdict.Run) {
	row := f.Rows[k]
	again := others(f.Rows, k, func(o []any) bool {
		return f.of(o, "session") == f.of(row, "session") && f.of(o, "kind") == kind
	})
	for used := 0; ; used++ {
		var all []verdict.Question
		var runs []verdict.Run
		for q, m := range f.metrics {
			run := verdict.Run{ID: fmt.Sprint(k), Time: time.Unix(int64(k)*86400, 0)}
			for _, r := range append([][]any{row}, again[:used]...) {
				v, _ := f.of(r, m.Name).(float64)
				run.Values = append(run.Values, v)
			}
			runs = append(runs, run)
			all = append(all, verdict.Question{Policy: verdict.Policy{Reruns: verdict.MaxReruns, RerunsUsed: used}, Series: verdict.Series{Metric: m, History: history[q], New: run}})
		}
		rows, _ := verdict.JudgeCase(all)
		if used == len(again) || !slices.ContainsFunc(rows, func(r verdict.Row) bool { return r.Suspicious }) {
			return rows, runs
		}
	}
}

// others are up to three rows beside k that fit.
func others(rows [][]any, k int, fits func([]any) bool) [][]any {
	var out [][]any
	for i, r := range rows {
		if i != k && len(out) < verdict.MaxReruns && fits(r) {
			out = append(out, r)
		}
	}
	return out
}
