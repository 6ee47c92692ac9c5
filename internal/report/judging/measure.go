package judging

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Measurements turns the results of all repetitions of one run into the
// measurements of its record: one per point and metric, one value per repetition
// that measured it. The problems say what makes the run no measurement: a point
// that one repetition reports twice with different values, an unknown metric.
// name gives the point of each result of one repetition: PointNames, or what a
// plan calls them.
func Measurements(reps [][]bench.Result, table metric.Table, name func([]bench.Result) []string) ([]baseline.Measurement, []string) {
	c := collector{table: table, index: map[string]int{}}
	for rep, results := range reps {
		points := name(results)
		for i, r := range results {
			for _, s := range r.Samples {
				c.add(rep, points[i], r.File, s)
			}
		}
	}
	for i := range c.out {
		if plain := c.out[i].Reps; plain[len(plain)-1] == len(plain)-1 {
			c.out[i].Reps = nil // the first ones in order: nothing to say
		}
	}
	slices.Sort(c.problems)
	return c.out, slices.Compact(c.problems)
}

// Unmeasured are the places where a metric that gates in a record's case has a value that is no measurement and that no
// row will show: what is not finite, which readers keep apart, and what one of the repetitions that a result is the
// median of has as zero or below, or lacks. points are the names of the results' points.
func (s Setup) Unmeasured(of baseline.Record, results []bench.Result, points []string) (problems []bench.Problem) {
	for i, r := range results {
		for _, run := range r.Runs() {
			for _, p := range slices.Concat(run.NotFinite, hidden(run, r.Kept)) {
				if def, ok := s.Metrics.Lookup(p.Metric); ok && s.Gates(of, points[i], def) {
					problems = append(problems, p)
				}
			}
		}
	}
	return problems
}

// hidden are the samples of a run that its median with others does not show: of each metric that any of them has.
func hidden(run bench.Result, kept []bench.Result) (problems []bench.Problem) {
	told := map[string]bool{}
	for _, p := range run.NotFinite {
		told[p.Metric] = true
	}
	for _, r := range kept {
		for _, v := range r.Samples {
			value, has := run.Value(v.Metric)
			if told[v.Metric] || value > 0 {
				continue
			}
			told[v.Metric] = true
			p := bench.Problem{File: run.File, Line: run.Line, Text: v.Metric + " is missing", Metric: v.Metric}
			if i := slices.IndexFunc(run.Samples, func(s bench.Sample) bool { return s.Metric == v.Metric }); has {
				p.Line, p.Text = cmp.Or(run.Samples[i].Line, run.Line), fmt.Sprintf("%s is %v", v.Metric, value)
			}
			problems = append(problems, p)
		}
	}
	return problems
}

type collector struct {
	table    metric.Table
	index    map[string]int
	out      []baseline.Measurement
	problems []string
}

func (c *collector) add(rep int, point, file string, s bench.Sample) {
	def, ok := c.table.Lookup(s.Metric)
	if !ok || math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
		c.problems = append(c.problems, fmt.Sprintf("%s: %s = %v is not a known metric with a finite value", file, s.Metric, s.Value))
		return
	}
	key := point + "/" + def.Name
	i, seen := c.index[key]
	if !seen {
		i = len(c.out)
		c.index[key] = i
		c.out = append(c.out, baseline.Measurement{Point: point, Metric: def.Name, Unit: def.Unit})
	}
	m := &c.out[i]
	n := len(m.Reps)
	switch {
	case n == 0 || m.Reps[n-1] != rep:
		m.Values, m.Reps = append(m.Values, s.Value), append(m.Reps, rep)
	case m.Values[n-1] != s.Value:
		c.problems = append(c.problems, fmt.Sprintf("%s: %s of point %q is %v, but another result of the same point says %v",
			file, def.Name, point, s.Value, m.Values[n-1]))
	}
}

// PointNames names the benchmark point of each result of one repetition by its
// load (con8, rate2.5); with the lengths or the client's own name where several
// results share a load. A result without one, such as a server's log, belongs to
// the only load there is.
func PointNames(results []bench.Result) []string {
	same := map[string][]bench.Result{}
	for _, r := range results {
		if load := r.Load(); load != "" {
			same[load] = append(same[load], r)
		}
	}
	names := make([]string, len(results))
	for i, r := range results {
		names[i] = pointName(r, same)
	}
	return names
}

func pointName(r bench.Result, same map[string][]bench.Result) string {
	load := r.Load()
	if load == "" {
		if len(same) == 1 {
			for only := range same {
				return only
			}
		}
		return r.Name
	}
	lengths, names := true, true // that all of this load have different ones
	seen := map[string]bool{}
	for _, o := range same[load] {
		l, n := fmt.Sprintf("%d %d", o.InputLen, o.OutputLen), "n"+o.Name
		lengths = lengths && !seen[l] && o.InputLen > 0 && o.OutputLen > 0
		names = names && !seen[n] && o.Name != ""
		seen[l], seen[n] = true, true
	}
	switch {
	case len(same[load]) == 1:
		return load
	case names:
		return r.Name
	case lengths:
		return fmt.Sprintf("%s_isl%d_osl%d", load, r.InputLen, r.OutputLen)
	default:
		return load
	}
}
