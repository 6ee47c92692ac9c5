package blame

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// decision is what a process is known to have ended of.
type decision struct {
	line Line
	rule Rule // of no name: no failure class, its own words
	bare bool // it says that something else has failed, and not what
}

// toldBefore is how many lines before a process says that something else has failed this may be told.
const toldBefore = 5

// decisions are, by file, the last line that says of what a role or its server ended: the exception at the end of a
// traceback or of pytest's report, an error of CUDA, a crash. What only says that somebody or something failed has
// another cause. At the end of a traceback this is told directly before it; of a test it may stand in any line.
func decisions(classes Classes, lines []Line, e Event) map[string]decision {
	out := map[string]decision{}
	for _, l := range lines {
		if l.Behind >= nearEnd || l.Shown {
			continue
		}
		before, known := out[l.File]
		if r, ok := decides(classes, l); ok {
			out[l.File] = decision{line: l, rule: r}
		} else if l.Since > 0 && (!known || before.bare || before.rule.Class == Infra && !before.toldTo(l)) {
			out[l.File] = decision{line: l, rule: Rule{Class: Unknown}, bare: true}
		} else if l.Died && (before.bare || Asserted(l.Text)) { // what the message before it was about
			delete(out, l.File)
		}
	}
	if s := normal(e).Signal; !slices.Contains([]int{4, 8, 11}, s) { // SIGILL, SIGFPE, SIGSEGV
		return out
	}
	for _, d := range out {
		if !d.bare {
			return out
		}
	}
	return map[string]decision{"": {rule: Rule{Class: Test}}}
}

// toldTo reports whether a line can be what an exception that only says that something has failed passes on.
func (d decision) toldTo(l Line) bool { return d.line.Died || d.line.Number >= l.Since-toldBefore }

func decides(classes Classes, l Line) (Rule, bool) {
	r, known := classes.Match(l.Text)
	text := mark().ReplaceAllString(l.Text, "")
	switch {
	case known && r.Kind == "test.crash":
		return r, !r.Weak && !passedOn().MatchString(text)
	case known && r.Class == Infra:
		return r, l.Died || exception().MatchString(text) && !strings.HasPrefix(l.Text, "E ")
	case known && r.Kind == "test.oom" && !l.Died:
		return r, strings.Contains(text, "what():")
	case known && r.Kind != "test.exception", !l.Died:
		return r, l.Died
	case mistake().MatchString(text):
		return r, !strings.Contains(text, "NoneType")
	}
	// A test says what it has found wrong; what else raises these has most often caught another one.
	general := strings.HasPrefix(text, "RuntimeError") || strings.HasPrefix(text, "Exception")
	return r, OwnWords(text) && (!general || strings.HasPrefix(l.Text, "E "))
}

// mark is what stands before an exception: a rank's, or pytest's.
//
//nolint:gochecknoglobals // compiled once, immutable
var mark = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:\[[^\]]{1,24}\]:?\s+|E\s+)`) })

// passedOn recognises a crash by which a program ends on whatever it did not catch.
//
//nolint:gochecknoglobals // compiled once, immutable
var passedOn = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)terminate called|Fatal Python error: (?:Aborted|Bus error)|-[67]\b|SIGABRT|SIGBUS`)
})

// mistake recognises the exceptions of Python that come of what the program does, not of what it uses: compilers of
// kernels fail by what they are given.
//
//nolint:gochecknoglobals // compiled once, immutable
var mistake = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:(?:Attribute|Index|Key|Name|NotImplemented|Recursion|Type|UnboundLocal|ZeroDivision)Error)\b|^(?:triton|torch\._dynamo|torch\._inductor)\.`)
})

// survived reports whether a line that a class matches was not what ended its process, because another one was. A fault
// of the GPU is told in a line of its own, and what it leads to is an error of CUDA.
func survived(l Line, r Rule, all map[string]decision) bool {
	d, same := all[l.File]
	if !same {
		var found bool
		if d, found = elsewhere(all); !found {
			return false
		}
	}
	switch {
	case !same && d.line.Server && !d.bare && d.rule.Name != "" && passesOn(l, r):
		return true // the log of its server says why
	case l.Died:
		return false
	case !same && d.line.Server && !l.Server && strings.HasPrefix(l.Text, "E "):
		return true // a test's message quotes the log of its server, which says so itself
	case r.Class == Infra:
		if d.rule.Class == Infra || r.Kind == "infra.gpu" && !l.Shown {
			return false
		}
		if d.bare {
			return same && !decision{line: l}.toldTo(d.line)
		}
		after := !same && d.line.File != "" || l.Number > d.line.Number
		return l.Shown || !after || !exception().MatchString(l.Text)
	case r.Kind == "test.config", r.Kind == "test.oom":
		return same && d.line.Number != l.Number
	}
	return false
}

// passesOn reports whether a line tells that a role's test failed as its server had ended, or only where.
func passesOn(l Line, r Rule) bool {
	return !l.Server && r.Kind == "test.exception" && (wrapper().MatchString(l.Text) || RaisedIn(l.Text) != "")
}

// elsewhere is what decides where a log itself says nothing of it: the role's own words, else what speaks for the
// infrastructure.
func elsewhere(all map[string]decision) (decision, bool) {
	files := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		weight := func(d decision) int {
			switch {
			case !d.line.Server:
				return 0
			case d.rule.Class == Infra:
				return 1
			}
			return 2
		}
		return cmp.Or(cmp.Compare(weight(all[a]), weight(all[b])), cmp.Compare(a, b))
	})
	if len(files) == 0 {
		return decision{}, false
	}
	return all[files[0]], true
}

// exception recognises the text of an exception that was not caught, in a line of its own.
//
//nolint:gochecknoglobals // compiled once, immutable
var exception = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:\S{0,40}[:|\]]\s+|E\s+)?(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)\b|what\(\):|\[Errno \d+\]`)
})

// exceptionOf is the line that ends a traceback, where a line only begins one; and where an exception is all that is
// known, the one of which the role or its server ended.
func exceptionOf(r Rule, at *Line, of map[string][]Line, ends map[string]decision) *Line {
	if at == nil || r.Kind != "test.exception" {
		return at
	}
	lines := of[at.Role]
	for i := len(lines) - 1; i >= 0; i-- { // the role's own come last
		l := &lines[i]
		if d, ok := ends[l.File]; ok && d.line.Number == l.Number && (l.File == at.File || !l.Server) {
			return l
		}
	}
	for i, l := range lines {
		if strings.Contains(at.Text, "Traceback (most recent call last)") && l.First && l.File == at.File && l.Number > at.Number {
			return &lines[i]
		}
	}
	return at
}

// lineToShow is the line to show when no rule fired: what a test failed of, else the first error, else the last line,
// which explains nothing; of a server that went, its own. Of a role that was killed it is always the last: what looked
// like an error before was survived.
func (c *analysis) lineToShow(e Event, killed bool) *Line {
	lines := c.lines[e.Role]
	if n := slices.IndexFunc(lines, func(l Line) bool { return !l.Server }); n > 0 && (e.Kind == ServerGone || e.Kind == ServerSick) {
		lines = lines[:n]
	}
	for _, is := range []func(Line) bool{func(l Line) bool { return l.Died && strings.HasPrefix(l.Text, "E ") }, func(l Line) bool { return l.First }} {
		if i := slices.IndexFunc(lines, is); i >= 0 && !killed {
			return &lines[i]
		}
	}
	if len(lines) == 0 {
		return nil
	}
	last := lines[len(lines)-1] // the role's own come last
	last.Last = true
	return &last
}
