// Package xmltext cuts XML into tokens and turns its raw text into clean text. It is
// made for files that may be cut off, damaged or hostile: it holds one tag at a time,
// repairs what can be repaired, and counts that. It knows nothing of JUnit.
package xmltext

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf8"
)

// Kind is what Scanner.Next found.
type Kind int

// The kinds of token.
const (
	EOF      Kind = iota
	CharData      // text, entities not decoded
	CDATA         // a piece of a CDATA section
	StartTag      // SelfClose if it ends the element, too
	EndTag
)

// Bounds of the window and of a tag.
const (
	WindowSize = 64 << 10 // read size, and the length at which a text run is handed on in pieces
	holdBack   = 64       // bytes kept for an entity that is not complete yet
	MaxAttrs   = 1024     // of one tag; real files have a dozen
)

// Attr is one attribute as it stands in the tag.
type Attr struct{ Name, Value []byte }

// Scanner cuts a byte stream into XML tokens. It understands text, CDATA,
// comments, processing instructions, a document type and quoted attributes, and
// gives text runs in pieces, so that it holds one tag at a time and no more.
// It is lenient where a reader loses nothing by it ("<" inside quotes or before a
// blank, a bare "&") and strict about structure.
type Scanner struct {
	// The current token. Names and texts are valid until the next one.
	Name, QName []byte // the name without and with its prefix
	Attrs       []Attr
	Text        []byte
	SelfClose   bool
	TokenStart  int64 // its offset

	Stray   int64  // "<" that began no markup and were taken as text
	Skipped int    // comments, instructions and document types so far
	Mark    string // a comment to look for
	Marked  bool   // it was there
	Err     error  // of the reader, other than io.EOF

	r       io.Reader
	buf     []byte
	pos     int
	base    int64 // offset of buf[0] in the stream
	lines   int   // newlines before buf[0]
	maxTag  int64
	eof     bool
	inCDATA bool
	sum     sum
}

// sum is the checksum of the bytes from one position to another.
type sum struct {
	table *crc32.Table
	value uint32
	next  int // from here on the bytes before pos are not in it yet; -1 = nobody wants it
}

// NewScanner cuts what r gives. Offsets begin at base; a tag may have maxTag bytes.
func NewScanner(r io.Reader, base, maxTag int64) Scanner {
	return Scanner{r: r, base: base, maxTag: maxTag, buf: make([]byte, 0, 2*WindowSize), sum: sum{SumTable(), 0, -1}}
}

// NewBytesScanner cuts a text that is in memory.
func NewBytesScanner(b []byte) Scanner {
	return Scanner{buf: b, eof: true, maxTag: int64(len(b)) + 1, sum: sum{next: -1}}
}

// SumTable is the table of the checksums.
func SumTable() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// What ends the reading of an input.
var (
	ErrTruncated   = errors.New("unexpected end of file")
	ErrTagTooLarge = errors.New("a single tag is larger than the limit for a test case")
	ErrTooMany     = fmt.Errorf("a tag has more than %d attributes", MaxAttrs)
	errShort       = errors.New("the tag goes on behind the window")
)

// Offset is that of the byte behind the current token.
func (s *Scanner) Offset() int64 { return s.base + int64(s.pos) }

// LineAt is the line of an offset, as far as the window still reaches back.
func (s *Scanner) LineAt(offset int64) int {
	i := min(max(0, offset-s.base), int64(len(s.buf)))
	return s.lines + bytes.Count(s.buf[:i], []byte{'\n'}) + 1
}

// End is the offset and the line of the end of the input, as far as it was read.
func (s *Scanner) End() (offset int64, line int) {
	return s.base + int64(len(s.buf)), s.lines + bytes.Count(s.buf, []byte{'\n'}) + 1
}

// BeginSum starts a checksum over the bytes from the current token on.
func (s *Scanner) BeginSum() {
	s.sum.next, s.sum.value = int(s.TokenStart-s.base), 0
}

// EndSum is the checksum of all bytes up to the current position.
func (s *Scanner) EndSum() uint32 {
	s.addSum()
	s.sum.next = -1
	return s.sum.value
}

func (s *Scanner) addSum() {
	if c := &s.sum; c.next >= 0 {
		c.value = crc32.Update(c.value, c.table, s.buf[c.next:s.pos])
		c.next = s.pos
	}
}

