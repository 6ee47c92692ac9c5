package xmltext

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// tag reads a tag with parse, which gives its length, or errShort if the window
// has to reach further.
func (s *Scanner) tag(parse func(*Scanner, []byte) (int, error)) error {
	for {
		win := len(s.buf) - s.pos
		n, err := parse(s, s.buf[s.pos:])
		if err == nil {
			s.pos += n
			return nil
		}
		if !errors.Is(err, errShort) {
			return err
		}
		if int64(win) > s.max {
			return ErrTooLarge
		}
		s.have(2 * win) // doubled, so that a large tag is not begun again too often
		if len(s.buf)-s.pos == win {
			return s.cutOff()
		}
	}
}

// startTag parses the start tag that b begins with.
func (s *Scanner) startTag(b []byte) (int, error) {
	i := 1 + nameLen(b[1:])
	s.QName, s.Attrs, s.SelfClose = b[1:i], s.Attrs[:0], false
	for {
		j := i
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		switch {
		case i == len(b):
			return 0, errShort
		case b[i] == '>':
			return i + 1, nil
		case b[i] == '/' && i+1 == len(b):
			return 0, errShort
		case b[i] == '/' && b[i+1] == '>':
			s.SelfClose = true
			return i + 2, nil
		case b[i] == '<':
			return 0, errors.New("a tag begins inside a tag")
		case i == 1 || i == j && len(s.Attrs) == 0:
			return 0, fmt.Errorf("%q is not the name of an element", b[1:min(len(b), 21)])
		case len(s.Attrs) == MaxAttrs:
			return 0, ErrTooMany
		}
		a, n, err := ParseAttr(b[i:])
		if err != nil {
			return 0, err
		}
		s.Attrs = append(s.Attrs, a)
		i += n
	}
}

// ParseAttr parses the attribute that b begins with, and gives its length.
func ParseAttr(b []byte) (a Attr, n int, err error) {
	n = nameLen(b)
	if n == 0 {
		return a, 0, fmt.Errorf("%q is not an attribute", b[:min(len(b), 20)])
	}
	a.Name = b[:n]
	for n < len(b) && isSpace(b[n]) {
		n++
	}
	switch {
	case n == len(b):
		return a, 0, errShort
	case b[n] != '=':
		return a, 0, fmt.Errorf("attribute %q has no value", a.Name)
	}
	for n++; n < len(b) && isSpace(b[n]); n++ {
	}
	switch {
	case n == len(b):
		return a, 0, errShort
	case b[n] != '"' && b[n] != '\'':
		return a, 0, fmt.Errorf("attribute %q has a value without quotes", a.Name)
	}
	j := bytes.IndexByte(b[n+1:], b[n])
	if j < 0 {
		return a, 0, errShort
	}
	a.Value = b[n+1 : n+1+j]
	return a, n + j + 2, nil
}

// endTag parses the end tag that b begins with.
func (s *Scanner) endTag(b []byte) (int, error) {
	k := bytes.IndexByte(b, '>')
	if k < 0 {
		return 0, errShort
	}
	n := nameLen(b[2:k])
	if n == 0 || len(bytes.TrimSpace(b[2+n:k])) > 0 {
		return 0, fmt.Errorf("%q is not an end tag", b[2:min(k, 22)])
	}
	s.QName, s.SelfClose = b[2:2+n], false
	return k + 1, nil
}

func nameStart(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == ':' || c >= utf8.RuneSelf
}

// nameLen is the length of the XML name at the start of b. All characters
// outside ASCII count as name characters, as almost all are.
func nameLen(b []byte) int {
	for i, c := range b {
		if !nameStart(c) && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return i
		}
	}
	return len(b)
}

// Local is the name without its namespace prefix.
func Local(name []byte) []byte {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 && i+1 < len(name) {
		return name[i+1:]
	}
	return name
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }
