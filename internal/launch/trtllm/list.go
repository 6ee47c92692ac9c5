package trtllm

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// entry is one line of a test list.
type entry struct {
	id        string
	file      string // "" = command line
	line      int
	timeout   time.Duration
	isolation bool
	skip      string // reason; not empty = skipped
	knownBug  string
}

func (e entry) source() string {
	if e.file == "" {
		return "command line"
	}
	return fmt.Sprintf("%s:%d", e.file, e.line)
}

// maxList bounds a list file, in bytes; upstream's largest are near 100 kB.
const maxList = 8 << 20

// parseLine reads one line: an id, which may hold blanks between its brackets,
// and then TIMEOUT (minutes), ISOLATION, SKIP (reason) in any order, and a
// comment behind " #". An empty line gives ok false.
func parseLine(line string) (e entry, ok bool, err error) {
	line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
	if line == "" || strings.HasPrefix(line, "#") {
		return e, false, nil
	}
	id, rest := cutID(line)
	e.id = id
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		if strings.HasPrefix(rest, "#") {
			break
		}
		word := rest
		if i := strings.IndexFunc(rest, func(c rune) bool { return unicode.IsSpace(c) || c == '(' }); i >= 0 {
			word = rest[:i]
		}
		rest = strings.TrimSpace(rest[len(word):])
		arg, after, hasArg := parens(rest)
		switch word {
		case "TIMEOUT":
			minutes, convErr := strconv.ParseFloat(strings.TrimSpace(arg), 64)
			if !hasArg || convErr != nil || !(minutes > 0 && minutes <= 60*24*365) {
				return e, true, fmt.Errorf("TIMEOUT needs minutes: TIMEOUT (90)")
			}
			e.timeout = time.Duration(minutes * float64(time.Minute))
			rest = after
		case "SKIP":
			e.skip = "no reason given"
			if hasArg {
				e.skip, rest = orDefault(strings.TrimSpace(arg), e.skip), after
			}
		case "ISOLATION":
			e.isolation = true
			if hasArg {
				rest = after
			}
		default:
			return e, true, fmt.Errorf("%q behind the test id is not TIMEOUT (minutes), ISOLATION or SKIP (reason)", orDefault(word, rest))
		}
	}
	return e, true, nil
}

// cutID takes the id off a line. Brackets may hold blanks and brackets.
func cutID(line string) (id, rest string) {
	depth := 0
	for i, r := range line {
		switch {
		case r == '[':
			depth++
		case r == ']' && depth > 0:
			depth--
		case unicode.IsSpace(r) && depth == 0:
			return line[:i], line[i:]
		}
	}
	if depth > 0 { // an unclosed bracket is the id's problem, not a reason to eat the annotations
		if i := strings.IndexFunc(line, unicode.IsSpace); i >= 0 {
			return line[:i], line[i:]
		}
	}
	return line, ""
}

// parens reads "(text) rest", with nested parentheses.
func parens(s string) (arg, rest string, ok bool) {
	if !strings.HasPrefix(s, "(") {
		return "", s, false
	}
	depth := 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], true
			}
		}
	}
	return s[1:], "", true
}

// parseList reads a list file: plain lines, or the YAML of a test database.
func parseList(file string, data []byte, facts map[string]string, set settings) ([]entry, []string, Problems) {
	if len(data) > maxList {
		return nil, nil, Problems{{File: file, Text: fmt.Sprintf("%d bytes is more than a test list can have (%d)", len(data), maxList)}}
	}
	if ext := path.Ext(file); ext == ".yml" || ext == ".yaml" {
		return parseDB(file, data, facts, set)
	}
	var out []entry
	var problems Problems
	for i, line := range strings.Split(string(data), "\n") {
		e, ok, err := parseLine(line)
		if err != nil {
			problems = append(problems, Problem{File: file, Line: i + 1, Text: err.Error()})
		} else if ok {
			e.file, e.line = file, i+1
			out = append(out, e)
		}
	}
	return out, nil, problems
}

// parseDB reads a test database: each key beside version holds blocks with a
// condition and tests; a block counts when nothing in its condition contradicts
// the facts that are known. The file is everybody's: tests of other suites in it
// are left out.
func parseDB(file string, data []byte, facts map[string]string, set settings) ([]entry, []string, Problems) {
	src, err := readSource(file, data)
	if err != nil {
		var ps Problems
		if asProblems(err, &ps) {
			return nil, nil, ps
		}
		return nil, nil, Problems{{File: file, Text: err.Error()}}
	}
	var out []entry
	var foreign []string
	blocks, left := 0, map[string]int{} // left: why blocks are left out
	for i := 0; i+1 < len(src.root.Content); i += 2 {
		name := src.root.Content[i].Value
		if name == "version" {
			continue
		}
		for _, block := range src.top().list(name) {
			blocks++
			match, why := src.matches(block.sub("condition"), facts)
			tests, others := src.tests(block, set)
			if match {
				out, foreign = append(out, tests...), append(foreign, others...)
			} else {
				left[why]++
			}
		}
	}
	if len(src.problems) > 0 {
		return nil, nil, src.problems
	}
	var reasons []string
	for _, why := range slices.Sorted(maps.Keys(left)) {
		reasons = append(reasons, fmt.Sprintf("%s (%d)", why, left[why]))
	}
	if len(foreign) > 0 {
		src.warn(0, "", "%s left out, which are not of %s::%s: %s", tests(len(foreign)), set.module, set.function, some(foreign, 5))
	}
	switch {
	case len(out) == 0 && len(foreign) > 0:
		src.problem(0, "", "none of the %s for this cluster is of %s::%s: %s; see workload.test_module", tests(len(foreign)), set.module, set.function, some(foreign, 5))
	case len(out) == 0:
		src.problem(0, "", "none of its %d blocks fits this cluster: %s; see workload.facts", blocks, orDefault(strings.Join(reasons, ", "), "they hold no test"))
	case len(reasons) > 0:
		src.warn(0, "", "%d of its %d blocks are not for this cluster: %s", total(left), blocks, strings.Join(reasons, ", "))
	}
	return out, src.warnings, src.problems
}

