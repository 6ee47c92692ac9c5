package xmltext

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// spelledESC is ESC as pytest writes it.
const spelledESC = "#x1B"

// sequence is a control sequence of terminals: CSI (ESC [ and its one-character form),
// OSC and the other strings, up to BEL or ESC \, and those of two characters. ESC and BEL
// may be spelled out.
var sequence = regexp.MustCompile(`^(?:(?:(?:\x1b|#x1B)\[|\x{9b})[ -?]*[@-~]` +
	`|(?:\x1b|#x1B)(?:[\]PX^_][^\n]*?(?:\x07|#x07|\x1b\\|#x1B\\)|[()#][0-Z]|[78=>cDEHM]))`)

// sequenceLen is the length of the control sequence that s begins with. One that is longer
// than maxSequence is text.
func sequenceLen(s string) int {
	const maxSequence = 1024
	if at := sequence.FindStringIndex(s[:min(len(s), maxSequence)]); at != nil {
		return at[1]
	}
	return 0
}

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
	for ; i < len(s); i = firstUnclean(s) {
		b.WriteString(s[:i])
		s = s[i:]
		_, size := utf8.DecodeRuneInString(s)
		switch n := sequenceLen(s); {
		case n > 0:
			size = n
		case s[0] != '\r':
			b.WriteRune(utf8.RuneError)
		case !strings.HasPrefix(s, "\r\n"):
			b.WriteByte('\n')
		}
		s = s[size:]
	}
	b.WriteString(s)
	if out := b.String(); strings.Contains(out, spelledESC) { // removing one sequence may have put another one together
		return Clean(out)
	}
	return b.String()
}

// firstUnclean is the index of the first byte that Clean changes, or len(s).
func firstUnclean(s string) int {
	b := bytesOf(s)
	for i := nextOdd(b, 0, '#', '#'); i < len(b); i = nextOdd(b, i, '#', '#') {
		switch c := b[i]; {
		case c == '\n' || c == '\t':
			i++
		case c == '#':
			if strings.HasPrefix(s[i:], spelledESC) && sequenceLen(s[i:]) > 0 {
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

// csi is the one-character form of ESC [.
func csi(r rune) bool { return r == 0x9B }
