package merge

import (
	"io"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// maxRed bounds the list of red cases in the summary.
const maxRed = 20

// write writes the report, as far as it fits.
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
		if !m.cut.Fits(w.Size()) {
			return nil // it is written again
		}
	}
	return nil
}

func (m *merger) oneCase(w *junit.Writer, s *suite, e *entry) error {
	copied := e.is(flagAsIs) && !m.drops(e)
	listed := e.outcome().Red() && len(m.sum.Red) < maxRed
	if copied {
		raw, err := m.spool.Bytes(e.Span)
		if err != nil {
			return err
		}
		if w.Raw(raw); !listed && !m.o.Audit {
			return nil
		}
	}
	c, err := m.value(e)
	if err != nil {
		return err
	}
	if !copied {
		fold.OneClass(c)
		m.cut.Apply(c, m.parts[e.part].file.Shown)
		w.Case(c)
	}
	if listed {
		m.sum.Red = append(m.sum.Red, RedCase{s.name, c.Classname, c.Name, fold.FirstLine(c)})
	}
	if m.o.Audit {
		m.decided = append(m.decided, junit.Decision{Suite: s.name, Class: c.Classname, Name: c.Name, Status: e.outcome()})
	}
	return nil
}

// drops reports whether something of a case may be cut so that the report fits.
func (m *merger) drops(e *entry) bool {
	return e.is(flagText) && (m.cut.Level == fold.Short || m.cut.Level == fold.Lean && !e.outcome().Red())
}

// value reads a case back.
func (m *merger) value(e *entry) (*junit.Case, error) {
	b, err := m.spool.Bytes(e.Span)
	if err != nil {
		return nil, err
	}
	return junit.ReadCase(b)
}

// output is what the suites say that a suite was made of, as one text each: readers take only the first.
func (m *merger) output(s *suite) (out, errs []string, err error) {
	for i := range s.texts {
		c, err := m.value(&s.texts[i])
		if err != nil {
			return nil, nil, err
		}
		limit, kept := m.cut.Limit(m.o.Caps.FailOut, false), m.parts[s.texts[i].part].file.Shown
		out = append(out, m.cut.OneText(c.SystemOut, limit, kept)...)
		errs = append(errs, m.cut.OneText(c.SystemErr, limit, kept)...)
	}
	return fold.OneText(out), fold.OneText(errs), nil
}

// warnRepeated warns of cases of one class and name, in whatever suites they are: Jenkins numbers them in the order of
// their occurrence, so that they swap histories when one is gone.
func (m *merger) warnRepeated() error {
	again := repeated(m.suites)
	for _, s := range m.suites {
		for e := range s.living() {
			if !again[e.key] {
				continue
			}
			c, err := m.value(e)
			if err != nil {
				return err
			}
			m.warn("Jenkins cannot tell %s from others of the same class and name, such as %q", plain.Count(len(again), "test"), c.Classname+"."+c.Name)
			return nil
		}
	}
	return nil
}
