package judging

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// copied says of which measurement the run is a copy: an old output that lay where
// the new one was to be would pass as the nightly that it is. "" = of none.
func copied(r baseline.Record, runs []baseline.Record) string {
	var reps []map[seriesKey]float64
	for b := range r.Repetitions {
		reps = append(reps, numbers(r, b))
		for a := range b {
			if metric.Copied(reps[b], reps[a]) {
				return fmt.Sprintf("repetitions %d and %d have the same numbers to the last digit: one output read twice, not two measurements", a+1, b+1)
			}
		}
	}
	for _, old := range slices.Backward(runs) {
		for there := range max(1, len(old.Repetitions)) {
			known := numbers(old, there)
			if slices.ContainsFunc(reps, func(rep map[seriesKey]float64) bool { return metric.Copied(rep, known) }) {
				return fmt.Sprintf("the same numbers to the last digit as the run %s of %s: its output, not a new measurement",
					cmp.Or(baseline.Shorten(old.Run), old.ID), old.Time.Format(time.DateTime))
			}
		}
	}
	return ""
}

// numbers are what a repetition measured.
func numbers(r baseline.Record, rep int) map[seriesKey]float64 {
	out := map[seriesKey]float64{}
	for _, m := range r.Measurements {
		if v, ok := valueOf(m, rep); ok {
			out[seriesKey{m.Point, m.Metric}] = v
		}
	}
	return out
}

// valueOf is the value that a repetition measured.
func valueOf(m baseline.Measurement, rep int) (value float64, ok bool) {
	if len(m.Reps) > 0 {
		rep = slices.Index(m.Reps, rep)
	}
	if rep < 0 || rep >= len(m.Values) {
		return 0, false
	}
	return m.Values[rep], true
}
