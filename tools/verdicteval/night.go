package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// benchmark is one recorded case: its gating series, night by night.
type benchmark struct {
	series []history
	at     int // of a step in all of them, 0 = none
	size   float64
	seed   uint64
}

// benchmarks are the stretches of the LLM-serving configurations in which nothing
// changes in any of their three gating metrics.
func benchmarks(natural []history) []benchmark {
	groups := map[string][]history{}
	var order []string
	for _, h := range natural {
		if h.family != "atom_llm_serving" || strings.Contains(h.name, "Total") || strings.Contains(h.name, "tok/fwd") {
			continue
		}
		if groups[h.group] == nil {
			order = append(order, h.group)
		}
		groups[h.group] = append(groups[h.group], h)
	}
	var out []benchmark
	for k, name := range order {
		all := groups[name]
		same := !slices.ContainsFunc(all, func(h history) bool {
			return len(h.runs) != len(all[0].runs)
		})
		if len(all) != 3 || !same {
			continue
		}
		for _, stretch := range common(all) {
			b := benchmark{seed: uint64(k)}
			for _, h := range all {
				h.runs = h.runs[stretch[0]:stretch[1]]
				b.series = append(b.series, h)
			}
			out = append(out, b)
		}
	}
	return out
}

// common are the stretches in which nothing changes in any of the series.
func common(all []history) [][2]int {
	out := all[0].stretches
	for _, h := range all[1:] {
		var both [][2]int
		for _, a := range out {
			for _, b := range h.stretches {
				if from, to := max(a[0], b[0]), min(a[1], b[1]); to-from >= stretchMin {
					both = append(both, [2]int{from, to})
				}
			}
		}
		out = both
	}
	return out
}

// withStep is the benchmark with all series worse by size from one run on.
func (b benchmark) withStep(size float64) benchmark {
	n := len(b.series[0].runs)
	rng := rand.New(rand.NewPCG(b.seed, 17))
	out := benchmark{at: beforeStep + rng.IntN(n-beforeStep-behindStep+1), size: size, seed: b.seed}
	for _, h := range b.series {
		h.runs = slices.Clone(h.runs)
		for i := out.at; i < n; i++ {
			h.runs[i].Values = []float64{fromLog(h.metric, h.runs[i].Values[0], log1p(size))}
		}
		out.series = append(out.series, h)
	}
	return out
}

func stepped(all []benchmark, size float64) []benchmark {
	out := make([]benchmark, len(all))
	for k, b := range all {
		out[k] = b.withStep(size)
	}
	return out
}

// nightCount is what came of the nights of a benchmark.
type nightCount struct {
	quiet, red, reruns int
	nights             map[int64]bool // UTC days with an unchanged run: whether one was red
	steps, found       int
}

// replay judges every run of the benchmark as if it were the newest.
func (b benchmark) replay(p verdict.Policy) nightCount {
	out := nightCount{nights: map[int64]bool{}}
	runs := make([][]verdict.Run, len(b.series))
	for q, h := range b.series {
		runs[q] = slices.Clone(h.runs)
	}
	found := false
	for i := warmUp; i < len(runs[0]); i++ {
		c, reruns := b.judge(runs, i, p)
		if b.at == 0 {
			day := b.series[0].runs[i].Time.Unix() / int64((24 * time.Hour).Seconds())
			out.quiet++
			out.red += count(c.Alarm)
			out.reruns += reruns
			out.nights[day] = out.nights[day] || c.Alarm
		}
		found = found || b.at > 0 && i >= b.at && i < b.at+5 && c.Alarm
	}
	out.steps, out.found = count(b.at > 0), count(found)
	return out
}

