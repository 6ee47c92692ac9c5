package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func sqrt(x float64) float64  { return math.Sqrt(x) }
func log1p(x float64) float64 { return math.Log1p(x) }

// rule is a way to judge that is measured.
type rule struct {
	name   string
	policy verdict.Policy
	// pinned takes the median of the first ten runs as the pinned value.
	pinned bool
	// nodes lets the rule see on which nodes a run was.
	nodes bool
}

// naturalRules are measured on recorded histories, of which nothing can be run again.
func naturalRules() []rule {
	return []rule{
		{name: "bws", policy: verdict.Policy{ForgetOpen: true}},
		{name: "bws, sensitive", policy: verdict.Policy{ForgetOpen: true, Strictness: verdict.Sensitive}},
		{name: "bws, strict", policy: verdict.Policy{ForgetOpen: true, Strictness: verdict.Strict}},
		{name: "upstream 5 %", policy: verdict.Policy{Rule: verdict.RuleUpstream}},
		{name: "upstream 10 %, exemption", policy: verdict.Policy{Rule: verdict.RuleUpstream, Mode: verdict.PullRequest}},
		{name: "fixed 5 %", policy: verdict.Policy{Rule: verdict.RuleFixed}, pinned: true},
		{name: "bws, regressions kept open", policy: verdict.Policy{}},
	}
}

// syntheticRules are measured on generated histories.
func syntheticRules() []rule {
	with := func(s verdict.Strictness) verdict.Policy {
		return verdict.Policy{ForgetOpen: true, Reruns: verdict.MaxReruns, Strictness: s}
	}
	return []rule{
		{name: "bws", policy: verdict.Policy{ForgetOpen: true}},
		{name: "bws + rerun", policy: with(verdict.Normal)},
		{name: "bws + rerun, strict", policy: with(verdict.Strict)},
		{name: "bws + rerun, sensitive", policy: with(verdict.Sensitive)},
		{name: "bws + rerun + nodes", policy: with(verdict.Normal), nodes: true},
		{name: "upstream 5 %", policy: verdict.Policy{Rule: verdict.RuleUpstream}},
		{name: "upstream 10 %, exemption", policy: verdict.Policy{Rule: verdict.RuleUpstream, Mode: verdict.PullRequest}},
		{name: "fixed 5 %", policy: verdict.Policy{Rule: verdict.RuleFixed}, pinned: true},
		{name: "bws, kept open", policy: verdict.Policy{}},
		{name: "bws + rerun, kept open", policy: verdict.Policy{Reruns: verdict.MaxReruns}},
		{name: "bws + rerun, pull request", policy: verdict.Policy{ForgetOpen: true, Reruns: verdict.MaxReruns, Mode: verdict.PullRequest}},
	}
}

// counts counts what a rule did. All numbers are exact counts.
type counts struct {
	quiet, alarms, red, amber, reruns int
	// shown are the third runs of steps of a known size, held those whose interval holds it.
	shown, held int
	found       map[float64]*[1 + len(horizons)]int // by size: changes, found within each horizon
}

// horizons are the numbers of runs within which a change is to be found.
var horizons = [...]int{1, 3, 5, 15} //nolint:gochecknoglobals // immutable table

func (t *counts) add(o counts) {
	t.quiet += o.quiet
	t.alarms += o.alarms
	t.red += o.red
	t.amber += o.amber
	t.reruns += o.reruns
	t.shown += o.shown
	t.held += o.held
	for size, counts := range o.found {
		if t.found == nil {
			t.found = map[float64]*[1 + len(horizons)]int{}
		}
		if t.found[size] == nil {
			t.found[size] = &[1 + len(horizons)]int{}
		}
		for k, n := range counts {
			t.found[size][k] += n
		}
	}
}

