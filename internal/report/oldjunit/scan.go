package junit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// tokenKind is what scanner.next found.
type tokenKind int

const (
	tokEOF   tokenKind = iota
	tokText            // character data, entities not decoded
	tokCDATA           // a piece of a CDATA section
	tokStart           // a start tag; selfClose if it ends the element, too
	tokEnd
)

const (
	windowSize = 64 << 10 // read size, and the length at which a text run is handed on in pieces
	holdBack   = 64       // bytes kept for an entity that is not complete yet
)

// scanner cuts a byte stream into XML tokens. It understands text, CDATA,
// comments, processing instructions, a document type and quoted attributes, and
// gives text runs in pieces, so that it holds one tag at a time and no more.
// It is lenient where a reader loses nothing by it ("<" inside quotes or before a
// blank, a bare "&") and strict about structure.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos      int
	base     int64 // offset of buf[0] in the stream
	lines    int   // newlines before buf[0]
	maxTag   int64
	eof      bool
	err      error // of r, other than io.EOF
	inCDATA  bool
	stray    int64 // "<" that began no markup and were taken as text
	tokStart int64 // offset of the current token

	// the current token
	name      []byte // local name
	qname     []byte
	attrs     []byte
	text      []byte
	selfClose bool
}

func newScanner(r io.Reader, maxTag int64) *scanner {
	return &scanner{r: r, maxTag: maxTag, buf: make([]byte, 0, 2*windowSize)}
}

// errTruncated marks the end of input inside a token or element.
var errTruncated = errors.New("unexpected end of file")

// errTagTooLarge marks a tag beyond the limit for one test case.
var errTagTooLarge = errors.New("a single tag is larger than the limit for a test case")

func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// line is the 1-based line of the current position.
func (s *scanner) line() int { return s.lineAt(s.offset()) }

// lineAt is the line of an offset, as far as the window still reaches back.
func (s *scanner) lineAt(offset int64) int {
	i := min(max(0, offset-s.base), int64(len(s.buf)))
	return s.lines + bytes.Count(s.buf[:i], []byte{'\n'}) + 1
}

// more adds at least one byte to the window; false at the end of the stream.
// Positions relative to s.pos stay valid, absolute ones into buf do not.
func (s *scanner) more() bool {
	if s.eof {
		return false
	}
	if s.pos > 0 && (s.pos >= len(s.buf)/2 || len(s.buf) == cap(s.buf)) {
		s.lines += bytes.Count(s.buf[:s.pos], []byte{'\n'})
		s.base += int64(s.pos)
		s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
		s.pos = 0
	}
	if len(s.buf) == cap(s.buf) {
		grown := make([]byte, len(s.buf), 2*cap(s.buf))
		copy(grown, s.buf)
		s.buf = grown
	}
	for range 100 { // a reader may return 0, nil
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if err != nil {
			s.eof = true
			if !errors.Is(err, io.EOF) {
				s.err = err
			}
			return n > 0
		}
		if n > 0 {
			return true
		}
	}
	s.eof, s.err = true, io.ErrNoProgress
	return false
}

// have makes n bytes available from pos on.
func (s *scanner) have(n int) bool {
	for len(s.buf)-s.pos < n {
		if !s.more() {
			return false
		}
	}
	return true
}

// next reads one token into s.
func (s *scanner) next() (tokenKind, error) {
	for {
		if s.inCDATA {
			return s.cdata()
		}
		if !s.have(1) {
			return tokEOF, s.err
		}
		s.tokStart = s.offset()
		if s.buf[s.pos] != '<' || s.strayLess(0) {
			return s.chars()
		}
		kind, again, err := s.markup()
		if err != nil || !again {
			return kind, err
		}
	}
}

// chars reads a text run, or a large piece of one that ends neither inside an
// entity nor inside a character nor between CR and LF.
func (s *scanner) chars() (tokenKind, error) {
	seen := 0
	for {
		win := s.buf[s.pos:]
		if i := bytes.IndexByte(win[seen:], '<'); i >= 0 {
			seen += i
			if s.strayLess(seen) {
				s.stray++
				seen++
				continue
			}
			s.text = s.buf[s.pos : s.pos+seen]
			s.pos += seen
			return tokText, nil
		}
		seen = len(win)
		if cut := safeCut(win); seen >= windowSize && cut > 0 {
			s.text = win[:cut]
			s.pos += cut
			return tokText, nil
		}
		if !s.more() {
			s.text = s.buf[s.pos:]
			s.pos = len(s.buf)
			return tokText, s.err
		}
	}
}

