package judging

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// enoughNumbers is how many numbers agree to the last digit in no two
// measurements by chance.
const enoughNumbers = 5

// copied says of which measurement the run is a copy: an old output that lay where
// the new one was to be would pass as the nightly that it is. "" = of none.
func copied(r baseline.Record, runs []baseline.Record) string {
	reps := len(r.Repetitions)
	for b := range reps {
		for a := range b {
			if sameNumbers(r, a, r, b) {
				return fmt.Sprintf("repetitions %d and %d have the same numbers to the last digit: one output read twice, not two measurements", a+1, b+1)
			}
		}
	}
	for _, old := range slices.Backward(runs) {
		for rep := range reps {
			for there := range max(1, len(old.Repetitions)) {
				if sameNumbers(r, rep, old, there) {
					return fmt.Sprintf("the same numbers to the last digit as the run %s of %s: its output, not a new measurement",
						cmp.Or(baseline.Shorten(old.Run), old.ID), old.Time.Format(time.DateTime))
				}
			}
		}
	}
	return ""
}

// sameNumbers reports whether repetition i of one run has the numbers of repetition k
// of another.
func sameNumbers(a baseline.Record, i int, b baseline.Record, k int) bool {
	n := 0
	for _, m := range a.Measurements {
		v, ok := valueOf(m, i)
		if !ok {
			continue
		}
		other, _ := b.Find(m.Point, m.Metric)
		if w, ok := valueOf(other, k); !ok || v != w {
			return false
		}
		n++
	}
	return n >= enoughNumbers
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
