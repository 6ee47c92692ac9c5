package scan

import (
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

const (
	maxDied = 16  // exceptions that are kept: of one chain, or of failed tests
	ending  = 100 // lines that a server may write while it ends
	between = 5   // lines between tracebacks of which one tells of the other: of ranks, or of a worker and who waits for it
)

// died are the exceptions of which a process may have ended: those of its last traceback, one raised because of the
// other, and those of the tests that pytest tells of.
type died struct {
	last        []Kept // of the last traceback
	before      []Kept // of the one before it
	sinceBefore int    // since, as it was then
	gap         int    // lines between the two
	ago         int    // lines since the last exception, without what ends nothing
	tests       []Kept
	since       int  // the line at which the first of those tracebacks begins that directly follow each other
	end         int  // the line at which the last one ends
	within      int  // lines left in which to find the exception of a traceback
	linked      bool // the next traceback is of the same chain
}

// raised takes the next line of a log that is no output which pytest shows.
func (d *died) raised(at Kept, line string, look *Patterns) {
	d.ago++
	switch {
	case strings.Contains(line, "above exception"):
		d.linked = true
	case strings.Contains(line, "Traceback (most recent call last):") && !blame.Quoted(line):
		if d.within = traceDepth; !d.linked {
			d.before, d.last, d.sinceBefore, d.gap = d.last, nil, d.since, d.ago
		}
		if d.end == 0 || at.Number-d.end > between {
			d.since = at.Number
		}
		d.linked = false
	case d.within > 0:
		switch d.within--; {
		case len(d.last) == 0 && look.endedBefore(line, d.before, d.gap):
			d.last, d.since, d.within, d.ago = d.before, d.sinceBefore, 0, 0
		case look.raises(line):
			d.last, d.within, d.end, d.ago = keep(d.last, at), 0, at.Number, 0
		}
	}
}

func keep(lines []Kept, at Kept) []Kept {
	return append(lines[max(0, len(lines)-maxDied+1):], at)
}

// has reports whether a line is one of these, and where their tracebacks begin, if it is of one.
func (d *died) has(number int) (bool, int) {
	is := func(k Kept) bool { return k.Number == number }
	if slices.ContainsFunc(d.last, is) {
		return true, d.since
	}
	return slices.ContainsFunc(d.tests, is), 0
}
