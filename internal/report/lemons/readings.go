package lemons

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// leastHistory is how many runs a series needs before its runs say anything.
const leastHistory = 8

// Gates reports whether a metric gates at a point of a run's case.
type Gates func(r baseline.Record, point string, def metric.Metric) bool

// Readings are the jobs that records of a store tell of, by the metrics that gate. How
// much worse a job was is against the level of its own stretch of runs: a change of the
// software is no slowness of a machine. gates says which metrics gate where.
func Readings(records []baseline.Record, table metric.Table, gates Gates) []Reading {
	series := map[string][]baseline.Record{}
	var order []string
	for _, r := range records {
		if !r.Counts() {
			continue
		}
		key := strings.Join([]string{r.Case, baseline.MatchKey(r.Match), r.Branch()}, "\x00")
		if series[key] == nil {
			order = append(order, key)
		}
		series[key] = append(series[key], r)
	}
	var out []Reading
	for _, key := range order {
		out = append(out, ofCase(key, baseline.InOrder(series[key]), table, gates)...)
	}
	return out
}

// job is one repetition of a run.
type job struct{ run, rep int }

// ofCase are the readings of one case's runs: of each job the median over its metrics.
func ofCase(key string, runs []baseline.Record, table metric.Table, gates Gates) []Reading {
	of := map[job][]float64{}
	type place struct{ point, name string }
	seen := map[place]bool{}
	for _, r := range runs {
		for _, m := range r.Measurements {
			at := place{m.Point, m.Metric}
			if def, known := table.Lookup(m.Metric); known && !seen[at] && gates(r, m.Point, def) {
				seen[at] = true
				residuals(runs, m.Point, m.Metric, def.Sign(), of)
			}
		}
	}
	var out []Reading
	jobs := slices.SortedFunc(keysOf(of), func(a, b job) int { return cmp.Or(a.run-b.run, a.rep-b.rep) })
	for _, j := range jobs {
		units := unitsOf(runs[j.run].Repetitions[j.rep])
		if len(units) > 0 {
			out = append(out, Reading{Case: key, At: runs[j.run].Time, Units: units, Worse: bws.Median(of[j], nil)})
		}
	}
	return out
}

func keysOf(m map[job][]float64) func(func(job) bool) {
	return func(yield func(job) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// residuals adds how much worse each job was in one metric than the stretch of runs
// that it belongs to.
func residuals(runs []baseline.Record, point, name string, sign float64, of map[job][]float64) {
	var logs [][]float64
	var at []int // of each, its run
	for i, r := range runs {
		m, ok := r.Find(point, name)
		if !ok || slices.ContainsFunc(m.Values, func(v float64) bool { return !(v > 0) }) {
			continue
		}
		var z []float64
		for _, v := range m.Values {
			z = append(z, sign*math.Log(v))
		}
		logs, at = append(logs, z), append(at, i)
	}
	if len(logs) < leastHistory {
		return
	}
	d := bws.NewData(logs)
	sc := &bws.Scanner{}
	q := sc.Learn(d, len(logs))
	for k, x := range sc.Residuals(d, q) {
		n := q.First + k
		m, _ := runs[at[n]].Find(point, name)
		for v := range m.Values {
			rep := v
			if len(m.Reps) > v {
				rep = m.Reps[v]
			}
			if rep >= 0 && rep < len(runs[at[n]].Repetitions) {
				j := job{at[n], rep}
				of[j] = append(of[j], logs[n][v]-(d.Y[n]-x))
			}
		}
	}
}

// unitsOf are the cards and nodes that a repetition ran on.
func unitsOf(r baseline.Repetition) []Unit {
	var out []Unit
	var known []string // nodes whose cards are
	if r.Machine != nil {
		for _, c := range r.Machine.Cards {
			if c.UUID != "" {
				out = append(out, Unit{Node: c.Node, UUID: c.UUID, GPU: c.Index})
				known = append(known, c.Node)
			}
		}
	}
	for _, n := range r.Nodes {
		if !slices.Contains(known, n) {
			out = append(out, Unit{Node: n})
		}
	}
	return out
}

// Units is how many cards and nodes the readings are of; a node whose cards are known is
// none.
func Units(all []Reading) int {
	seen := map[string]bool{}
	for _, r := range all {
		for _, u := range r.Units {
			seen[u.Key()] = true
		}
	}
	return len(seen)
}

// On are the lemons that a run was on, in one of its jobs.
func On(all []Lemon, r baseline.Record) []Lemon {
	used := map[string]bool{}
	for _, rep := range r.Repetitions {
		for _, u := range unitsOf(rep) {
			used[u.Key()], used[Unit{Node: u.Node}.Key()] = true, true
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(l Lemon) bool { return !used[l.Key()] })
}

// Slower is how much worse a job is, in logs, for the slowest of its known lemons, and
// which that is.
func Slower(all []Lemon, r baseline.Repetition) (worse float64, name string) {
	for _, u := range unitsOf(r) {
		for _, l := range all {
			if l.Key() != u.Key() && l.Key() != (Unit{Node: u.Node}).Key() {
				continue
			}
			if w := math.Log1p(l.Worse); w > worse {
				worse, name = w, l.Unit.String()
			}
		}
	}
	return worse, name
}
