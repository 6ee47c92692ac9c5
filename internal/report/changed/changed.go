// Package changed says what else was different when a series changed: commits, image,
// driver, CUDA, clocks, nodes, environment.
//
// In: what is known of the runs before a change and of those since. Out: the
// differences, in words too; "nothing but the commit" is one of the answers.
package changed

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Run is what is known of one run's software and machines.
type Run struct {
	Commit string
	Image  string
	Nodes  []string
	Cards  []string // by UUID
	// Facts are those of rundir.Machine, one map for each of its repetitions; none =
	// nobody looked.
	Facts []map[string]string
	// Commands says that its roles run commands of the config. They are not recorded.
	Commands bool
}

// Difference is what is different between runs.
type Difference struct {
	Text   string `json:"text"`             // in a sentence
	Commit *Item  `json:"commit,omitempty"` // nil: the same, or not known
	Items  []Item `json:"items,omitempty"`  // beside the commit
	Facts  int    `json:"facts"`            // that are known of both sides, of machine and software
	Before int    `json:"runs_before"`      // that were compared
	Since  int    `json:"runs_since"`
}

// Item is one fact that differs.
type Item struct {
	Fact   string `json:"fact"` // one of rundir's Fact names, nodes or cards
	Before string `json:"before"`
	After  string `json:"after"`
}

// Facts beside those of rundir.
const (
	Nodes = "nodes"
	Cards = "cards"
)

// unset is the value of a variable that is not there.
const unset = "not set"

// Between compares the runs before a change with those since it. A fact differs where
// those since have a value that none before had, nodes and cards where they have none
// in common: runs change nodes every night. What one side does not know is no difference.
func Between(before, since []Run) Difference {
	d := Difference{Before: len(before), Since: len(since)}
	if len(before) == 0 || len(since) == 0 {
		d.Text = "There is no run to compare with."
		return d
	}
	commit := Item{Fact: rundir.FactCommit, Before: before[len(before)-1].Commit, After: since[0].Commit}
	if commit.Before != "" && commit.After != "" && commit.Before != commit.After {
		d.Commit = &commit
	}
	old, now := factsOf(before), factsOf(since)
	unsetIn(old, now, before)
	unsetIn(now, old, since)
	for _, fact := range slices.Sorted(maps.Keys(now)) {
		if fact == rundir.FactCommit || len(old[fact]) == 0 {
			continue
		}
		d.Facts++
		if fresh(old[fact], now[fact]) {
			d.Items = append(d.Items, Item{Fact: fact, Before: join(old[fact]), After: join(now[fact])})
		}
	}
	d.place(before, since)
	slices.SortStableFunc(d.Items, func(a, b Item) int { return rank(a.Fact) - rank(b.Fact) })
	d.Text = d.words(commit, slices.ContainsFunc(slices.Concat(before, since), func(r Run) bool { return r.Commands }))
	if !looked(before) || !looked(since) {
		d.Text += " What the machines were is not known."
	}
	return d
}

// place compares where the runs were.
func (d *Difference) place(before, since []Run) {
	for _, p := range []struct {
		fact string
		of   func(Run) []string
	}{{Nodes, func(r Run) []string { return r.Nodes }}, {Cards, func(r Run) []string { return r.Cards }}} {
		old, now := union(before, p.of), union(since, p.of)
		if len(old) == 0 || len(now) == 0 {
			continue
		}
		d.Facts++
		common := slices.ContainsFunc(now, func(v string) bool { return slices.Contains(old, v) })
		if !common {
			d.Items = append(d.Items, Item{Fact: p.fact, Before: join(old), After: join(now)})
			return // other nodes have other cards
		}
	}
}

