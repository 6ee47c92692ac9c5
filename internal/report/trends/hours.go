package trends

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Hours are the GPU-hours that a history's nights held, by cause.
type Hours struct {
	*History // nil: of all
	Sum      float64
	By       map[string]float64
	Nights   int // that say what they held
}

func (h *Hours) add(by map[string]float64) {
	if len(by) == 0 {
		return
	}
	h.Nights++
	if h.By == nil {
		h.By = map[string]float64{}
	}
	for _, cause := range slices.Sorted(maps.Keys(by)) {
		h.By[cause] += by[cause]
		h.Sum += by[cause]
	}
}

// HoursSince are the GPU-hours of the nights since then, the dearest history first, and their sum. Nights that say
// nothing are none.
func HoursSince(histories []*History, since time.Time) (all []Hours, total Hours) {
	for _, h := range histories {
		one := Hours{History: h}
		for _, n := range h.Nights {
			if !n.Time.Before(since) {
				one.add(n.Hours)
				total.add(n.Hours)
			}
		}
		if one.Nights > 0 {
			all = append(all, one)
		}
	}
	slices.SortStableFunc(all, func(a, b Hours) int { return cmp.Or(cmp.Compare(b.Sum, a.Sum), cmp.Compare(a.Case, b.Case)) })
	return all, total
}
