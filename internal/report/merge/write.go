package merge

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/source"
)

// maxRed bounds the list of red cases in the summary.
const maxRed = 20

// fit writes the report, again and again with more of its texts left out until it is
// under its limit.
func (m *merger) fit(w io.Writer) error {
	warnings, err := m.cut.Fit(func() (size int64, err error) {
		if m.cut.Level > fold.Whole {
			if err := rewind(w); err != nil {
				return size, err
			}
		}
		return m.write(w)
	})
	for _, w := range warnings {
		m.warn("%s", w)
	}
	m.sum.Cut = m.cut.Cut
	return err
}

// rewind makes a file empty, to be written again.
func rewind(w io.Writer) error {
	f, ok := w.(interface {
		io.Seeker
		Truncate(size int64) error
	})
	if !ok {
		return errors.New("the report can only be written once")
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// write writes the report, as far as it fits: the second pass.
func (m *merger) write(to io.Writer) (int64, error) {
	m.sum.Red, m.sum.Suites, m.sum.Counts, m.decided = nil, nil, junit.Counts{}, nil
	w := junit.NewWriter(to)
	var all times
	for _, s := range m.suites {
		var c junit.Counts
		for e := range s.living() {
			c.Add(e.outcome())
		}
		m.sum.Suites = append(m.sum.Suites, SuiteResult{s.name, c})
		m.sum.Counts = m.sum.Counts.Plus(c)
		all.part(s.head.when())
	}
	m.sum.Out = m.sum.Counts.Tests
	w.Begin(m.in.Name, m.sum.Counts, all.wall())
	for i, s := range m.suites {
		_, took := s.head.when()
		w.BeginSuite(s.head.suite(s.name), m.sum.Suites[i].Counts, took)
		if err := m.cases(w, s); err != nil {
			return w.Size(), err
		}
		out, errs, err := m.output(s)
		if err != nil {
			return w.Size(), err
		}
		w.EndSuite(out, errs)
	}
	err := w.End()
	m.sum.Bytes = w.Size()
	return w.Size(), err
}

// cases writes the living cases of a suite, as long as the report may still be small enough.
func (m *merger) cases(w *junit.Writer, s *suite) error {
	for e := range s.living() {
		if err := m.oneCase(w, s, e); err != nil {
			return err
		}
		if m.cut.Level < fold.Short && !m.cut.Off && w.Size() > m.cut.Caps.File {
			return nil // it is written again; at the last level it stays
		}
	}
	return nil
}

func (m *merger) oneCase(w *junit.Writer, s *suite, e *entry) error {
	read, copied := m.final, e.is(flagAsIs) && !m.drops(e)
	if copied {
		raw, err := m.src.Bytes(e.Span)
		if err = cmp.Or(err, w.Raw(raw)); err != nil {
			return err
		}
		read = m.value
	}
	listed := e.red() && len(m.sum.Red) < maxRed
	if copied && !listed && !m.o.Audit {
		return nil
	}
	c, err := read(s, e)
	if err != nil {
		return err
	}
	if listed {
		m.sum.Red = append(m.sum.Red, RedCase{s.name, c.Classname, c.Name, fold.FirstLine(c)})
	}
	if m.o.Audit {
		m.decided = append(m.decided, junit.Decision{Suite: s.name, Class: c.Classname, Name: c.Name, Status: e.outcome()})
	}
	if !copied {
		w.Case(c)
	}
	return nil
}

// drops reports whether something of a case may be cut so that the report fits.
func (m *merger) drops(e *entry) bool {
	return e.is(flagText) && (m.cut.Level == fold.Short || m.cut.Level == fold.Lean && !e.red())
}

// final is a case as it stands in the report.
func (m *merger) final(s *suite, e *entry) (*junit.Case, error) {
	c, err := m.value(s, e)
	if err != nil {
		return nil, err
	}
	fold.OneClass(c)
	if c.Status() != e.outcome() {
		return nil, fmt.Errorf("%w: %s: case %q was decided to be %s, and is %s", junit.ErrAudit, m.shown(m.parts[e.part].file), c.Name, e.outcome(), c.Status())
	}
	m.cut.Apply(c, m.shown(m.parts[e.part].file))
	return c, nil
}

// value reads a case back, with the names that it has in the report.
func (m *merger) value(s *suite, e *entry) (*junit.Case, error) {
	b, err := m.src.Bytes(e.Span)
	if err != nil {
		return nil, err
	}
	c, err := junit.ReadCase(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", m.shown(m.parts[e.part].file), source.ErrChanged, err)
	}
	if e.is(flagKept) {
		return c, nil
	}
	if e.is(flagInterrupted) {
		c.Name = interrupted
		c.Results = []junit.Result{{Status: junit.Errored, Type: "ci-disagg.interrupted", Message: "the session ended during a test; the file does not say which"}}
	}
	if e.is(flagFlaky) {
		c.Results = append(c.Results, junit.Result{Status: m.flaky(junit.Passed, 2), Type: "ci-disagg.flaky", Message: "ci-disagg: passed only when repeated"})
	}
	f := m.in.Files[e.File]
	name := s.path.own().name
	if m.parts[e.part].unnamed {
		name = ""
	}
	c.Classname, c.Name = identity(name, nameless(f), c.Classname, c.Name)
	if m.key(c.Classname, c.Name) != e.key {
		return nil, fmt.Errorf("%s: %w", f.Shown, source.ErrChanged)
	}
	c.Classname = labels(m.o.Labels).class(c.Classname)
	if prefix := m.rebase(f); prefix != "" {
		fold.Rebase(c, prefix)
	}
	return c, nil
}

// shown is an input, as people read it.
func (m *merger) shown(file int) string {
	if file == source.Spool {
		return ""
	}
	return m.in.Files[file].Shown
}

// output is what the suites say that a suite was made of, as one text each:
// readers take only the first.
func (m *merger) output(s *suite) (out, errs []string, err error) {
	for i := range s.texts {
		b, err := m.src.Bytes(s.texts[i].Span)
		if err != nil {
			return nil, nil, err
		}
		c, err := junit.ReadCase(b)
		if err != nil {
			return nil, nil, err
		}
		limit, kept := m.cut.Limit(m.o.Caps.FailOut, false), m.shown(int(s.texts[i].part))
		out = append(out, m.cut.OneText(c.SystemOut, limit, kept)...)
		errs = append(errs, m.cut.OneText(c.SystemErr, limit, kept)...)
	}
	return fold.OneText(out), fold.OneText(errs), nil
}

// warnRepeated warns of cases of one class and name, in whatever suites they are:
// Jenkins numbers them in the order of their occurrence, so that they swap
// histories when one is gone.
func (m *merger) warnRepeated() error {
	again := repeated(m.suites)
	for _, s := range m.suites {
		for e := range s.living() {
			if !again[e.key] {
				continue
			}
			c, err := m.value(s, e)
			if err != nil {
				return err
			}
			m.warn("Jenkins cannot tell %s from others of the same class and name, such as %q", plain.Count(len(again), "test"), c.Classname+"."+c.Name)
			return nil
		}
	}
	return nil
}
