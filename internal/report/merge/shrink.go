package merge

import (
	"errors"
	"io"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/merge/fold"
)

// sizeLimit is what is left out of a report that would be too large.
type sizeLimit struct {
	level int   // see levels
	share int64 // what a red case may have at level dropRed
	stop  int64 // writing ends here; 0 = never
	red   int64 // bytes of red cases that were written
	reds  int64
}

// What is left out, one kind after the other; never a case.
const (
	dropNothing = iota
	dropPassed  // the output of cases that are not red
	dropSkipped // and the bodies of skipped ones
	dropReruns  // and the texts of reruns
	dropSuites  // and the output of suites
	dropRed     // and what red cases have beyond an equal share of the rest
)

// leastRed is what a red case may keep at the least, in bytes.
const leastRed = 2 << 10

// tagRoom is what the tags of a case or suite are taken to need.
const tagRoom = 400

// fit finds out how much has to be left out to bring the report under its limit.
func (m *merger) fit() error {
	m.cutBefore = m.cut.Cut
	limit := m.o.Caps.File
	if m.o.NoCaps || m.estimate() <= limit {
		return nil
	}
	cut := int64(0)
	for level := dropNothing; level <= dropRed; level++ {
		m.size = sizeLimit{level: level, stop: limit, share: m.size.share}
		if level == dropSuites || level == dropRed {
			m.size.stop = 0 // how large it is, tells how much each red case may keep
		}
		err := m.write(io.Discard)
		if err != nil && !errors.Is(err, errTooLarge) {
			return err
		}
		if level == dropNothing {
			cut = m.cut.Cut
		}
		if err == nil && m.sum.Bytes <= limit {
			break
		}
		if level == dropSuites && m.size.reds > 0 {
			m.size.share = max(leastRed, (limit-(m.sum.Bytes-m.size.red))/m.size.reds)
		}
	}
	m.size.stop, m.size.level = 0, min(m.size.level, dropRed)
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
		_, head := s.head.Size()
		n += int64(2*tagRoom+len(s.name)) + head
		for i := range s.entries {
			e := &s.entries[i]
			n += int64(e.N)
			if !e.is(flagAsIs) {
				n += tagRoom + int64(e.N)/4
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
	red := e.red()
	return l.level >= dropPassed && !red && e.is(flagOutput) ||
		l.level >= dropSkipped && e.outcome() == junit.Skipped && e.is(flagBody) ||
		l.level >= dropReruns && e.is(flagReruns) ||
		l.level >= dropRed && red && int64(e.N) > l.share
}

// drop leaves out of a case what the level says.
func (m *merger) drop(c *junit.Case, e *entry) {
	l, kept := &m.size, m.shown(e.File)
	if l.level >= dropPassed && !e.red() {
		m.cut.LeaveOut(kept, fold.Outputs(c)...)
	}
	if l.level >= dropSkipped && !e.red() {
		m.cut.LeaveOut(kept, fold.Bodies(c)...)
	}
	if l.level >= dropReruns {
		for i := range c.Reruns {
			m.cut.LeaveOut(kept, &c.Reruns[i].StackTrace, &c.Reruns[i].SystemOut, &c.Reruns[i].SystemErr)
		}
	}
	if l.level >= dropRed && e.red() {
		size := int(l.share - min(l.share/2, 2*tagRoom)) // its tags, and what has to be escaped
		for _, texts := range [][]*string{fold.Bodies(c), fold.Outputs(c)} {
			for _, text := range texts {
				*text = m.cut.Text(*text, size/2/len(texts), kept)
			}
		}
	}
}
