package compare

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Side is one of the two things: the runs that are meant, and what else is known of their
// series.
type Side struct {
	Given    string
	Name     string
	From     string
	Runs     []baseline.Record // in the order of their commits
	Known    []baseline.Record // runs of the same series, these among them: they tell the noise
	Warnings []string

	before map[string][][]float64 // of a run directory: earlier values, by keyOf
	kinds  []string               // in which it was named: what is compared, so that it is nothing unfair
}

// series is one metric of one case on one side.
type series struct {
	caseID, point string
	match         map[string]string
	metric        metric.Metric
	runs          []baseline.Record // that measured it
	known         []baseline.Record
	before        [][]float64 // earlier values that no record is here of
	kinds         []string
}

// last is the newest of its runs: their case is the same.
func (s series) last() baseline.Record { return s.runs[len(s.runs)-1] }

func (s series) name() string { return strings.TrimSpace(s.caseID + " " + s.point) }

// keyOf names a series within a side; of is headOf its runs.
func keyOf(of, point, name string) string { return of + "\x00" + point + "\x00" + name }

func headOf(r baseline.Record) string { return r.Case + "\x00" + baseline.MatchKey(r.Match) }

// series are what the side measured, in the order of cases, points and metrics.
func (s Side) series(o Options) []series {
	index := map[string]int{}
	var out []series
	for _, r := range s.Runs {
		if !o.wantsCase(r.Case) {
			continue
		}
		head := headOf(r)
		for _, m := range r.Measurements {
			def, ok := o.Setup.Metrics.Lookup(m.Metric)
			if !ok || !o.wants(r, m.Point, def) {
				continue
			}
			key := keyOf(head, m.Point, m.Metric)
			at, seen := index[key]
			if !seen {
				at = len(out)
				index[key] = at
				out = append(out, series{caseID: r.Case, point: m.Point, match: r.Match, metric: def, before: s.before[key], kinds: s.kinds})
			}
			out[at].runs = append(out[at].runs, r)
		}
	}
	s.addKnown(out, index)
	slices.SortStableFunc(out, func(x, y series) int {
		if c := strings.Compare(x.caseID, y.caseID); c != 0 {
			return c
		}
		if c := fold.Natural(x.point, y.point); c != 0 {
			return c
		}
		return strings.Compare(x.metric.Name, y.metric.Name)
	})
	return out
}

// addKnown gives each series what else is known of it. index are their places by keyOf.
func (s Side) addKnown(all []series, index map[string]int) {
	for _, r := range s.Known {
		head := headOf(r)
		for _, m := range r.Measurements {
			if at, ok := index[keyOf(head, m.Point, m.Metric)]; ok {
				all[at].known = append(all[at].known, r)
			}
		}
	}
}

// logs are the values of the runs, signed so that up is worse.
func (s series) logs(sign float64) [][]float64 { return logsOf(s.runs, s.point, s.metric.Name, sign) }

// knownLogs are those of all runs of the series that are known.
func (s series) knownLogs(sign float64) [][]float64 {
	out := logsOf(s.known, s.point, s.metric.Name, sign)
	if len(s.before) > len(out) {
		out = nil
		for _, values := range s.before {
			out = appendLogs(out, values, sign)
		}
	}
	return out
}

func logsOf(runs []baseline.Record, point, name string, sign float64) [][]float64 {
	var out [][]float64
	for _, r := range runs {
		if m, ok := r.Find(point, name); ok {
			out = appendLogs(out, m.Values, sign)
		}
	}
	return out
}

// appendLogs adds a run; values that no ratio can be made of are left out.
func appendLogs(out [][]float64, values []float64, sign float64) [][]float64 {
	var logs []float64
	for _, v := range values {
		if v > 0 && !math.IsInf(v, 0) {
			logs = append(logs, sign*math.Log(v))
		}
	}
	if len(logs) == 0 {
		return out
	}
	return append(out, logs)
}

// pair is a series of each side.
type pair struct{ a, b series }

