package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// measuredCommit is one run of a series whose commits are measured in any order.
type measuredCommit struct {
	commit int // its place in the branch's history
	worse  float64
	values int // with its repetitions
}

// bisected plays 30 good nights, 5 bad ones, 6 good commits again as a bisect does, in
// mode nightly, and two more bad nights. It returns how many of these two are red, and
// how many of the 6 are.
func bisected(seed, k uint64) (head, old int) {
	rng := rand.New(rand.NewPCG(seed, 1300+k))
	var runs []measuredCommit
	for i := range 30 {
		runs = append(runs, measuredCommit{commit: i, values: 1})
	}
	for i := range 5 {
		runs = append(runs, measuredCommit{commit: 30 + i, worse: 0.1, values: 4})
	}
	for _, i := range []int{15, 22, 26, 28, 29, 29} {
		runs = append(runs, measuredCommit{commit: i, values: 1})
	}
	for i := range 2 {
		runs = append(runs, measuredCommit{commit: 35 + i, worse: 0.1, values: 1})
	}
	setup := judging.Setup{Metrics: metric.Default(), Policy: verdict.Policy{RerunsUnavailable: true}}
	start := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	var past []baseline.Record
	for n, r := range runs {
		at := start.AddDate(0, 0, r.commit)
		rec := baseline.Record{
			Kind: baseline.KindRun, Case: "c", Valid: true, Run: fmt.Sprint(n), Time: start.Add(time.Duration(n) * 12 * time.Hour),
			Build: rundir.Build{Mode: baseline.ModeNightly, Commit: fmt.Sprintf("%040x", 1+r.commit), CommitTime: &at},
		}
		m := baseline.Measurement{Point: "con8", Metric: "tpot_median_ms", Unit: "ms"}
		for range r.values {
			m.Values = append(m.Values, 10*math.Exp(math.Log1p(r.worse)+0.01*rng.NormFloat64()))
			rec.Repetitions = append(rec.Repetitions, baseline.Repetition{})
		}
		rec.Measurements = []baseline.Measurement{m}
		j := judging.Again(setup, rec.Normal(), "e2e", past)
		past = append(past, j.Record)
		red := verdict.Worst(j.Rows) == verdict.Regression
		switch {
		case n >= 41:
			head += count(red)
		case n >= 35:
			old += count(red)
		}
	}
	return head, old
}

// printBisect: good commits that are measured again in the middle of a regression close
// nothing at the head, and are not red themselves.
func printBisect(w io.Writer, seed uint64, c *checks) {
	head, old := 0, 0
	for k := range uint64(specialSeries) {
		h, o := bisected(seed, k)
		head, old = head+h, old+o
	}
	heads, olds := 2*specialSeries, 6*specialSeries
	fmt.Fprintf(w, "## A bisect in the middle of a regression of 10 %%\n\nthe next nights of the bad head: %d of %d red; the good commits that were measured again: %d of %d red\n\n", head, heads, old, olds)
	c.check(100*head >= 98*heads, "a bisect in the middle: %.0f %% of the bad head's next nights are red (at least 98)", share(head, heads))
	c.check(100*old <= 2*olds, "a bisect in the middle: %.1f %% of the good commits that it measures are red (at most 2)", share(old, olds))
}
