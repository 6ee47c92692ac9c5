package suites

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Caps bound the text of a report. Zero means the default.
type Caps struct {
	PassOut int   // bytes of output of a case that passed; default 1 KiB
	FailOut int   // bytes of output of a case that did not; default 96 KiB
	Body    int   // bytes of a failure's text; default 32 KiB
	Message int   // runes of a message; default 400
	File    int64 // bytes of the report; default 25 MiB
}

func (c Caps) withDefaults() Caps {
	return Caps{cmp.Or(c.PassOut, 1<<10), cmp.Or(c.FailOut, 96<<10), cmp.Or(c.Body, 32<<10), cmp.Or(c.Message, 400), cmp.Or(c.File, 25<<20)}
}

// cutter shortens texts and counts what it cut.
type cutter struct {
	caps Caps
	off  bool
	cut  int64
}

func (k *cutter) text(s string, limit int, kept string) string {
	if k.off {
		return s
	}
	s, n := report.Cut(junit.Clean(s), limit, kept)
	k.cut += int64(n)
	return s
}

// message is s as one line of bounded length. cut tells that something is missing.
func (k *cutter) message(s string) (line string, cut bool) {
	if k.off {
		return s, false
	}
	if line = junit.Clean(s); strings.ContainsAny(line, "\n\r\t") {
		line = strings.Join(strings.Fields(line), " ")
	}
	if utf8.RuneCountInString(line) <= k.caps.Message {
		return line, false
	}
	n := 0
	for i := range line {
		if n == k.caps.Message-1 {
			return line[:i] + "…", true
		}
		n++
	}
	return line, false
}

// apply brings the texts of a case under the caps. The case's lists are its own
// afterwards: a report may be printed again.
func (k *cutter) apply(c *junit.Case, kept string) {
	limit := k.caps.PassOut
	if c.Status().Red() {
		limit = k.caps.FailOut
	}
	c.SystemOut, c.SystemErr = k.texts(c.SystemOut, limit, kept), k.texts(c.SystemErr, limit, kept)
	if k.off {
		return
	}
	c.Results, c.Reruns = slices.Clone(c.Results), slices.Clone(c.Reruns)
	c.Properties, c.Extra = slices.Clone(c.Properties), slices.Clone(c.Extra)
	for i := range c.Results {
		r := &c.Results[i]
		line, cut := k.message(r.Message)
		if cut && !strings.Contains(r.Text, r.Message) {
			r.Text = r.Message + "\n\n" + r.Text // it is still there
		}
		r.Message, r.Text = line, k.text(r.Text, k.caps.Body, kept)
	}
	for i := range c.Reruns {
		r := &c.Reruns[i]
		r.Message, _ = k.message(r.Message)
		r.StackTrace = k.text(r.StackTrace, k.caps.Body, kept)
		r.SystemOut, r.SystemErr = k.text(r.SystemOut, limit, kept), k.text(r.SystemErr, limit, kept)
	}
	for i := range c.Properties {
		c.Properties[i].Value = k.text(c.Properties[i].Value, k.caps.Body, kept)
	}
	for i := range c.Extra {
		c.Extra[i].Text = k.text(c.Extra[i].Text, limit, kept)
	}
}

func (k *cutter) suiteText(t report.SuiteText) report.SuiteText {
	t.Text = k.text(t.Text, k.caps.FailOut, t.Kept)
	return t
}

// texts puts several outputs into one, as readers take only the first, and caps it.
func (k *cutter) texts(list []string, limit int, kept string) []string {
	list = oneText(list)
	if len(list) == 0 {
		return list
	}
	return []string{k.text(list[0], limit, kept)}
}

func oneText(list []string) []string {
	if len(list) < 2 {
		return list
	}
	return []string{strings.Join(list, "\n")}
}

// Kinds of text that are left out of a report that is too large, in order: output of
// cases that are not red, bodies of skipped ones (which are collateral), texts of
// reruns, output of suites.
const (
	outputs = iota
	bodies
	reruns
	suiteOutput
	kinds
)

