package scan

import (
	"regexp"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// maxDied bounds how many exceptions are kept: of one chain, or of failed tests.
const maxDied = 16

// died are the exceptions of which a process may have ended: those of its last traceback, one raised because of the
// other, and those of the tests that pytest tells of.
type died struct {
	last   []Kept // of the last traceback
	tests  []Kept
	within int  // lines left in which to find the exception of a traceback
	linked bool // the next traceback is of the same chain
}

// raised takes the next line of a log that is no output which pytest shows.
func (d *died) raised(at Kept, line string, exception *regexp.Regexp) {
	switch {
	case strings.Contains(line, "above exception"):
		d.linked = true
	case strings.Contains(line, "Traceback (most recent call last):") && !blame.Quoted(line):
		if d.within = traceDepth; !d.linked {
			d.last = d.last[:0]
		}
		d.linked = false
	case d.within > 0:
		if d.within--; exception.MatchString(line) {
			d.last, d.within = keep(d.last, at), 0
		}
	}
}

func keep(lines []Kept, at Kept) []Kept {
	return append(lines[max(0, len(lines)-maxDied+1):], at)
}

// has reports whether a line is one of these.
func (d *died) has(number int) bool {
	for _, lines := range [][]Kept{d.last, d.tests} {
		for _, k := range lines {
			if k.Number == number {
				return true
			}
		}
	}
	return false
}
