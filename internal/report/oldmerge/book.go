package merge

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// book is a report in the making: suites in order, each with an index of its
// cases, and the spool that the cases are in.
type book struct {
	o      Options
	cut    cutter
	kept   func(*entry) string // where all of a case's text is; nil = unknown
	spool  *spool
	enc    *junit.CaseEncoder
	count  *counter
	seed   maphash.Seed
	suites []*suite
	sum    *Summary

	weights weights // of the cases of the group that is being settled
}

// suite is one suite of the report.
type suite struct {
	name       string
	properties properties
	attrs      []junit.Attr // hostname, …
	times      times
	entries    entries
	text       []entry // output of the suites it was made of, as cases without name
}

// entry says where an encoded case is, and just enough to order, fold and count
// it. There may be millions: it holds no pointer.
type entry struct {
	key    uint64 // hash of slug, class and name: equal for cases to be folded
	off    int64
	n      uint32
	safe   uint32 // hash of what Jenkins makes of class and name, lower bits
	origin uint32
	safeHi uint16 // its upper bits
	status uint8
	flags  uint8
}

func (e *entry) span() span { return span{e.off, int64(e.n)} }

// Flags of an entry.
const (
	flagDead      uint8 = 1 << iota // folded into another one
	flagSynthetic                   // stands in no file
	flagPrimary                     // the case of the plan itself
	flagOutput                      // has output that may be dropped
	flagBody                        // is skipped with a body that may be dropped
	flagReruns                      // has reruns whose text may be dropped
)

func (e *entry) alive() bool { return e.flags&flagDead == 0 }

// statuses are the junit.Status of an entry's number.
func statusOf(n uint8) junit.Status {
	return [...]junit.Status{junit.Passed, junit.Skipped, junit.Failed, junit.Errored}[n]
}

func statusNumber(s junit.Status) uint8 {
	switch s {
	case junit.Skipped:
		return 1
	case junit.Failed:
		return 2
	case junit.Errored:
		return 3
	default:
		return 0
	}
}

// entries is a list that grows without copying.
type entries struct {
	chunks [][]entry
	n      int
}

const entryChunk = 4096

func (l *entries) add(e entry) {
	if l.n%entryChunk == 0 {
		size := entryChunk
		if l.n == 0 {
			size = 16 // most suites are small
		}
		l.chunks = append(l.chunks, make([]entry, 0, size))
	}
	last := &l.chunks[len(l.chunks)-1]
	*last = append(*last, e)
	l.n++
}

func (l *entries) at(i int) *entry { return &l.chunks[i/entryChunk][i%entryChunk] }

// all yields the living entries in order.
func (l *entries) all(yield func(int, *entry) bool) {
	for i := range l.n {
		if e := l.at(i); e.alive() && !yield(i, e) {
			return
		}
	}
}

// times collects when a suite began and ended.
type times struct {
	first, last time.Time
	sum         time.Duration // of the cases, each rounded as it is written
	parts       time.Duration // of the spans
	unknown     bool          // a part without a time stamp
}

func (t *times) span(from, to time.Time) {
	if from.IsZero() {
		t.unknown = true
		return
	}
	if t.first.IsZero() || from.Before(t.first) {
		t.first = from
	}
	if to.After(t.last) {
		t.last = to
	}
	t.parts += to.Sub(from)
}

// oneRun is the longest time that parts of one run can lie apart.
const oneRun = 7 * 24 * time.Hour

// wall is the time from the first start to the last end; the sum of the parts
// where they cannot be of one run, and of the cases where nothing is known.
func (t *times) wall() time.Duration {
	if t.unknown || t.first.IsZero() || t.last.Before(t.first) {
		return t.sum
	}
	if w := t.last.Sub(t.first); w <= oneRun {
		return w
	}
	return t.parts
}

