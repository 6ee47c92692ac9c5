package merge

import (
	"fmt"
	"strings"
	"unicode/utf8"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
)

func (c Caps) withDefaults() Caps {
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

// cutter shortens texts and counts what it cut.
type cutter struct {
	caps Caps
	off  bool
	cut  int64
}

// text is s cleaned and, if it is longer than limit bytes, reduced to its head
// and tail with a marker between them that says how much is missing and where
// all of it is kept.
func (k *cutter) text(s string, limit int, kept string) string {
	if k.off || len(s) <= limit {
		return s
	}
	marker := func(n int) string {
		return fmt.Sprintf("\n[... %d bytes cut%s ...]\n", n, whereKept(kept))
	}
	room := max(0, limit-len(marker(len(s))))
	head := runeStart(s, room/2)
	tail := len(s) - (room - room/2)
	for tail < len(s) && !utf8.RuneStart(s[tail]) {
		tail++
	}
	k.cut += int64(tail - head)
	return s[:head] + marker(tail-head) + s[tail:]
}

// whereKept says in a marker where all of a text is.
func whereKept(path string) string {
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
func (k *cutter) message(s string) (line string, cut bool) {
	if k.off {
		return s, false
	}
	line = oneLine(s)
	if utf8.RuneCountInString(line) <= k.caps.Message {
		return line, false
	}
	n := 0
	for i := range line {
		if n == k.caps.Message-1 {
			k.cut += int64(len(line) - i)
			return line[:i] + "…", true
		}
		n++
	}
	return line, false
}

// oneLine is s with every run of blanks and line ends replaced by one blank, if
// it has a line end at all.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\n\r\t") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}

// apply brings the texts of a case under the caps.
func (k *cutter) apply(c *junit.Case, kept string) {
	limit := k.caps.PassOut
	if c.Status().Red() {
		limit = k.caps.FailOut
	}
	c.SystemOut = k.texts(c.SystemOut, limit, kept)
	c.SystemErr = k.texts(c.SystemErr, limit, kept)
	if k.off {
		return
	}
	for i := range c.Results {
		r := &c.Results[i]
		line, cut := k.message(junit.Clean(r.Message))
		if cut && !strings.Contains(r.Text, r.Message) {
			r.Text = r.Message + "\n\n" + r.Text
			k.cut -= int64(len(r.Message)) // it is still there
			if k.cut < 0 {
				k.cut = 0
			}
		}
		r.Message = line
		r.Text = k.text(junit.Clean(r.Text), k.caps.Body, kept)
	}
	for i := range c.Reruns {
		r := &c.Reruns[i]
		r.Message, _ = k.message(junit.Clean(r.Message))
		r.StackTrace = k.text(junit.Clean(r.StackTrace), k.caps.Body, kept)
		r.SystemOut = k.text(junit.Clean(r.SystemOut), limit, kept)
		r.SystemErr = k.text(junit.Clean(r.SystemErr), limit, kept)
	}
	for i := range c.Properties {
		c.Properties[i].Value = k.text(junit.Clean(c.Properties[i].Value), k.caps.Body, kept)
	}
	for i := range c.Extra {
		c.Extra[i].Text = k.text(junit.Clean(c.Extra[i].Text), limit, kept)
	}
}

// oneText puts several texts into one.
func oneText(texts []string) []string {
	if len(texts) < 2 {
		return texts
	}
	return []string{strings.Join(texts, "\n")}
}

// texts puts several outputs into one, as readers take only the first, and caps
// it.
func (k *cutter) texts(texts []string, limit int, kept string) []string {
	texts = oneText(texts)
	if k.off || len(texts) == 0 {
		return texts
	}
	if t := k.text(junit.Clean(texts[0]), limit, kept); t != texts[0] {
		return []string{t}
	}
	return texts
}
