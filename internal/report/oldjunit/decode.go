package junit

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf8"
)

// plainByte tells the bytes that mean themselves in any XML text: everything in
// ASCII but "&", CR and the control characters. "<" cannot occur in text and is
// let through in attributes.
type byteSet [256]bool

func plainBytes() *byteSet {
	var set byteSet
	for b := range utf8.RuneSelf {
		set[b] = b >= 0x20 || b == '\t' || b == '\n'
	}
	set['&'] = false
	return &set
}

// decoder turns raw XML character data into text: entities, line ends, and what
// XML does not allow. It counts what it had to repair.
type decoder struct {
	plain    *byteSet
	repaired int64
}

// appendText decodes text with entities.
func (d *decoder) appendText(dst, src []byte) []byte { return d.append(dst, src, true) }

// appendCDATA decodes text without entities.
func (d *decoder) appendCDATA(dst, src []byte) []byte { return d.append(dst, src, false) }

func (d *decoder) append(dst, src []byte, entities bool) []byte {
	for len(src) > 0 {
		n := 0
		for n < len(src) {
			if n+8 <= len(src) && ordinary(binary.LittleEndian.Uint64(src[n:]), '&') {
				n += 8
				continue
			}
			if !d.plain[src[n]] {
				break
			}
			n++
		}
		dst = append(dst, src[:n]...)
		src = src[n:]
		if len(src) == 0 {
			return dst
		}
		dst, src = d.special(dst, src, entities)
	}
	return dst
}

// Eight bytes at a time: the usual tricks with a word as a vector of bytes.
const (
	eachByte = 0x0101010101010101
	topBits  = 0x8080808080808080
)

// ordinary reports whether all eight bytes are printable ASCII other than not
// and DEL. It may say no where it could say yes, never the other way round.
func ordinary(w uint64, not byte) bool {
	x := w ^ eachByte*uint64(not)
	control := w - eachByte*0x20 // borrows where a byte is below 0x20
	del := w + eachByte          // carries into the top bit from 0x7F on
	equal := (x - eachByte) & ^x // top bit where a byte is not
	return (w|control|del|equal)&topBits == 0
}

// special decodes the one character or entity at the start of src.
func (d *decoder) special(dst, src []byte, entities bool) (out, rest []byte) {
	switch b := src[0]; {
	case b == '&' && entities:
		return d.entity(dst, src)
	case b == '&':
		return append(dst, '&'), src[1:]
	case b == '\r':
		if len(src) > 1 && src[1] == '\n' {
			src = src[1:]
		}
		return append(dst, '\n'), src[1:]
	default:
		r, size := utf8.DecodeRune(src)
		if (r == utf8.RuneError && size == 1) || !legal(r) {
			d.repaired++
			r = utf8.RuneError
		}
		return utf8.AppendRune(dst, r), src[size:]
	}
}

// entity decodes the reference at the start of src. What is none, or none that
// XML knows, stays as it is written: an entity of a document type is never
// expanded, and a bare "&" loses nothing.
func (d *decoder) entity(dst, src []byte) (out, rest []byte) {
	end := bytes.IndexByte(src[:min(len(src), holdBack)], ';')
	if end > 1 {
		name := src[1:end]
		if name[0] == '#' {
			if r, ok := charRef(name[1:]); ok {
				if !legal(r) {
					d.repaired++
					r = utf8.RuneError
				}
				return utf8.AppendRune(dst, r), src[end+1:]
			}
		} else if b := namedEntity(name); b != 0 {
			return append(dst, b), src[end+1:]
		}
	}
	d.repaired++
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
	if len(ref) == 0 || ref[0] == '+' || ref[0] == '-' || ref[0] == '_' {
		return 0, false
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

// appendEscaped writes decoded text so that any reader, also one that decodes
// HTML entities, gets the same text back.
func appendEscaped(dst, text []byte) []byte {
	last := 0
	for i, b := range text {
		esc := ""
		switch b {
		case '&':
			esc = "&amp;"
		case '<':
			esc = "&lt;"
		case '>':
			esc = "&gt;"
		case '"':
			esc = "&#34;"
		case '\r':
			esc = "&#13;"
		default:
			continue
		}
		dst = append(dst, text[last:i]...)
		dst = append(dst, esc...)
		last = i + 1
	}
	return append(dst, text[last:]...)
}
