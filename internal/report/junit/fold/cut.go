package fold

import (
	"cmp"
	"fmt"
	"regexp"
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

// Output is how many bytes of output a case may have that ended in s.
func (c Caps) Output(s junit.Status) int {
	if s.Red() {
		return c.FailOut
	}
	return c.PassOut
}

// attachment is the marker by which a viewer finds an attached file.
var attachment = regexp.MustCompile(`\[\[ATTACHMENT\|([^\n]*?)\]\]`)

// Attached reports whether there is such a marker in a text.
func Attached(text []byte) bool { return attachment.Match(text) }

// Cut is s and, if it is longer than limit bytes, its head and tail with a marker between them that says how much is
// missing and where all of it is kept, and with the markers of attachments that stand in what is missing. It gives the
// number of bytes that are missing.
func Cut(s string, limit int, kept string) (string, int) {
	if len(s) <= limit {
		return s, 0
	}
	if kept != "" {
		kept = "; all of it: " + kept
	}
	const listed, most = 100, 10_000 // attachments that are missing, and all; the head has fewer
	all := attachment.FindAllStringIndex(s, most)
	for room := limit; ; {
		head, tail := room/2, len(s)-(room-room/2)
		for head > 0 && !utf8.RuneStart(s[head]) {
			head--
		}
		for tail < len(s) && !utf8.RuneStart(s[tail]) {
			tail++
		}
		var files []string
		for _, at := range all {
			if at[1] > head && at[0] < tail && len(files) < listed {
				files = append(files, s[at[0]:at[1]]+"\n")
			}
		}
		out := s[:head] + fmt.Sprintf("\n[... %d bytes cut%s ...]\n", tail-head, kept) + strings.Join(files, "") + s[tail:]
		if len(out) <= limit || room == 0 {
			return out, tail - head
		}
		room = max(0, room-(len(out)-limit))
	}
}

// Rebase makes the relative paths of a case's attachments begin at the report.
func Rebase(c *junit.Case, prefix string) {
	rebase := func(text *string) {
		*text = attachment.ReplaceAllStringFunc(*text, func(marker string) string {
			path := attachment.FindStringSubmatch(marker)[1]
			if strings.HasPrefix(path, "/") || strings.Contains(path[:min(len(path), 20)], ":") {
				return marker
			}
			return strings.Replace(marker, path, prefix+"/"+path, 1)
		})
	}
	for i := range c.Results {
		rebase(&c.Results[i].Text)
	}
	for _, list := range [...][]string{c.SystemOut, c.SystemErr} {
		for i := range list {
			rebase(&list[i])
		}
	}
}

// Level is how much is cut of a report that would be too large; never a case.
type Level int

// The levels: each cuts what those before it do.
const (
	Whole Level = iota
	Lean        // texts of tests that are not red, and of suites
	Short       // those of red tests too, but less
)

// Cutter brings texts under bounds and counts what it cut.
type Cutter struct {
	Caps  Caps
	Off   bool
	Cut   int64 // bytes so far
	Level Level
}

// few is how many bytes of a text are left of one that nobody needs.
const few = 128

// Limit is how many bytes a text may have that may have some at most, of a red test or not.
func (k *Cutter) Limit(most int, red bool) int {
	const little = 2 << 10
	switch {
	case k.Level >= Lean && !red:
		return min(most, few)
	case k.Level >= Short:
		return min(most, little)
	default:
		return most
	}
}

// Fits reports whether a report of a size stays as it is: at the last level it does anyway.
func (k *Cutter) Fits(size int64) bool {
	return k.Off || k.Level == Short || size <= k.Caps.File
}

// Fit has a report laid out, and again with more of its texts cut until it has at most
// the bytes that it may have. It warns of what is missing.
func (k *Cutter) Fit(layOut func() (int64, error)) (warnings []string, err error) {
	size, before, whole := int64(0), k.Cut, int64(0)
	for k.Level = Whole; ; k.Level++ {
		k.Cut = before
		if size, err = layOut(); err != nil {
			return nil, err
		}
		if k.Level == Whole {
			whole = k.Cut
		}
		if k.Fits(size) {
			break
		}
	}
	if left := k.Cut - whole; left > 0 {
		warnings = append(warnings, fmt.Sprintf("the report would have more than %d bytes: %d bytes of text were left out", k.Caps.File, left))
	}
	if size > k.Caps.File && !k.Off {
		warnings = append(warnings, fmt.Sprintf("the report has %d bytes, more than %d: so many are its cases, with texts of a few bytes or none", size, k.Caps.File))
	}
	return warnings, nil
}

// Text is s, clean and not longer than limit bytes.
func (k *Cutter) Text(s string, limit int, kept string) string {
	if k.Off {
		return s
	}
	whole := junit.Clean(s)
	s, n := Cut(whole, limit, kept)
	if limit == few && 2*len(s) > len(whole) { // a marker in its place says less and takes as much
		return whole
	}
	k.Cut += int64(n)
	return s
}

// OneText puts several outputs into one, as readers take only the first, and caps it.
func (k *Cutter) OneText(texts []string, limit int, kept string) []string {
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

// message is s as one line of bounded length. cut says that something is missing from it.
func (k *Cutter) message(s string) (line string, cut bool) {
	line = OneLine(junit.Clean(s))
	if runes := []rune(line[:min(len(line), (k.Caps.Message+1)*utf8.UTFMax)]); len(runes) > k.Caps.Message {
		return string(runes[:k.Caps.Message-1]) + "…", true
	}
	return line, false
}

// Apply brings the texts of a case under the bounds that hold. The case's lists are its own afterwards.
func (k *Cutter) Apply(c *junit.Case, kept string) {
	red := c.Status().Red()
	limit, body := k.Limit(k.Caps.Output(c.Status()), red), k.Limit(k.Caps.Body, red)
	c.SystemOut, c.SystemErr = k.OneText(c.SystemOut, limit, kept), k.OneText(c.SystemErr, limit, kept)
	if k.Off {
		return
	}
	c.Results, c.Reruns = slices.Clone(c.Results), slices.Clone(c.Reruns)
	c.Properties = slices.Clone(c.Properties)
	for i := range c.Results {
		r := &c.Results[i]
		line, cut := k.message(r.Message)
		if cut && !strings.Contains(r.Text, r.Message) {
			r.Text = r.Message + "\n\n" + r.Text // it is still there
		}
		r.Message, r.Text = line, k.Text(r.Text, body, kept)
	}
	for i := range c.Reruns {
		r := &c.Reruns[i]
		line, cut := k.message(r.Message)
		if cut {
			k.Cut += int64(len(r.Message) - len(line))
		}
		r.Message, r.StackTrace = line, k.Text(r.StackTrace, body, kept)
		r.SystemOut, r.SystemErr = k.Text(r.SystemOut, limit, kept), k.Text(r.SystemErr, limit, kept)
	}
	for i := range c.Properties {
		c.Properties[i].Value = k.Text(c.Properties[i].Value, k.Caps.Body, kept)
	}
}