// replay judges a history run by run, as if each were the newest, and keeps what
// a store would keep: values of all repetitions, and the verdict.
func replay(h history, r rule) counts {
	h.runs = slices.Clone(h.runs)
	for i := range h.runs {
		h.runs[i].Values = slices.Clone(h.runs[i].Values)
		if !r.nodes {
			h.runs[i].NodeSet = ""
		}
	}
	var pin *verdict.Pin
	if r.pinned && len(h.runs) > warmUp {
		var v []float64
		for _, run := range h.runs[:warmUp] {
			v = append(v, run.Values...)
		}
		pin = &verdict.Pin{Value: median(v), Source: "first runs"}
	}
	t := counts{}
	alarms := make([]bool, len(h.runs))
	for i := warmUp; i < len(h.runs); i++ {
		row, reruns := judge(h, i, r, pin)
		h.runs[i] = row.Record(h.runs[i])
		red := row.Verdict == verdict.Regression
		// Rules that keep nothing open ask anew each night, and each red one counts.
		alarms[i] = row.Alarm || red && row.Rule != string(verdict.RuleBWS)
		if h.quiet[i] {
			t.quiet++
			t.reruns += reruns
			t.alarms += count(alarms[i])
			t.red += count(red)
			t.amber += count(!red && row.Verdict != verdict.Pass && row.Verdict != verdict.Improvement)
		}
		t.cover(h.changes, i, row)
		h.runs[i].Accepted = red && h.ownerAccepts(i)
	}
	t.found = map[float64]*[1 + len(horizons)]int{}
	for _, c := range h.changes {
		t.find(c, alarms)
	}
	return t
}

// cover asks whether the interval that run i shows holds the step two runs before it,
// alarmed or not.
func (t *counts) cover(changes []change, i int, row verdict.Row) {
	for _, c := range changes {
		if c.size > 0 && i == c.at+2 {
			t.shown++
			t.held += count(row.Interval != nil && row.Interval[0] <= c.size && c.size <= row.Interval[1])
		}
	}
}

// ownerAccepts plays the performance owner, for the rules that keep a regression
// open: who accepts a real change 15 runs after it came, or where the stretch
// ends of which nobody can say whether it has one, and never a false alarm.
func (h history) ownerAccepts(i int) bool {
	if h.quiet[i] {
		return false
	}
	changed := slices.ContainsFunc(h.changes, func(c change) bool { return i == c.at+14 })
	return changed || (i+1 < len(h.runs) && h.quiet[i+1])
}

// judge judges run i, with repetitions while the verdict asks for them; they
// stay with the run.
func judge(h history, i int, r rule, pin *verdict.Pin) (verdict.Row, int) {
	for q := 1; ; q++ {
		s := h.series(i, h.runs[i])
		s.Pinned = pin
		row := verdict.Judge(s, r.policy)
		if !row.Suspicious || h.repeat == nil {
			return row, q - 1
		}
		v, node := h.repeat(i, q)
		run := &h.runs[i]
		if r.nodes {
			if run.NodeSets == nil {
				run.NodeSets = []string{run.NodeSet}
			}
			run.NodeSets = append(run.NodeSets, node)
		}
		run.Values = append(run.Values, v)
	}
}

func (t *counts) find(c change, alarms []bool) {
	counts := t.found[c.size]
	if counts == nil {
		counts = &[1 + len(horizons)]int{}
		t.found[c.size] = counts
	}
	counts[0]++
	for k, n := range horizons {
		counts[1+k] += count(slices.Contains(alarms[c.at:min(c.at+n, len(alarms))], true))
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// measure replays all histories.
func measure(all []history, r rule, workers int) counts { return sum(measureEach(all, r, workers)) }

// measureEach replays all histories, and counts for each.
func measureEach(all []history, r rule, workers int) []counts {
	parts := make([]counts, len(all))
	each(len(all), workers, func(k int) { parts[k] = replay(all[k], r) })
	return parts
}

func sum(parts []counts) counts {
	var all counts
	for _, p := range parts {
		all.add(p)
	}
	return all
}

// each does n pieces of work, some at the same time.
func each(n, workers int, do func(k int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			for k := range next {
				do(k)
			}
		})
	}
	for k := range n {
		next <- k
	}
	close(next)
	wg.Wait()
}

