package blame

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// RaisedIn is the file in which an exception was raised, by the line with which pytest ends a traceback, "" = it is
// none:
//
//	test_answers.py:5: ValueError
func RaisedIn(line string) string {
	m := location().FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return m[1]
}

// TestFile reports whether a file holds tests, by pytest's own rule.
func TestFile(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return strings.HasPrefix(name, "test_") || strings.HasSuffix(name, "_test.py")
}

// OwnWords reports whether an exception that was raised in the test itself says what the test has found wrong, and not
// what it has missed: another process, a file, an answer. Of two numbers that are not equal, one may be an exit code or
// an HTTP status. pytest names the module of an exception that Python does not come with.
//
//	E       ValueError: 3 of 40 answers were wrong
//	E       assert 37 == 40
func OwnWords(text string) bool {
	text = strings.TrimLeft(strings.TrimPrefix(text, "E "), " ")
	switch {
	case Measured(text):
		return true
	case PeerLine(text), secondHandWords().MatchString(strings.TrimPrefix(text, "Failed: ")): // of pytest.fail
		return false
	case Asserted(text):
		return equality().MatchString(text) && !telling().MatchString(text)
	}
	return ownTypes().MatchString(text)
}

//nolint:gochecknoglobals // compiled once, immutable
var location = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\S+\.py):\d+: [A-Z]\w*$`) })

//nolint:gochecknoglobals // compiled once, immutable
var ownTypes = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:AssertionError|ValueError|ArithmeticError|RuntimeError|Exception|Failed|test_\w+\.\w+): \S`)
})

//nolint:gochecknoglobals // compiled once, immutable
var equality = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\bassert \S.* == \S`) })

// telling recognises a comparison with what an absent answer, an exit code or an HTTP status looks like.
//
//nolint:gochecknoglobals // compiled once, immutable
var telling = sync.OnceValue(func() *regexp.Regexp {
	const value = `(?:None|True|False|b?''|b?""|\[\]|\{\}|\(\)|0|[2-5]\d\d)`
	return regexp.MustCompile(`\bassert ` + value + ` == |== ` + value + `$`)
})

// secondHandWords are those of who has missed something, or could not do it.
//
//nolint:gochecknoglobals // compiled once, immutable
var secondHandWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(?:workers?|servers?|engines?|executors?|(?:sub)?process(?:es)?|ranks?|nodes?|launcher|requests?|connections?|sockets?|` +
		`endpoints?|download\w*|time-?outs?|timed[ -]out|ready|died|dead|killed|aborted|exit(?:ed)?|ended|return(?:ed)? ?code|returncode|status|` +
		`fail(?:ed|s|ure|ures)|could not|cannot|can't|unable|missing|not found|no such|unavailable|empty|invalid literal|not convert|to unpack|nothing|no)\b`)
})

// asserts reports whether a role that ended by itself failed by an assertion of its own: before there are result files,
// its log says so.
func asserts(e Event, lines []Line) bool {
	if e.Kind != RoleEnd || e.Exit == 0 || e.Signal != 0 || e.ByUs {
		return false
	}
	own := false
	for _, l := range lines {
		switch {
		case l.Server, l.Shown, !strings.HasPrefix(l.Text, "E "):
		case Measured(l.Text):
			return true
		case l.Died:
			own = OwnAssertion(l.Text) || own && !Asserted(l.Text)
		}
	}
	return own
}

// OwnAssertion reports whether a failure is an assertion with which a test says what it has found wrong.
func OwnAssertion(text string) bool {
	text = strings.TrimLeft(strings.TrimPrefix(text, "E "), " ")
	if Measured(text) {
		return true
	}
	for line := range strings.Lines(text) {
		if Asserted(line) && !OwnWords(strings.TrimSpace(line)) {
			return false
		}
	}
	return strings.HasPrefix(text, "AssertionError: ") && OwnWords(text)
}

// ownVerdict is the event of a role that failed by an assertion of its own beside a root that is no fault of the
// change: another attempt could only hide it. The root may be the role's own server, also one that ended for no known
// reason: a test that has failed ends its server.
func ownVerdict(fatal []Event, f Finding) (Event, bool) {
	if f.Class != Infra && (f.Class != Unknown || f.Kind != KindServerDied) {
		return Event{}, false
	}
	i := slices.IndexFunc(fatal, func(e Event) bool { return e.Assert && (e.Role == f.Root || slices.Contains(f.MoreRoots, e.Role)) })
	if i < 0 {
		return Event{}, false
	}
	return fatal[i], true
}

// foundWrong is the assertion on measured data with which the role's own test failed, by its results: it stands above
// all that the test had printed before, where its log does not show the assertion itself. "" = the line does, or that
// of its server, or something else decided.
func foundWrong(events []Event, e Event, f Finding) string {
	if f.Class != Test || e.Kind != RoleEnd || e.Signal != 0 || e.OOM || e.Planted {
		return ""
	}
	if f.Line != nil && !f.Line.Last && (f.Line.Server || strings.HasPrefix(f.Line.Text, "E ")) {
		return ""
	}
	i := slices.IndexFunc(events, func(t Event) bool { return t.Role == e.Role && t.Kind == TestFailed && t.Assert })
	if i < 0 {
		return ""
	}
	return events[i].Text
}
