// Package xmltext cuts XML into tokens and turns its raw text into clean text. It is made for files that may be cut
// off, damaged or hostile: it repairs what can be repaired, and counts that. It knows nothing of JUnit.
package xmltext

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
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
	aside // a comment, an instruction, a document type
)

// Bounds of the window and of a tag.
const (
	WindowSize = 128 << 10
	MaxAttrs   = 1024 // real files have a dozen
)

// Attr is one attribute as it stands in the tag.
type Attr struct{ Name, Value []byte }

// Scanner cuts tokens off a window of the input. A token that does not end in the window is cut again when there is
// more, from its beginning, so that no state is left of what was seen of it. It is lenient where a reader loses nothing
// by it ("<" inside quotes or before a blank, a bare "&") and strict about structure.
type Scanner struct {
	// The current token, until the next.
	QName      []byte // the name with its prefix
	Attrs      []Attr
	Text       []byte
	SelfClose  bool
	Skipped    bool  // something stood aside before it
	TokenStart int64 // its offset

	Pieces bool  // text may come in pieces, cut anywhere
	Whole  bool  // what was cut off stays in the window, and what goes on behind it is ErrShort
	Err    error // of the reader, other than io.EOF

	r     io.Reader
	buf   []byte
	pos   int
	base  int64 // offset of buf[0] in the stream
	lines int   // newlines before buf[0]
	max   int   // bytes of a token, or of what begins at Back
	eof   bool
}

// NewScanner cuts what r gives. Offsets begin at base; what has to stand in the window as a whole may have most bytes.
func NewScanner(r io.Reader, base, most int64) Scanner {
	return Scanner{r: r, base: base, max: int(most), buf: make([]byte, 0, WindowSize)}
}

// NewBytesScanner cuts a text that is in memory.
func NewBytesScanner(b []byte) Scanner { return Scanner{buf: b, eof: true} }

// What ends the reading of an input, or of the window.
var (
	ErrTruncated = errors.New("unexpected end of file")
	ErrTooLarge  = errors.New("a test case, or a text or tag beside, is larger than the limit for a test case")
	ErrTooMany   = fmt.Errorf("a tag has more than %d attributes", MaxAttrs)
	ErrShort     = errors.New("the token goes on behind the window")
)

// Offset is that of the byte behind the current token.
func (s *Scanner) Offset() int64 { return s.base + int64(s.pos) }

// LineAt is the line of an offset, as far as the window still reaches back.
func (s *Scanner) LineAt(offset int64) int {
	i := min(max(0, offset-s.base), int64(len(s.buf)))
	return s.lines + bytes.Count(s.buf[:i], []byte{'\n'}) + 1
}

// End is the offset of the end of the input, as far as it was read.
func (s *Scanner) End() int64 { return s.base + int64(len(s.buf)) }

// Between is what stands between two offsets in the window.
func (s *Scanner) Between(from, to int64) []byte { return s.buf[from-s.base : to-s.base] }

// Begins reports whether the input begins with a text. It is to be asked before Next.
func (s *Scanner) Begins(with string) bool {
	for len(s.buf) < len(with) && s.More() == nil {
	}
	return bytes.HasPrefix(s.buf, []byte(with))
}

// Back goes back to an offset in the window.
func (s *Scanner) Back(to int64) { s.pos = int(to - s.base) }

// More doubles what there is of the input behind the current token, so that what is
// large is not begun again too often. Everything before that is gone.
func (s *Scanner) More() error {
	have := len(s.buf) - s.pos
	switch {
	case s.eof:
		return cmp.Or(s.Err, ErrTruncated)
	case have > s.max:
		return ErrTooLarge
	}
	to := s.buf[:cap(s.buf)]
	if have > cap(s.buf)/2 {
		to = make([]byte, 2*cap(s.buf))
	}
	s.lines += bytes.Count(s.buf[:s.pos], []byte{'\n'})
	s.base += int64(s.pos)
	s.buf, s.pos = to[:copy(to, s.buf[s.pos:])], 0
	for idle := 0; !s.eof && len(s.buf) < max(1, 2*have); {
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if idle++; n > 0 {
			idle = 0
		}
		if err == nil && idle > 100 {
			err = io.ErrNoProgress
		}
		if s.eof = err != nil; s.eof && !errors.Is(err, io.EOF) {
			s.Err = err
		}
	}
	return nil
}

// Next cuts off a token. What stands aside is skipped.
func (s *Scanner) Next() (Kind, error) {
	begin := s.Offset()
	for s.Skipped = false; ; {
		if s.TokenStart = s.Offset(); s.r != nil && s.TokenStart-begin > int64(s.max) {
			return EOF, ErrTooLarge
		}
		b := s.buf[s.pos:]
		if len(b) == 0 && s.eof {
			return EOF, s.Err
		}
		kind, n, err := s.cut(b)
		s.Skipped = s.Skipped || kind == aside
		if s.pos += n; err == ErrShort && (!s.Whole || s.eof) { //nolint:errorlint // never wrapped
			err, kind = s.More(), aside
		}
		if err != nil || kind != aside {
			return kind, err
		}
	}
}

