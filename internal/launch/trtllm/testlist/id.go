package testlist

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Grammar is one way to read what stands between the brackets of a test id.
type Grammar struct {
	Mode   string // "" = the config file says (seed grammar)
	Stem   string // of the YAML file
	Server string // aggregated: select pattern, comma separated; "" = all
	Disagg bool   // the YAML is a disaggregated one
	Roles  bool   // launched as servers, router and client; else as one role
}

// ID is a parsed pytest id.
type ID struct {
	Full       string // module::function[case]
	Case       string // between the brackets
	Aggregated bool   // an aggregated grammar
	Bare       bool   // it was given as the config's name alone

	rest string // of the case, behind its prefix
}

// Names are how a team's tests are called.
type Names struct {
	Module, Function string
	Prefix           string // of cases that are given without one
	// Rooted says that pytest runs in TestsDir: an id begins below it, however it is
	// listed.
	Rooted bool
}

// ParseID completes and splits a test id. Accepted are a whole pytest id, the
// function with its brackets, the case alone, and the config's name alone, which
// gets the configured prefix.
func (s Names) ParseID(id string) (ID, error) {
	if strings.ContainsAny(id, "\x00\n\r\t") {
		return ID{}, fmt.Errorf("test id %q has a control character", id)
	}
	open := strings.IndexByte(id, '[')
	switch {
	case strings.IndexAny(id, "\"'`") == 0:
		return ID{}, fmt.Errorf("test id %q stands in quotes: take them off", id)
	case open >= 0 && !strings.HasSuffix(id, "]"):
		return ID{}, fmt.Errorf("test id %q does not end with ]", id)
	case open < 0 && strings.Contains(id, "::"):
		return ID{}, fmt.Errorf("test id %q names no case: write module::function[case]", id)
	}
	caseName, head := id, s.Module+"::"+s.Function
	if open >= 0 {
		caseName = id[open+1 : len(id)-1]
		head = id[:open]
		if !strings.Contains(head, "::") {
			head = s.Module + "::" + cmp.Or(head, s.Function)
		}
		if s.Rooted {
			head = strings.TrimPrefix(head, TestsDir+"/")
		}
	}
	_, _, prefixed := s.splitPrefix(caseName)
	bare := !prefixed && open < 0
	if bare {
		caseName = s.Prefix + "-" + caseName
	}
	if strings.ContainsAny(caseName, "/\\") || strings.Contains(caseName, "..") {
		return ID{}, fmt.Errorf("case %q names a path: a config is named by its file name without folder and .yaml", caseName)
	}
	if ext := path.Ext(caseName); ext == ".yaml" || ext == ".yml" {
		return ID{}, fmt.Errorf("case %q: leave out %s, a config is named by its file name without folder and .yaml", caseName, ext)
	}
	if strings.TrimSpace(caseName) != caseName || strings.HasSuffix(caseName, "-") {
		return ID{}, fmt.Errorf("case %q begins or ends with a blank, or ends with a dash: something is missing", caseName)
	}
	prefix, rest, ok := s.splitPrefix(caseName)
	if !ok || rest == "" {
		return ID{}, fmt.Errorf("case %q does not begin with disagg-, disagg_upload-, aggr-, aggr_upload-, or a test_prefix of your own", caseName)
	}
	return ID{Full: head + "[" + caseName + "]", Case: caseName, Aggregated: strings.HasPrefix(prefix, "aggr"), Bare: bare, rest: rest}, nil
}

// foreign reports whether a line of a list shared with other test suites is about none of
// our tests: it names another function, whose arguments, if any, are no case.
func (s Names) foreign(line string) bool {
	id, _ := cutID(strings.TrimSpace(line))
	head, caseName, _ := strings.Cut(id, "[")
	if !strings.ContainsAny(head, "/:") || strings.TrimPrefix(head, TestsDir+"/") == s.Module+"::"+s.Function {
		return false
	}
	_, _, ok := s.splitPrefix(caseName)
	return !ok
}

// TestsDir is where pytest runs, below the checkout.
const TestsDir = "tests/integration/defs"

// splitPrefix cuts disagg[_upload]- or aggr[_upload]- off a case, or the prefix
// that a team has given its own tests, which are disaggregated.
func (s Names) splitPrefix(caseName string) (prefix, rest string, ok bool) {
	if rest, ok := strings.CutPrefix(caseName, s.Prefix+"-"); ok {
		return s.Prefix, rest, true
	}
	prefix, rest, found := strings.Cut(caseName, "-")
	switch prefix {
	case "disagg", "disagg_upload", "aggr", "aggr_upload":
		return prefix, rest, found
	}
	return "", "", false
}

// Grammars are the ways to read a case, the likeliest first. A config named
// e2e-x.yaml makes disagg-e2e-x ambiguous; the file that exists decides.
func (id ID) Grammars() []Grammar {
	rest := id.rest
	var out []Grammar
	if !id.Aggregated {
		for _, mode := range []string{rundir.ModeGenNoContext, rundir.ModeGenOnly, rundir.ModeE2E} {
			if stem, ok := strings.CutPrefix(rest, mode+"-"); ok {
				out = append(out, breakdown(Grammar{Mode: mode, Stem: stem, Disagg: true, Roles: true})...)
			}
		}
		return append(out, Grammar{Stem: rest, Disagg: true, Roles: true})
	}
	for _, mode := range []string{rundir.ModeCtxOnly, rundir.ModeGenNoContext} {
		if stem, ok := strings.CutPrefix(rest, mode+"-"); ok {
			out = append(out, breakdown(Grammar{Mode: mode, Stem: stem, Disagg: true})...)
		}
	}
	stem, server, _ := strings.Cut(rest, "-")
	return append(out, Grammar{Mode: rundir.ModeAggregated, Stem: stem, Server: server})
}

func breakdown(g Grammar) []Grammar {
	stem, ok := strings.CutPrefix(g.Stem, "time_breakdown-")
	if !ok {
		return []Grammar{g}
	}
	b := g
	b.Stem = stem
	return []Grammar{b, g}
}
