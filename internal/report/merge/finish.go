package merge

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// finish writes the report: counts it, brings it under the size limit, writes it
// to a temporary file, reads that back, and renames it.
func (b *book) finish(name, path string) error {
	if err := b.enc.Flush(); err != nil {
		return err
	}
	b.suites = slices.DeleteFunc(b.suites, func(s *suite) bool {
		return s.entries.n == 0 && len(s.text)+len(s.properties.list) == 0
	})
	for _, s := range b.suites {
		if err := b.warnCollapsed(s); err != nil {
			return err
		}
	}
	if err := b.shrink(); err != nil {
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
		return verify(w, count.n, path, doc.Counts)
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

// verify reads back what was written before it gets its name.
func verify(w io.Writer, size int64, path string, want junit.Counts) error {
	r, ok := w.(io.ReaderAt)
	if !ok {
		return nil
	}
	limits := junit.ReadOptions{MaxBytes: size + 1, MaxCase: size + 1}
	got, err := junit.Read(io.NewSectionReader(r, 0, size), path, limits, junit.Visitor{})
	if err != nil {
		return fmt.Errorf("the report was written, but cannot be read: %w", err)
	}
	if got.Counts != want || got.Repaired > 0 {
		return fmt.Errorf("the report was written with %s, but reads as %s", want, got.Counts)
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
		if s.times.unknown {
			all.unknown = true
		} else if !s.times.first.IsZero() {
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
		block.Output = func() (out, errs []string, err error) {
			list := make([]*entry, len(s.text))
			for i := range s.text {
				list[i] = &s.text[i]
			}
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
			return out, errs, err
		}
	}
	return block
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

// maxCollapsed bounds the warnings about one suite.
const maxCollapsed = 3

// maxChecked bounds the hashes that are looked at: some collide by chance.
const maxChecked = 50

// warnCollapsed warns of cases whose names differ only in characters that
// Jenkins makes "_" of: it numbers them in the order of their occurrence, so that
// they swap histories when one is gone.
func (b *book) warnCollapsed(s *suite) error {
	hashes := make([]uint32, 0, s.entries.n)
	for _, e := range s.entries.all {
		hashes = append(hashes, e.safe)
	}
	collapsed := make(map[uint32]bool)
	n := 0
	for h := range repeated(hashes) {
		n++
		if len(collapsed) < maxChecked {
			collapsed[h] = true
		}
	}
	if n == 0 {
		return nil
	}
	var list []*entry
	seen := make(map[uint32]int)
	for _, e := range s.entries.all {
		if collapsed[e.safe] && seen[e.safe] < 2 {
			seen[e.safe]++
			list = append(list, e)
		}
	}
	names := make(map[uint32][]string)
	var found []uint32
	err := b.reread(list, func(next func() (*junit.Case, error)) error {
		for _, e := range list {
			c, err := next()
			if err != nil {
				return err
			}
			if names[e.safe] == nil {
				found = append(found, e.safe)
			}
			names[e.safe] = append(names[e.safe], c.Classname+"\x00"+c.Name)
		}
		return nil
	})
	warned := 0
	for _, h := range found {
		x, y := names[h][0], names[h][1]
		if safeName(x) == safeName(y) { // and not by chance of the hash
			b.warn("suite %s: Jenkins cannot tell %q from %q (%d such names)", s.name, afterNUL(x), afterNUL(y), n)
			if warned++; warned == maxCollapsed {
				break
			}
		}
	}
	return err
}

// safeName is what Jenkins makes of a class and a name, which a NUL divides.
func safeName(s string) string {
	class, name, _ := strings.Cut(s, "\x00")
	b := []byte(name)
	for i, c := range b {
		b[i] = safeByte(c)
	}
	return class + "\x00" + string(b)
}

func afterNUL(s string) string {
	_, name, _ := strings.Cut(s, "\x00")
	return name
}

// shrink brings the report under the size limit by dropping texts, one kind
// after the other: output of cases that passed, bodies of skipped ones (which
// are collateral), texts of reruns. It never drops a case.
func (b *book) shrink() error {
	if b.o.NoCaps || b.size() <= b.o.Caps.File {
		return nil
	}
	before := b.size()
	for _, flag := range []uint8{flagOutput, flagBody, flagReruns} {
		for _, s := range b.suites {
			err := b.settle(s, false, func(g []*entry) bool { return g[0].flags&flag != 0 }, func(_ []*entry, cases []*junit.Case) (*junit.Case, error) {
				return b.dropText(cases[0], flag), nil
			})
			if err != nil {
				return err
			}
		}
		if b.size() <= b.o.Caps.File {
			break
		}
	}
	b.warn("the report was larger than %d bytes (%d): texts were left out", b.o.Caps.File, before)
	return nil
}

func (b *book) size() int64 {
	var n int64
	for _, s := range b.suites {
		for _, e := range s.entries.all {
			n += int64(e.n)
		}
		for _, t := range s.text {
			n += int64(t.n)
		}
	}
	return n
}

// dropText gives the case without one kind of text. What is left says how much
// it was.
func (b *book) dropText(c *junit.Case, flag uint8) *junit.Case {
	out := *c
	gone := func(s *string) {
		if len(*s) > 64 {
			b.cut.cut += int64(len(*s))
			*s = fmt.Sprintf("[%d bytes left out: the report was too large]", len(*s))
		}
	}
	switch flag {
	case flagOutput:
		for i := range out.SystemOut {
			gone(&out.SystemOut[i])
		}
		for i := range out.SystemErr {
			gone(&out.SystemErr[i])
		}
	case flagBody:
		for i := range out.Results {
			gone(&out.Results[i].Text)
		}
	case flagReruns:
		for i := range out.Reruns {
			gone(&out.Reruns[i].StackTrace)
			gone(&out.Reruns[i].SystemOut)
			gone(&out.Reruns[i].SystemErr)
		}
	}
	return &out
}
