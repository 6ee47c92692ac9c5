package junit

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
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
	maxAttrs   = 1024     // of one tag; real files have a dozen
)

// rawAttr is one attribute as it stands in the tag.
type rawAttr struct{ name, value []byte }

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
	skipped  int   // comments, instructions and document types
	ours     bool  // the mark of ci-disagg was among them
	tokStart int64 // offset of the current token

	summed int // from here on the bytes before pos are not in sum yet; -1 = nobody wants a sum
	sum    uint32
	table  *crc32.Table

	// the current token
	name      []byte // local name
	qname     []byte
	attrs     []rawAttr
	text      []byte
	selfClose bool
}

func newScanner(r io.Reader, maxTag int64) scanner {
	return scanner{r: r, maxTag: maxTag, buf: make([]byte, 0, 2*windowSize), summed: -1}
}

// What ends the reading of an input.
var (
	errTruncated   = errors.New("unexpected end of file")
	errTagTooLarge = errors.New("a single tag is larger than the limit for a test case")
	errTooMany     = fmt.Errorf("a tag has more than %d attributes", maxAttrs)
	errShort       = errors.New("the tag goes on behind the window")
)

func (s *scanner) offset() int64 { return s.base + int64(s.pos) }

// lineAt is the line of an offset, as far as the window still reaches back.
func (s *scanner) lineAt(offset int64) int {
	i := min(max(0, offset-s.base), int64(len(s.buf)))
	return s.lines + bytes.Count(s.buf[:i], []byte{'\n'}) + 1
}

// beginSum starts a checksum over the bytes from the current token on.
func (s *scanner) beginSum() {
	s.summed, s.sum = int(s.tokStart-s.base), 0
}

// endSum is the checksum of all bytes up to the current position.
func (s *scanner) endSum() uint32 {
	s.addSum()
	s.summed = -1
	return s.sum
}

func (s *scanner) addSum() {
	if s.summed >= 0 {
		s.sum = crc32.Update(s.sum, s.table, s.buf[s.summed:s.pos])
		s.summed = s.pos
	}
}

// more adds at least one byte to the window; false at the end of the stream.
// Positions relative to s.pos stay valid, absolute ones into buf do not.
func (s *scanner) more() bool {
	if s.eof {
		return false
	}
	if s.pos > 0 && (s.pos >= len(s.buf)/2 || len(s.buf) == cap(s.buf)) {
		s.addSum()
		s.lines += bytes.Count(s.buf[:s.pos], []byte{'\n'})
		s.base += int64(s.pos)
		s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
		s.pos = 0
		s.summed = min(s.summed, 0)
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
	return b != '/' && b != '!' && b != '?' && !nameStart(b) && b >= 0x20 || isSpace(b)
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
		s.skipped++
		return tokEOF, true, s.skipTo(2, "?>")
	case '!':
		return s.declaration()
	case '/':
		return tokEnd, false, s.tag((*scanner).endTag)
	default:
		return tokStart, false, s.tag((*scanner).startTag)
	}
}

func (s *scanner) declaration() (tokenKind, bool, error) {
	switch {
	case s.prefix("<!--"):
		s.skipped++
		s.ours = s.prefix(mark) || s.ours
		return tokEOF, true, s.skipTo(4, "-->")
	case s.prefix("<![CDATA["):
		s.pos += len("<![CDATA[")
		s.inCDATA = true
		return tokEOF, true, nil
	case s.prefix("<!DOCTYPE"):
		s.skipped++
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

// skipTo skips n bytes and then everything up to and including end.
func (s *scanner) skipTo(n int, end string) error {
	s.pos += n
	for {
		win := s.buf[s.pos:]
		if i := bytes.Index(win, []byte(end)); i >= 0 {
			s.pos += i + len(end)
			return nil
		}
		s.pos += max(0, len(win)-len(end)+1)
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

// tag reads a tag with parse, which gives its length, or errShort if the window
// has to reach further.
func (s *scanner) tag(parse func(*scanner, []byte) (int, error)) error {
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
		if int64(win) > s.maxTag {
			return errTagTooLarge
		}
		s.have(2 * win) // doubled, so that a large tag is not begun again too often
		if len(s.buf)-s.pos == win {
			return s.cutOff()
		}
	}
}

// startTag parses the start tag that b begins with.
func (s *scanner) startTag(b []byte) (int, error) {
	i := 1 + nameLen(b[1:])
	s.qname, s.attrs, s.selfClose = b[1:i], s.attrs[:0], false
	for {
		j := i
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		switch {
		case i == len(b):
			return 0, errShort
		case b[i] == '>':
			s.name = local(s.qname)
			return i + 1, nil
		case b[i] == '/' && i+1 == len(b):
			return 0, errShort
		case b[i] == '/' && b[i+1] == '>':
			s.name, s.selfClose = local(s.qname), true
			return i + 2, nil
		case b[i] == '<':
			return 0, errors.New("a tag begins inside a tag")
		case i == 1 || i == j && len(s.attrs) == 0:
			return 0, fmt.Errorf("%q is not the name of an element", b[1:min(len(b), 21)])
		case len(s.attrs) == maxAttrs:
			return 0, errTooMany
		}
		a, n, err := parseAttr(b[i:])
		if err != nil {
			return 0, err
		}
		s.attrs = append(s.attrs, a)
		i += n
	}
}

// parseAttr parses the attribute that b begins with, and gives its length.
func parseAttr(b []byte) (a rawAttr, n int, err error) {
	n = nameLen(b)
	if n == 0 {
		return a, 0, fmt.Errorf("%q is not an attribute", b[:min(len(b), 20)])
	}
	a.name = b[:n]
	for n < len(b) && isSpace(b[n]) {
		n++
	}
	switch {
	case n == len(b):
		return a, 0, errShort
	case b[n] != '=':
		return a, 0, fmt.Errorf("attribute %q has no value", a.name)
	}
	for n++; n < len(b) && isSpace(b[n]); n++ {
	}
	switch {
	case n == len(b):
		return a, 0, errShort
	case b[n] != '"' && b[n] != '\'':
		return a, 0, fmt.Errorf("attribute %q has a value without quotes", a.name)
	}
	j := bytes.IndexByte(b[n+1:], b[n])
	if j < 0 {
		return a, 0, errShort
	}
	a.value = b[n+1 : n+1+j]
	return a, n + j + 2, nil
}

// endTag parses the end tag that b begins with.
func (s *scanner) endTag(b []byte) (int, error) {
	k := bytes.IndexByte(b, '>')
	if k < 0 {
		return 0, errShort
	}
	n := nameLen(b[2:k])
	if n == 0 || len(bytes.TrimSpace(b[2+n:k])) > 0 {
		return 0, fmt.Errorf("%q is not an end tag", b[2:min(k, 22)])
	}
	s.qname, s.selfClose = b[2:2+n], false
	s.name = local(s.qname)
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

// local is the name without its namespace prefix.
func local(name []byte) []byte {
	if i := bytes.LastIndexByte(name, ':'); i >= 0 && i+1 < len(name) {
		return name[i+1:]
	}
	return name
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }
