package testlist

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
)

// database is a file of the test database on its way to entries.
type database struct {
	*document.Document
	file  string
	facts map[string]string
	names Names

	out     []Entry
	foreign []string // tests of other suites in blocks that match
	blocks  int
	left    map[string]int // why blocks are left out
}

// parseDatabase reads a test database: each key beside version holds blocks with a
// condition and tests; a block counts when nothing in its condition contradicts
// the facts that are known. The file is everybody's: tests of other suites in it
// are left out.
func parseDatabase(file string, data []byte, facts map[string]string, names Names) ([]Entry, []string, document.Problems) {
	doc, err := document.Read(file, data)
	if err != nil {
		return nil, nil, document.AsProblems(file, err)
	}
	db := &database{Document: doc, file: file, facts: facts, names: names, left: map[string]int{}}
	for _, key := range doc.Top().Keys() {
		if key.Name == "version" {
			continue
		}
		for _, block := range doc.Top().List(key.Name) {
			db.read(block)
		}
	}
	if len(doc.Problems()) > 0 {
		return nil, nil, doc.Problems()
	}
	db.sum()
	return db.out, doc.Warnings(), doc.Problems()
}

func (db *database) read(block document.Section) {
	db.blocks++
	match, why := db.matches(block.Sub("condition"))
	own, others := db.tests(block)
	if match {
		db.out, db.foreign = append(db.out, own...), append(db.foreign, others...)
	} else {
		db.left[why]++
	}
}

// sum says what was left out, and that nothing is left.
func (db *database) sum() {
	var reasons []string
	left := 0
	for _, why := range slices.Sorted(maps.Keys(db.left)) {
		reasons = append(reasons, fmt.Sprintf("%s (%d)", why, db.left[why]))
		left += db.left[why]
	}
	if len(db.foreign) > 0 {
		db.Warn("%s left out, which are not of %s::%s: %s", Count(len(db.foreign)), db.names.Module, db.names.Function, Some(db.foreign, 5))
	}
	switch {
	case len(db.out) == 0 && len(db.foreign) > 0:
		db.Problem(0, "", "none of the %s for this cluster is of %s::%s: %s; see workload.test_module", Count(len(db.foreign)), db.names.Module, db.names.Function, Some(db.foreign, 5))
	case len(db.out) == 0:
		db.Problem(0, "", "none of its %d blocks fits this cluster: %s; see workload.facts", db.blocks, cmp.Or(strings.Join(reasons, ", "), "they hold no test"))
	case len(reasons) > 0:
		db.Warn("%d of its %d blocks are not for this cluster: %s", left, db.blocks, strings.Join(reasons, ", "))
	}
}

// Some is the beginning of a list, for people.
func Some(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// Count is a number of tests, for people.
func Count(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
}

// tests are the entries of one block, whose keys are condition and tests, and the
// ids of those that are not ours.
func (db *database) tests(block document.Section) (out []Entry, foreign []string) {
	for _, k := range block.Keys() {
		if k.Name != "condition" && k.Name != "tests" {
			block.Problem(k.Name, "unknown: a block has a condition and a list of tests")
		}
	}
	switch {
	case !block.Has("tests") && block.Written("tests"):
		return nil, nil // a list that has become empty
	case !block.Has("tests"):
		block.Problem("tests", "missing: a block has a condition and a list of tests")
		return nil, nil
	case block.Scalar("tests"):
		block.Problem("tests", "is %q, a list of tests is expected", block.Text("tests"))
		return nil, nil
	}
	for _, t := range block.Lines("tests", "a test id is expected") {
		e, ok, err := ParseLine(t.Text)
		switch {
		case db.names.foreign(t.Text):
			id, _ := cutID(t.Text)
			foreign = append(foreign, id)
		case err != nil:
			db.Problem(t.Line, block.Key()+".tests", "%v", err)
		case ok:
			e.File, e.Line = db.file, t.Line
			out = append(out, e)
		}
	}
	return out, foreign
}

// matches holds a condition (ranges, wildcards, terms) against the facts. A fact
// that nobody stated excludes nothing.
func (db *database) matches(condition document.Section) (match bool, why string) {
	for _, group := range condition.Keys() {
		body := condition.Sub(group.Name)
		for _, name := range body.Keys() {
			fact, known := db.facts[name.Name]
			if !known {
				continue
			}
			ok, understood := met(group.Name, body, name.Name, fact)
			switch {
			case !understood:
				condition.Problem(group.Name, "is not one of ranges, wildcards, terms")
				return false, "its condition is not understood"
			case !ok:
				return false, fmt.Sprintf("%s is %q here", name.Name, fact)
			}
		}
	}
	return true, ""
}

// met holds one condition of a group against its fact. understood is false of a
// group that is none.
func met(group string, body document.Section, name, fact string) (ok, understood bool) {
	switch group {
	case "ranges":
		return inRange(body.Sub(name), fact), true
	case "wildcards":
		return slices.ContainsFunc(body.Texts(name), func(p string) bool { return Match(p, fact) }), true
	case "terms":
		return slices.ContainsFunc(body.Texts(name), func(v string) bool { return sameTerm(v, fact) }), true
	}
	return false, false
}

// sameTerm compares terms without regard to case and to - against _, because
// post_merge and Post-Merge are one thing.
func sameTerm(a, b string) bool {
	norm := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	return norm(a) == norm(b)
}

// inRange holds a range (gte, gt, lte, lt) against a number.
func inRange(c document.Section, fact string) bool {
	v, err := strconv.Atoi(fact)
	ok := err == nil
	for _, op := range c.Keys() {
		bound := c.Count(op.Name, 0, 0)
		switch op.Name {
		case "gte":
			ok = ok && v >= bound
		case "gt":
			ok = ok && v > bound
		case "lte":
			ok = ok && v <= bound
		case "lt":
			ok = ok && v < bound
		default:
			c.Problem(op.Name, "is not one of gte, gt, lte, lt")
		}
	}
	return ok
}

// Match matches * and ? without regard to case; everything else, brackets of test
// ids among it, stands for itself.
func Match(pattern, v string) bool {
	q := regexp.QuoteMeta(pattern)
	q = strings.ReplaceAll(strings.ReplaceAll(q, `\*`, `.*`), `\?`, `.`)
	re, err := regexp.Compile(`(?is)^` + q + `$`)
	return err == nil && re.MatchString(v)
}
