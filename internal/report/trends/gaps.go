package trends

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Gap is a stretch without a night where one was due, by the history's own pace.
type Gap struct {
	After  time.Time // the last night before it
	Before time.Time // the first behind it; zero = there is none yet
	Missed int       // nights that were due
}

// Open reports whether no night has followed.
func (g Gap) Open() bool { return g.Before.IsZero() }

const (
	// paceNights is how many distances tell how often a case runs.
	paceNights = 5
	// A distance is usual if one in rarest is as long, and two at least: who rests at weekends misses nothing on Sundays.
	rarest = 10
	// late is how much of a usual distance may go by.
	late = 1.5
)

// Gaps are the stretches in which a history was not measured, the oldest first. A case that has run too rarely to have
// a pace has none.
func (h *History) Gaps(now time.Time) []Gap {
	at := make([]time.Time, len(h.Nights))
	for i, n := range h.Nights {
		at[i] = n.Time
	}
	slices.SortFunc(at, time.Time.Compare)
	usual := pace(at)
	if usual == 0 {
		return nil
	}
	var out []Gap
	for i := 1; i < len(at); i++ {
		if d := float64(at[i].Sub(at[i-1])) / float64(usual); d > late {
			out = append(out, Gap{After: at[i-1], Before: at[i], Missed: int(math.Round(d)) - 1})
		}
	}
	last := at[len(at)-1]
	if d := float64(now.Sub(last)) / float64(usual); d > late {
		out = append(out, Gap{After: last, Missed: int(d)})
	}
	return out
}

// pace is the usual distance of nights, at least a day; 0 = too few are known.
func pace(at []time.Time) time.Duration {
	if len(at) <= paceNights {
		return 0
	}
	apart := make([]time.Duration, len(at)-1)
	for i := range apart {
		apart[i] = at[i+1].Sub(at[i])
	}
	slices.Sort(apart)
	return max(24*time.Hour, apart[len(apart)-max(2, (len(apart)+rarest-1)/rarest)])
}

// Silent is a history that has not been measured of late, though it was due.
type Silent struct {
	*History
	Gap
	Owner string
}

// SilentOnes are the histories that were due and were not measured, the longest silent first. What has been silent for
// longer than a case is missed (forgotten) is counted and no longer listed.
func SilentOnes(histories []*History, now time.Time, forgotten time.Duration, owner func(string) string) (out []Silent, older int) {
	for _, h := range histories {
		gaps := h.Gaps(now)
		if len(gaps) == 0 || !gaps[len(gaps)-1].Open() {
			continue
		}
		g := gaps[len(gaps)-1]
		if now.Sub(g.After) > forgotten {
			older++
			continue
		}
		out = append(out, Silent{History: h, Gap: g, Owner: owner(h.Case)})
	}
	slices.SortStableFunc(out, func(a, b Silent) int {
		return cmp.Or(a.After.Compare(b.After), cmp.Compare(a.Case, b.Case))
	})
	return out, older
}