// per100 is a rate per 100 of the quiet runs.
func (t counts) per100(n int) float64 { return 100 * float64(n) / float64(max(1, t.quiet)) }

// within is the share of the changes of a size found within horizon k, in percent.
func (t counts) within(size float64, k int) float64 {
	c := t.found[size]
	if c == nil || c[0] == 0 {
		return 0
	}
	return 100 * float64(c[1+k]) / float64(c[0])
}

func (t counts) sizes() []float64 {
	var out []float64
	for size := range t.found {
		out = append(out, size)
	}
	slices.Sort(out)
	return out
}

// measured are the counts of each history, by the name of the rule.
type measured map[string][]counts

// printTable measures the rules and prints a row for each.
func printTable(w io.Writer, title string, all []history, rules []rule, workers int) measured {
	out := measured{}
	fmt.Fprintf(w, "## %s\n\n", title)
	for n, r := range rules {
		out[r.name] = measureEach(all, r, workers)
		t := sum(out[r.name])
		if n == 0 {
			fmt.Fprintf(w, "%d series, %d unchanged runs judged", len(all), t.quiet)
			for _, size := range t.sizes() {
				fmt.Fprintf(w, ", %d changes%s", t.found[size][0], sizeName(size))
			}
			fmt.Fprint(w, "\n\n| rule | false alarms per 100 | red per 100 | amber per 100 | reruns per 100 | found within 1 | 3 | 5 | 15 |\n|---|---|---|---|---|---|---|---|---|\n")
		}
		fmt.Fprintf(w, "| %s | %.2f | %.2f | %.2f | %.1f |", r.name, t.per100(t.alarms), t.per100(t.red), t.per100(t.amber), t.per100(t.reruns))
		for k := range horizons {
			fmt.Fprint(w, " ")
			for n, size := range t.sizes() {
				if n > 0 {
					fmt.Fprint(w, "/")
				}
				fmt.Fprintf(w, "%.0f", t.within(size, k))
			}
			fmt.Fprint(w, " |")
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	return out
}

func sizeName(size float64) string {
	if size == 0 {
		return " for the worse"
	}
	return fmt.Sprintf(" of %.0f %%", 100*size)
}

// printFamilies shows for each kind of history the false alarms per 100 of some
// rules, and how many steps of which size the first of them finds within 5 runs.
func (m measured) printFamilies(w io.Writer, all []history, rules ...string) {
	var families []string
	for _, h := range all {
		if !slices.Contains(families, h.family) {
			families = append(families, h.family)
		}
	}
	fmt.Fprint(w, "False alarms per 100, by kind of history\n\n| histories | unchanged runs |")
	for _, r := range rules {
		fmt.Fprintf(w, " %s |", r)
	}
	fmt.Fprintf(w, " changes | %s: found within 5 |\n|---|---|%s---|---|\n", rules[0], strings.Repeat("---|", len(rules)))
	for _, family := range families {
		lead := m.of(rules[0], family, all)
		var cells string
		for _, r := range rules {
			t := m.of(r, family, all)
			cells += fmt.Sprintf(" %.2f |", t.per100(t.alarms))
		}
		var sizes, found []string
		for _, size := range lead.sizes() {
			sizes = append(sizes, fmt.Sprint(lead.found[size][0]))
			found = append(found, fmt.Sprintf("%.0f", lead.within(size, 2)))
		}
		fmt.Fprintf(w, "| %s | %d |%s %s | %s |\n", family, lead.quiet, cells, strings.Join(sizes, "/"), strings.Join(found, "/"))
	}
	fmt.Fprintln(w)
}

// of are a rule's counts on one kind of history.
func (m measured) of(rule, family string, all []history) counts {
	var t counts
	for k, h := range all {
		if h.family == family {
			t.add(m[rule][k])
		}
	}
	return t
}
