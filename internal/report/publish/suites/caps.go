package suites

import (
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// fit lays out the report, and leaves out as much text as brings it under its limit:
// at last red cases have an equal share of what is left. It never drops a case.
func (p *printer) fit() []string {
	limit := p.o.Caps.File
	var whole, cut, now int64
	for p.level = range fold.Levels {
		p.cut.Cut = 0
		p.layOut()
		size, red, reds := p.size()
		if now = size; p.level == fold.Whole {
			whole, cut = size, p.cut.Cut
		}
		if p.o.NoCaps || size <= limit {
			break
		}
		p.share = fold.Share(limit-(size-red), reds)
	}
	if p.o.NoCaps || whole <= limit {
		return nil
	}
	var notes []string
	if n := p.cut.Cut - cut; n > 0 {
		notes = append(notes, fmt.Sprintf("junit.xml would have had %d bytes, more than %d: %d bytes of text were left out", whole, limit, n))
	}
	if now > limit {
		notes = append(notes, fmt.Sprintf("junit.xml has %d bytes, more than %d: so many are its cases without their texts", now, limit))
	}
	return notes
}

// bound brings a case under the caps, and leaves out of it what the level says.
func (p *printer) bound(c *junit.Case, kept string) {
	p.cut.Apply(c, kept)
	level := p.level
	if level == fold.RedShare && c.Status().Red() && caseSize(c) <= p.share {
		level = fold.NoSuiteOut
	}
	if level > fold.Whole {
		p.cut.Shrink(c, level, p.share, kept)
	}
}

// suiteTexts are texts of a suite, bounded.
func (p *printer) suiteTexts(list []report.SuiteText) []string {
	var out []string
	for _, t := range list {
		text := p.cut.Text(t.Text, p.o.Caps.FailOut, t.Kept)
		if p.level >= fold.NoSuiteOut {
			p.cut.LeaveOut(t.Kept, &text)
		}
		out = append(out, text)
	}
	return out
}

// size is about the size of the report, rather more than less, and how much of it how
// many red cases have.
func (p *printer) size() (all, red int64, reds int) {
	all = fold.TagRoom
	for _, s := range p.suites {
		all += fold.TagRoom + int64(len(s.Suite.Name))
		for _, c := range s.Cases {
			n := caseSize(c)
			all += n
			if c.Status().Red() {
				red, reds = red+n, reds+1
			}
		}
		for _, t := range slices.Concat(s.out, s.err) {
			all += int64(len(t))
		}
	}
	return all, red, reds
}

func caseSize(c *junit.Case) int64 {
	n := fold.TagRoom + len(c.Name) + len(c.Classname)
	for _, q := range c.Properties {
		n += len(q.Name) + len(q.Value) + 40
	}
	for _, x := range c.Extra {
		n += len(x.Text) + 40
	}
	for _, t := range slices.Concat(fold.Outputs(c), fold.Bodies(c)) {
		n += len(*t)
	}
	for _, r := range c.Reruns {
		n += len(r.StackTrace) + len(r.SystemOut) + len(r.SystemErr)
	}
	return int64(n)
}