// counter counts the bytes that reach the spool.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func newBook(path string, o Options) *book {
	o.Caps = o.Caps.withDefaults()
	if o.Spool == "" {
		o.Spool = filepath.Dir(path)
	}
	b := &book{o: o, seed: maphash.MakeSeed(), sum: &Summary{}, weights: make(weights)}
	b.cut = cutter{caps: o.Caps, off: o.NoCaps}
	b.spool = &spool{dir: o.Spool}
	b.count = &counter{w: b.spool}
	b.enc = junit.NewCaseEncoder(b.count, junit.WriteOptions{}) // everything; the output filter comes last
	return b
}

func (b *book) close() error { return b.spool.Close() }

// addSuite appends a suite to the report.
func (b *book) addSuite(name string) *suite {
	s := &suite{name: name}
	b.suites = append(b.suites, s)
	return s
}

// encode puts a case into the spool.
func (b *book) encode(c *junit.Case) (span, error) {
	from := b.count.n + int64(b.enc.Buffered())
	if err := b.enc.Encode(c); err != nil {
		return span{}, err
	}
	to := b.count.n + int64(b.enc.Buffered())
	if to-from > math.MaxUint32 {
		return span{}, errors.New("a test case is larger than 4 GiB")
	}
	return span{from, to - from}, nil
}

// put appends a case to a suite. group keeps cases apart that have equal names
// but do not belong together.
func (b *book) put(s *suite, c *junit.Case, group string, origin int, flags uint8) error {
	at, err := b.encode(c)
	if err != nil {
		return err
	}
	e := entry{off: at.off, n: uint32(at.n), origin: uint32(origin), flags: flags | textFlags(c), status: statusNumber(c.Status())} //nolint:gosec // an index
	e.key = b.hash(group, c)
	safe := safeHash(junit.Clean(c.Classname), junit.Clean(c.Name)) // as they will be written
	e.safe, e.safeHi = uint32(safe), uint16(safe>>32)               //nolint:gosec // as many bits as there is room for
	s.entries.add(e)
	s.times.sum += c.Time.Round(time.Millisecond)
	if flags&flagSynthetic != 0 {
		b.sum.Synthetic++
	}
	return nil
}

// replace gives an entry a new case.
func (b *book) replace(e *entry, c *junit.Case) error {
	at, err := b.encode(c)
	if err != nil {
		return err
	}
	e.off, e.n, e.status = at.off, uint32(at.n), statusNumber(c.Status())
	e.flags = e.flags&^(flagOutput|flagBody|flagReruns) | textFlags(c)
	return nil
}

// textFlags says what of a case may be dropped when the report is too large.
func textFlags(c *junit.Case) uint8 {
	var f uint8
	switch c.Status() {
	case junit.Passed:
		if len(c.SystemOut)+len(c.SystemErr) > 0 {
			f |= flagOutput
		}
	case junit.Skipped:
		if len(c.SystemOut)+len(c.SystemErr) > 0 {
			f |= flagOutput
		}
		if slices.ContainsFunc(c.Results, func(r junit.Result) bool { return r.Text != "" }) {
			f |= flagBody
		}
	default:
	}
	if len(c.Reruns) > 0 {
		f |= flagReruns
	}
	return f
}

// hash identifies a case within its suite.
func (b *book) hash(group string, c *junit.Case) uint64 {
	var h maphash.Hash
	h.SetSeed(b.seed)
	_, _ = h.WriteString(c.Classname)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(c.Name)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(group)
	return h.Sum64()
}

// rewrite is told about a group of equal cases and gives the one that stays. It
// may give one of them unchanged. Of very many it sees some, see weights.
type rewrite func(group []*entry, cases []*junit.Case) (*junit.Case, error)

