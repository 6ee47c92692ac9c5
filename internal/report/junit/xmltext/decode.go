package xmltext

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Eight bytes at a time: the usual tricks with a word as a vector of bytes.
const (
	eachByte = 0x0101010101010101
	topBits  = 0x8080808080808080
)

// nextOdd is the index, from i on, of the first byte that is not printable ASCII,
// or is x or y; len(b) if there is none.
func nextOdd(b []byte, i int, x, y byte) int {
	vx, vy := eachByte*uint64(x), eachByte*uint64(y)
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		wx, wy := w^vx, w^vy
		odd := w - eachByte*0x20     // borrows where a byte is below 0x20
		odd |= w + eachByte          // carries into the top bit from 0x7F on
		odd |= (wx - eachByte) &^ wx // top bit where a byte is x
		odd |= (wy - eachByte) &^ wy // or y
		odd = (odd | w) & topBits    // the lowest of these is right, those above it may be carries
		if odd != 0 {
			return i + bits.TrailingZeros64(odd)/8
		}
	}
	for i < len(b) && b[i] >= 0x20 && b[i] < 0x7F && b[i] != x && b[i] != y {
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
	if where == InAttribute && bytes.IndexByte(b, '<') >= 0 || bytes.Contains(b, []byte("]]>")) {
		return false
	}
	for i := nextOdd(b, 0, '&', '#'); i < len(b); i = nextOdd(b, i, '&', '#') {
		n := plainOdd(b[i:], where)
		if n == 0 {
			return false
		}
		i += n
	}
	return true
}

// plainOdd is the length of what b begins with, a byte that may be more than text,
// or 0 if that is not plain.
func plainOdd(b []byte, where Context) int {
	switch c := b[0]; {
	case c == '\n' || c == '\t':
		if where == InAttribute { // readers make a blank of it, or do not
			return 0
		}
	case c == '&' && where != InCDATA:
		return plainEntity(b)
	case c == '#':
		if len(b) < len(spelledESC) && where != InAttribute || bytes.HasPrefix(b, []byte(spelledESC)) {
			return 0
		}
	case c >= utf8.RuneSelf:
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 || !legal(r) || csi(r) {
			return 0
		}
		return size
	case c != '&':
		return 0
	}
	return 1
}

// plainEntity is the length of the reference at the start of b if every reader
// takes it for the same character, and Clean leaves that alone; else 0.
func plainEntity(b []byte) int {
	end := bytes.IndexByte(b[:min(len(b), 12)], ';')
	if end < 2 {
		return 0
	}
	if b[1] != '#' {
		if namedEntity(b[1:end]) == 0 {
			return 0
		}
		return end + 1
	}
	r, ok := charRef(b[2:end])
	if !ok || !legal(r) || r < 0xA0 && strings.IndexByte("\n\t\"'&<>", byte(r)) < 0 { //nolint:gosec // below 0xA0
		return 0
	}
	return end + 1
}

// Decoder turns raw XML character data into text: entities, line ends, and what
// XML does not allow. It counts what it had to repair. The control characters
// that begin terminal sequences are left for Clean.
type Decoder struct{ Repaired int64 }

// Clean is the decoded, clean value of an attribute.
func (d *Decoder) Clean(value []byte) string {
	d.Repaired += int64(bytes.Count(value, []byte{'<'})) // XML wants it escaped, and nothing is lost
	return Clean(string(d.Append(nil, value, InAttribute)))
}

// Append appends decoded text. In attributes white space is blanks.
func (d *Decoder) Append(dst, src []byte, where Context) []byte {
	for len(src) > 0 {
		n := nextOdd(src, 0, '&', '&')
		dst = append(dst, src[:n]...)
		if src = src[n:]; len(src) == 0 {
			break
		}
		switch b := src[0]; {
		case b == '&' && where != InCDATA:
			dst, src = d.entity(dst, src)
		case b == '&':
			dst, src = append(dst, '&'), src[1:]
		case b == '\r' || b == '\n' || b == '\t':
			if b == '\r' && len(src) > 1 && src[1] == '\n' {
				src = src[1:]
			}
			if b == '\r' {
				b = '\n'
			}
			if where == InAttribute {
				b = ' '
			}
			dst, src = append(dst, b), src[1:]
		default:
			r, size := utf8.DecodeRune(src)
			r = d.repair(r, r == utf8.RuneError && size == 1)
			dst, src = utf8.AppendRune(dst, r), src[size:]
		}
	}
	return dst
}

// repair is r, or what stands for a character that XML does not allow.
func (d *Decoder) repair(r rune, broken bool) rune {
	if !broken && legal(r) {
		return r
	}
	d.Repaired++
	if r == '\x1b' || r == '\a' {
		return r
	}
	return utf8.RuneError
}

// entity decodes the reference at the start of src. What is none, or none that
// XML knows, stays as it is written: an entity of a document type is never
// expanded, and a bare "&" loses nothing.
func (d *Decoder) entity(dst, src []byte) (out, rest []byte) {
	end := bytes.IndexByte(src[:min(len(src), 64)], ';')
	if end > 1 {
		name := src[1:end]
		if name[0] == '#' {
			if r, ok := charRef(name[1:]); ok {
				return utf8.AppendRune(dst, d.repair(r, false)), src[end+1:]
			}
		} else if b := namedEntity(name); b != 0 {
			return append(dst, b), src[end+1:]
		}
	}
	d.Repaired++
	return append(dst, '&'), src[1:]
}

func namedEntity(name []byte) byte {
	switch string(name) {
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "amp":
		return '&'
	case "quot":
		return '"'
	case "apos":
		return '\''
	default:
		return 0
	}
}

// charRef is the code point of "10" or "x1B". A number that is no code point at
// all becomes one that is not legal.
func charRef(ref []byte) (rune, bool) {
	base := 10
	if len(ref) > 0 && (ref[0] == 'x' || ref[0] == 'X') {
		base, ref = 16, ref[1:]
	}
	n, err := strconv.ParseUint(string(ref), base, 64)
	if err != nil {
		return 0, false
	}
	if n > utf8.MaxRune {
		return 0, true
	}
	return rune(n), true
}

// legal reports whether XML 1.0 allows the character.
func legal(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xD7FF ||
		r >= 0xE000 && r <= 0xFFFD ||
		r >= 0x10000 && r <= utf8.MaxRune
}

// OwnString is b as a string without a copy. The caller never touches b again.
func OwnString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf is s as bytes without a copy, to be read only.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