// shrink brings the report under the size limit by leaving out texts, one kind after
// the other; at last the texts of red cases are cut to an equal share of what is left.
// It never drops a case.
func (p *printer) shrink() []string {
	before, cut := p.size(), p.cut.cut
	if p.o.NoCaps || before <= p.o.Caps.File {
		return nil
	}
	for kind := range kinds {
		if p.size() <= p.o.Caps.File {
			break
		}
		p.leaveOut(kind)
	}
	if p.size() > p.o.Caps.File {
		p.cutRed()
	}
	var notes []string
	if n := p.cut.cut - cut; n > 0 {
		notes = append(notes, leftOut(before, p.o.Caps.File, n))
	}
	if now := p.size(); now > p.o.Caps.File {
		notes = append(notes, fmt.Sprintf("junit.xml has %d bytes, more than %d: so many are its cases without their texts", now, p.o.Caps.File))
	}
	return notes
}

// tagRoom is what the tags of a case or a suite are taken to need.
const tagRoom = 400

// size is about the size of the report, rather more than less.
func (p *printer) size() int64 {
	n := int64(tagRoom)
	for _, s := range p.suites {
		n += tagRoom + int64(len(s.Suite.Name))
		for _, c := range s.Cases {
			n += caseSize(c)
		}
		for _, t := range append(slices.Clone(s.out), s.err...) {
			n += int64(len(t.Text))
		}
	}
	return n
}

func caseSize(c *junit.Case) int64 {
	n := tagRoom + len(c.Name) + len(c.Classname)
	for _, q := range c.Properties {
		n += len(q.Name) + len(q.Value) + 40
	}
	for _, x := range c.Extra {
		n += len(x.Text) + 40
	}
	for kind := range suiteOutput {
		for _, t := range textsOf(c, kind) {
			n += len(*t)
		}
	}
	return int64(n)
}

// textsOf are the texts of a case that are of one kind.
func textsOf(c *junit.Case, kind int) []*string {
	var out []*string
	switch kind {
	case outputs:
		for i := range c.SystemOut {
			out = append(out, &c.SystemOut[i])
		}
		for i := range c.SystemErr {
			out = append(out, &c.SystemErr[i])
		}
	case bodies:
		for i := range c.Results {
			out = append(out, &c.Results[i].Text)
		}
	case reruns:
		for i := range c.Reruns {
			out = append(out, &c.Reruns[i].StackTrace, &c.Reruns[i].SystemOut, &c.Reruns[i].SystemErr)
		}
	}
	return out
}

// leaveOut replaces the texts of one kind by their sizes and the place where all of
// them are.
func (p *printer) leaveOut(kind int) {
	replace := func(s *string, kept string) {
		note := fmt.Sprintf("[%d bytes left out: the report was too large%s]", len(*s), report.WhereKept(kept))
		if len(*s) > len(note) {
			p.cut.cut += int64(len(*s))
			*s = note
		}
	}
	for _, s := range p.suites {
		for i, c := range s.Cases {
			if c.Status().Red() && kind != reruns {
				continue
			}
			for _, t := range textsOf(c, kind) {
				replace(t, s.kept[i])
			}
		}
		for _, list := range [][]report.SuiteText{s.out, s.err} {
			for i := range list {
				if kind == suiteOutput {
					replace(&list[i].Text, list[i].Kept)
				}
			}
		}
	}
}

// leastRed is what a red case may keep at the least, in bytes.
const leastRed = 2 << 10

// cutRed gives every red case an equal share of the bytes that the others leave: half
// of it for what the failure says, half for the output.
func (p *printer) cutRed() {
	red, other := int64(0), p.size()
	for _, s := range p.suites {
		for _, c := range s.Cases {
			if c.Status().Red() {
				red++
				other -= caseSize(c)
			}
		}
	}
	if red == 0 {
		return
	}
	share := max(leastRed, (p.o.Caps.File-other)/red)
	for _, s := range p.suites {
		for i, c := range s.Cases {
			if !c.Status().Red() || caseSize(c) <= share {
				continue
			}
			room := int(share - min(share/2, 2*tagRoom)) // without its tags, and what has to be escaped
			for _, kind := range []int{bodies, outputs} {
				list := textsOf(c, kind)
				for _, t := range list {
					*t = p.cut.text(*t, room/2/len(list), s.kept[i])
				}
			}
		}
	}
}
