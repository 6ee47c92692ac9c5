package baseline

import (
	"fmt"
	"math"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// PointName is the name of the benchmark point that a result belongs to. With a
// plan it is the planned point of that concurrency (and of those lengths, where
// several have it); without, what the file calls itself, else con<C>, else "".
func PointName(r bench.Result, planned []rundir.Point) string {
	var match []rundir.Point
	for _, p := range planned {
		if r.Concurrency == 0 && len(planned) > 1 || r.Concurrency != 0 && p.Concurrency != r.Concurrency {
			continue
		}
		if r.InputLen > 0 && p.InputLen > 0 && r.InputLen != p.InputLen || r.OutputLen > 0 && p.OutputLen > 0 && r.OutputLen != p.OutputLen {
			continue
		}
		match = append(match, p)
	}
	switch {
	case len(match) == 1 && match[0].Name != "":
		return match[0].Name
	case len(match) == 1:
		return fmt.Sprintf("con%d", match[0].Concurrency)
	case r.Name != "":
		return r.Name
	case r.Concurrency > 0:
		return fmt.Sprintf("con%d", r.Concurrency)
	default:
		return ""
	}
}

// Measurements turns the results of all repetitions of one run into the
// measurements of its record: one per point and metric, one value per repetition
// that measured it. The problems say what makes the run no measurement: a point
// that one repetition reports twice with different values, an unknown metric.
func Measurements(reps [][]bench.Result, planned []rundir.Point, table metric.Table) ([]Measurement, []string) {
	var out []Measurement
	var problems []string
	index := map[string]int{}
	for rep, results := range reps {
		for _, r := range results {
			point := PointName(r, planned)
			for _, s := range r.Samples {
				def, ok := table.Lookup(s.Metric)
				if !ok || math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
					problems = append(problems, fmt.Sprintf("%s: %s = %v is not a known metric with a finite value", r.File, s.Metric, s.Value))
					continue
				}
				key := point + "/" + def.Name
				i, seen := index[key]
				if !seen {
					i = len(out)
					index[key] = i
					out = append(out, Measurement{Point: point, Metric: def.Name, Unit: def.Unit})
				}
				m := &out[i]
				if n := len(m.Reps); n > 0 && m.Reps[n-1] == rep {
					if m.Values[n-1] != s.Value {
						problems = append(problems, fmt.Sprintf("%s: %s of point %q is %v, but another result of the same point says %v", r.File, def.Name, point, s.Value, m.Values[n-1]))
					}
					continue
				}
				m.Values, m.Reps = append(m.Values, s.Value), append(m.Reps, rep)
			}
		}
	}
	for i := range out {
		if plain := out[i].Reps; plain[len(plain)-1] == len(plain)-1 {
			out[i].Reps = nil // the first ones in order: nothing to say
		}
	}
	slices.Sort(problems)
	return out, slices.Compact(problems)
}
