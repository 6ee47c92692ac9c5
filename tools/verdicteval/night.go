package main

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// benchmark is one case: its gating series at all its points, one run a night.
type benchmark struct {
	series []history
	nights []int64 // UTC days on which any of them ran, ascending
	seed   uint64
}

// benchmarks are the recorded cases of LLM serving, cut to what is stationary. wide
// takes a model with its prompt and answer lengths for one case, as a configuration
// with several concurrencies is; otherwise each concurrency is a case of its own.
func benchmarks(natural []history, wide bool) []benchmark {
	index := map[string]int{}
	var out []benchmark
	for _, h := range natural {
		if h.family != "atom_llm_serving" || strings.Contains(h.name, "Total") || strings.Contains(h.name, "tok/fwd") {
			continue
		}
		name := h.group
		if wide {
			name, _, _ = strings.Cut(name, " c=")
		}
		for _, s := range h.stretches {
			k, ok := index[name]
			if !ok {
				k, index[name] = len(out), len(out)
				out = append(out, benchmark{seed: uint64(k)})
			}
			cut := h
			cut.runs = nightly(h.runs[s[0]:s[1]])
			out[k].add(cut)
		}
	}
	return out
}

// nightly is the first run of each day: a night has one, and those of one day share their luck.
func nightly(runs []verdict.Run) []verdict.Run {
	out := slices.Clone(runs)
	for k := range out {
		out[k].Time = time.Unix(day(out[k])*86400, 0).UTC()
		out[k].ID = fmt.Sprint(day(out[k]))
	}
	return slices.CompactFunc(out, func(a, b verdict.Run) bool { return a.ID == b.ID })
}

func day(r verdict.Run) int64 { return r.Time.Unix() / 86400 }

func (b *benchmark) add(h history) {
	b.series = append(b.series, h)
	for _, r := range h.runs {
		b.nights = append(b.nights, day(r))
	}
	slices.Sort(b.nights)
	b.nights = slices.Compact(b.nights)
}

// night is what came of one night of one case.
type night struct {
	day    int64
	series int     // that were judged
	p      float64 // of the case; with one series that of the series
	most   float64 // of one series
	alarm  bool    // as shipped
	begins bool    // an alarm, with none in the case's window before
	red    bool    // as shipped: exit 4
	amber  bool    // exit 5
	reruns int
}

// redFrom reports whether the night is red when a case is from p on.
func (n night) redFrom(p float64) bool { return n.p >= p || n.most >= 0.995 }

// play judges a benchmark night by night.
type play struct {
	benchmark
	runs   [][]verdict.Run
	policy verdict.Policy
	from   int     // the night with which all series become worse, -1 = none
	size   float64 // by how much
}

func (b benchmark) play(p verdict.Policy, from int, size float64) *play {
	out := &play{benchmark: b, policy: p, from: from, size: size}
	for _, h := range b.series {
		runs := slices.Clone(h.runs)
		for i := range runs {
			runs[i].Values = []float64{out.value(h, i, day(runs[i]))}
		}
		out.runs = append(out.runs, runs)
	}
	return out
}

// value is what run i of a series would have measured on a day.
func (p *play) value(h history, i int, day int64) float64 {
	v := h.runs[i].Values[0]
	if p.from >= 0 && day >= p.nights[p.from] {
		v = fromLog(h.metric, v, log1p(p.size))
	}
	return v
}

// night judges night k, with repetitions while the verdict asks for them: other
// nights near by, the same for all series. ok is false if no series has a history.
func (p *play) night(k int) (out night, ok bool) {
	out.day = p.nights[k]
	var at []int // of the judged series, their runs
	var judged []int
	for q := range p.series {
		i, found := slices.BinarySearchFunc(p.runs[q], out.day, func(r verdict.Run, d int64) int { return cmp.Compare(day(r), d) })
		if found && i >= warmUp {
			judged, at = append(judged, q), append(at, i)
		}
	}
	if len(judged) == 0 {
		return out, false
	}
	near := rand.New(rand.NewPCG(p.seed, uint64(k))).Perm(nearest)
	for ; ; out.reruns++ {
		all := make([]verdict.Question, len(judged))
		for n, q := range judged {
			h := p.series[q]
			all[n] = verdict.Question{Policy: p.policy, Series: verdict.Series{Case: h.group, Point: h.group, Metric: h.metric, History: p.runs[q][:at[n]], New: p.runs[q][at[n]]}}
		}
		rows, c := verdict.JudgeCase(all)
		if !slices.ContainsFunc(rows, func(r verdict.Row) bool { return r.Suspicious }) {
			out.read(rows, c)
			for n, q := range judged {
				p.runs[q][at[n]] = rows[n].Record(p.runs[q][at[n]])
			}
			return out, true
		}
		for n, q := range judged {
			i := neighbour(at[n], near[out.reruns], len(p.runs[q]))
			run := &p.runs[q][at[n]]
			run.Values = append(run.Values, p.value(p.series[q], i, out.day))
		}
	}
}

