package suspect

import (
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Run is one run of a paired session.
type Run struct {
	Name string // in its attempt's directory
	B    bool   // it is of the build that is held against the other
	Seen *machine.Seen
}

// shownRuns is how many suspect runs are named.
const shownRuns = 5

// build is what was seen of the runs of a build.
type build struct {
	runs, looked, suspect int
	found                 []rundir.Suspicion
}

// Session says which runs of a paired session were on suspect machines, a line each. Usual
// is what the cards were in the session as a whole: both builds run on the same. Probably
// is a sentence where every run of B was that was looked at, and none of A, most of both
// being looked at: what looks like B's may be the machine's. One run of B on machines that
// were as usual shows that it is not.
func Session(runs []Run, l rundir.MachineLimits) (lines []string, probably string) {
	var all []rundir.Machine
	for _, r := range runs {
		if r.Seen != nil {
			all = append(all, *r.Seen.Kept())
		}
	}
	usual := UsualOf(all)
	builds := map[string]*build{"A": {}, "B": {}}
	for _, r := range runs {
		name := "A"
		if r.B {
			name = "B"
		}
		one := builds[name]
		one.runs++
		if r.Seen == nil || len(r.Seen.Nodes) == 0 {
			continue
		}
		one.looked++
		found := Judge(r.Seen.Nodes, r.Seen.Took, usual, l)
		if len(found) == 0 {
			continue
		}
		one.suspect++
		one.found = append(one.found, found...)
		lines = append(lines, fmt.Sprintf("%s (%s) was on a suspect machine: %s", r.Name, name, Foremost(found)))
	}
	if more := len(lines) - shownRuns; more > 1 {
		lines = append(lines[:shownRuns], fmt.Sprintf("%d more runs were on suspect machines", more))
	}
	a, b := builds["A"], builds["B"]
	if a.suspect > 0 || b.suspect < b.looked || 2*a.looked <= a.runs || 2*b.looked <= b.runs {
		return lines, ""
	}
	text := Probably(b.found)
	return lines, fmt.Sprintf("%s. That was so in %d of %d runs of B, and in none of A.", strings.ToUpper(text[:1])+text[1:], b.suspect, b.runs)
}