// more adds at least one byte to the window; false at the end of the stream.
// Positions relative to s.pos stay valid, absolute ones into buf do not.
func (s *Scanner) more() bool {
	if s.eof {
		return false
	}
	if s.pos > 0 && (s.pos >= len(s.buf)/2 || len(s.buf) == cap(s.buf)) {
		s.addSum()
		s.lines += bytes.Count(s.buf[:s.pos], []byte{'\n'})
		s.base += int64(s.pos)
		s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
		s.pos = 0
		s.sum.next = min(s.sum.next, 0)
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
				s.Err = err
			}
			return n > 0
		}
		if n > 0 {
			return true
		}
	}
	s.eof, s.Err = true, io.ErrNoProgress
	return false
}

// have makes n bytes available from pos on.
func (s *Scanner) have(n int) bool {
	for len(s.buf)-s.pos < n {
		if !s.more() {
			return false
		}
	}
	return true
}

// Next reads one token into s.
func (s *Scanner) Next() (Kind, error) {
	for {
		if s.inCDATA {
			return s.cdata()
		}
		if !s.have(1) {
			return EOF, s.Err
		}
		s.TokenStart = s.Offset()
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
func (s *Scanner) chars() (Kind, error) {
	seen := 0
	for {
		win := s.buf[s.pos:]
		if i := bytes.IndexByte(win[seen:], '<'); i >= 0 {
			seen += i
			if s.strayLess(seen) {
				s.Stray++
				seen++
				continue
			}
			s.Text = s.buf[s.pos : s.pos+seen]
			s.pos += seen
			return CharData, nil
		}
		seen = len(win)
		if cut := safeCut(win); seen >= WindowSize && cut > 0 {
			s.Text = win[:cut]
			s.pos += cut
			return CharData, nil
		}
		if !s.more() {
			s.Text = s.buf[s.pos:]
			s.pos = len(s.buf)
			return CharData, s.Err
		}
	}
}

// strayLess reports whether the "<" at pos+i is text that somebody forgot to
// escape: no markup goes on with the byte after it.
func (s *Scanner) strayLess(i int) bool {
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
func (s *Scanner) cdata() (Kind, error) {
	seen := 0
	for {
		win := s.buf[s.pos:]
		if i := bytes.Index(win[max(0, seen-2):], []byte("]]>")); i >= 0 {
			i += max(0, seen-2)
			s.Text = win[:i]
			s.pos += i + 3
			s.inCDATA = false
			return CDATA, nil
		}
		seen = len(win)
		if seen >= WindowSize {
			if cut := wholeRunes(win[:seen-2]); cut > 0 {
				s.Text = win[:cut]
				s.pos += cut
				return CDATA, nil
			}
		}
		if !s.more() {
			return EOF, s.cutOff()
		}
	}
}

// cutOff is the error for an end of input inside a token.
func (s *Scanner) cutOff() error {
	if s.Err != nil {
		return s.Err
	}
	return ErrTruncated
}

// markup reads what begins with "<". again means that there was nothing to
// report: a comment, an instruction, a document type.
func (s *Scanner) markup() (kind Kind, again bool, err error) {
	if !s.have(2) {
		return EOF, false, s.cutOff()
	}
	switch s.buf[s.pos+1] {
	case '?':
		s.Skipped++
		return EOF, true, s.skipTo(2, "?>")
	case '!':
		return s.declaration()
	case '/':
		return EndTag, false, s.tag((*Scanner).endTag)
	default:
		return StartTag, false, s.tag((*Scanner).startTag)
	}
}

func (s *Scanner) declaration() (Kind, bool, error) {
	switch {
	case s.prefix("<!--"):
		s.Skipped++
		s.Marked = s.Marked || s.Mark != "" && s.prefix(s.Mark)
		return EOF, true, s.skipTo(4, "-->")
	case s.prefix("<![CDATA["):
		s.pos += len("<![CDATA[")
		s.inCDATA = true
		return EOF, true, nil
	case s.prefix("<!DOCTYPE"):
		s.Skipped++
		return EOF, true, s.skipDoctype()
	case s.eof:
		return EOF, false, s.cutOff()
	default:
		return EOF, false, fmt.Errorf("%q begins no comment, CDATA section or document type", s.buf[s.pos:min(len(s.buf), s.pos+9)])
	}
}

// prefix reports whether the input goes on with p.
func (s *Scanner) prefix(p string) bool {
	s.have(len(p))
	return bytes.HasPrefix(s.buf[s.pos:], []byte(p))
}

// skipTo skips n bytes and then everything up to and including end.
func (s *Scanner) skipTo(n int, end string) error {
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
func (s *Scanner) skipDoctype() error {
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
