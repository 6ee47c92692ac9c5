package trtllm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// environment is one of the config's strings of KEY=VAL items.
type environment struct {
	vars []rundir.EnvVar // items without anything to expand
	// dynamic are items whose value bash must expand (LD_LIBRARY_PATH=/x:$Y), as
	// shell text, in order.
	dynamic []string
}

// parseEnvironment reads space separated KEY=VAL items. Quotes around an item, or
// around a value, group and disappear, as they do when upstream's script puts
// the string between double quotes.
func parseEnvironment(s string) (environment, error) {
	var env environment
	if strings.TrimSpace(s) == "" {
		return env, nil
	}
	// Items on several lines, as YAML's literal blocks give them, are one list.
	f, err := parse("_ " + strings.ReplaceAll(strings.TrimSpace(s), "\n", " "))
	if err != nil {
		// The position would be one in our copy of the text.
		var bad syntax.ParseError
		if errors.As(err, &bad) {
			err = fmt.Errorf("not a list of KEY=VAL items: %s", bad.Text)
		}
		return env, err
	}
	if len(f.Stmts) != 1 || f.Stmts[0].Background || f.Stmts[0].Negated || len(f.Stmts[0].Redirs) > 0 {
		return env, fmt.Errorf("not a list of KEY=VAL items: quote values with ; & < > | in them")
	}
	call, ok := f.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok {
		return env, fmt.Errorf("not a list of KEY=VAL items: quote values with ; & < > | in them")
	}
	for _, w := range call.Args[1:] {
		v, expands := bashword.Prefix(w)
		name, value, found := strings.Cut(v, "=")
		if !found || !syntax.ValidName(name) {
			return env, fmt.Errorf("item %q is not KEY=VAL", printWord(w))
		}
		if !expands && !hasTilde(w) {
			env.vars = append(env.vars, rundir.EnvVar{Name: name, Value: value})
			continue
		}
		text, err := dynamicItem(w, name)
		if err != nil {
			return env, err
		}
		env.dynamic = append(env.dynamic, text)
	}
	return env, nil
}

// hasTilde reports whether bash would take a home directory from the word, were it an
// assignment: an unquoted ~ begins its value, or stands behind a colon.
func hasTilde(w *syntax.Word) bool {
	first, ok := w.Parts[0].(*syntax.Lit)
	return ok && (strings.Contains(first.Value, "=~") || strings.Contains(first.Value, ":~"))
}

// sets reports whether the environment has the variable.
func (e environment) sets(name string) bool {
	return slices.ContainsFunc(e.vars, func(v rundir.EnvVar) bool { return v.Name == name }) ||
		slices.ContainsFunc(e.dynamic, func(text string) bool { return strings.HasPrefix(text, name+"=") })
}

// dynamicItem is shell text NAME=value of a word that bash must expand. An item
// that is quoted as a whole ("A=$B c") is taken out of its quotes: bash takes
// such a word for a command, not for an assignment.
func dynamicItem(w *syntax.Word, name string) (string, error) {
	text := printWord(w)
	if strings.HasPrefix(text, name+"=") {
		return text, nil
	}
	if strings.HasPrefix(text, `"`+name+"=") {
		return name + `="` + strings.TrimPrefix(text, `"`+name+"="), nil
	}
	return "", fmt.Errorf("item %q: write it as %s=\"value\"", text, name)
}

func printWord(w *syntax.Word) string {
	var b strings.Builder
	if err := syntax.NewPrinter().Print(&b, w); err != nil {
		return ""
	}
	return b.String()
}

// text is the environment as a prefix of a shell command, with a blank at its
// end, or "".
func (e environment) text() (string, error) {
	var b strings.Builder
	for _, v := range e.vars {
		q, err := quote(v.Value)
		if err != nil {
			return "", err
		}
		b.WriteString(v.Name + "=" + q + " ")
	}
	return b.String() + e.dynamicText(), nil
}

func (e environment) dynamicText() string {
	if len(e.dynamic) == 0 {
		return ""
	}
	return strings.Join(e.dynamic, " ") + " "
}

func (e environment) and(o environment) environment {
	return environment{
		vars:    slices.Concat(e.vars, o.vars),
		dynamic: slices.Concat(e.dynamic, o.dynamic),
	}
}

// quote is v as one word of bash. An empty value needs no quotes behind NAME=.
func quote(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	return syntax.Quote(v, syntax.LangBash)
}
