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

// clean is the decision in the words that a report can hold.
func (d Decision) clean() Decision {
	return Decision{Clean(d.Suite), Clean(d.Class), Clean(d.Name), d.Status}
}

// String is suite, class, name and status.
func (d Decision) String() string {
	return fmt.Sprintf("%q of class %q in suite %q: %s", d.Name, d.Class, d.Suite, d.Status)
}

// ErrAudit marks a report that an independent reader reads otherwise than it was
// decided.
var ErrAudit = errors.New("the finished report says something else than what was decided")

// Audit reads a finished report with go-junit, which shares no code with the
// reader and the writer of this package, and compares suite, class, name and
// status of every case, in order, with what was decided. It needs some 15 times
// the report's size in memory.
func Audit(report io.Reader, decided iter.Seq[Decision]) error {
	suites, err := gojunit.IngestReader(report)
	if err != nil {
		return fmt.Errorf("%w: go-junit cannot read it: %w", ErrAudit, err)
	}
	next, stop := iter.Pull(decided)
	defer stop()
	n := 0
	for got := range decisions(suites) {
		n++
		want, ok := next()
		switch want = want.clean(); {
		case !ok:
			return fmt.Errorf("%w: case %d, %s, was never decided", ErrAudit, n, got)
		case got != want:
			return fmt.Errorf("%w: case %d was decided as %s, and reads as %s", ErrAudit, n, want, got)
		}
	}
	if want, more := next(); more {
		return fmt.Errorf("%w: case %d, %s, is missing", ErrAudit, n+1, want.clean())
	}
	return nil
}

// decisions are the cases of a report as go-junit reads them.
func decisions(suites []gojunit.Suite) iter.Seq[Decision] {
	return func(yield func(Decision) bool) {
		for i := range suites {
			for _, t := range suites[i].Tests {
				if !yield(Decision{suites[i].Name, t.Classname, t.Name, Status(t.Status)}) {
					return
				}
			}
			for d := range decisions(suites[i].Suites) {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// Rejected is the report that stands in for one that Audit has rejected: one red
// case that says so.
func Rejected(name, rejected string, why error) *Document {
	c := &Case{Classname: name + ".report", Name: "audit", Results: []Result{{
		Status: Errored, Type: "ci-disagg.internal", Message: why.Error(), Text: "the rejected report is kept as " + rejected,
	}}}
	return &Document{Name: name, Suites: []DocumentSuite{{Suite: Suite{Name: name}, Cases: []*Case{c}}}}
}