func union(runs []Run, of func(Run) []string) []string {
	var all []string
	for _, r := range runs {
		all = append(all, of(r)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// factsOf are the values of each fact over runs, sorted.
func factsOf(runs []Run) map[string][]string {
	out := map[string][]string{}
	add := func(fact, value string) {
		if value != "" && !slices.Contains(out[fact], value) {
			out[fact] = append(out[fact], value)
		}
	}
	for _, r := range runs {
		image := r.Image
		for _, facts := range r.Facts {
			for fact, text := range facts {
				for _, value := range values(text) {
					add(fact, value)
				}
			}
			if facts[rundir.FactImage] != "" {
				image = ""
			}
		}
		add(rundir.FactImage, image)
	}
	for _, v := range out {
		slices.Sort(v)
	}
	return out
}

// unsetIn notes which variables of the other side some of these runs did not have: where
// somebody looked, one that is absent is known not to be set.
func unsetIn(facts, other map[string][]string, runs []Run) {
	names := slices.Concat(slices.Collect(maps.Keys(facts)), slices.Collect(maps.Keys(other)))
	for _, r := range runs {
		for _, machine := range r.Facts {
			for _, fact := range names {
				lacks := strings.HasPrefix(fact, rundir.FactVariable) && machine[fact] == "" && len(machine) > 0
				if lacks && !slices.Contains(facts[fact], unset) {
					facts[fact] = append(facts[fact], unset)
				}
			}
		}
	}
}

// looked reports whether somebody has looked at the machines of one of the runs.
func looked(runs []Run) bool {
	return slices.ContainsFunc(runs, func(r Run) bool { return len(r.Facts) > 0 })
}

// perNode is a value with the node that has it.
var perNode = regexp.MustCompile(`^(.+) \([^()]+\)$`)

// values are those of a fact: several where the nodes of one run differ.
func values(text string) []string {
	var out []string
	for _, one := range strings.Split(text, "), ") {
		if !strings.HasSuffix(one, ")") && strings.Contains(one, " (") {
			one += ")"
		}
		m := perNode.FindStringSubmatch(one)
		if m == nil {
			return []string{text}
		}
		out = append(out, m[1])
	}
	if len(out) == 1 { // one value with something in brackets
		return []string{text}
	}
	return out
}

// fresh reports whether there is a value now that was not there before.
func fresh(old, now []string) bool {
	return slices.ContainsFunc(now, func(v string) bool { return !slices.Contains(old, v) })
}

// join is values in a line.
func join(values []string) string { return strings.Join(values, ", ") }

// rank is the place of a fact among the differences: what is likely to matter first.
func rank(fact string) int {
	order := []string{
		rundir.FactImage, rundir.FactDigest, rundir.FactDirty, rundir.FactGPU, Nodes, Cards, rundir.FactDriver, rundir.FactCUDA,
		rundir.FactClocks, rundir.FactPowerLimit, rundir.FactMIG, rundir.FactECC, rundir.FactNVLink, rundir.FactNICs, rundir.FactKernel,
	}
	if at := slices.Index(order, fact); at >= 0 {
		return at
	}
	return len(order)
}

// mostNamed is how many differences a sentence names, mostShown how long a value is in it.
const (
	mostNamed = 8
	mostShown = 60
)

// words says the difference in sentences. Where commands could be what changed, nobody is told that nothing else did.
func (d Difference) words(commit Item, commands bool) string {
	unknown := d.Commit == nil && (commit.Before == "" || commit.After == "")
	switch {
	case len(d.Items) > 0:
		with := "Together with the commit"
		switch {
		case unknown:
			with = "With it"
		case d.Commit == nil:
			with = "The commit is the same, but"
		}
		text := with + " changed: " + d.list() + "."
		if commands {
			text += " " + notCompared
		}
		return text
	case commands && unknown:
		return "The commit is not known; " + d.facts() + ". " + notCompared
	case commands && d.Commit != nil:
		return "The commit changed; " + d.facts() + ". " + notCompared
	case commands:
		return "The commit is the same; " + d.facts() + ". " + notCompared
	case unknown:
		return "The commit is not known; " + d.same("nothing else changed")
	case d.Commit != nil:
		return d.same("Nothing but the commit changed")
	default:
		return d.same("Nothing changed, not even the commit")
	}
}

// notCompared is said of pipelines of a config.
const notCompared = "The commands of its roles are not compared."

// list names the differences.
func (d Difference) list() string {
	var out []string
	for i, item := range d.Items {
		if i == mostNamed {
			out = append(out, fmt.Sprintf("%d more", len(d.Items)-i))
			break
		}
		out = append(out, item.String())
	}
	return strings.Join(out, "; ")
}

// String is the item for people: driver 580.95.05 → 580.126.09.
func (i Item) String() string {
	return fmt.Sprintf("%s %s → %s", Label(i.Fact), plain.Cut(plain.Line(i.Before), mostShown), plain.Cut(plain.Line(i.After), mostShown))
}

// Label is the name of a fact for people.
func Label(fact string) string {
	labels := map[string]string{
		rundir.FactCUDA: "CUDA", rundir.FactCPU: "CPU", rundir.FactGPU: "GPU", rundir.FactMIG: "MIG", rundir.FactECC: "ECC",
		rundir.FactVBIOS: "VBIOS", rundir.FactNVLink: "NVLink", rundir.FactNICs: "NICs", rundir.FactOS: "operating system",
		rundir.FactDirty: "uncommitted changes",
	}
	if l, ok := labels[fact]; ok {
		return l
	}
	for _, prefix := range []string{rundir.FactVersion, rundir.FactVariable} {
		if name, ok := strings.CutPrefix(fact, prefix); ok {
			return name
		}
	}
	return strings.ReplaceAll(fact, "_", " ")
}

// same says that nothing changed, and how much was compared beside the commit.
func (d Difference) same(what string) string {
	if d.Facts == 0 {
		return what + ", as far as it is known: no other fact is."
	}
	return what + ": " + d.facts() + "."
}

// facts says how many are the same.
func (d Difference) facts() string {
	before := "the run before"
	if d.Before > 1 {
		before = fmt.Sprintf("the %d runs before", d.Before)
	}
	switch d.Facts {
	case 0:
		return "no other fact is known"
	case 1:
		return "1 other fact is as in " + before
	default:
		return fmt.Sprintf("%d other facts are as in %s", d.Facts, before)
	}
}