// neighbour is the run that stands in for a repetition of run i: the k-th of those
// around it, mirrored where it would be behind the end.
func neighbour(i, k, n int) int {
	off := k - nearest/2
	if off >= 0 {
		off++
	}
	if i+off < 0 || i+off >= n {
		off = -off
	}
	return i + off
}

func (n *night) read(rows []verdict.Row, c verdict.Case) {
	worst := verdict.Worst(rows)
	n.series, n.alarm, n.red = len(rows), c.Alarm, worst == verdict.Regression
	n.amber = !n.red && worst != verdict.Pass && worst != verdict.Improvement
	for _, r := range rows {
		if r.P != nil {
			n.most = max(n.most, *r.P)
		}
	}
	n.p = n.most
	if c.P != nil {
		n.p = *c.P
	} else if n.p < 0.7 {
		n.p = 0
	}
}

// nightCount is what came of many nights.
type nightCount struct {
	quiet []night
	steps map[float64][][]night // by size, the first five nights of each step
}

var stepsOfNights = [...]float64{0.03, 0.05, 0.10} //nolint:gochecknoglobals // immutable table

// measureNights replays every benchmark unchanged, and with a step in all its series
// at every n-th night that has enough before and behind it; 0 = at none.
func measureNights(all []benchmark, p verdict.Policy, every, workers int) nightCount {
	parts := make([]nightCount, len(all))
	each(len(all), workers, func(k int) {
		parts[k].steps = map[float64][][]night{}
		parts[k].quiet = all[k].play(p, -1, 0).unchanged()
		for at := beforeStep; every > 0 && at+behindStep <= len(all[k].nights); at += every {
			for _, size := range stepsOfNights {
				if nights := all[k].play(p, at, size).step(); nights != nil {
					parts[k].steps[size] = append(parts[k].steps[size], nights)
				}
			}
		}
	})
	sum := nightCount{steps: map[float64][][]night{}}
	for _, p := range parts {
		sum.quiet = append(sum.quiet, p.quiet...)
		for size, s := range p.steps {
			sum.steps[size] = append(sum.steps[size], s...)
		}
	}
	return sum
}

// unchanged plays all nights. Where alarms are forgotten, one event is red as long as it
// is in the window.
func (p *play) unchanged() []night {
	var out []night
	for at := range p.nights {
		n, ok := p.night(at)
		if !ok {
			continue
		}
		n.begins = n.alarm && !slices.ContainsFunc(out[max(0, len(out)-bws.WindowRuns):], func(o night) bool { return o.alarm })
		out = append(out, n)
	}
	return out
}

// step plays the first nights of a step, nil if fewer than two series see it begin.
func (p *play) step() []night {
	var out []night
	for k := p.from; k < p.from+behindStep; k++ {
		n, ok := p.night(k)
		n.begins = n.alarm
		if k == p.from && n.series < 2 {
			return nil
		}
		if ok {
			out = append(out, n)
		}
	}
	return out
}

// nightRates are the shares that a bound gives.
type nightRates struct {
	red, nights float64 // percent of case-nights and of nights, unchanged
	found       []float64
}

func (c nightCount) rates(red func(night) bool) nightRates {
	var out nightRates
	days := map[int64]bool{}
	n := 0
	for _, q := range c.quiet {
		n += count(red(q))
		days[q.day] = days[q.day] || red(q)
	}
	out.red = share(n, len(c.quiet))
	n = 0
	for _, r := range days {
		n += count(r)
	}
	out.nights = share(n, len(days))
	for _, size := range stepsOfNights {
		n = 0
		for _, s := range c.steps[size] {
			n += count(slices.ContainsFunc(s, red))
		}
		out.found = append(out.found, share(n, len(c.steps[size])))
	}
	return out
}

