package scan

import (
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// failure follows pytest's report of failed tests: what each exception says, where it was raised, and what the test had
// printed before, which stands below:
//
//	E       ValueError: 3 of 40 answers were wrong
//
//	test_answers.py:5: ValueError
//	----------------------------- Captured stdout call -----------------------------
type failure struct {
	died
	says  *Kept   // the first line of the exception
	colon *string // where the last line ends with a colon: the next one
	shown bool    // what follows is output of before
	own   *Kept   // the last that a test raised itself to say what it has found wrong
	infra bool    // an exception names the infrastructure
}

// take takes the next line of the log.
func (f *failure) take(at Kept, line string, look *Patterns) {
	if !f.shown && !strings.HasPrefix(line, "E ") {
		f.raised(at, line, look)
	}
	switch {
	case strings.HasPrefix(line, "E "):
		r, known := look.classes.Match(line)
		f.infra = f.infra || known && r.Class == blame.Infra
		if f.says == nil {
			f.says, f.tests = &at, keep(f.tests, at)
		}
		if known && r.Kind != "test.exception" || blame.Asserted(line) && !blame.OwnWords(line) {
			f.says = &Kept{} // which says enough
			if blame.Asserted(line) {
				f.tests = keep(f.tests, at)
			}
		}
	case strings.HasPrefix(line, "---") && strings.Contains(line, "- Captured "):
		f.says, f.shown = nil, true
	case strings.HasPrefix(line, "____"), endOfFailures(line):
		f.says, f.shown = nil, false
	case f.says != nil && blame.RaisedIn(line) != "":
		if blame.TestFile(blame.RaisedIn(line)) && blame.OwnWords(f.says.Text) {
			f.own = f.says
		}
		f.says = nil
	}
}

// goesOn hands the line below a message that ends with a colon on to it.
func (f *failure) goesOn(at *Kept) {
	said, pytest := strings.CutPrefix(at.Text, "E ")
	said = strings.TrimSpace(said)
	if pytest && said == "" {
		return
	}
	if pytest && f.colon != nil {
		*f.colon = said
	}
	if f.colon = nil; pytest && strings.HasSuffix(said, ":") {
		f.colon = new(string)
		at.more = f.colon
	}
}

// endOfFailures reports whether pytest goes on to something else. A program prints such rules, too.
func endOfFailures(line string) bool {
	return (strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---")) &&
		(strings.Contains(line, " short test summary info ") || strings.Contains(line, " generated xml file: ") || strings.Contains(line, " warnings summary "))
}
