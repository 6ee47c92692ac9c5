package merge

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// finish writes the report: counts it, brings it under the size limit, writes it
// to a temporary file, reads that back, and renames it.
func (b *book) finish(name, path string) error {
	b.suites = slices.DeleteFunc(b.suites, func(s *suite) bool {
		return s.entries.n == 0 && len(s.text)+len(s.properties.list) == 0
	})
	if err := b.warnCollapsed(); err != nil {
		return err
	}
	if err := errors.Join(b.shrink(), b.enc.Flush()); err != nil { // the last that go to the spool
		return err
	}
	doc := b.document(name)
	b.sum.Counts, b.sum.Out, b.sum.Cut = doc.Counts, doc.Counts.Tests, b.cut.cut
	if b.sum.Out == 0 {
		return fmt.Errorf("%s: the report would be empty", path)
	}
	if err := b.listRed(); err != nil {
		return err
	}
	mode := b.o.Mode
	if mode == 0 {
		mode = rundir.FileMode
	}
	return rundir.WriteStream(path, mode, func(w io.Writer) error {
		count := &counter{w: w}
		if err := junit.WriteDocument(count, doc, junit.WriteOptions{StrictXSD: b.o.StrictXSD}); err != nil {
			return err
		}
		b.sum.Bytes = count.n
		return verify(w, count.n, path, doc.Counts, b.identity())
	})
}

// maxRed bounds the list of red cases in the summary.
const maxRed = 20

// listRed takes the first red cases into the summary.
func (b *book) listRed() error {
	var list []*entry
	var names []string
	for _, s := range b.suites {
		for _, e := range s.entries.all {
			if len(list) < maxRed && statusOf(e.status).Red() {
				list, names = append(list, e), append(names, s.name)
			}
		}
	}
	return b.reread(list, func(next func() (*junit.Case, error)) error {
		for _, name := range names {
			c, err := next()
			if err != nil {
				return err
			}
			b.sum.Red = append(b.sum.Red, RedCase{name, c.Classname, c.Name, oneLine(firstLine(c))})
		}
		return nil
	})
}

// identity is what the cases of the report are, in whatever order: a hash of suite,
// class, name and result of each. Classes and names are those that Jenkins sees.
func (b *book) identity() (sum uint64) {
	for _, s := range b.suites {
		for _, e := range s.entries.all {
			sum += caseHash(junit.Clean(s.name), e.safeBits(), e.status)
		}
	}
	return sum
}

func caseHash(suite string, safe uint64, status uint8) uint64 {
	h := safeHash(suite, "") ^ safe<<2 ^ uint64(status)
	h = (h ^ h>>31) * 0x9E3779B97F4A7C15 // a sum of hashes hides nothing if their bits are mixed
	return h ^ h>>29
}

// verify reads back what was written before it gets its name: the counts, and
// that it is the same cases, each in its suite and with its result.
func verify(w io.Writer, size int64, path string, want junit.Counts, identity uint64) error {
	r, ok := w.(io.ReaderAt)
	if !ok {
		return nil
	}
	var sum uint64
	got, err := junit.Read(io.NewSectionReader(r, 0, size), path, spoolLimits(junit.ReadOptions{}), junit.Visitor{
		Seen: func(s *junit.Suite, class, name []byte, status junit.Status) {
			sum += caseHash(s.Name, safeHash(class, name)&(1<<48-1), statusNumber(status))
		},
	})
	if err != nil {
		return fmt.Errorf("the report was written, but cannot be read: %w", err)
	}
	if got.Counts != want || got.Repaired > 0 {
		return fmt.Errorf("the report was written with %s, but reads as %s", want, got.Counts)
	}
	if sum != identity {
		return fmt.Errorf("the report was written with %s, but they read as other cases, or with other results", want)
	}
	return nil
}

func (b *book) document(name string) junit.Document {
	doc := junit.Document{Name: name}
	var all times
	for _, s := range b.suites {
		var counts junit.Counts
		for _, e := range s.entries.all {
			counts.Add(statusOf(e.status))
		}
		doc.Counts = doc.Counts.Plus(counts)
		b.sum.Suites = append(b.sum.Suites, SuiteSummary{s.name, counts})
		all.sum += s.times.wall()
		switch {
		case s.times.unknown:
			all.unknown = all.unknown || s.times.sum > 0 // one that took no time may have been at any
		case !s.times.first.IsZero():
			all.span(s.times.first, s.times.first.Add(s.times.wall()))
		}
		doc.Suites = append(doc.Suites, b.block(s, counts))
	}
	doc.Time = all.wall()
	return doc
}

func (b *book) block(s *suite, counts junit.Counts) junit.SuiteBlock {
	block := junit.SuiteBlock{Counts: counts, Time: s.times.wall()}
	block.Suite.Name, block.Suite.Properties = s.name, s.properties.list
	block.Suite.Attrs = slices.Clone(s.attrs)
	if !s.times.first.IsZero() && !s.times.unknown {
		block.Suite.Attrs = append(block.Suite.Attrs, junit.Attr{Name: "timestamp", Value: timestamp(s.times.first)})
	}
	block.Cases = func(w io.Writer) error { return b.copyCases(w, s) }
	if len(s.text) > 0 {
		block.Output = func() (out, errs []string, err error) { return b.suiteOutput(s) }
	}
	return block
}

// suiteOutput is what the suites say that a suite was made of, as one text each:
// readers take only the first.
func (b *book) suiteOutput(s *suite) (out, errs []string, err error) {
	list := s.texts()
	err = b.reread(list, func(next func() (*junit.Case, error)) error {
		for range list {
			c, err := next()
			if err != nil {
				return err
			}
			out, errs = append(out, c.SystemOut...), append(errs, c.SystemErr...)
		}
		return nil
	})
	return oneText(out), oneText(errs), err
}

// texts are the entries of the suite's output.
func (s *suite) texts() []*entry {
	list := make([]*entry, len(s.text))
	for i := range s.text {
		list[i] = &s.text[i]
	}
	return list
}

// timestamp is t as JUnit writes it, in UTC.
func timestamp(t time.Time) string {
	t = t.UTC().Round(time.Millisecond)
	if t.Nanosecond() != 0 {
		return t.Format("2006-01-02T15:04:05.000Z")
	}
	return t.Format("2006-01-02T15:04:05Z")
}

// copyCases copies the living cases of a suite from the spool to the report.
func (b *book) copyCases(w io.Writer, s *suite) error {
	i := 0
	r := &spanReader{from: b.spool, next: func() (span, bool) {
		for ; i < s.entries.n; i++ {
			if e := s.entries.at(i); e.alive() {
				i++
				return e.span(), true
			}
		}
		return span{}, false
	}}
	if !b.o.StrictXSD {
		_, err := io.Copy(w, struct{ io.Reader }{bufio.NewReaderSize(r, 256<<10)})
		return err
	}
	enc := junit.NewCaseEncoder(w, junit.WriteOptions{StrictXSD: true})
	if _, err := junit.Read(r, "spool", spoolLimits(b.o.Read), junit.Visitor{Case: enc.Encode}); err != nil && s.entries.n > 0 {
		return fmt.Errorf("read back what was just written: %w", err)
	}
	return enc.Flush()
}
