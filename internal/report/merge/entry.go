package merge

import (
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/source"
)

// entry says where a case stands, and just enough to order, fold and count it.
// There may be millions: it holds no pointer.
type entry struct {
	source.Span
	key    uint64 // hash of class and name: equal for the same test in a suite
	time   time.Duration
	part   uint32 // index into the merger's parts
	status uint8  // rank
	flags  uint16
}

// Flags of an entry.
const (
	flagAsIs     uint16 = 1 << iota // its bytes can be copied
	flagDead                        // folded into another one
	flagMade                        // stands in no file: what others came to, or what is said about a file
	flagTeardown                    // an error in a teardown, as pytest writes it
	flagText                        // has output, a result with a text, or reruns
)

func (e *entry) is(flag uint16) bool { return e.flags&flag != 0 }

func (e *entry) red() bool { return e.outcome().Red() }

// outcome is the status of an entry's rank.
func (e *entry) outcome() junit.Status {
	return [...]junit.Status{junit.Passed, junit.Skipped, junit.Failed, junit.Errored}[e.status]
}

// part is one suite element of a file: what it says of its cases.
type part struct {
	index    uint32 // into the merger's parts
	file     *File
	name     string // of the suite in the file
	suite    *suite // of the report
	bare     []int  // entries without any name
	pytest   bool
	complete bool
	declared int // tests; -1 = it does not say
	cases    int // of which pytest counts each; joined teardowns are taken off
	names    int // different ones among them
	down     int // errors in a teardown that stand for the whole test
	start    time.Time
}

// fromLast gives the cases from the last to the first, and which are red.
func (p *part) fromLast(yield func(key uint64, red bool) bool) {
	left := p.cases
	for _, e := range slices.Backward(p.suite.entries) {
		if e.part != p.index {
			continue
		}
		if left--; left < 0 || !yield(e.key, e.red()) {
			return
		}
	}
}

// reading is what the cases of one name in a part are.
type reading int

const (
	tests    reading = iota // runs that all count
	attempts                // the last counts
	unsure                  // one or the other
)

// reading compares what a suite counts with what it shows. Before version 9.1
// pytest counts a test twice that passed and whose teardown failed.
func (p *part) reading() reading {
	switch {
	case !p.pytest:
		return tests
	case p.complete && p.declared == p.names:
		return attempts
	case p.complete && p.declared >= p.cases && p.declared > p.names+p.down:
		return tests
	default:
		return unsure
	}
}
