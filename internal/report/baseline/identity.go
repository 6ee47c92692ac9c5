package baseline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ClusterKey is the match key of the cluster that a run was measured on.
const ClusterKey = "cluster"

// isSetting reports whether a match key is a setting of benchmark client, router or
// servers that records of earlier versions lack.
func isSetting(key string) bool {
	return strings.HasPrefix(key, "client_") || strings.HasSuffix(key, "serving_backend") ||
		slices.Contains([]string{"router", "ctx_router", "gen_router", "router_extra"}, key)
}

// older are the match values under which earlier versions kept the runs of a series:
// without its cluster, without the settings, without both.
func older(match map[string]string) []map[string]string {
	isCluster := func(key string) bool { return key == ClusterKey }
	var out []map[string]string
	for _, drop := range []func(string) bool{
		isCluster, isSetting, func(key string) bool { return isCluster(key) || isSetting(key) },
	} {
		m := maps.Clone(match)
		maps.DeleteFunc(m, func(key, _ string) bool { return drop(key) })
		m = NormalMatch(m)
		same := func(o map[string]string) bool { return maps.Equal(o, m) }
		if !same(NormalMatch(match)) && !slices.ContainsFunc(out, same) {
			out = append(out, m)
		}
	}
	return out
}

// identity decides which records belong to a series: its own, and those of earlier
// versions that lack a part of its match values and that no other series may claim.
type identity struct {
	match   map[string]string
	older   []map[string]string
	keys    []string          // of match, then of older
	foreign string            // another cluster that this series is measured on, "" = none is known
	claimed map[string]bool   // keys of older that a series with other settings may claim, too
	refused map[string]bool   // ids of runs that belong to others
	twins   map[string]string // ids of runs that are there under the series' own match values, too, and those ids
}

func identityOf(match map[string]string) identity {
	id := identity{match: NormalMatch(match), older: older(match), claimed: map[string]bool{}, refused: map[string]bool{}, twins: map[string]string{}}
	for _, m := range append([]map[string]string{match}, id.older...) {
		id.keys = append(id.keys, MatchKey(m))
	}
	return id
}

// claims are those of the keys under which another series of the same case goes on with runs, too.
func (id *identity) claims(match map[string]string) []string {
	var keys []string
	if slices.Contains(id.keys, MatchKey(match)) {
		return nil
	}
	for _, m := range older(match) {
		if key := MatchKey(m); slices.Contains(id.keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// sibling takes note of a series of the same case that has a run that counts: no other claims anything.
func (id *identity) sibling(match map[string]string) {
	here, there := id.match[ClusterKey], match[ClusterKey]
	for _, key := range id.claims(match) {
		if here != "" && there != "" && here != there {
			id.foreign = cmp.Or(id.foreign, there)
		} else {
			id.claimed[key] = true
		}
	}
}

// has reports whether a record may be one of the series. It guards against two series
// that share a hash, too.
func (id *identity) has(r Record) bool {
	match := NormalMatch(r.Match)
	return maps.Equal(match, id.match) || slices.ContainsFunc(id.older, func(m map[string]string) bool { return maps.Equal(m, match) })
}

// lacksCluster reports whether the series is of a cluster and the record is of before
// that was so.
func (id *identity) lacksCluster(r Record) bool {
	return id.match[ClusterKey] != "" && r.Match[ClusterKey] == ""
}

// elsewhere reports whether the run says itself that it is of another cluster.
func (id *identity) elsewhere(r Record) bool {
	if !id.lacksCluster(r) || r.Cluster == "" || r.Cluster == id.match[ClusterKey] {
		return false
	}
	id.foreign = r.Cluster
	id.refused[r.ID] = true
	return true
}

// own is runs without those that others may claim, with a warning for what a person
// can decide.
func (id *identity) own(runs []Record) ([]Record, string) {
	there := map[string]bool{}
	for _, r := range runs {
		if maps.Equal(r.Match, id.match) {
			there[r.ID] = true
		}
	}
	nameless := 0
	out := slices.DeleteFunc(runs, func(r Record) bool {
		if there[r.ID] {
			return false
		}
		if twin := r.Rehomed(id.match).ID; there[twin] {
			id.twins[r.ID] = twin
			return true
		}
		doubtful := id.lacksCluster(r) && r.Cluster == "" && id.foreign != ""
		if doubtful {
			nameless++
		}
		if doubtful || id.claimed[MatchKey(r.Match)] {
			id.refused[r.ID] = true
			return true
		}
		return false
	})
	if nameless == 0 {
		return out, ""
	}
	return out, fmt.Sprintf("%d older runs name no cluster and are left out, since the case is measured on cluster %s too: 'ci-disagg baseline split' gives them one",
		nameless, Shorten(id.foreign))
}

// Heads are the match values of a case that stand for a series: not those of earlier
// versions that exactly one of the others goes on with.
func Heads(matches []map[string]string) []map[string]string {
	heirs := func(m map[string]string) (n int) {
		for _, o := range matches {
			if slices.ContainsFunc(older(o), func(was map[string]string) bool { return maps.Equal(was, NormalMatch(m)) }) {
				n++
			}
		}
		return n
	}
	newest := slices.DeleteFunc(slices.Clone(matches), func(m map[string]string) bool { return heirs(m) > 0 })
	out := slices.Clone(matches)
	matches = newest
	return slices.DeleteFunc(out, func(m map[string]string) bool { return heirs(m) == 1 })
}

// Rehomed is the record as one of the series with these match values.
func (r Record) Rehomed(match map[string]string) Record {
	r.Match = NormalMatch(match)
	r.ID = r.NewID()
	return r
}

// Withdrawn are the ids of runs that people have withdrawn.
type Withdrawn map[string]bool

// Has reports whether a run is one of them: under its own match values, or under those that earlier versions kept it
// with.
func (w Withdrawn) Has(r Record) bool {
	if len(w) == 0 {
		return false
	}
	was := func(match map[string]string) bool { return w[r.Rehomed(match).ID] }
	return w[r.ID] || slices.ContainsFunc(older(r.Match), was)
}

// Among is the history that records of a store hold for a query: what the store
// itself would answer.
func Among(records []Record, q Query) History {
	p := newPicker(q)
	sorted := slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return r.Case != q.Case })
	slices.SortFunc(sorted, newestFirst)
	for _, r := range sorted {
		if r.Counts() {
			p.sibling(r.Match)
		}
		p.act(r)
	}
	for _, r := range sorted {
		if !p.run(r) {
			break
		}
	}
	return p.history()
}

func newestFirst(a, b Record) int {
	if c := b.Time.Compare(a.Time); c != 0 {
		return c
	}
	return strings.Compare(b.ID, a.ID)
}
