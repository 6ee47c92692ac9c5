package xmltext

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/ci-disagg/ci-disagg/internal/plain"
)

// nextOdd is the index, from i on, of the first byte that is not printable ASCII, or is
// one of four; len(b) if there is none. It takes eight bytes at a time, a word as a vector.
func nextOdd(b []byte, i int, x, y, z, t byte) int {
	const eachByte, topBits = 0x0101010101010101, 0x8080808080808080
	vx, vy, vz, vt := eachByte*uint64(x), eachByte*uint64(y), eachByte*uint64(z), eachByte*uint64(t)
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		wx, wy, wz, wt := w^vx, w^vy, w^vz, w^vt
		odd := w - eachByte*0x20     // borrows where a byte is below 0x20
		odd |= w + eachByte          // carries into the top bit from 0x7F on
		odd |= (wx - eachByte) &^ wx // top bit where a byte is x
		odd |= (wy - eachByte) &^ wy // or y
		odd |= (wz - eachByte) &^ wz
		odd |= (wt - eachByte) &^ wt
		odd = (odd | w) & topBits // the lowest of these is right, those above it may be carries
		if odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	for i < len(b) && b[i] >= 0x20 && b[i] < 0x7F && b[i] != x && b[i] != y && b[i] != z && b[i] != t {
		i++
	}
	return i
}

// Context is where a piece of raw XML text stands.
type Context int

// The contexts.
const (
	InText Context = iota
	InCDATA
	InAttribute
)

// Plain reports whether raw XML text is as a report may have it: nothing of it
// has to be repaired, cleaned or escaped in another way, whoever reads it.
func Plain(b []byte, where Context) bool {
	for i := nextOdd(b, 0, '&', '#', '<', ']'); i < len(b); i = nextOdd(b, i, '&', '#', '<', ']') {
		n := plainOdd(b[i:], where)
		if n == 0 {
			return false
		}
		i += n
	}
	return true
}

// plainOdd is the length of what b begins with, a byte that may be more than text, or 0 if that is not plain.
func plainOdd(b []byte, where Context) int {
	switch c := b[0]; {
	case c == '&' && where != InCDATA:
		const low = 1<<'\t' | 1<<'\n' | 1<<'"' | 1<<'&' | 1<<'\'' | 1<<'<' | 1<<'>' // the set of characters
		if r, n := reference(b); r >= 0xA0 && legal(r) && !plain.Hidden(r) || r < 64 && low>>r&1 == 1 {
			return n
		}
		return 0
	case c == '#' && (len(b) < len(spelledESC) && where != InAttribute || bytes.HasPrefix(b, []byte(spelledESC))):
		return 0 // the rest of it may be in another piece
	case c == ']' && bytes.HasPrefix(b, []byte("]]>")), c == '<' && where != InCDATA:
		return 0
	case c < ' ' && where == InAttribute:
		return 0 // readers make a blank of it, or do not
	}
	return clean(b)
}

// clean is the length of the character that b begins with, 0 if Clean changes it.
func clean(b []byte) int {
	r, size := utf8.DecodeRune(b)
	if r == utf8.RuneError && size == 1 || !legal(r) || plain.Hidden(r) || r == csi || r == '\x7f' || r == '\r' {
		return 0
	}
	return size
}

// legal reports whether XML 1.0 allows the character.
func legal(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xD7FF ||
		r >= 0xE000 && r <= 0xFFFD ||
		r >= 0x10000 && r <= utf8.MaxRune
}

// Decoder turns raw XML character data into text: entities, line ends, and what XML does not allow. It counts what it
// had to repair. The control characters that begin terminal sequences are left for Clean.
type Decoder struct{ Repaired int64 }

// Clean is raw text, decoded and clean.
func (d *Decoder) Clean(raw []byte, where Context) string {
	return Clean(OwnString(d.Append(nil, raw, where)))
}

// Append appends decoded text. In attributes white space is blanks. A reference that
// XML does not know stays as it is written: an entity of a document type is never
// expanded, and a bare "&" loses nothing, nor does a "<" that begins no markup.
func (d *Decoder) Append(dst, src []byte, where Context) []byte {
	if where != InCDATA {
		d.Repaired += int64(bytes.Count(src, []byte{'<'}))
	}
	for {
		n := nextOdd(src, 0, '&', '&', '&', '&')
		dst = append(dst, src[:n]...)
		if src = src[n:]; len(src) == 0 {
			return dst
		}
		r, size := utf8.DecodeRune(src)
		switch {
		case r == '&' && where != InCDATA:
			if to, n := reference(src); n > 0 {
				r, size = d.repair(to), n
			} else {
				d.Repaired++
			}
		case bytes.HasPrefix(src, []byte("\r\n")):
			src = src[1:]
			continue
		case where == InAttribute && (r == '\r' || r == '\n' || r == '\t'):
			r = ' '
		case r == '\r':
			r = '\n'
		case r == utf8.RuneError && size == 1:
			r = d.repair(0)
		default:
			r = d.repair(r)
		}
		dst, src = utf8.AppendRune(dst, r), src[size:]
	}
}