// cut gives the kind and the length of the token that b begins with.
func (s *Scanner) cut(b []byte) (Kind, int, error) {
	if len(b) == 0 || b[0] != '<' || len(b) > 1 && stands(b[1]) {
		n, err := s.charData(b)
		return CharData, n, err
	}
	switch begins := func(with string) bool { return bytes.HasPrefix(b, []byte(with)) }; {
	case len(b) < 2:
		return EOF, 0, ErrShort
	case b[1] == '/':
		n, err := s.endTag(b)
		return EndTag, n, err
	case b[1] == '?':
		return s.skip(b, len("<?"), "?>")
	case b[1] != '!':
		n, err := s.startTag(b)
		return StartTag, n, err
	case begins("<!--"):
		return s.skip(b, len("<!--"), "-->")
	case begins("<![CDATA["):
		const begin = len("<![CDATA[")
		n := bytes.Index(b[begin:], []byte("]]>"))
		if n < 0 {
			return CDATA, 0, ErrShort
		}
		s.Text = b[begin : begin+n]
		return CDATA, begin + n + len("]]>"), nil
	case begins("<!DOCTYPE"):
		return s.docType(b)
	case len(b) < len("<!DOCTYPE"):
		return EOF, 0, ErrShort
	default:
		return EOF, 0, fmt.Errorf("%q begins no comment, CDATA section or document type", b[:len("<!DOCTYPE")])
	}
}

// charData is the length of the text that b begins with, to the end of the input if no
// markup follows. A "<" with which no markup begins is one that somebody forgot to escape.
func (s *Scanner) charData(b []byte) (n int, err error) {
	for {
		i := bytes.IndexByte(b[n:], '<')
		if i < 0 {
			n = len(b)
			break
		}
		if n += i; n+1 == len(b) || !stands(b[n+1]) {
			break
		}
		n++
	}
	if n+1 >= len(b) && !s.eof && (!s.Pieces || n < WindowSize/2) {
		return 0, ErrShort
	}
	s.Text = b[:n]
	return n, nil
}

// stands reports whether a "<" before c stands for itself.
func stands(c byte) bool {
	return c != '/' && c != '!' && c != '?' && !nameStart(c) && c >= ' ' || isSpace(c)
}

// skip skips n bytes and then everything up to and including end. Of a long one only how
// it begins, and what may be a part of the end, stays in the window, if it need not be whole.
func (s *Scanner) skip(b []byte, n int, end string) (Kind, int, error) {
	if i := bytes.Index(b[n:], []byte(end)); i >= 0 {
		return aside, n + i + len(end), nil
	}
	keep := n + len(end) - 1
	if s.Whole || s.eof || len(b) < WindowSize/2 {
		return aside, 0, ErrShort
	}
	copy(b[len(b)-keep:], b[:n])
	return aside, len(b) - keep, ErrShort
}

// docType skips a document type with its internal subset. Nothing in it is used: no
// entity is expanded, nothing is fetched.
func (s *Scanner) docType(b []byte) (Kind, int, error) {
	depth, quote := 0, byte(0)
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '<' && bytes.HasPrefix(b[i:], []byte("<!--")):
			n := bytes.Index(b[i:], []byte("-->"))
			if n < 0 {
				return aside, 0, ErrShort
			}
			i += n + len("->")
		case c == '"' || c == '\'':
			quote = c
		case c == '<' || c == '[':
			depth++
		case c == ']':
			depth--
		case c == '>':
			if depth--; depth <= 0 {
				return aside, i + 1, nil
			}
		}
	}
	return aside, 0, ErrShort
}

// startTag parses the start tag that b begins with, and gives its length.
func (s *Scanner) startTag(b []byte) (int, error) {
	i := 1 + nameLen(b[1:])
	s.QName, s.Attrs, s.SelfClose = b[1:i], s.Attrs[:0], false
	for {
		j := i + spaces(b[i:])
		switch rest := b[j:]; {
		case len(rest) == 0 || rest[0] == '/' && len(rest) == 1:
			return 0, ErrShort
		case rest[0] == '>':
			return j + 1, nil
		case rest[0] == '/' && rest[1] == '>':
			s.SelfClose = true
			return j + 2, nil
		case rest[0] == '<':
			return 0, errors.New("a tag begins inside a tag")
		case i == 1 || i == j && len(s.Attrs) == 0:
			return 0, fmt.Errorf("%q is not the name of an element", b[1:min(len(b), 21)])
		case len(s.Attrs) == MaxAttrs:
			return 0, ErrTooMany
		}
		a, n, err := parseAttr(b[j:])
		if err != nil {
			return 0, err
		}
		s.Attrs = append(s.Attrs, a)
		i = j + n
	}
}

// parseAttr parses the attribute that b begins with, and gives its length.
func parseAttr(b []byte) (a Attr, n int, err error) {
	n = nameLen(b)
	if n == 0 {
		return a, 0, fmt.Errorf("%q is not an attribute", b[:min(len(b), 20)])
	}
	a.Name = b[:n]
	n += spaces(b[n:])
	switch equals := n < len(b); {
	case equals && b[n] != '=':
		return a, 0, fmt.Errorf("attribute %q has no value", a.Name)
	case equals:
		n++
		n += spaces(b[n:])
	}
	switch {
	case n == len(b):
		return a, 0, ErrShort
	case b[n] != '"' && b[n] != '\'':
		return a, 0, fmt.Errorf("attribute %q has a value without quotes", a.Name)
	}
	j := bytes.IndexByte(b[n+1:], b[n])
	if j < 0 {
		return a, 0, ErrShort
	}
	a.Value = b[n+1 : n+1+j]
	return a, n + j + 2, nil
}

// endTag parses the end tag that b begins with, and gives its length.
func (s *Scanner) endTag(b []byte) (int, error) {
	k := bytes.IndexByte(b, '>')
	if k < 0 {
		return 0, ErrShort
	}
	n := nameLen(b[2:k])
	if n == 0 || 2+n+spaces(b[2+n:k]) < k {
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

// spaces is the number of blanks that b begins with.
func spaces(b []byte) int { return len(b) - len(bytes.TrimLeft(b, " \n\t\r")) }
