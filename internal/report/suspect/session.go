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

// Session says which runs of a paired session were on suspect machines, a line each. Usual
// is what the cards were in the session as a whole: both builds run on the same. Probably
// is a sentence where runs of B were, and none of A: what looks like B's may be the machine's.
func Session(runs []Run, l rundir.MachineLimits) (lines []string, probably string) {
	var all []rundir.Machine
	for _, r := range runs {
		if r.Seen != nil {
			all = append(all, *r.Seen.Kept())
		}
	}
	usual := UsualOf(all)
	var a, b, ofB int
	var worst []rundir.Suspicion
	for _, r := range runs {
		if r.B {
			ofB++
		}
		if r.Seen == nil {
			continue
		}
		found := Judge(r.Seen.Nodes, r.Seen.Took, usual, l)
		if len(found) == 0 {
			continue
		}
		build := "A"
		if a++; r.B {
			a, b, build, worst = a-1, b+1, "B", append(worst, found...)
		}
		lines = append(lines, fmt.Sprintf("%s (%s) was on a suspect machine: %s", r.Name, build, Foremost(found)))
	}
	if more := len(lines) - shownRuns; more > 1 {
		lines = append(lines[:shownRuns], fmt.Sprintf("%d more runs were on suspect machines", more))
	}
	if b == 0 || a > 0 {
		return lines, ""
	}
	text := Probably(worst)
	return lines, fmt.Sprintf("%s. That was so in %d of %d runs of B, and in none of A.", strings.ToUpper(text[:1])+text[1:], b, ofB)
}
