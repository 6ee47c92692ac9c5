package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The cluster of which 5 % of the nodes are 3 % slower, and what is measured on it.
const (
	clusterNodes  = 60
	clusterLemons = 3
	clusterCases  = 12
	clusterNights = 60
	clusterCount  = 8
	slowBy        = 0.03
	soon          = 10 // runs that included it, within which a lemon is to be found
)

// cluster is one generated cluster with its store.
type cluster struct {
	slow    map[string]bool
	records [][]baseline.Record // by night
}

// drawCluster draws a cluster whose cases take 1, 2 or 4 of its nodes, whichever are
// free, with noise of 0.5 to 3 % and now and then a stray run.
func drawCluster(seed uint64) cluster {
	rng := rand.New(rand.NewPCG(seed, 1700))
	c := cluster{slow: map[string]bool{}}
	for _, n := range rng.Perm(clusterNodes)[:clusterLemons] {
		c.slow[nodeName(n)] = true
	}
	for night := range clusterNights {
		var records []baseline.Record
		for k := range clusterCases {
			records = append(records, c.draw(rng, night, k))
		}
		c.records = append(c.records, records)
	}
	return c
}

func nodeName(n int) string { return fmt.Sprintf("node%03d", n) }

func (c cluster) draw(rng *rand.Rand, night, k int) baseline.Record {
	noise, size := []float64{0.005, 0.01, 0.02, 0.03}[k%4], []int{1, 2, 4}[k/4%3]
	z := noise * rng.NormFloat64()
	if rng.Float64() < 0.02 {
		z += 0.05 + 0.20*rng.Float64()
	}
	rep := baseline.Repetition{Machine: &rundir.Machine{}}
	slow := 0.0
	for _, n := range rng.Perm(clusterNodes)[:size] {
		name := nodeName(n)
		rep.Nodes = append(rep.Nodes, name)
		rep.Machine.Cards = append(rep.Machine.Cards, rundir.Card{Node: name, UUID: "GPU-" + name})
		if c.slow[name] {
			slow = math.Log1p(slowBy)
		}
	}
	return baseline.Record{
		Kind: baseline.KindRun, Case: fmt.Sprintf("case-%d", k), Valid: true, Run: fmt.Sprint(night), Match: map[string]string{"mode": "e2e"},
		Time: time.Date(2026, 1, 1, 2, k, 0, 0, time.UTC).AddDate(0, 0, night), Build: rundir.Build{Mode: baseline.ModeNightly, Commit: fmt.Sprint(night)},
		Repetitions:  []baseline.Repetition{rep},
		Measurements: []baseline.Measurement{{Point: "con8", Metric: "output_token_throughput", Unit: "tok/s", Values: []float64{100 * math.Exp(-z-slow)}}},
	}.Normal()
}

// lemonCount is what came of clusters.
type lemonCount struct {
	nodes, slow, found, soon, false int
	worse                           []float64 // of the found ones, at the end
	holds                           int       // of these, how many intervals hold the truth
}

// search looks for lemons after every night.
func (c cluster) search() (out lemonCount, byNight [][]lemons.Lemon) {
	out.nodes, out.slow = clusterNodes, clusterLemons
	used, named, wrong := map[string]int{}, map[string]bool{}, map[string]bool{}
	var all []baseline.Record
	for _, records := range c.records {
		byNight = append(byNight, lemons.Find(lemons.Readings(all, metric.Default(), judging.Setup{}.Gates)))
		for _, l := range byNight[len(byNight)-1] {
			switch {
			case !c.slow[l.Node]:
				wrong[l.Node] = true
			case !named[l.Node]:
				named[l.Node] = true
				out.soon += count(used[l.Node] <= soon)
			}
		}
		for _, r := range records {
			for _, n := range r.Repetitions[0].Nodes {
				used[n]++
			}
		}
		all = append(all, records...)
	}
	out.found, out.false = len(named), len(wrong)
	for _, l := range byNight[len(byNight)-1] {
		if c.slow[l.Node] {
			out.worse = append(out.worse, l.Worse)
			out.holds += count(l.Interval[0] <= slowBy && slowBy <= l.Interval[1])
		}
	}
	return out, byNight
}

// alarms counts the false alarms of the cluster's cases, each judged night by night; with
// known, with the lemons of the night before taken out.
func (c cluster) alarms(byNight [][]lemons.Lemon, known bool) (alarms, judged int) {
	for k := range clusterCases {
		var past []baseline.Record
		for night, records := range c.records {
			r := records[k]
			if !known {
				r.Repetitions = nil
			}
			setup := judging.Setup{Metrics: metric.Default(), Policy: verdict.Policy{ForgetOpen: true, RerunsUnavailable: true}}
			if known {
				setup.Lemons = byNight[night]
			}
			j := judging.Again(setup, r, "e2e", past)
			past = append(past, j.Record)
			if night < warmUp {
				continue
			}
			judged++
			alarms += count(slices.ContainsFunc(j.Rows, func(row verdict.Row) bool { return row.Alarm }))
		}
	}
	return alarms, judged
}

// printLemons: clusters of which 5 % of the nodes are 3 % slower.
func printLemons(w io.Writer, seed uint64, workers int, c *checks) {
	sums, unknown, known, judged := make([]lemonCount, clusterCount), make([]int, clusterCount), make([]int, clusterCount), make([]int, clusterCount)
	each(clusterCount, workers, func(k int) {
		one := drawCluster(seed*1000 + uint64(k))
		var byNight [][]lemons.Lemon
		sums[k], byNight = one.search()
		unknown[k], judged[k] = one.alarms(byNight, false)
		known[k], _ = one.alarms(byNight, true)
	})
	var sum lemonCount
	before, with, all := 0, 0, 0
	for k, s := range sums {
		sum.nodes, sum.slow, sum.found, sum.soon, sum.false = sum.nodes+s.nodes, sum.slow+s.slow, sum.found+s.found, sum.soon+s.soon, sum.false+s.false
		sum.worse, sum.holds = append(sum.worse, s.worse...), sum.holds+s.holds
		before, with, all = before+unknown[k], with+known[k], all+judged[k]
	}
	fmt.Fprintf(w, "## Slow nodes: %d clusters of %d nodes, %d of them %.0f %% slower, %d cases a night on 1, 2 or 4 nodes, %d nights\n\n", clusterCount, clusterNodes, clusterLemons, 100*slowBy, clusterCases, clusterNights)
	fmt.Fprintf(w, "found: %d of %d, %d within %d runs that included them; %.1f %% slower in the median, the interval holds the truth in %d of %d; wrong ones: %d of %d nodes\n\n",
		sum.found, sum.slow, sum.soon, soon, 100*medianOrZero(sum.worse), sum.holds, len(sum.worse), sum.false, sum.nodes-sum.slow)
	fmt.Fprintf(w, "false alarms per 100 judged runs of one metric: %.2f with the nodes unknown, %.2f with them known and what lemons cost taken out (%d runs)\n\n", share(before, all), share(with, all), all)
	c.check(100*sum.soon >= 80*sum.slow, "slow nodes: %d of %d found within %d runs that included them (at least 80 %%)", sum.soon, sum.slow, soon)
	c.check(100*sum.false <= sum.nodes-sum.slow, "slow nodes: %d of %d healthy nodes named, over all nights (at most 1 in 100)", sum.false, sum.nodes-sum.slow)
	c.check(with <= before, "slow nodes: %d false alarms with the nodes known, %d without (not more)", with, before)
}