// some is the beginning of a list, for people.
func some(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// tests are the entries of one block, whose keys are condition and tests, and the
// ids of those that are not ours.
func (s *source) tests(block section, set settings) (out []entry, foreign []string) {
	for i := 0; i+1 < len(block.node.Content); i += 2 {
		if k := block.node.Content[i]; k.Value != "condition" && k.Value != "tests" {
			s.problem(k.Line, join(block.key, k.Value), "unknown: a block has a condition and a list of tests")
		}
	}
	n, key := block.find("tests"), block.key+".tests"
	switch {
	case n == nil && block.written("tests"):
		return nil, nil // a list that has become empty
	case n == nil:
		s.problem(block.line, key, "missing: a block has a condition and a list of tests")
		return nil, nil
	case n.Kind != yaml.SequenceNode:
		s.problem(n.Line, key, "is %s, a list of tests is expected", kind(n))
		return nil, nil
	}
	for _, t := range n.Content {
		t = resolve(t)
		e, ok, err := parseLine(t.Value)
		switch {
		case t.Kind != yaml.ScalarNode:
			s.problem(t.Line, key, "is %s, a test id is expected", kind(t))
		case set.foreign(t.Value):
			id, _ := cutID(t.Value)
			foreign = append(foreign, id)
		case err != nil:
			s.problem(t.Line, key, "%v", err)
		case ok:
			e.file, e.line = s.file, t.Line
			out = append(out, e)
		}
	}
	return out, foreign
}

// matches holds a condition (ranges, wildcards, terms) against the facts. A fact
// that nobody stated excludes nothing.
func (s *source) matches(c section, facts map[string]string) (match bool, why string) {
	for i := 0; c.node != nil && i+1 < len(c.node.Content); i += 2 {
		group, body := c.node.Content[i].Value, c.sub(c.node.Content[i].Value)
		for j := 0; body.node != nil && j+1 < len(body.node.Content); j += 2 {
			name := body.node.Content[j].Value
			fact, known := facts[name]
			if !known {
				continue
			}
			ok := false
			switch group {
			case "ranges":
				ok = s.inRange(body.sub(name), fact)
			case "wildcards":
				ok = anyMatch(body.texts(name), fact)
			case "terms":
				for _, v := range body.texts(name) {
					ok = ok || sameTerm(v, fact)
				}
			default:
				s.problem(c.line, join(c.key, group), "is not one of ranges, wildcards, terms")
				return false, "its condition is not understood"
			}
			if !ok {
				return false, fmt.Sprintf("%s is %q here", name, fact)
			}
		}
	}
	return true, ""
}

// sameTerm compares terms without regard to case and to - against _, because
// post_merge and Post-Merge are one thing.
func sameTerm(a, b string) bool {
	norm := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	return norm(a) == norm(b)
}

// inRange holds a range (gte, gt, lte, lt) against a number.
func (s *source) inRange(c section, fact string) bool {
	v, err := strconv.Atoi(fact)
	ok := err == nil
	for i := 0; c.node != nil && i+1 < len(c.node.Content); i += 2 {
		op := c.node.Content[i]
		bound := c.count(op.Value, 0, 0)
		switch op.Value {
		case "gte":
			ok = ok && v >= bound
		case "gt":
			ok = ok && v > bound
		case "lte":
			ok = ok && v <= bound
		case "lt":
			ok = ok && v < bound
		default:
			s.problem(op.Line, join(c.key, op.Value), "is not one of gte, gt, lte, lt")
		}
	}
	return ok
}

func anyMatch(patterns []string, v string) bool {
	for _, p := range patterns {
		if wildcard(p, v) {
			return true
		}
	}
	return false
}

// wildcard matches * and ? without regard to case; everything else, brackets of
// test ids among it, stands for itself.
func wildcard(pattern, v string) bool {
	q := regexp.QuoteMeta(pattern)
	q = strings.ReplaceAll(strings.ReplaceAll(q, `\*`, `.*`), `\?`, `.`)
	re, err := regexp.Compile(`(?is)^` + q + `$`)
	return err == nil && re.MatchString(v)
}
