package merge

import (
	"fmt"
	"path/filepath"
	"strconv"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// tally tells whether cases of one name in a file are attempts of one test.
// pytest's plugins write a case for each attempt and the count of the suite
// leaves those out that were repeated. Where it counts all cases, each is a test
// of its own (--keep-duplicates, --dist each, other runners), and none may hide
// the failure of another.
type tally struct {
	own      map[*junit.Suite]int // tests of the suites that have not ended
	red      map[*junit.Suite]int // and what is red in them, inner suites included
	attempts bool                 // a suite does not say that it counts all of its cases
}

func newTally() *tally {
	return &tally{own: make(map[*junit.Suite]int), red: make(map[*junit.Suite]int)}
}

// add counts a case as it was read.
func (t *tally) add(c *junit.Case) {
	if c.Status().Red() {
		t.red[c.Suite]++
	}
	switch {
	case c.Suite == nil:
		t.attempts = true // nobody counts it
	case isTeardown(c), interrupted(c): // pytest counts the call, and nothing
	default:
		t.own[c.Suite]++
	}
}

// end compares what the suite says with what was counted.
func (t *tally) end(s *junit.Suite) {
	own := t.own[s]
	delete(t.own, s)
	if own == 0 {
		return
	}
	if said, err := strconv.Atoi(s.Attr("tests")); err != nil || said < own {
		t.attempts = true
	}
}

// hidden is how many more failures and errors a suite that ends counts than it
// shows: whoever wrote or changed the file has lost them.
func (t *tally) hidden(s *junit.Suite) int {
	red := t.red[s] + len(s.Results)
	delete(t.red, s)
	if red > 0 && s.Parent != nil {
		t.red[s.Parent] += red
	}
	failures, _ := strconv.Atoi(s.Attr("failures")) // no number says nothing
	errors, _ := strconv.Atoi(s.Attr("errors"))
	return failures + errors - red
}

// suiteProblems are the failures and errors that stand in a suite itself, in no
// case: something went wrong around its tests.
func suiteProblems(s *junit.Suite, f File) []fileProblem {
	var out []fileProblem
	for _, r := range s.Results {
		if r.Status.Red() {
			c := junit.Case{Results: []junit.Result{r}}
			out = append(out, fileProblem{fmt.Sprintf("%s of suite %q in %s: %s", r.Status, s.Name, filepath.Base(f.shown()), firstLine(&c)), r.Text})
		}
	}
	return out
}

// warnHidden says that a suite's own counts are worse than its cases.
func (b *book) warnHidden(t *tally, s *junit.Suite, file string) {
	if n := t.hidden(s); n > 0 {
		b.warn("%s: suite %q counts %d failures and errors that none of its cases shows", file, s.Name, n)
	}
}
