package commonfailures

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// Day is how far back a failure has neighbours.
const Day = 24 * time.Hour

// many is from how many runs on failures of one kind are told as such.
const many = 3

// Fact is how one attempt ended.
type Fact struct {
	Run      string
	At       time.Time
	Rule     string   // what fired, where the infrastructure is at fault; "" = it is not
	Kind     string   // of that finding
	Nodes    []string // that are suspected, else all of its job
	Switches []string // that these nodes hang on, as far as is known
	Storage  string   // the directory whose file system failed, "" = it is not that
	Cut      bool     // somebody ended it, which is neither a failure nor a good end of where it ran
}

func (f Fact) failed() bool { return f.Rule != "" }

// Pattern is a failure that several runs of a day have had.
type Pattern struct {
	Rule   string
	Runs   int       // that failed so
	Since  time.Time // the first of them
	Last   time.Time // the newest
	Place  string    // what all of them have in common: "node gpu7", "" = nothing is known
	Passed int       // runs that were there and did not fail so
	Cut    int       // further runs that were there, which somebody ended
}

// String is the pattern for people.
func (p Pattern) String() string {
	words := fmt.Sprintf("%d runs within a day have met this failure (%s), since %s", p.Runs, p.Rule, p.Since.UTC().Format("2006-01-02 15:04Z"))
	return words + p.where()
}

// Ordinal is the pattern, told of the newest of its runs.
func (p Pattern) Ordinal() string {
	return fmt.Sprintf("this is the %s run within a day that has met this failure (%s), since %s", ordinal(p.Runs), p.Rule, p.Since.UTC().Format("2006-01-02 15:04Z")) + p.where()
}

func (p Pattern) where() string {
	switch {
	case p.Place == "":
		return "; they have no node in common"
	case p.Passed == 0 && p.Cut > 0:
		return fmt.Sprintf(": all of them on %s, and no other run there was left to end by itself", p.Place)
	case p.Passed == 0:
		return fmt.Sprintf(": all of them on %s, and no other run was there", p.Place)
	}
	return fmt.Sprintf(": all of them on %s, where %s not", p.Place, did(p.Passed))
}

func did(n int) string {
	if n == 1 {
		return "1 other run did"
	}
	return fmt.Sprintf("%d other runs did", n)
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// Common finds the failures that many runs have had within a day before now, the most
// frequent first. Several attempts of one run count once.
func Common(facts []Fact, now time.Time) []Pattern {
	day := slices.DeleteFunc(slices.Clone(facts), func(f Fact) bool { return f.At.After(now) || now.Sub(f.At) > Day })
	byRule := map[string][]Fact{}
	for _, f := range day {
		if f.failed() {
			byRule[f.Rule] = append(byRule[f.Rule], f)
		}
	}
	var out []Pattern
	for _, rule := range slices.Sorted(maps.Keys(byRule)) {
		if p := pattern(byRule[rule], day); p.Runs >= many {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b Pattern) int { return cmp.Compare(b.Runs, a.Runs) })
	return out
}

// Of are the patterns that one run's failures belong to: what it is the newest of.
func Of(run string, facts []Fact) []Pattern {
	newest := map[string]time.Time{}
	for _, f := range facts {
		if f.Run == run && f.failed() && f.At.After(newest[f.Rule]) {
			newest[f.Rule] = f.At
		}
	}
	var out []Pattern
	for _, rule := range slices.Sorted(maps.Keys(newest)) {
		for _, p := range Common(facts, newest[rule]) {
			if p.Rule == rule {
				out = append(out, p)
			}
		}
	}
	return out
}

func pattern(failed, day []Fact) Pattern {
	p := Pattern{Rule: failed[0].Rule, Since: failed[0].At, Last: failed[0].At}
	runs := map[string]bool{}
	for _, f := range failed {
		runs[f.Run] = true
		if f.At.Before(p.Since) {
			p.Since = f.At
		}
		if f.At.After(p.Last) {
			p.Last = f.At
		}
	}
	p.Runs = len(runs)
	for _, where := range []struct {
		words string
		of    func(Fact) []string
	}{
		{"the file system of ", func(f Fact) []string { return strings.Fields(f.Storage) }},
		{"node ", func(f Fact) []string { return f.Nodes }},
		{"switch ", func(f Fact) []string { return f.Switches }},
	} {
		place, ok := shared(failed, where.of)
		if !ok {
			continue
		}
		p.Place = where.words + place
		p.others(day, runs, func(f Fact) bool { return slices.Contains(where.of(f), place) })
		return p
	}
	return p
}

// others counts the runs that were there beside those that failed.
func (p *Pattern) others(day []Fact, failed map[string]bool, there func(Fact) bool) {
	byItself := map[string]bool{} // one of the run's attempts ended so
	for _, f := range day {
		if !failed[f.Run] && there(f) {
			byItself[f.Run] = byItself[f.Run] || !f.Cut
		}
	}
	for _, ended := range byItself {
		if ended {
			p.Passed++
		} else {
			p.Cut++
		}
	}
}

// shared is the place that every one of the failures has.
func shared(failed []Fact, places func(Fact) []string) (string, bool) {
	for _, place := range places(failed[0]) {
		if !slices.ContainsFunc(failed, func(f Fact) bool { return !slices.Contains(places(f), place) }) {
			return place, true
		}
	}
	return "", false
}

// storage reports whether a finding is about a file system.
func storage(kind, rule string) bool {
	return kind == blame.KindStorage || slices.Contains([]string{"run-directory", "disk-full", "stale-file-handle", "io-error"}, rule)
}
