package fold

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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

// WithDefaults gives the bounds that hold.
func (c Caps) WithDefaults() Caps {
	return Caps{cmp.Or(c.PassOut, 1<<10), cmp.Or(c.FailOut, 96<<10), cmp.Or(c.Body, 32<<10), cmp.Or(c.Message, 400), cmp.Or(c.File, 25<<20)}
}

// Cut is s and, if it is longer than limit bytes, its head and tail with a marker
// between them that says how much is missing and where all of it is kept, and with the
// markers of attachments that stand in what is missing. It gives the number of bytes
// that are missing.
func Cut(s string, limit int, kept string) (string, int) {
	if len(s) <= limit {
		return s, 0
	}
	marker := func(n int) string { return fmt.Sprintf("\n[... %d bytes cut%s ...]\n", n, whereKept(kept)) }
	room := max(0, limit-len(marker(len(s))))
	for {
		head, tail := room/2, len(s)-(room-room/2)
		for head > 0 && !utf8.RuneStart(s[head]) {
			head--
		}
		for tail < len(s) && !utf8.RuneStart(s[tail]) {
			tail++
		}
		out := s[:head] + marker(tail-head) + attachments(s, head, tail) + s[tail:]
		if len(out) <= limit || room == 0 {
			return out, tail - head
		}
		room = max(0, room-(len(out)-limit))
	}
}

// whereKept says in a marker where all of a text is.
func whereKept(path string) string {
	if path == "" {
		return ""
	}
	return "; all of it: " + path
}

// Cutter shortens texts and counts what it cut.
type Cutter struct {
	Caps Caps
	Off  bool
	Cut  int64 // bytes so far
}

// Text is s, clean and not longer than limit bytes.
func (k *Cutter) Text(s string, limit int, kept string) string {
	if k.Off {
		return s
	}
	s, n := Cut(junit.Clean(s), limit, kept)
	k.Cut += int64(n)
	return s
}

// message is s as one line of bounded length. cut says that something is
// missing from it.
func (k *Cutter) message(s string) (line string, cut bool) {
	line = OneLine(junit.Clean(s))
	if utf8.RuneCountInString(line) <= k.Caps.Message {
		return line, false
	}
	n := 0
	for i := range line {
		if n == k.Caps.Message-1 {
			return line[:i] + "…", true
		}
		n++
	}
	return line, false
}

// Apply brings the texts of a case under the caps. The case's lists are its own
// afterwards.
func (k *Cutter) Apply(c *junit.Case, kept string) {
	limit := k.Caps.PassOut
	if c.Status().Red() {
		limit = k.Caps.FailOut
	}
	c.SystemOut, c.SystemErr = k.Texts(c.SystemOut, limit, kept), k.Texts(c.SystemErr, limit, kept)
	if k.Off {
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
		r.Message, r.Text = line, k.Text(r.Text, k.Caps.Body, kept)
	}
	for i := range c.Reruns {
		r := &c.Reruns[i]
		line, cut := k.message(r.Message)
		if cut {
			k.Cut += int64(len(r.Message) - len(line))
		}
		r.Message, r.StackTrace = line, k.Text(r.StackTrace, k.Caps.Body, kept)
		r.SystemOut, r.SystemErr = k.Text(r.SystemOut, limit, kept), k.Text(r.SystemErr, limit, kept)
	}
	for i := range c.Properties {
		c.Properties[i].Value = k.Text(c.Properties[i].Value, k.Caps.Body, kept)
	}
	for i := range c.Extra {
		c.Extra[i].Text = k.Text(c.Extra[i].Text, limit, kept)
	}
}

// Texts puts several outputs into one, as readers take only the first, and caps
// it.
func (k *Cutter) Texts(texts []string, limit int, kept string) []string {
	if texts = OneText(texts); len(texts) == 0 {
		return texts
	}
	return []string{k.Text(texts[0], limit, kept)}
}

// OneText puts several texts into one.
func OneText(texts []string) []string {
	if len(texts) < 2 {
		return texts
	}
	return []string{strings.Join(texts, "\n")}
}

// Level is what is left out of a report that would be too large, one kind after the
// other; never a case.
type Level int

// The levels: each leaves out what those before it do.
const (
	Whole      Level = iota
	NoOutput         // of cases that are not red
	NoBodies         // of skipped cases
	NoReruns         // no texts of reruns
	NoSuiteOut       // no output of suites
	RedShare         // red cases have an equal share of what is left
	Levels
)

// Room for the tags of a case or suite, and what a red case may keep at the least.
const (
	TagRoom  = 400
	leastRed = 2 << 10
)

// Share is what each of n red cases may have of room.
func Share(room int64, n int) int64 { return max(leastRed, room/int64(max(1, n))) }

// Shrink leaves out of a case what the level says; a red case may have share bytes.
func (k *Cutter) Shrink(c *junit.Case, level Level, share int64, kept string) {
	red := c.Status().Red()
	if level >= NoOutput && !red {
		k.LeaveOut(kept, Outputs(c)...)
	}
	if level >= NoBodies && !red {
		k.LeaveOut(kept, Bodies(c)...)
	}
	if level >= NoReruns {
		for i := range c.Reruns {
			k.LeaveOut(kept, &c.Reruns[i].StackTrace, &c.Reruns[i].SystemOut, &c.Reruns[i].SystemErr)
		}
	}
	if level >= RedShare && red {
		size := int(share - min(share/2, 2*TagRoom)) // without its tags, and what has to be escaped
		for _, texts := range [][]*string{Bodies(c), Outputs(c)} {
			for _, text := range texts {
				*text = k.Text(*text, size/2/len(texts), kept)
			}
		}
	}
}

// LeaveOut replaces texts that are worth it by their size and the place where all
// of each is.
func (k *Cutter) LeaveOut(kept string, texts ...*string) {
	for _, s := range texts {
		note := fmt.Sprintf("[%d bytes left out: the report was too large%s]", len(*s), whereKept(kept))
		if len(*s) > len(note) {
			k.Cut += int64(len(*s))
			*s = note
		}
	}
}

// Bodies are the texts of the results of a case.
func Bodies(c *junit.Case) (out []*string) {
	for i := range c.Results {
		out = append(out, &c.Results[i].Text)
	}
	return out
}

// Outputs are the outputs of a case.
func Outputs(c *junit.Case) (out []*string) {
	for i := range c.SystemOut {
		out = append(out, &c.SystemOut[i])
	}
	for i := range c.SystemErr {
		out = append(out, &c.SystemErr[i])
	}
	return out
}
