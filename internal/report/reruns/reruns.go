// Package reruns puts the results that several files have of one test into the order in which they came.
//
// In: the results, with the files and the times of their suites. Out: the same in order, or why that is not known.
package reruns

import (
	"cmp"
	"regexp"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Place is where a result stands, and since when.
type Place struct {
	File  int    // its number among those named, from 1; 0 = none of them
	Shown string // the file as people read it
	Start Moment
}

// Moment is when a suite began, as far as it says so.
type Moment struct {
	at    time.Time // zero = not known
	zoned bool      // it says of which zone it is
}

var zone = regexp.MustCompile(`(Z|UTC|GMT|[+-]\d\d:?\d\d)( \d{4})?$`)

// MomentOf reads the timestamp of a suite.
func MomentOf(timestamp string) Moment {
	at, _ := junit.ParseTimestamp(timestamp)
	return Moment{at, zone.MatchString(timestamp)}
}

// Sort gives the results in order of time, or as their files were named. Those of one file stand there in their order.
// Otherwise why says what keeps the order from being known, and the results stay as they were.
func Sort[T any](results []T, place func(T) Place, asNamed bool) (sorted []T, why string) {
	several := slices.ContainsFunc(results, func(r T) bool { return place(r).File != place(results[0]).File || place(r).File == 0 })
	sorted = slices.Clone(results)
	slices.SortStableFunc(sorted, func(x, y T) int {
		a, b := place(x), place(y)
		if asNamed {
			return cmp.Compare(a.File, b.File)
		}
		return a.Start.at.Compare(b.Start.at)
	})
	for i, r := range sorted {
		if !several || asNamed && place(r).File > 0 {
			continue
		}
		if why = place(r).unlike(place(sorted[max(i-1, 0)]), place(sorted[0])); why != "" {
			return results, why
		}
	}
	return sorted, ""
}

// unlike says why a result cannot be put behind the one before it, and that behind the first.
func (p Place) unlike(before, first Place) string {
	switch {
	case p.Start.at.IsZero():
		return p.Shown + " has no timestamp that can be read"
	case p.Start.zoned != first.Start.zoned:
		return "of the times in " + first.Shown + " and " + p.Shown + " some have a zone and some have none"
	case p.File != before.File && p.Start.at.Equal(before.Start.at):
		return before.Shown + " and " + p.Shown + " have the same timestamp"
	default:
		return ""
	}
}