// repair is r, or what stands for a character that XML does not allow.
func (d *Decoder) repair(r rune) rune {
	if legal(r) {
		return r
	}
	d.Repaired++
	if r == '\x1b' || r == '\a' {
		return r
	}
	return utf8.RuneError
}

//nolint:gochecknoglobals // immutable
var entities = map[string]rune{"lt": '<', "gt": '>', "amp": '&', "quot": '"', "apos": '\''}

// reference is the character for which the reference at the start of b stands, and the length of that; 0 if XML knows
// none such. A number that is no code point stands for a character that is not legal.
func reference(b []byte) (r rune, n int) {
	n = bytes.IndexByte(b[:min(len(b), 64)], ';') + 1
	if r, ok := entities[string(b[1:max(n-1, 1)])]; ok {
		return r, n
	}
	if n < 3 || b[1] != '#' {
		return 0, 0
	}
	digits, base := b[2:n-1], 10
	if len(digits) > 0 && digits[0]|0x20 == 'x' {
		digits, base = digits[1:], 16
	}
	code, err := strconv.ParseUint(string(digits), base, 64)
	switch {
	case err != nil:
		return 0, 0
	case code > utf8.MaxRune:
		return 0, n
	}
	return rune(code), n
}

// What begins the control sequences of terminals.
const (
	spelledESC = "#x1B"   // ESC as pytest writes it
	csi        = '\u009b' // ESC [ as one character
)

// sequence is a control sequence of terminals: CSI, those of two characters, or, as its group, what begins OSC and the
// other strings, which go up to BEL or ESC \. ESC and BEL may be spelled out.
var sequence = regexp.MustCompile(`^(?:(?:(?:\x1b|#x1B)\[|\x{9b})[ -?]*[@-~]|(?:\x1b|#x1B)(?:([\]PX^_])|[()#][0-Z]|[78=>cDEHM]))`)

// sequenceLen is the length of the control sequence that s begins with. One that is longer
// than maxSequence is text, and a string that does not end on its line.
func sequenceLen(s string) (n int) {
	const maxSequence = 1024
	s = s[:min(len(s), maxSequence)]
	switch at := sequence.FindStringSubmatchIndex(s); {
	case at == nil:
		return 0
	case at[2] < 0:
		return at[1]
	}
	line, _, _ := strings.Cut(s, "\n")
	for _, end := range []string{"\a", "#x07", "\x1b\\", spelledESC + "\\"} {
		if before, _, ok := strings.Cut(line, end); ok {
			line, n = before, len(before)+len(end)
		}
	}
	return n
}

// Clean is text as it may stand in a report: whole terminal escape sequences are removed, also in the spelled-out form
// "#x1B[31m" that pytest writes; what XML forbids, DEL and what is hidden becomes U+FFFD; line ends become LF. Clean
// text is returned as it is, without a copy. Clean(Clean(s)) is Clean(s).
func Clean(s string) string { return sweep(s, false) }

// sweep is Clean; with again, what begins a sequence is marked, and the rest of it stays: nested ones would be put
// together for ever.
func sweep(s string, again bool) string {
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
		case n > 0 && !again:
			size = n
		case s[0] != '\r':
			b.WriteRune(utf8.RuneError)
		case !strings.HasPrefix(s, "\r\n"):
			b.WriteByte('\n')
		}
		s = s[size:]
	}
	b.WriteString(s)
	if out := b.String(); !again && strings.Contains(out, spelledESC) { // removing one sequence may have put another one together
		return sweep(out, true)
	}
	return b.String()
}

// firstUnclean is the index of the first byte that Clean changes, or len(s).
func firstUnclean(s string) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s)) // read only
	for i := nextOdd(b, 0, '#', '#', '#', '#'); i < len(b); i = nextOdd(b, i, '#', '#', '#', '#') {
		n := clean(b[i:])
		if n == 0 || b[i] == '#' && strings.HasPrefix(s[i:], spelledESC) && sequenceLen(s[i:]) > 0 {
			return i
		}
		i += n
	}
	return len(s)
}

// OwnString is b as a string without a copy. The caller never touches b again.
func OwnString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