// judge judges one night; a repetition is another real run near by, the same for
// all series.
func (b benchmark) judge(runs [][]verdict.Run, i int, p verdict.Policy) (verdict.Case, int) {
	rng := rand.New(rand.NewPCG(b.seed, uint64(i)))
	for reruns := 0; ; reruns++ {
		var all []verdict.Question
		for q, h := range b.series {
			all = append(all, verdict.Question{Policy: p, Series: verdict.Series{Case: h.group, Point: h.name, Metric: h.metric, History: runs[q][:i], New: runs[q][i]}})
		}
		rows, c := verdict.JudgeCase(all)
		if !slices.ContainsFunc(rows, func(r verdict.Row) bool { return r.Suspicious }) {
			for q := range rows {
				runs[q][i] = rows[q].Record(runs[q][i])
			}
			return c, reruns
		}
		near := i - 4 + rng.IntN(9)
		near = min(max(near, 0), len(runs[0])-1)
		for q, h := range b.series {
			v := h.runs[near].Values[0]
			if b.at > 0 && (near >= b.at) != (i >= b.at) { // the step is the night's, not the neighbour's
				shift := log1p(b.size)
				if near >= b.at {
					shift = -shift
				}
				v = fromLog(h.metric, v, shift)
			}
			runs[q][i].Values = append(slices.Clone(runs[q][i].Values), v)
		}
	}
}

func measureNights(all []benchmark, p verdict.Policy, workers int) nightCount {
	parts := make([]nightCount, len(all))
	var wg sync.WaitGroup
	slots := make(chan struct{}, max(1, workers))
	for k, b := range all {
		wg.Go(func() {
			slots <- struct{}{}
			parts[k] = b.replay(p)
			<-slots
		})
	}
	wg.Wait()
	sum := nightCount{nights: map[int64]bool{}}
	for _, p := range parts {
		sum.quiet += p.quiet
		sum.red += p.red
		sum.reruns += p.reruns
		sum.steps += p.steps
		sum.found += p.found
		for day, red := range p.nights {
			sum.nights[day] = sum.nights[day] || red
		}
	}
	return sum
}

func (n nightCount) nightsRed() float64 {
	red := 0
	for _, r := range n.nights {
		red += count(r)
	}
	return 100 * float64(red) / float64(max(1, len(n.nights)))
}

// printNights prints how often a case and a whole night are red for nothing, and
// how many steps in all metrics of a case are found within five nights.
func printNights(w io.Writer, natural []history, workers int, c *checks) {
	all := benchmarks(natural)
	fmt.Fprintf(w, "## Nights of %d recorded series in %d stretches of cases without a change, judged together\n\n", 3*len(all), len(all))
	fmt.Fprintln(w, "| rule | red per 100 unchanged case-nights | nights red, % | reruns per 100 | found within 5: 3 % | 5 % | 10 % |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, r := range []struct {
		name   string
		policy verdict.Policy
	}{
		{"case", verdict.Policy{ForgetOpen: true}},
		{"case, sensitive", verdict.Policy{ForgetOpen: true, Strictness: verdict.Sensitive}},
		{"case, strict", verdict.Policy{ForgetOpen: true, Strictness: verdict.Strict}},
		{"case + rerun", verdict.Policy{ForgetOpen: true, Reruns: verdict.MaxReruns}},
	} {
		t := measureNights(all, r.policy, workers)
		fmt.Fprintf(w, "| %s | %.2f | %.1f | %.1f |", r.name, 100*float64(t.red)/float64(t.quiet), t.nightsRed(), 100*float64(t.reruns)/float64(t.quiet))
		for _, size := range []float64{0.03, 0.05, 0.10} {
			s := measureNights(stepped(all, size), r.policy, workers)
			share := 100 * float64(s.found) / float64(max(1, s.steps))
			fmt.Fprintf(w, " %.0f |", share)
			if r.name == "case" && size == 0.05 {
				c.check(share >= 68, "recorded nights: %.0f %% of the steps of 5 %% in all metrics of a case found within 5 without repetitions (at least 68)", share)
			}
		}
		fmt.Fprintln(w)
		if r.name == "case" {
			c.check(t.nightsRed() <= 5, "recorded nights: %.1f %% of %d unchanged nights are red (at most 5)", t.nightsRed(), len(t.nights))
		}
	}
	fmt.Fprintln(w)
}
