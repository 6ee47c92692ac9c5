package baseline

import (
	"slices"
	"strings"
	"time"
)

// InOrder is the runs of one branch by their place in its history, not by the time
// at which they were measured: a bisect or a second look measures old commits
// late, and is no newer for it. A run stands where its commit was first measured,
// but before the first run whose commit is known to be a later one: by its distance
// from the root along first parents where both have it, else by commit time.
func InOrder(runs []Record) []Record {
	first := map[string]time.Time{}
	began := func(r Record) time.Time {
		if at, ok := first[strings.ToLower(r.Build.Commit)]; ok {
			return at
		}
		return r.Time
	}
	for _, r := range runs {
		if key := strings.ToLower(r.Build.Commit); key != "" && !r.Time.After(began(r)) {
			first[key] = r.Time
		}
	}
	sorted := slices.Clone(runs)
	slices.SortStableFunc(sorted, func(a, b Record) int {
		if c := began(a).Compare(began(b)); c != 0 {
			return c
		}
		return a.Time.Compare(b.Time)
	})
	out := make([]Record, 0, len(sorted))
	for _, r := range sorted {
		at := slices.IndexFunc(out, func(o Record) bool { return later(o, r) })
		if at < 0 {
			at = len(out)
		}
		out = slices.Insert(out, at, r)
	}
	return out
}

// later reports whether the commit of a is known to come after that of b.
func later(a, b Record) bool {
	if x, y := a.Build.Depth, b.Build.Depth; x > 0 && y > 0 && x != y {
		return x > y
	}
	x, y := a.Build.CommitTime, b.Build.CommitTime
	return x != nil && y != nil && x.After(*y)
}
