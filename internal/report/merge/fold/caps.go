package fold

import (
	"fmt"
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
	if c.PassOut <= 0 {
		c.PassOut = 1 << 10
	}
	if c.FailOut <= 0 {
		c.FailOut = 96 << 10
	}
	if c.Body <= 0 {
		c.Body = 32 << 10
	}
	if c.Message <= 0 {
		c.Message = 400
	}
	if c.File <= 0 {
		c.File = 25 << 20
	}
	return c
}

// Cutter shortens texts and counts what it cut.
type Cutter struct {
	Caps Caps
	Off  bool
	Cut  int64 // bytes so far
}

// Text is s cleaned and, if it is longer than limit bytes, reduced to its head
// and tail with a marker between them that says how much is missing and where
// all of it is kept.
func (k *Cutter) Text(s string, limit int, kept string) string {
	if k.Off || len(s) <= limit {
		return s
	}
	marker := func(n int) string {
		return fmt.Sprintf("\n[... %d bytes cut%s ...]\n", n, WhereKept(kept))
	}
	room := max(0, limit-len(marker(len(s))))
	for {
		head := runeStart(s, room/2)
		tail := len(s) - (room - room/2)
		for tail < len(s) && !utf8.RuneStart(s[tail]) {
			tail++
		}
		out := s[:head] + marker(tail-head) + attachments(s, head, tail) + s[tail:]
		if len(out) <= limit || room == 0 {
			k.Cut += int64(tail - head)
			return out
		}
		room = max(0, room-(len(out)-limit))
	}
}

// WhereKept says in a marker where all of a text is.
func WhereKept(path string) string {
	if path == "" {
		return ""
	}
	return "; all of it: " + path
}

// runeStart is the last rune border at or before i.
func runeStart(s string, i int) int {
	if i >= len(s) {
		return len(s)
	}
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// message is s as one line of bounded length. cut says that something is
// missing from it.
func (k *Cutter) message(s string) (line string, cut bool) {
	if k.Off {
		return s, false
	}
	line = OneLine(s)
	if utf8.RuneCountInString(line) <= k.Caps.Message {
		return line, false
	}
	n := 0
	for i := range line {
		if n == k.Caps.Message-1 {
			k.Cut += int64(len(line) - i)
			return line[:i] + "…", true
		}
		n++
	}
	return line, false
}

// OneLine is s with every run of blanks and line ends replaced by one blank, if
// it has a line end at all.
func OneLine(s string) string {
	if !strings.ContainsAny(s, "\n\r\t") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// Apply brings the texts of a case under the caps.
func (k *Cutter) Apply(c *junit.Case, kept string) {
	limit := k.Caps.PassOut
	if c.Status().Red() {
		limit = k.Caps.FailOut
	}
	c.SystemOut = k.Texts(c.SystemOut, limit, kept)
	c.SystemErr = k.Texts(c.SystemErr, limit, kept)
	if k.Off {
		return
	}
	for i := range c.Results {
		r := &c.Results[i]
		line, cut := k.message(r.Message)
		if cut && !strings.Contains(r.Text, r.Message) {
			r.Text = r.Message + "\n\n" + r.Text
			k.Cut -= int64(len(r.Message)) // it is still there
			if k.Cut < 0 {
				k.Cut = 0
			}
		}
		r.Message = line
		r.Text = k.Text(r.Text, k.Caps.Body, kept)
	}
	for i := range c.Reruns {
		r := &c.Reruns[i]
		r.Message, _ = k.message(r.Message)
		r.StackTrace = k.Text(r.StackTrace, k.Caps.Body, kept)
		r.SystemOut = k.Text(r.SystemOut, limit, kept)
		r.SystemErr = k.Text(r.SystemErr, limit, kept)
	}
	for i := range c.Properties {
		c.Properties[i].Value = k.Text(c.Properties[i].Value, k.Caps.Body, kept)
	}
	for i := range c.Extra {
		c.Extra[i].Text = k.Text(c.Extra[i].Text, limit, kept)
	}
}

// OneText puts several texts into one.
func OneText(texts []string) []string {
	if len(texts) < 2 {
		return texts
	}
	return []string{strings.Join(texts, "\n")}
}

// Texts puts several outputs into one, as readers take only the first, and caps
// it.
func (k *Cutter) Texts(texts []string, limit int, kept string) []string {
	texts = OneText(texts)
	if k.Off || len(texts) == 0 {
		return texts
	}
	if t := k.Text(texts[0], limit, kept); t != texts[0] {
		return []string{t}
	}
	return texts
}

const attachment = "[[ATTACHMENT|"

// attachments are the markers of s that are not whole in front of head or behind
// tail, each on a line: a viewer finds the attached files by them.
func attachments(s string, head, tail int) string {
	const most = 100
	var b strings.Builder
	n := 0
	for at := 0; n < most; {
		i := strings.Index(s[at:], attachment)
		if i < 0 {
			break
		}
		from := at + i
		to := strings.Index(s[from:], "]]")
		if to < 0 || to > 4096 {
			at = from + len(attachment)
			continue
		}
		at = from + to + 2
		if at > head && from < tail {
			b.WriteString(s[from:at] + "\n")
			n++
		}
	}
	return b.String()
}

// Rebase makes the relative paths of a case's attachments begin at the report.
func Rebase(c *junit.Case, prefix string) {
	texts := append(Outputs(c), Bodies(c)...)
	for _, text := range texts {
		before, rest, found := strings.Cut(*text, attachment)
		if !found {
			continue
		}
		var b strings.Builder
		b.WriteString(before)
		for found {
			var one string
			one, rest, found = strings.Cut(rest, attachment)
			b.WriteString(attachment)
			if !strings.HasPrefix(one, "/") && !strings.Contains(one[:min(len(one), 20)], ":") {
				b.WriteString(prefix + "/")
			}
			b.WriteString(one)
		}
		*text = b.String()
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

// FirstLine is the first line that a red case says about itself.
func FirstLine(c *junit.Case) string {
	for _, r := range c.Results {
		if !r.Status.Red() {
			continue
		}
		for _, text := range []string{r.Message, r.Text, r.Type} {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); line != "" {
					return OneLine(line)
				}
			}
		}
	}
	return "no message"
}

// LeaveOut replaces texts that are worth it by their size and the place where all
// of each is.
func (k *Cutter) LeaveOut(kept string, texts ...*string) {
	for _, s := range texts {
		note := fmt.Sprintf("[%d bytes left out: the report was too large%s]", len(*s), WhereKept(kept))
		if len(*s) > len(note) {
			k.Cut += int64(len(*s))
			*s = note
		}
	}
}
