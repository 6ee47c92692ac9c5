package trtllm

import (
	"fmt"
	"path"
	"strings"
)

// Modes of a case.
const (
	ModeE2E          = "e2e"
	ModeGenOnly      = "gen_only"
	ModeGenNoContext = "gen_only_no_context"
	ModeCtxOnly      = "ctx_only"
	ModeAggregated   = "aggregated"
)

// grammar is one way to read what stands between the brackets of a test id.
type grammar struct {
	mode      string // "" = the config file says (seed grammar)
	stem      string // of the YAML file
	server    string // aggregated: select pattern, comma separated; "" = all
	disagg    bool   // the YAML is a disaggregated one
	roles     bool   // launched as GEN, CTX, router and client; else one AGG role
	breakdown bool
}

// testID is a parsed pytest id.
type testID struct {
	full string // module::function[case]
	kase string // between the brackets
	aggr bool   // an aggregated grammar
	rest string // of the case, behind its prefix
}

// parseID completes and splits a test id. Accepted are a whole pytest id, the
// function with its brackets, the case alone, and the config's name alone, which
// gets the configured prefix.
func (s settings) parseID(id string) (testID, error) {
	if strings.ContainsAny(id, "\x00\n\r\t") {
		return testID{}, fmt.Errorf("test id %q has a control character", id)
	}
	open := strings.IndexByte(id, '[')
	switch {
	case strings.IndexAny(id, "\"'`") == 0:
		return testID{}, fmt.Errorf("test id %q stands in quotes: take them off", id)
	case open >= 0 && !strings.HasSuffix(id, "]"):
		return testID{}, fmt.Errorf("test id %q does not end with ]", id)
	case open < 0 && strings.Contains(id, "::"):
		return testID{}, fmt.Errorf("test id %q names no case: write module::function[case]", id)
	}
	kase, head := id, s.module+"::"+s.function
	if open >= 0 {
		kase = id[open+1 : len(id)-1]
		head = id[:open]
		if !strings.Contains(head, "::") {
			head = s.module + "::" + orDefault(head, s.function)
		}
		if s.Dir == "" { // pytest runs there: the id begins below it, however it is listed
			head = strings.TrimPrefix(head, testsDir+"/")
		}
	}
	if _, _, ok := s.splitPrefix(kase); !ok && open < 0 {
		kase = s.prefix + "-" + kase
	}
	if strings.ContainsAny(kase, "/\\") || strings.Contains(kase, "..") {
		return testID{}, fmt.Errorf("case %q names a path: a config is named by its file name without folder and .yaml", kase)
	}
	if ext := path.Ext(kase); ext == ".yaml" || ext == ".yml" {
		return testID{}, fmt.Errorf("case %q: leave out %s, a config is named by its file name without folder and .yaml", kase, ext)
	}
	if strings.TrimSpace(kase) != kase || strings.HasSuffix(kase, "-") {
		return testID{}, fmt.Errorf("case %q begins or ends with a blank, or ends with a dash: something is missing", kase)
	}
	prefix, rest, ok := s.splitPrefix(kase)
	if !ok || rest == "" {
		return testID{}, fmt.Errorf("case %q does not begin with disagg-, disagg_upload-, aggr-, aggr_upload-, or a test_prefix of your own", kase)
	}
	return testID{full: head + "[" + kase + "]", kase: kase, aggr: strings.HasPrefix(prefix, "aggr"), rest: rest}, nil
}

// foreign says that a line of a list shared with other test suites is about none of
// our tests: it names another function, whose arguments, if any, are no case.
func (s settings) foreign(line string) bool {
	id, _ := cutID(strings.TrimSpace(line))
	head, kase, _ := strings.Cut(id, "[")
	if !strings.ContainsAny(head, "/:") || strings.TrimPrefix(head, testsDir+"/") == s.module+"::"+s.function {
		return false
	}
	_, _, ok := s.splitPrefix(kase)
	return !ok
}

// testsDir is where pytest runs, below the checkout.
const testsDir = "tests/integration/defs"

// splitPrefix cuts disagg[_upload]- or aggr[_upload]- off a case, or the prefix
// that a team has given its own tests, which are disaggregated.
func (s settings) splitPrefix(kase string) (prefix, rest string, ok bool) {
	if rest, ok := strings.CutPrefix(kase, s.prefix+"-"); ok {
		return s.prefix, rest, true
	}
	prefix, rest, found := strings.Cut(kase, "-")
	switch prefix {
	case "disagg", "disagg_upload", "aggr", "aggr_upload":
		return prefix, rest, found
	}
	return "", "", false
}

// grammars are the ways to read a case, the likeliest first. A config named
// e2e-x.yaml makes disagg-e2e-x ambiguous; the file that exists decides.
func (id testID) grammars() []grammar {
	rest := id.rest
	var out []grammar
	if !id.aggr {
		for _, mode := range []string{ModeGenNoContext, ModeGenOnly, ModeE2E} {
			if stem, ok := strings.CutPrefix(rest, mode+"-"); ok {
				out = append(out, breakdown(grammar{mode: mode, stem: stem, disagg: true, roles: true})...)
			}
		}
		return append(out, grammar{stem: rest, disagg: true, roles: true})
	}
	for _, mode := range []string{ModeCtxOnly, ModeGenNoContext} {
		if stem, ok := strings.CutPrefix(rest, mode+"-"); ok {
			out = append(out, breakdown(grammar{mode: mode, stem: stem, disagg: true})...)
		}
	}
	stem, server, _ := strings.Cut(rest, "-")
	return append(out, grammar{mode: ModeAggregated, stem: stem, server: server})
}

func breakdown(g grammar) []grammar {
	stem, ok := strings.CutPrefix(g.stem, "time_breakdown-")
	if !ok {
		return []grammar{g}
	}
	b := g
	b.stem, b.breakdown = stem, true
	return []grammar{b, g}
}
