package merge

import (
	"strconv"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// tally tells whether cases of one name in a file are attempts of one test.
// pytest's plugins write a case for each attempt and the count of the suite
// leaves those out that were repeated. Where it counts all cases, each is a test
// of its own (--keep-duplicates, --dist each, other runners), and none may hide
// the failure of another.
type tally struct {
	own      map[*junit.Suite]int // tests of the suites that have not ended
	attempts bool                 // a suite does not say that it counts all of its cases
}

func newTally() *tally { return &tally{own: make(map[*junit.Suite]int)} }

// add counts a case as it was read.
func (t *tally) add(c *junit.Case) {
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
