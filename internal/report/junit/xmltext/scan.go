// Package xmltext cuts XML into tokens and turns its raw text into clean text. It is
// made for files that may be cut off, damaged or hostile: it holds one tag at a time,
// repairs what can be repaired, and counts that. It knows nothing of JUnit.
package xmltext

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Kind is what Scanner.Next found.
type Kind int

// The kinds of token.
const (
	EOF      Kind = iota
	CharData      // text, entities not decoded
	CDATA         // a CDATA section
	StartTag      // SelfClose if it ends the element, too
	EndTag
)

// Bounds of the window and of a tag.
const (
	WindowSize = 64 << 10 // read size
	lookahead  = 16 << 10 // what is there when an element begins, so that the window seldom grows inside of one
	MaxAttrs   = 1024     // of one tag; real files have a dozen
)

// Attr is one attribute as it stands in the tag.
type Attr struct{ Name, Value []byte }

// Scanner cuts a byte stream into XML tokens. It understands text, CDATA,
// comments, processing instructions, a document type and quoted attributes, and
// holds one token, or everything from where Hold was called.
// It is lenient where a reader loses nothing by it ("<" inside quotes or before a
// blank, a bare "&") and strict about structure.
type Scanner struct {
	// The current token. Names and texts are valid until the next one, or Release.
	QName      []byte // the name with its prefix
	Attrs      []Attr
	Text       []byte
	SelfClose  bool
	TokenStart int64 // its offset

	Unwanted bool   // text may come in pieces, cut anywhere
	Stray    int64  // "<" that began no markup and were taken as text
	Skipped  int    // comments, instructions and document types so far
	Mark     string // a comment to look for
	Marked   bool   // it was there
	Err      error  // of the reader, other than io.EOF

	r     io.Reader
	buf   []byte
	pos   int
	base  int64 // offset of buf[0] in the stream
	lines int   // newlines before buf[0]
	max   int64 // bytes that are held at most
	eof   bool
	from  int64  // what was given out since here stays where it is; -1 = anything may move
	old   []byte // another window, of which nothing is held
}

// NewScanner cuts what r gives. Offsets begin at base; what is held may have most bytes.
func NewScanner(r io.Reader, base, most int64) Scanner {
	return Scanner{r: r, base: base, max: most, from: -1, buf: make([]byte, 0, 2*WindowSize)}
}

// NewBytesScanner cuts a text that is in memory.
func NewBytesScanner(b []byte) Scanner {
	return Scanner{buf: b, eof: true, max: int64(len(b)) + 1, from: -1}
}

// What ends the reading of an input.
var (
	ErrTruncated = errors.New("unexpected end of file")
	ErrTooLarge  = errors.New("a test case, or a text or tag beside, is larger than the limit for a test case")
	ErrTooMany   = fmt.Errorf("a tag has more than %d attributes", MaxAttrs)
	errShort     = errors.New("the tag goes on behind the window")
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

// Hold keeps everything from the current token on where it is, until Release.
func (s *Scanner) Hold() {
	if s.from < 0 {
		s.from = s.TokenStart
	}
}

// Release ends what Hold began.
func (s *Scanner) Release() { s.from = -1 }

// Between is what stands between two offsets that are held.
func (s *Scanner) Between(from, to int64) []byte { return s.buf[from-s.base : to-s.base] }

// more adds at least one byte to the window; false at the end of the stream.
// Positions relative to s.pos stay valid, absolute ones into buf only where it is held.
func (s *Scanner) more() bool {
	if s.eof {
		return false
	}
	keep := s.pos
	if s.from >= 0 {
		keep = int(s.from - s.base)
	}
	if len(s.buf) == cap(s.buf) || s.from < 0 && len(s.buf)-keep < lookahead {
		s.move(keep)
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

// move makes room in the window, in which everything before keep is not wanted any more.
func (s *Scanner) move(keep int) {
	to, n := s.buf, len(s.buf)-keep
	switch {
	case n > cap(s.buf)/2:
		to, s.old = make([]byte, 2*cap(s.buf)), nil
	case s.from >= 0: // at most once for a token: after that the window begins with it
		if to, s.old = s.old, s.buf; cap(to) < cap(s.buf) {
			to = make([]byte, cap(s.buf))
		}
	}
	s.lines += bytes.Count(s.buf[:keep], []byte{'\n'})
	s.base, s.pos = s.base+int64(keep), s.pos-keep
	s.buf = to[:copy(to[:cap(to)], s.buf[keep:])]
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
		if s.from < 0 && len(s.buf)-s.pos < lookahead {
			s.more()
		}
		if !s.have(1) {
			return EOF, s.Err
		}
		s.TokenStart = s.Offset()
		if s.buf[s.pos] != '<' || s.strayLess(0) {
			return CharData, s.chars()
		}
		kind, again, err := s.markup()
		if err != nil || !again {
			return kind, err
		}
	}
}

// chars reads a text run, up to the end of the input if no markup follows.
func (s *Scanner) chars() error {
	seen := 0
	for {
		i := bytes.IndexByte(s.buf[s.pos+seen:], '<')
		switch {
		case i >= 0 && s.strayLess(seen+i):
			s.Stray++
			seen += i + 1
			continue
		case i >= 0:
			seen += i
		default:
			if seen = len(s.buf) - s.pos; s.Unwanted && seen >= WindowSize {
				break
			}
			if more, err := s.grow(seen); err != nil {
				return err
			} else if more {
				continue
			}
		}
		s.Text = s.buf[s.pos : s.pos+seen]
		s.pos += seen
		return nil
	}
}

// grow is more for a token of which n bytes are there. An error says that it is too large.
func (s *Scanner) grow(n int) (more bool, err error) {
	if int64(n) > s.max {
		return false, ErrTooLarge
	}
	if more = s.more(); !more {
		err = s.Err
	}
	return more, err
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

// cdata reads a CDATA section.
func (s *Scanner) cdata() error {
	const begin = len("<![CDATA[")
	seen := begin
	for {
		win := s.buf[s.pos:]
		if i := bytes.Index(win[seen:], []byte("]]>")); i >= 0 {
			s.Text = win[begin : seen+i]
			s.pos += seen + i + 3
			return nil
		}
		seen = max(begin, len(win)-2)
		if more, err := s.grow(len(win)); err != nil {
			return err
		} else if !more {
			return ErrTruncated
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
		return CDATA, false, s.cdata()
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
