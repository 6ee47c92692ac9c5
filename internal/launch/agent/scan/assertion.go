package scan

import (
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// assertion follows pytest's report of a failed assertion, line by line: the message
// that the test gave, "assert LEFT == RIGHT", and pytest's explanation, indented
// further, which quotes the values that were compared:
//
//	E       AssertionError: assert 'error: No sp...eft on device' == 'error: disk full'
//	E         - error: disk full
//	E         + error: No space left on device
//
// The short summary repeats it without the mark where pytest knows that it runs in CI.
type assertion struct {
	mark   byte // E in the section of failures, S in the summary, 0 elsewhere
	indent int  // where the text of the exception begins in its line
	failed bool // the exception is an AssertionError
	told   bool // its "assert …" has come; explanation follows
}

// explanation reports whether a line of the log only explains an assertion. The
// message of the test stands before that and may well name a cause.
func (a *assertion) explanation(line string) bool {
	switch {
	case strings.HasPrefix(line, "E "):
		text := strings.TrimLeft(line[1:], " ")
		indent := len(line) - len(text)
		if a.mark != 'E' {
			*a = assertion{mark: 'E', indent: indent, failed: isAssertion(text)}
		}
		return a.follows(text, indent)
	case strings.HasPrefix(line, "FAILED "), strings.HasPrefix(line, "ERROR "):
		_, text, _ := strings.Cut(line, " - ")
		*a = assertion{mark: 'S', failed: isAssertion(text)}
		return a.follows(text, 0)
	case a.mark == 'S' && !strings.HasPrefix(line, "="):
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		if a.told && indent == 0 {
			*a = assertion{} // the summary is through
		}
		return a.follows(text, indent)
	}
	*a = assertion{}
	return false
}

// follows takes the next line of a failure.
func (a *assertion) follows(text string, indent int) bool {
	if a.failed && indent == a.indent && blame.Asserted(text) {
		a.told = true
	}
	return a.told && indent > a.indent
}

// isAssertion reports whether the first line of a failure is that of an assertion.
func isAssertion(text string) bool {
	return strings.HasPrefix(text, "AssertionError") || blame.Asserted(text)
}