// strayLess reports whether the "<" at pos+i is text that somebody forgot to
// escape: no markup goes on with the byte after it.
func (s *scanner) strayLess(i int) bool {
	if !s.have(i + 2) {
		return false // the end of the input: cut off
	}
	b := s.buf[s.pos+i+1]
	return b != '/' && b != '!' && b != '?' && nameLen([]byte{b}) == 0 && b >= 0x20 || isSpace(b)
}

// safeCut is the longest prefix of text that can be decoded on its own.
func safeCut(text []byte) int {
	cut := len(text)
	if i := bytes.LastIndexByte(text[max(0, cut-holdBack):], '&'); i >= 0 {
		i += max(0, cut-holdBack)
		if bytes.IndexByte(text[i:], ';') < 0 {
			cut = i
		}
	}
	return wholeRunes(text[:cut])
}

// wholeRunes is the longest prefix that ends neither in a part of a character
// nor in a CR whose LF may follow.
func wholeRunes(text []byte) int {
	cut := len(text)
	for i := 1; i <= 3 && i <= cut; i++ {
		if b := text[cut-i]; b >= utf8.RuneSelf {
			if utf8.RuneStart(b) && !utf8.FullRune(text[cut-i:cut]) {
				cut -= i
				break
			}
			continue
		}
		break
	}
	if cut > 0 && text[cut-1] == '\r' {
		cut--
	}
	return cut
}

// cdata reads on inside a CDATA section.
func (s *scanner) cdata() (tokenKind, error) {
	seen := 0
	for {
		win := s.buf[s.pos:]
		if i := bytes.Index(win[max(0, seen-2):], []byte("]]>")); i >= 0 {
			i += max(0, seen-2)
			s.text = win[:i]
			s.pos += i + 3
			s.inCDATA = false
			return tokCDATA, nil
		}
		seen = len(win)
		if seen >= windowSize {
			if cut := wholeRunes(win[:seen-2]); cut > 0 {
				s.text = win[:cut]
				s.pos += cut
				return tokCDATA, nil
			}
		}
		if !s.more() {
			return tokEOF, s.cutOff()
		}
	}
}

// cutOff is the error for an end of input inside a token.
func (s *scanner) cutOff() error {
	if s.err != nil {
		return s.err
	}
	return errTruncated
}

// markup reads what begins with "<". again means that there was nothing to
// report: a comment, an instruction, a document type.
func (s *scanner) markup() (kind tokenKind, again bool, err error) {
	if !s.have(2) {
		return tokEOF, false, s.cutOff()
	}
	switch s.buf[s.pos+1] {
	case '?':
		return tokEOF, true, s.skipTo(2, "?>")
	case '!':
		return s.declaration()
	case '/':
		return s.endTag()
	default:
		return s.startTag()
	}
}

func (s *scanner) declaration() (tokenKind, bool, error) {
	switch {
	case s.prefix("<!--"):
		return tokEOF, true, s.skipTo(4, "-->")
	case s.prefix("<![CDATA["):
		s.pos += len("<![CDATA[")
		s.inCDATA = true
		return tokEOF, true, nil
	case s.prefix("<!DOCTYPE"):
		return tokEOF, true, s.skipDoctype()
	case s.eof:
		return tokEOF, false, s.cutOff()
	default:
		return tokEOF, false, fmt.Errorf("%q begins no comment, CDATA section or document type", s.buf[s.pos:min(len(s.buf), s.pos+9)])
	}
}

// prefix reports whether the input goes on with p.
func (s *scanner) prefix(p string) bool {
	s.have(len(p))
	return bytes.HasPrefix(s.buf[s.pos:], []byte(p))
}

// skipTo skips n bytes and then everything up to and including mark.
func (s *scanner) skipTo(n int, mark string) error {
	s.pos += n
	for {
		win := s.buf[s.pos:]
		if i := bytes.Index(win, []byte(mark)); i >= 0 {
			s.pos += i + len(mark)
			return nil
		}
		s.pos += max(0, len(win)-len(mark)+1)
		if !s.more() {
			return s.cutOff()
		}
	}
}

// skipDoctype skips a document type with its internal subset. Nothing in it is
// used: no entity is expanded, nothing is fetched.
func (s *scanner) skipDoctype() error {
	depth, quote := 0, byte(0)
	for {
		if !s.have(1) {
			return s.cutOff()
		}
		if quote == 0 && s.buf[s.pos] == '<' && s.prefix("<!--") {
			if err := s.skipTo(4, "-->"); err != nil {
				return err
			}
			continue
		}
		b := s.buf[s.pos]
		s.pos++
		switch {
		case quote != 0:
			if b == quote {
				quote = 0
			}
		case b == '"' || b == '\'':
			quote = b
		case b == '<' || b == '[':
			depth++
		case b == ']':
			depth--
		case b == '>':
			if depth--; depth <= 0 {
				return nil
			}
		}
	}
}

