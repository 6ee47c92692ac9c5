package junit

import (
	"errors"
	"sync"
	"unsafe"
)

// item is one thing for the visitor: a case, or the end of a suite.
type item struct {
	suite   *Suite
	offset  int64
	overlay *Case  // what go-junit would drop; nil = it has everything
	alone   bool   // the overlay is all there is: go-junit is not asked
	end     *Suite // the suite's late parts; nil = this is a case
}

// batch is a bounded number of cases on their way to go-junit.
type batch struct {
	xml   []byte // <testcase> elements in the form go-junit gets right
	items []item
	cases int
	sent  int   // cases in xml
	cost  int64 // bytes of memory it is charged for
	out   []Case
	err   error
	done  chan struct{}
}

const (
	batchBytes = 32 << 10
	batchItems = 256
)

func (b *batch) full() bool { return len(b.xml) >= batchBytes || len(b.items) >= batchItems }

// budget bounds the memory of everything that was read and not yet visited. One
// case alone is always let through, however large.
type budget struct {
	mu       sync.Mutex
	cond     *sync.Cond
	inFlight int64
	held     int64 // by the case that is being read
	max      int64
}

func newBudget(limit int64) *budget {
	b := &budget{max: limit}
	b.cond = sync.NewCond(&b.mu)
	return b
}

// hold waits until n more bytes fit beside what is in flight.
func (b *budget) hold(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.inFlight > 0 && b.inFlight+b.held+n > b.max {
		b.cond.Wait()
	}
	b.held += n
}

// drop gives back what the case being read held.
func (b *budget) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = 0
}

// send puts what is held, plus n, in flight and gives the sum.
func (b *budget) send(n int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	n += b.held
	b.held = 0
	b.inFlight += n
	return n
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight -= n
	b.cond.Broadcast()
}

// errStopped ends the reading side when the visiting side has failed.
var errStopped = errors.New("stopped")

// ownString is b as a string without a copy. The caller never touches b again.
func ownString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
