package merge

import (
	"fmt"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

// shrink brings the report under the size limit by leaving out texts, one kind
// after the other: output of cases that passed, bodies of skipped ones (which
// are collateral), texts of reruns, output of suites; at last the texts of red
// cases are cut to an equal share of what is left. It never drops a case.
func (b *book) shrink() error {
	before, cut := b.size(), b.cut.cut
	if b.o.NoCaps || before <= b.o.Caps.File {
		return nil
	}
	for _, flag := range []uint8{flagOutput, flagBody, flagReruns} {
		if err := b.dropTexts(flag); err != nil {
			return err
		}
		if b.size() <= b.o.Caps.File {
			break
		}
	}
	for _, step := range []func() error{b.dropSuiteTexts, b.cutRed} {
		if b.size() <= b.o.Caps.File {
			break
		}
		if err := step(); err != nil {
			return err
		}
	}
	if left := b.cut.cut - cut; left > 0 {
		b.warn("the report would have had %d bytes, more than %d: %d bytes of text were left out", before, b.o.Caps.File, left)
	}
	if now := b.size(); now > b.o.Caps.File {
		b.warn("the report has %d bytes, more than %d: so many are its cases without their texts", now, b.o.Caps.File)
	}
	return nil
}

// size is about the size of the report, rather more than less.
func (b *book) size() int64 {
	n := int64(tagRoom)
	for _, s := range b.suites {
		n += int64(tagRoom + len(s.name))
		for _, p := range s.properties.list {
			n += int64(len(p.Name) + len(p.Value) + len(`<property name="" value=""></property>`))
		}
		for _, e := range s.entries.all {
			n += int64(e.n)
		}
		for _, t := range s.text {
			n += int64(t.n)
		}
	}
	return n
}

// tagRoom is what the tags of a suite, or of the root, are taken to need.
const tagRoom = 400

// keptOf is where all of a case's text can be found, "" if nobody knows.
func (b *book) keptOf(e *entry) string {
	if b.kept == nil || e.flags&flagSynthetic != 0 {
		return ""
	}
	return b.kept(e)
}

// dropTexts leaves out one kind of text in all cases.
func (b *book) dropTexts(flag uint8) error {
	for _, s := range b.suites {
		err := b.settle(s, false, func(g []*entry) bool { return g[0].flags&flag != 0 }, func(g []*entry, cases []*junit.Case) (*junit.Case, error) {
			c := *cases[0]
			for _, text := range textsOf(&c, flag) {
				b.leaveOut(text, b.keptOf(g[0]))
			}
			return &c, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// textsOf are the texts of a case that are of one kind.
func textsOf(c *junit.Case, flag uint8) []*string {
	var out []*string
	switch flag {
	case flagOutput:
		out = outputsOf(c)
	case flagBody:
		for i := range c.Results {
			out = append(out, &c.Results[i].Text)
		}
	case flagReruns:
		for i := range c.Reruns {
			out = append(out, &c.Reruns[i].StackTrace, &c.Reruns[i].SystemOut, &c.Reruns[i].SystemErr)
		}
	}
	return out
}

func outputsOf(c *junit.Case) []*string {
	var out []*string
	for i := range c.SystemOut {
		out = append(out, &c.SystemOut[i])
	}
	for i := range c.SystemErr {
		out = append(out, &c.SystemErr[i])
	}
	return out
}

// leaveOut replaces a text that is worth it by its size and the place where all
// of it is.
func (b *book) leaveOut(s *string, kept string) {
	note := fmt.Sprintf("[%d bytes left out: the report was too large%s]", len(*s), whereKept(kept))
	if len(*s) > len(note) {
		b.cut.cut += int64(len(*s))
		*s = note
	}
}

// dropSuiteTexts leaves out what suites say beside their cases.
func (b *book) dropSuiteTexts() error {
	for _, s := range b.suites {
		list := s.texts()
		err := b.reread(list, func(next func() (*junit.Case, error)) error {
			for _, e := range list {
				c, err := next()
				if err != nil {
					return err
				}
				for _, text := range outputsOf(c) {
					b.leaveOut(text, b.keptOf(e))
				}
				at, err := b.encode(c)
				if err != nil {
					return err
				}
				e.off, e.n = at.off, uint32(at.n) //nolint:gosec // smaller than it was
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// leastRed is what a red case may keep at the least, in bytes.
const leastRed = 2 << 10

// cutRed gives every red case an equal share of the bytes that the others leave.
func (b *book) cutRed() error {
	red, other := int64(0), b.size()
	for _, s := range b.suites {
		for _, e := range s.entries.all {
			if statusOf(e.status).Red() {
				red++
				other -= int64(e.n)
			}
		}
	}
	if red == 0 {
		return nil
	}
	share := max(leastRed, (b.o.Caps.File-other)/red)
	for _, s := range b.suites {
		err := b.settle(s, false, func(g []*entry) bool {
			return statusOf(g[0].status).Red() && int64(g[0].n) > share
		}, func(g []*entry, cases []*junit.Case) (*junit.Case, error) {
			c := *cases[0]
			b.cutCase(&c, int(share), b.keptOf(g[0]))
			return &c, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// cutCase cuts a case to a size: half of what its names leave for what the
// failure says, half for the output.
func (b *book) cutCase(c *junit.Case, size int, kept string) {
	size -= min(size/2, 2*tagRoom) // its tags, and what has to be escaped
	for _, texts := range [][]*string{textsOf(c, flagBody), outputsOf(c)} {
		for _, text := range texts {
			*text = b.cut.text(*text, size/2/len(texts), kept)
		}
	}
}