func share(n, of int) float64 { return 100 * float64(n) / float64(max(1, of)) }

func (c nightCount) reruns() float64 {
	n := 0
	for _, q := range c.quiet {
		n += q.reruns
	}
	return share(n, len(c.quiet))
}

// printNights prints how often a case and a whole night are red for nothing, and how
// many steps in all series of a case are found within five nights.
func printNights(w io.Writer, natural []history, workers int, c *checks) {
	once, _ := printCurve(w, "recorded: a model with all its concurrencies is a case", benchmarks(natural, true), 2, workers)
	c.check(once.found[1] >= 68, "recorded nights: %.0f %% of the steps of 5 %% in all metrics of a case found within 5 without repetitions (at least 68)", once.found[1])
	c.check(once.nights <= 5, "recorded nights: %.1f %% of the unchanged nights are red (at most 5)", once.nights)
	printCurve(w, "recorded: each concurrency is a case of its own, of 1 to 3 series", benchmarks(natural, false), 2, workers)
}

// printCurve prints what each bound would give, and returns the alarms as shipped: of
// the rule without repetitions, and of the default configuration.
func printCurve(w io.Writer, title string, all []benchmark, every, workers int) (once, byDefault nightRates) {
	single := measureNights(all, verdict.Policy{ForgetOpen: true}, every, workers)
	again := measureNights(all, verdict.Policy{ForgetOpen: true, Reruns: verdict.MaxReruns}, every, workers)
	series := 0
	for _, b := range all {
		series += len(b.series)
	}
	fmt.Fprintf(w, "## Nights of %d series in %d cases, %s\n\n", series, len(all), title)
	fmt.Fprintf(w, "%d unchanged case-nights, %d steps of each size in all series of a case; %.1f reruns per 100 unchanged case-nights\n\n",
		len(single.quiet), len(single.steps[0.05]), again.reruns())
	fmt.Fprintln(w, "| a case is red from | red per 100 unchanged case-nights | nights red, % | found within 5: 3/5/10 % | with reruns: red per 100 | nights red, % | found within 5 |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	row := func(name string, red func(night) bool) {
		a, b := single.rates(red), again.rates(red)
		fmt.Fprintf(w, "| %s | %.2f | %.1f | %.0f/%.0f/%.0f | %.2f | %.1f | %.0f/%.0f/%.0f |\n",
			name, a.red, a.nights, a.found[0], a.found[1], a.found[2], b.red, b.nights, b.found[0], b.found[1], b.found[2])
	}
	for _, p := range []float64{0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97} {
		row(fmt.Sprintf("P %.2f", p), func(n night) bool { return n.redFrom(p) })
	}
	alarm := func(n night) bool { return n.alarm }
	row("as shipped", alarm)
	begins := func(n night) bool { return n.begins }
	row("the same, the first night of each event", begins)
	fmt.Fprintln(w)
	return single.rates(alarm), printNotGreen(w, all, workers)
}

// printNotGreen prints what of unchanged case-nights is not green with the default
// configuration, where a regression stays open until the runs are back and nobody
// accepts a false alarm. It returns the alarms where all repetitions can run.
func printNotGreen(w io.Writer, all []benchmark, workers int) (byDefault nightRates) {
	fmt.Fprint(w, "| per 100 unchanged case-nights, kept open | new false alarms | red (exit 4) | amber (exit 5) | reruns | nights with a new false alarm, % | nights red, % |\n|---|---|---|---|---|---|---|\n")
	for _, one := range []struct {
		name   string
		policy verdict.Policy
	}{{"none can run", verdict.Policy{}}, {"`reruns: auto`, all can run", verdict.Policy{Reruns: verdict.MaxReruns}}} {
		n := measureNights(all, one.policy, 0, workers)
		alarms := n.rates(func(n night) bool { return n.alarm })
		byDefault = alarms
		red := n.rates(func(n night) bool { return n.red })
		fmt.Fprintf(w, "| %s | %.2f | %.2f | %.2f | %.1f | %.1f | %.1f |\n", one.name, alarms.red, red.red,
			n.rates(func(n night) bool { return n.amber }).red, n.reruns(), alarms.nights, red.nights)
	}
	fmt.Fprintln(w)
	return byDefault
}
