package junit

import (
	"errors"
	"fmt"
	"io"
	"iter"

	gojunit "github.com/joshdk/go-junit"
)

// Decision is what was decided about one case of a report.
type Decision struct {
	Suite, Class, Name string
	Status             Status
}

// String is suite, class, name and status.
func (d Decision) String() string {
	return fmt.Sprintf("%q of class %q in suite %q: %s", d.Name, d.Class, d.Suite, d.Status)
}

// ErrAudit marks a report that an independent reader reads otherwise than it was decided.
var ErrAudit = errors.New("the finished report says something else than what was decided")

// Audit reads a finished report with go-junit, which shares no code with the reader and the writer of this package, and
// compares suite, class, name and status of every case, in order, with what was decided. It needs some 15 times the
// report's size in memory.
func Audit(report io.Reader, decided iter.Seq[Decision]) error {
	suites, err := gojunit.IngestReader(report)
	if err != nil {
		return fmt.Errorf("%w: go-junit cannot read it: %w", ErrAudit, err)
	}
	found, n := decisions(suites), 0
	for want := range decided {
		want.Suite, want.Class, want.Name = Clean(want.Suite), Clean(want.Class), Clean(want.Name)
		switch n++; {
		case n > len(found):
			return fmt.Errorf("%w: case %d, %s, is missing", ErrAudit, n, want)
		case found[n-1] != want:
			return fmt.Errorf("%w: case %d was decided as %s, and reads as %s", ErrAudit, n, want, found[n-1])
		}
	}
	if n < len(found) {
		return fmt.Errorf("%w: case %d, %s, was never decided", ErrAudit, n+1, found[n])
	}
	return nil
}

// decisions are the cases of a report as go-junit reads them.
func decisions(suites []gojunit.Suite) (out []Decision) {
	for i := range suites {
		for _, t := range suites[i].Tests {
			out = append(out, Decision{suites[i].Name, t.Classname, t.Name, Status(t.Status)})
		}
		out = append(out, decisions(suites[i].Suites)...)
	}
	return out
}

// Rejected is the report that stands in for one that Audit has rejected: one red case that says so.
func Rejected(name, rejected string, why error) *Document {
	c := &Case{Classname: name + ".report", Name: "audit", Results: []Result{{
		Status: Errored, Type: "ci-disagg.internal", Message: why.Error(), Text: "the rejected report is kept as " + rejected,
	}}}
	return &Document{Name: name, Suites: []DocumentSuite{{Suite: Suite{Name: name}, Cases: []*Case{c}}}}
}
