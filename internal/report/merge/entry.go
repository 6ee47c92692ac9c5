package merge

import (
	"iter"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/source"
	"github.com/ci-disagg/ci-disagg/internal/report/reruns"
)

// entry says where a case stands, and just enough to order, fold and count it.
// There may be millions: it holds no pointer.
type entry struct {
	source.Span
	key    uint64 // hash of class and name: equal for the same test in a suite
	part   uint32 // index into the merger's parts
	status uint8  // rank
	flags  uint16
}

// Flags of an entry.
const (
	flagAsIs     uint16 = 1 << iota // its bytes can be copied
	flagDead                        // folded into another one
	flagMade                        // stands in no file: what others came to, or what is said about a file
	flagBare                        // nothing names it
	flagTeardown                    // an error in a teardown, as pytest writes it
	flagText                        // has output, a result with a text, or reruns
)

func (e *entry) is(flag uint16) bool { return e.flags&flag != 0 }

// outcome is the status of an entry's rank.
func (e *entry) outcome() junit.Status {
	return [...]junit.Status{junit.Passed, junit.Skipped, junit.Failed, junit.Errored}[e.status]
}

// part is one suite element of a file: what it says of its cases.
type part struct {
	index   uint32 // into the merger's parts
	file    *File
	name    string // of the suite in the file
	suite   *suite // of the report
	first   int    // of its entries, in the suite
	cases   int
	down    bool // some are errors in a teardown
	pytest  bool
	reading fold.Reading
	place   reruns.Place
}

// entries gives those of an open part.
func (p *part) entries(yield func(*entry) bool) {
	for i := p.first; i < len(p.suite.entries); i++ {
		if e := &p.suite.entries[i]; e.part == p.index && !yield(e) {
			return
		}
	}
}

// shown are the cases of an open part that a suite counts.
func (p *part) shown() iter.Seq[fold.Shown[uint64]] {
	return func(yield func(fold.Shown[uint64]) bool) {
		for e := range p.entries {
			if !e.is(flagBare) && !yield(fold.Shown[uint64]{Name: e.key, Status: e.outcome(), Teardown: e.is(flagTeardown)}) {
				return
			}
		}
	}
}
