package baseline

import (
	"fmt"
	"slices"
	"time"
)

// enoughNumbers is how many numbers agree to the last digit in no two
// measurements by chance.
const enoughNumbers = 5

// copied says of which measurement the run is a copy: an old output that lay where
// the new one was to be would pass as the nightly that it is. "" = of none.
func (j *judging) copied() string {
	reps := len(j.Record.Repetitions)
	for b := range reps {
		for a := range b {
			if sameNumbers(j.Record, a, j.Record, b) {
				return fmt.Sprintf("repetitions %d and %d have the same numbers to the last digit: one output read twice, not two measurements", a+1, b+1)
			}
		}
	}
	for _, old := range slices.Backward(j.history.Runs) {
		for rep := range reps {
			for there := range max(1, len(old.Repetitions)) {
				if sameNumbers(j.Record, rep, old, there) {
					return fmt.Sprintf("the same numbers to the last digit as the run %s of %s: its output, not a new measurement",
						first(shorten(old.Run), old.ID), old.Time.Format(time.DateTime))
				}
			}
		}
	}
	return ""
}

// sameNumbers says whether repetition i of one run has the numbers of repetition k
// of another.
func sameNumbers(a Record, i int, b Record, k int) bool {
	n := 0
	for _, m := range a.Measurements {
		v, ok := m.of(i)
		if !ok {
			continue
		}
		other, _ := b.find(m.Point, m.Metric)
		if w, ok := other.of(k); !ok || v != w {
			return false
		}
		n++
	}
	return n >= enoughNumbers
}

// of is the value that a repetition measured.
func (m Measurement) of(rep int) (value float64, ok bool) {
	if len(m.Reps) > 0 {
		rep = slices.Index(m.Reps, rep)
	}
	if rep < 0 || rep >= len(m.Values) {
		return 0, false
	}
	return m.Values[rep], true
}
