package judging

import (
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// usually is how many of the last recently runs must have measured a gating
// metric for its absence to be a fault.
const (
	recently = 5
	usually  = 3
)

// seriesKey is a series within a case.
type seriesKey struct{ point, metric string }

// habit is which of the last runs measured a series, oldest first.
type habit struct {
	measured []bool
	missed   int // runs since that should have measured it: they do not say that it is no habit
}

// habits are those of a history. What a run lacks is expected of the next ones all the same, however many lack it,
// until someone accepts a run without it as a whole.
func habits(h baseline.History) map[seriesKey]habit {
	intended := map[string]bool{}
	for _, a := range h.Acts {
		if len(a.Act.Series) == 0 {
			intended[a.Act.Target] = true // of that run alone: where it was withdrawn since, only its level goes on
		}
	}
	all := map[seriesKey]habit{}
	for _, rec := range h.Runs {
		has := map[seriesKey]bool{}
		for _, m := range rec.Measurements {
			key := seriesKey{m.Point, m.Metric}
			has[key] = true
			if _, ok := all[key]; !ok {
				all[key] = habit{}
			}
		}
		for key, h := range all {
			all[key] = h.after(has[key], intended[rec.ID])
		}
	}
	return all
}

// after is the habit after one more run.
func (h habit) after(measured, intended bool) habit {
	switch {
	case !measured && intended:
		return habit{}
	case !measured && h.expected():
		h.missed++
		return h
	}
	h.measured, h.missed = append(h.measured, measured), 0
	h.measured = h.measured[max(0, len(h.measured)-recently):]
	return h
}

func (h habit) count() int {
	n := 0
	for _, measured := range h.measured {
		if measured {
			n++
		}
	}
	return n
}

// expected reports whether the next run is to measure the series.
func (h habit) expected() bool { return h.count() >= usually }

// String is why the next run is to measure the series.
func (h habit) String() string {
	if h.missed == 0 {
		return fmt.Sprintf("by %d of the last %d runs", h.count(), len(h.measured))
	}
	return fmt.Sprintf("by %d of %d runs before %s lacked it (where that is intended: baseline accept)", h.count(), len(h.measured), plain.Count(h.missed, "run"))
}
