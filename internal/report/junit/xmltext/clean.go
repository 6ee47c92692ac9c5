package xmltext

import (
	"strings"
	"unicode/utf8"
)

const (
	escape     = 0x1B
	bell       = 0x07
	spelledESC = "#x1B" // as pytest writes it
)

// Clean is text as it may stand in a report: whole terminal escape sequences are
// removed, also in the spelled-out form "#x1B[31m" that pytest writes; what XML
// forbids, and DEL, becomes U+FFFD; line ends become LF. Clean text is returned
// as it is, without a copy. Clean(Clean(s)) is Clean(s).
func Clean(s string) string {
	i := firstUnclean(s)
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		b.WriteString(s[:i])
		if i == len(s) {
			break
		}
		s = cleanOne(&b, s[i:])
		i = firstUnclean(s)
	}
	out := b.String()
	if strings.Contains(out, spelledESC) { // removing one sequence may have put another one together
		return Clean(out)
	}
	return out
}

// firstUnclean is the index of the first byte that Clean changes, or len(s).
func firstUnclean(s string) int {
	b := bytesOf(s)
	for i := nextOdd(b, 0, '#', '#'); i < len(b); i = nextOdd(b, i, '#', '#') {
		switch c := b[i]; {
		case c == '\n' || c == '\t':
			i++
		case c == '#':
			if spelledEscape(s[i:]) > 0 {
				return i
			}
			i++
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRune(b[i:])
			if (r == utf8.RuneError && size == 1) || !legal(r) || csi(r) {
				return i
			}
			i += size
		default:
			return i
		}
	}
	return len(s)
}

// cleanOne writes what becomes of the unclean start of s and gives the rest.
func cleanOne(b *strings.Builder, s string) string {
	c := s[0]
	switch {
	case c == '#':
		return s[spelledEscape(s):]
	case c == '\r':
		b.WriteByte('\n')
		return strings.TrimPrefix(s[1:], "\n")
	case c == escape:
		if n := sequence(s[1:]); n > 0 {
			return s[1+n:]
		}
	case c >= utf8.RuneSelf:
		r, size := utf8.DecodeRuneInString(s)
		if csi(r) {
			if n := csiBody(s[size:]); n > 0 {
				return s[size+n:]
			}
		}
		b.WriteRune(utf8.RuneError)
		return s[size:]
	}
	b.WriteRune(utf8.RuneError)
	return s[1:]
}

// csi is the one-character form of ESC [.
func csi(r rune) bool { return r == 0x9B }

// spelledEscape is the length of a sequence that begins with the characters
// "#x1B", as pytest spells ESC; 0 if s does not begin with one.
func spelledEscape(s string) int {
	if !strings.HasPrefix(s, spelledESC) {
		return 0
	}
	if n := sequence(s[len(spelledESC):]); n > 0 {
		return len(spelledESC) + n
	}
	return 0
}

// sequence is the length of the control sequence that follows an ESC: CSI ("["),
// OSC and the other strings ("]", "P", "X", "^", "_"), or a two-character one. 0
// = none.
func sequence(s string) int {
	if s == "" {
		return 0
	}
	switch s[0] {
	case '[':
		if n := csiBody(s[1:]); n > 0 {
			return 1 + n
		}
		return 0
	case ']', 'P', 'X', '^', '_':
		if n := stringBody(s[1:]); n > 0 {
			return 1 + n
		}
		return 0
	case '(', ')', '#':
		if len(s) > 1 && s[1] >= '0' && s[1] <= 'Z' {
			return 2
		}
		return 0
	case '7', '8', '=', '>', 'c', 'D', 'E', 'H', 'M':
		return 1
	default:
		return 0
	}
}

// maxSequence bounds a control sequence: a longer one is text.
const maxSequence = 256

// csiBody is the length of parameters, intermediates and the final byte.
func csiBody(s string) int {
	i := 0
	for i < len(s) && i < maxSequence && s[i] >= 0x20 && s[i] <= 0x3F {
		i++
	}
	if i < len(s) && s[i] >= 0x40 && s[i] <= 0x7E {
		return i + 1
	}
	return 0
}

// stringBody is the length up to and including BEL, ESC \ or its spelled-out
// form.
func stringBody(s string) int {
	for i := 0; i < len(s) && i < 4*maxSequence; i++ {
		switch {
		case s[i] == bell:
			return i + 1
		case strings.HasPrefix(s[i:], "#x07"):
			return i + 4
		case strings.HasPrefix(s[i:], "\x1b\\"):
			return i + 2
		case strings.HasPrefix(s[i:], "#x1B\\"):
			return i + 5
		case s[i] == '\n':
			return 0
		}
	}
	return 0
}