// pairUp finds for each series of A the one of B that is held against it: the same one, else
// the only other one of its case, point and metric, else of its case and metric. What is left
// is named.
func pairUp(left, right []series) (pairs []pair, onlyA, onlyB []string) {
	usedA, usedB := make([]bool, len(left)), make([]bool, len(right))
	for _, alike := range []func(a, b series) bool{
		func(a, b series) bool { return a.point == b.point && maps.Equal(a.match, b.match) },
		func(a, b series) bool { return a.point == b.point },
		func(a, b series) bool { return maps.Equal(a.match, b.match) },
		func(series, series) bool { return true },
	} {
		for i, a := range left {
			at, n := free(right, usedB, a, alike)
			if usedA[i] || n != 1 {
				continue
			}
			if _, back := free(left, usedA, right[at], alike); back != 1 {
				continue // it would be held against several
			}
			usedA[i], usedB[at] = true, true
			pairs = append(pairs, pair{a: a, b: right[at]})
		}
	}
	return pairs, unused(left, usedA), unused(right, usedB)
}

// free is the place of the last unused series of the same case and metric that is alike, and how many there are.
func free(all []series, used []bool, of series, alike func(a, b series) bool) (at, n int) {
	for i, s := range all {
		if !used[i] && s.caseID == of.caseID && s.metric.Name == of.metric.Name && alike(s, of) {
			at, n = i, n+1
		}
	}
	return at, n
}

// unused names what has no counterpart, each case and point once.
func unused(all []series, used []bool) []string {
	var out []string
	for i, s := range all {
		if name := s.name(); !used[i] && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// unfair says what else differs between the two series than what is compared.
func (p pair) unfair() []string {
	var out []string
	differ := func(what, a, b string) {
		kind := what
		if what == "nodes" { // another cluster has others
			kind = kindCluster
		}
		compared := slices.Contains(p.a.kinds, kind) && slices.Contains(p.b.kinds, kind)
		if a != b && !compared {
			out = append(out, fmt.Sprintf("%s: %s against %s", what, orNone(a), orNone(b)))
		}
	}
	keys := slices.Sorted(maps.Keys(p.a.match))
	for k := range p.b.match {
		if _, ok := p.a.match[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		differ(strings.ReplaceAll(k, "_", " "), p.a.match[k], p.b.match[k])
	}
	if p.a.point != p.b.point {
		differ("concurrency", p.a.point, p.b.point)
	}
	for _, of := range []struct {
		what, key string
		get       func(baseline.Record) []string
	}{
		{"cluster", baseline.ClusterKey, func(r baseline.Record) []string { return []string{r.Cluster} }},
		{"GPU", "gpu_type", func(r baseline.Record) []string { return []string{r.GPU} }},
		{"image", "", func(r baseline.Record) []string { return []string{r.Container} }},
		{"mode", "", func(r baseline.Record) []string { return []string{r.Build.Mode} }},
		{"nodes", "", nodesOf},
	} {
		if p.a.match[of.key] != "" || p.b.match[of.key] != "" {
			continue // compared above
		}
		a, b := valuesOf(p.a.runs, of.get), valuesOf(p.b.runs, of.get)
		if len(a) > 0 && len(b) > 0 && !overlap(a, b) {
			differ(of.what, listed(a), listed(b))
		}
	}
	return out
}

func nodesOf(r baseline.Record) []string {
	var out []string
	for _, rep := range r.Repetitions {
		group := rep.NodeSet
		if group == "" {
			group = baseline.NodeGroup(rep.Nodes)
		}
		out = append(out, group)
	}
	return out
}

// valuesOf are the different values of some runs, without those that are not known.
func valuesOf(runs []baseline.Record, get func(baseline.Record) []string) []string {
	seen := map[string]bool{}
	for _, r := range runs {
		for _, v := range get(r) {
			seen[v] = true
		}
	}
	delete(seen, "")
	return slices.Sorted(maps.Keys(seen))
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}

func listed(values []string) string {
	const most = 3
	if len(values) > most {
		return strings.Join(values[:most], ", ") + fmt.Sprintf(" and %d more", len(values)-most)
	}
	return strings.Join(values, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return baseline.Shorten(s)
}
