package merge

import (
	"errors"
	"io"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// sizeLimit is what is left out of a report that would be too large.
type sizeLimit struct {
	level fold.Level
	share int64 // what a red case may have at level RedShare
	stop  int64 // writing ends here; 0 = never
	red   int64 // bytes of red cases that were written
	reds  int
}

// errTooLarge ends the writing of a report that gets too large.
var errTooLarge = errors.New("the report gets larger than it may be")

// fit finds out how much has to be left out to bring the report under its limit.
func (m *merger) fit() error {
	m.cutBefore = m.cut.Cut
	limit := m.o.Caps.File
	if m.o.NoCaps || m.estimate() <= limit {
		return nil
	}
	cut := int64(0)
	for level := range fold.Levels {
		m.size = sizeLimit{level: level, stop: limit, share: m.size.share}
		if level >= fold.NoSuiteOut {
			m.size.stop = 0 // how large it is, tells how much each red case may keep
		}
		err := m.write(io.Discard)
		if err != nil && !errors.Is(err, errTooLarge) {
			return err
		}
		if level == fold.Whole {
			cut = m.cut.Cut
		}
		if err == nil && m.sum.Bytes <= limit {
			break
		}
		m.size.share = fold.Share(limit-(m.sum.Bytes-m.size.red), m.size.reds)
	}
	m.size.stop = 0
	if left := m.cut.Cut - cut; left > 0 {
		m.warn("the report would have more than %d bytes: %d bytes of text were left out", limit, left)
	}
	if m.sum.Bytes > limit {
		m.warn("the report has %d bytes, more than %d: so many are its cases without their texts", m.sum.Bytes, limit)
	}
	return nil
}

// estimate is about the size of the report, rather more than less.
func (m *merger) estimate() (n int64) {
	for _, s := range m.suites {
		_, head := s.head.size()
		n += int64(2*fold.TagRoom+len(s.name)) + head
		for i := range s.entries {
			e := &s.entries[i]
			n += int64(e.N)
			if !e.is(flagAsIs) {
				n += fold.TagRoom + int64(e.N)/4
			}
		}
		for _, t := range s.texts {
			n += int64(t.N)
		}
	}
	return n
}

// drops reports whether something of a case is left out.
func (l *sizeLimit) drops(e *entry) bool {
	return l.level >= fold.NoOutput && !e.red() && e.is(flagOutput) ||
		l.level >= fold.NoBodies && e.outcome() == junit.Skipped && e.is(flagBody) ||
		l.level >= fold.NoReruns && e.is(flagReruns) ||
		l.level >= fold.RedShare && e.red() && int64(e.N) > l.share
}
