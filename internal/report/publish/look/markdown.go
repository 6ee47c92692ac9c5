package look

import (
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
)

// Markdown makes text inert in Markdown: nothing a log or a test id contains may
// become markup, a mention, a reference or a table cell.
func Markdown(s string) string {
	var b strings.Builder
	rest := []rune(strings.TrimSpace(s)) // blanks in front are a block of code
	number := 0                          // digits that the text begins with
	for number < len(rest) && rest[number] >= '0' && rest[number] <= '9' {
		number++
	}
	if len(rest) > 0 && (rest[0] == '-' || rest[0] == '=') { // a rule, a list or the line below a heading
		b.WriteByte('\\')
	}
	for i, r := range rest {
		switch r {
		case '.':
			b.WriteString(inertDot(rest, i, number) + ".")
		case '\\', '`', '*', '_', '{', '}', '[', ']', '(', ')', '+', '!', '|', '~', '$':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '#':
			b.WriteString(`\#`)
			if i+1 < len(rest) && rest[i+1] >= '0' && rest[i+1] <= '9' {
				b.WriteRune(zeroWidth) // #123 is a reference even when escaped
			}
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '&':
			b.WriteString("&amp;")
		case '@':
			b.WriteRune(r)
			b.WriteRune(zeroWidth)
		case ':':
			b.WriteRune(r)
			if i+2 < len(rest) && rest[i+1] == '/' && rest[i+2] == '/' {
				b.WriteRune(zeroWidth) // a bare URL becomes a link
			}
		default:
			b.WriteRune(shown(r))
		}
	}
	return b.String()
}

// shown is what stands for a character that cannot be seen; any other is itself.
func shown(r rune) rune {
	switch {
	case plain.Hidden(r):
		return '\ufffd'
	case r < ' ' || r == 0x7f:
		return ' '
	}
	return r
}

// inertDot is what stands before a dot so that it makes nothing active; the text begins with so many digits.
func inertDot(text []rune, i, digits int) string {
	switch {
	case i > 0 && i == digits && (i+1 == len(text) || text[i+1] == ' '): // a numbered list
		return `\`
	case i >= 3 && strings.EqualFold(string(text[i-3:i]), "www"): // a link without a scheme
		return string(zeroWidth)
	}
	return ""
}

// zeroWidth keeps apart what Markdown would join into something active.
const zeroWidth = '\u200b'
