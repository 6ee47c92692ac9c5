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

// fit writes the report, again and again with more of its texts left out until it is
// under its limit.
func (m *merger) fit(w io.Writer) error {
	limit, before, whole := m.o.Caps.File, m.cut.Cut, int64(0)
	for level := range fold.Levels {
		m.cut.Cut = before
		fits, err := m.try(w, level)
		if err != nil {
			return err
		}
		if level == fold.Whole {
			whole = m.cut.Cut
		}
		if fits {
			break
		}
	}
	if left := m.cut.Cut - whole; left > 0 {
		m.warn("the report would have more than %d bytes: %d bytes of text were left out", limit, left)
	}
	if m.sum.Bytes > limit && !m.o.NoCaps {
		m.warn("the report has %d bytes, more than %d: so many are its cases without their texts", m.sum.Bytes, limit)
	}
	return nil
}

// try writes the report without what the level leaves out, and reports whether it is
// under its limit.
func (m *merger) try(w io.Writer, level fold.Level) (fits bool, err error) {
	if level > fold.Whole {
		if err := rewind(w); err != nil {
			return false, err
		}
	}
	limit := m.o.Caps.File
	m.size = sizeLimit{level: level, share: m.size.share}
	if !m.o.NoCaps && level < fold.NoSuiteOut { // from there on, how large it is tells how much each red case may keep
		m.size.stop = limit
	}
	if err := m.write(w); errors.Is(err, errTooLarge) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	m.size.share = fold.Share(limit-(m.sum.Bytes-m.size.red), m.size.reds)
	return m.o.NoCaps || m.sum.Bytes <= limit, nil
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

// drops reports whether something of a case is left out.
func (l *sizeLimit) drops(e *entry) bool {
	return l.level >= fold.NoOutput && !e.red() && e.is(flagOutput) ||
		l.level >= fold.NoBodies && e.outcome() == junit.Skipped && e.is(flagBody) ||
		l.level >= fold.NoReruns && e.is(flagReruns) ||
		l.level >= fold.RedShare && e.red() && int64(e.N) > l.share
}