// settle goes through the groups of equal cases of a suite, in the order of
// their first case, reads those that pick wants back from the spool, and keeps
// what fn makes of them. Without fold every case is its own group.
func (b *book) settle(s *suite, fold bool, pick func(group []*entry) bool, fn rewrite) error {
	var picked [][]*entry
	for group := range s.groups(fold) {
		if pick(group) {
			picked = append(picked, group)
		}
	}
	if len(picked) == 0 {
		return nil
	}
	return b.reread(flatten(picked), func(next func() (*junit.Case, error)) error {
		for _, group := range picked {
			if err := b.settleGroup(s, group, next, fn); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *book) settleGroup(s *suite, group []*entry, next func() (*junit.Case, error), fn rewrite) error {
	r := groupReader{b: b, s: s, next: next, max: b.o.bound()}
	if err := r.group(group); err != nil {
		return err
	}
	kept, err := fn(r.entries, r.cases)
	if err != nil {
		return err
	}
	clear(b.weights)
	s.times.sum += kept.Time.Round(time.Millisecond)
	for _, e := range group[1:] {
		e.flags |= flagDead
		b.sum.Folded++
	}
	return b.replace(group[0], kept)
}

func flatten(groups [][]*entry) []*entry {
	var out []*entry
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

// groups yields the living entries that belong together, in the order of the
// first of each group.
func (s *suite) groups(fold bool) func(func([]*entry) bool) {
	return func(yield func([]*entry) bool) {
		members := make(map[uint64][]*entry)
		if fold {
			members = s.duplicates()
		}
		for _, e := range s.entries.all {
			group, folded := members[e.key]
			switch {
			case !folded:
				group = []*entry{e}
			case group[0] != e:
				continue
			}
			if !yield(group) {
				return
			}
		}
	}
}

// duplicates gives the entries of each key that occurs more than once. Most
// suites have none, so the keys alone are looked at first.
func (s *suite) duplicates() map[uint64][]*entry {
	keys := make([]uint64, 0, s.entries.n)
	for _, e := range s.entries.all {
		keys = append(keys, e.key)
	}
	out := make(map[uint64][]*entry)
	for key := range repeated(keys) {
		out[key] = nil
	}
	if len(out) == 0 {
		return out
	}
	for _, e := range s.entries.all {
		if group, ok := out[e.key]; ok {
			out[e.key] = append(group, e)
		}
	}
	return out
}

// repeated sorts the hashes and yields each that occurs more than once.
func repeated[H uint32 | uint64](hashes []H) func(func(H) bool) {
	return func(yield func(H) bool) {
		slices.Sort(hashes)
		for i := 1; i < len(hashes); i++ {
			if hashes[i] == hashes[i-1] && (i < 2 || hashes[i] != hashes[i-2]) && !yield(hashes[i]) {
				return
			}
		}
	}
}

// reread reads cases back from the spool, in the given order.
func (b *book) reread(list []*entry, use func(next func() (*junit.Case, error)) error) error {
	if len(list) == 0 {
		return nil
	}
	if err := b.enc.Flush(); err != nil {
		return err
	}
	i := 0
	spans := make([]span, len(list)) // a rewrite changes the entries while they are read
	for j, e := range list {
		spans[j] = e.span()
	}
	r := &spanReader{from: b.spool, next: func() (span, bool) {
		if i == len(spans) {
			return span{}, false
		}
		i++
		return spans[i-1], true
	}}
	ch := make(chan *junit.Case)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := junit.Read(r, "spool", spoolLimits(b.o.Read), junit.Visitor{Case: func(c *junit.Case) error {
			select {
			case ch <- c:
				return nil
			case <-stop:
				return errStop
			}
		}})
		close(ch)
		done <- err
	}()
	err := use(func() (*junit.Case, error) {
		c, ok := <-ch
		if !ok {
			return nil, errors.Join(errors.New("the spool ends too early"), <-done)
		}
		return c, nil
	})
	close(stop)
	if err != nil {
		return err
	}
	if err := <-done; err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("read back what was just written: %w", err)
	}
	return nil
}

// errStop ends a reading that is not needed any more.
var errStop = errors.New("stop")

// spoolLimits are limits that what was read once cannot exceed.
func spoolLimits(o junit.ReadOptions) junit.ReadOptions {
	o.MaxBytes = math.MaxInt64
	o.MaxCase = math.MaxInt64
	o.MaxDepth = 16
	return o
}

// warn adds a warning once.
func (b *book) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	if !slices.Contains(b.sum.Warnings, w) {
		b.sum.Warnings = append(b.sum.Warnings, w)
	}
}

// dotless is s without dots: a dot in a class name is a package level for
// Jenkins.
func dotless(s string) string { return strings.ReplaceAll(s, ".", "_") }