// tagEnd gives the length of the tag at pos, ">" included.
func (s *scanner) tagEnd() (int, error) {
	i, quote := 1, byte(0)
	for {
		win := s.buf[s.pos:]
		for i < len(win) {
			if quote != 0 {
				j := bytes.IndexByte(win[i:], quote)
				if j < 0 {
					i = len(win)
					break
				}
				i += j + 1
				quote = 0
				continue
			}
			switch win[i] {
			case '"', '\'':
				quote = win[i]
			case '>':
				return i + 1, nil
			case '<':
				return 0, errors.New("a tag begins inside a tag")
			}
			i++
		}
		if int64(len(win)) > s.maxTag {
			return 0, errTagTooLarge
		}
		if !s.more() {
			return 0, s.cutOff()
		}
	}
}

func (s *scanner) startTag() (tokenKind, bool, error) {
	n, err := s.tagEnd()
	if err != nil {
		return tokEOF, false, err
	}
	tag := s.buf[s.pos+1 : s.pos+n-1]
	s.selfClose = len(tag) > 0 && tag[len(tag)-1] == '/'
	if s.selfClose {
		tag = tag[:len(tag)-1]
	}
	k := nameLen(tag)
	if k == 0 || (k < len(tag) && !isSpace(tag[k])) {
		return tokEOF, false, fmt.Errorf("%q is not the name of an element", tag[:min(len(tag), 20)])
	}
	s.qname, s.attrs = tag[:k], tag[k:]
	s.name = local(s.qname)
	s.pos += n
	return tokStart, false, nil
}

func (s *scanner) endTag() (tokenKind, bool, error) {
	n, err := s.tagEnd()
	if err != nil {
		return tokEOF, false, err
	}
	tag := s.buf[s.pos+2 : s.pos+n-1]
	k := nameLen(tag)
	if k == 0 || len(bytes.TrimSpace(tag[k:])) > 0 {
		return tokEOF, false, fmt.Errorf("%q is not an end tag", tag[:min(len(tag), 20)])
	}
	s.qname = tag[:k]
	s.name = local(s.qname)
	s.pos += n
	return tokEnd, false, nil
}

// rawAttr is one attribute as it stands in the tag.
type rawAttr struct{ name, value []byte }

// nextAttr cuts the first attribute off attrs. ok is false at the end.
func nextAttr(attrs []byte) (a rawAttr, rest []byte, ok bool, err error) {
	i := 0
	for i < len(attrs) && isSpace(attrs[i]) {
		i++
	}
	if i == len(attrs) {
		return rawAttr{}, nil, false, nil
	}
	n := nameLen(attrs[i:])
	if n == 0 {
		return rawAttr{}, nil, false, fmt.Errorf("%q is not an attribute", attrs[i:min(len(attrs), i+20)])
	}
	a.name = attrs[i : i+n]
	i += n
	for i < len(attrs) && isSpace(attrs[i]) {
		i++
	}
	if i == len(attrs) || attrs[i] != '=' {
		return rawAttr{}, nil, false, fmt.Errorf("attribute %q has no value", a.name)
	}
	i++
	for i < len(attrs) && isSpace(attrs[i]) {
		i++
	}
	if i == len(attrs) || (attrs[i] != '"' && attrs[i] != '\'') {
		return rawAttr{}, nil, false, fmt.Errorf("attribute %q has a value without quotes", a.name)
	}
	j := bytes.IndexByte(attrs[i+1:], attrs[i])
	if j < 0 {
		return rawAttr{}, nil, false, fmt.Errorf("attribute %q has no closing quote", a.name)
	}
	a.value = attrs[i+1 : i+1+j]
	return a, attrs[i+j+2:], true, nil
}

// nameLen is the length of the XML name at the start of b. All characters
// outside ASCII count as name characters, as almost all are.
func nameLen(b []byte) int {
	for i, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == ':', c >= utf8.RuneSelf:
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.'):
		default:
			return i
		}
	}
	return len(b)
}

// local is the name without its namespace prefix.
func local(name []byte) []byte {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 && i+1 < len(name) {
		return name[i+1:]
	}
	return name
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }
