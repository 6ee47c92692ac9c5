package judging

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// elsewhere says where else the case has a history, if the run has none: a new
// GPU type, a new config key or another branch begins a new one, and by mistake
// it would be collected for ever without a word. "" = nowhere.
func elsewhere(ctx context.Context, store baseline.Store, q baseline.Query) string {
	near := ""
	fewest := 0
	f := baseline.Filter{Case: q.Case, Counts: true, Since: q.Since, Before: q.Before}
	_, err := store.Each(ctx, f, func(r baseline.Record) error {
		if d := differences(q, r); len(d) > 0 && (near == "" || len(d) <= fewest) { // the newest of the nearest
			near, fewest = strings.Join(d, ", "), len(d)
		}
		return nil
	})
	switch {
	case err != nil:
		return "whether the case has a history elsewhere is not known: " + err.Error()
	case near == "":
		return ""
	default:
		return "a new history begins here: the case has one with " + near
	}
}

// differences are what keeps a run out of the history that is asked for.
func differences(q baseline.Query, r baseline.Record) []string {
	var out []string
	add := func(name, there, here string) {
		if there != here {
			out = append(out, fmt.Sprintf("%s %s (here %s)", name, cmp.Or(baseline.Shorten(there), "none"), cmp.Or(baseline.Shorten(here), "none")))
		}
	}
	add("branch", r.Branch(), baseline.NormalBranch(q.Branch))
	keys := maps.Clone(q.Match)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, r.Match)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		add(k, r.Match[k], q.Match[k])
	}
	return out
}
