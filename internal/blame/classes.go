package blame

import (
	_ "embed" // classes.yaml
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// ClassesYAML is the built-in list of failure classes: a YAML list of Rule. It
// is text here because this package knows no YAML; the caller decodes it, puts
// the user's own rules in front and hands all of them to Compile.
//
//go:embed classes.yaml
var ClassesYAML string

// Classes are compiled failure classes. The zero value matches nothing.
type Classes struct {
	rules []compiled
	find  *prefilter // says which lines are worth a closer look
}

type compiled struct {
	Rule
	re *regexp.Regexp
}

// Compile checks rules and compiles their patterns. All problems are reported
// at once, each with the rule's name. Order matters: the first rule that matches
// a line wins, so a user's rules come before the built-in ones.
func Compile(rules []Rule) (Classes, error) {
	var c Classes
	var errs []error
	c.find = &prefilter{}
	seen := map[string]bool{}
	for i, r := range rules {
		name := r.Name
		if name == "" {
			name = fmt.Sprintf("rule %d", i+1)
			errs = append(errs, fmt.Errorf("failure class %s: name is missing", name))
		}
		if seen[r.Name] {
			errs = append(errs, fmt.Errorf("failure class %s: name is taken", name))
		}
		seen[r.Name] = true
		if r.Class != Infra && r.Class != Test {
			errs = append(errs, fmt.Errorf("failure class %s: class is %q; use infra or test", name, r.Class))
		}
		re, err := regexp.Compile(r.Pattern)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("failure class %s: pattern: %w", name, err))
			continue
		case r.Pattern == "" || re.MatchString(""):
			errs = append(errs, fmt.Errorf("failure class %s: pattern %q matches every line", name, r.Pattern))
			continue
		}
		c.rules = append(c.rules, compiled{Rule: r, re: re})
		c.find.add(re)
	}
	if err := errors.Join(errs...); err != nil {
		return Classes{}, err
	}
	return c, nil
}

// Match is the first rule whose pattern matches line. A line that only quotes
// source text matches nothing, and one that tells a failed assertion no rule of the
// infrastructure.
func (c Classes) Match(line string) (Rule, bool) {
	i := c.match(line)
	if i < 0 {
		return Rule{}, false
	}
	return c.rules[i].Rule, true
}

// match is the index of the first rule that matches, or -1.
func (c Classes) match(line string) int {
	if c.find == nil || !c.find.may(line) || Quoted(line) {
		return -1
	}
	said := line
	if failCalled().MatchString(line) {
		said = quotedText().ReplaceAllString(line, `""`)
	}
	for i, r := range c.rules {
		if r.Class == Infra && said != line && !r.re.MatchString(said) {
			continue
		}
		if r.re.MatchString(line) && (r.Class != Infra || !Asserted(line)) {
			return i
		}
	}
	return -1
}

// Quoted reports whether a line shows source text or the value of a variable, as
// tracebacks and pytest do: what stands there has not happened.
//
//	    raise RuntimeError("CUDA error")     an indented line, also behind a [rank0]: prefix
//	>   raise RuntimeError("CUDA error")     pytest's mark of the line that failed
//	server = <Popen: returncode: -9 …>       pytest --showlocals
func Quoted(line string) bool { return quoted().MatchString(line) }

//nolint:gochecknoglobals // compiled once, immutable
var quoted = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:\[[^\]]{1,24}\]:? ?)?(?:    |\t|>   |[A-Za-z_]\w* += )`)
})

// failCalled recognises the message of pytest.fail: what it quotes are values of the test, too.
//
//nolint:gochecknoglobals // compiled once, immutable
var failCalled = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:E +|(?:FAILED|ERROR) .+? - )?Failed: `)
})

//nolint:gochecknoglobals // compiled once, immutable
var quotedText = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"[^"]*"|'[^']*'`) })

// Asserted reports whether a line tells what a failed assertion compared, as pytest
// does: phrases there are values of the test. A message that the test gave, which
// stands where "assert" would, is another thing: it may name the cause.
//
//	E       AssertionError: assert 'error: No sp...eft on device' == 'error: disk full'
//	FAILED test_cli.py::test_message - AssertionError: assert 'error: No space left …
func Asserted(line string) bool { return asserted().MatchString(line) }

//nolint:gochecknoglobals // compiled once, immutable
var asserted = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:E +|(?:FAILED|ERROR) .+? - )?(?:AssertionError: )?assert `)
})

// Measured reports whether a text tells of a failed comparison of two numbers by their order, as pytest words it: a
// test's own verdict on what it measured, such as an accuracy below its threshold. A count of failures is none; it is
// what a client sees of somebody else's end.
//
//	E       AssertionError: assert 0.41 >= 0.6
func Measured(text string) bool {
	text = strings.TrimLeft(strings.TrimPrefix(strings.ToLower(text), "e "), " ")
	if strings.Contains(text, "fail") || strings.Contains(text, "error:") && !strings.HasPrefix(text, "assertionerror:") ||
		strings.Contains(text, "refused") || strings.Contains(text, "timed out") {
		return false
	}
	return measured().MatchString(text)
}

//nolint:gochecknoglobals // compiled once, immutable
var measured = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\bassert -?\d[\d.e+-]* *(<|>|<=|>=) *-?\d`)
})

// verdict is the line with which the role's test says what it has found wrong, the last thing that happened to it: what
// stands above that in its output was survived. A cause that the failure itself names was not.
func verdict(ev Evidence, lines []Line, e Event, said *Line) (*Line, bool) {
	if said == nil || said.Server || e.Kind != TestFailed && (e.Kind != RoleEnd || e.Signal != 0) {
		return nil, false
	}
	named := strings.HasPrefix(said.Text, "E ")
	for i := range lines {
		l := &lines[i]
		measured := strings.HasPrefix(l.Text, "E ") && Measured(l.Text) && l.Number > said.Number
		own := l.Own && !named && (l.Number > said.Number || said.Shown)
		if !l.Server && l.File == said.File && (measured || own) {
			return l, true
		}
	}
	return nil, slices.ContainsFunc(ev.Events, func(t Event) bool { return t.Role == e.Role && (t.Assert || t.Own && !named) })
}
