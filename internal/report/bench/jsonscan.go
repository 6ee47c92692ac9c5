package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of the JSON reader. A benchmark's JSON may hold every generated text
// and every inter-token time: hundreds of megabytes that are checked and passed
// over, never kept.
const (
	jsonMaxDepth  = 100
	jsonMaxKey    = 512
	jsonMaxString = 4096
	jsonMaxLeaves = 200_000
)

// leaf is one scalar of a JSON document. Its key in a document is its JSON
// Pointer (RFC 6901): /ttft/avg.
type leaf struct {
	kind leafKind
	num  float64 // leafNumber: NaN and ±Inf as Python writes them; leafBool: 1 = true
	str  string  // leafString, cut to jsonMaxString
	line int
}

func (l leaf) isTrue() bool { return l.kind == leafBool && l.num == 1 }

type leafKind int

const (
	leafNull leafKind = iota
	leafBool
	leafNumber
	leafString
)

// document is one JSON object of a stream, flattened.
type document struct {
	line   int
	leaves map[string]leaf
	nodes  map[string]bool // pointers of its objects and arrays
}

// number finds a numeric leaf.
func (d document) number(pointer string) (float64, bool) {
	l := d.leaves[pointer]
	return l.num, l.kind == leafNumber
}

// jsonReader reads a stream of JSON values as Python writes them: NaN,
// Infinity and -Infinity are values, several documents may follow each other
// with any white space or none between them.
type jsonReader struct {
	r     *bufio.Reader
	line  int
	array int // elements of an array that are kept; the rest is passed over

	doc  document
	path []byte
	drop int // above 0: inside something that is passed over
	buf  []byte
}

// documents calls each for every top-level object, and for every element of a
// top-level array.
func (j *jsonReader) documents(each func(document) error) error {
	j.line = 1
	for {
		c, err := j.space()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c == ',' { // JSON lines joined by commas
			continue
		}
		if c != '[' {
			if err := j.document(c, each); err != nil {
				return err
			}
			continue
		}
		if err := j.list(each); err != nil {
			return err
		}
	}
}

func (j *jsonReader) list(each func(document) error) error {
	for first := true; ; first = false {
		c, err := j.more()
		if err != nil {
			return err
		}
		switch {
		case c == ']':
			return nil
		case c == ',' && !first:
			if c, err = j.more(); err != nil {
				return err
			}
		case !first:
			return j.fault("expected , or ] but found %q", c)
		}
		if err := j.document(c, each); err != nil {
			return err
		}
	}
}

func (j *jsonReader) document(c byte, each func(document) error) error {
	j.doc = document{line: j.line, leaves: map[string]leaf{}, nodes: map[string]bool{}}
	j.path, j.drop = j.path[:0], 0
	if err := j.value(c, 0); err != nil {
		return err
	}
	return each(j.doc)
}

func (j *jsonReader) value(c byte, depth int) error {
	if depth > jsonMaxDepth {
		return j.fault("nested deeper than %d", jsonMaxDepth)
	}
	switch c {
	case '{':
		j.node()
		return j.object(depth)
	case '[':
		j.node()
		return j.elements(depth)
	case '"':
		line := j.line
		s, err := j.text(jsonMaxString)
		if err != nil {
			return err
		}
		return j.leaf(leaf{kind: leafString, str: s, line: line})
	default:
		return j.word(c)
	}
}

func (j *jsonReader) object(depth int) error {
	for first := true; ; first = false {
		c, err := j.more()
		if err != nil {
			return err
		}
		switch {
		case c == '}':
			return nil
		case c == ',' && !first:
			if c, err = j.more(); err != nil {
				return err
			}
		case !first:
			return j.fault("expected , or } but found %q", c)
		}
		if c != '"' {
			return j.fault("expected a key in quotes but found %q", c)
		}
		key, err := j.text(jsonMaxKey)
		if err != nil {
			return err
		}
		if c, err = j.more(); err != nil {
			return err
		}
		if c != ':' {
			return j.fault("expected : behind the key %q but found %q", key, c)
		}
		if err := j.member(key, depth); err != nil {
			return err
		}
	}
}

func (j *jsonReader) member(key string, depth int) error {
	c, err := j.more()
	if err != nil {
		return err
	}
	mark := len(j.path)
	j.path = append(append(j.path, '/'), pointerToken(key)...)
	err = j.value(c, depth+1)
	j.path = j.path[:mark]
	return err
}

func (j *jsonReader) elements(depth int) error {
	mark := len(j.path)
	for i := 0; ; i++ {
		c, err := j.more()
		if err != nil {
			return err
		}
		switch {
		case c == ']':
			return nil
		case c == ',' && i > 0:
			if c, err = j.more(); err != nil {
				return err
			}
		case i > 0:
			return j.fault("expected , or ] but found %q", c)
		}
		dropped := i >= j.array
		if dropped {
			j.drop++
		} else {
			j.path = strconv.AppendInt(append(j.path, '/'), int64(i), 10)
		}
		err = j.value(c, depth+1)
		if dropped {
			j.drop--
		}
		j.path = j.path[:mark]
		if err != nil {
			return err
		}
	}
}

// node notes that an object or array stands here.
func (j *jsonReader) node() {
	if j.drop == 0 && len(j.doc.nodes) < jsonMaxLeaves {
		j.doc.nodes[string(j.path)] = true
	}
}

func (j *jsonReader) leaf(l leaf) error {
	if j.drop > 0 {
		return nil
	}
	if len(j.doc.leaves) >= jsonMaxLeaves {
		return j.fault("more than %d values in one document", jsonMaxLeaves)
	}
	j.doc.leaves[string(j.path)] = l
	return nil
}

// word reads a number or one of the bare words.
func (j *jsonReader) word(c byte) error {
	j.buf = append(j.buf[:0], c)
	for {
		if _, err := j.r.Peek(1); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		ahead, _ := j.r.Peek(j.r.Buffered())
		n := 0
		for n < len(ahead) && !delimiter(ahead[n]) {
			n++
		}
		if len(j.buf)+n > 512 {
			return j.fault("%q… is not a JSON value", append(j.buf, ahead[:n]...)[:32])
		}
		j.buf = append(j.buf, ahead[:n]...)
		_, _ = j.r.Discard(n)
		if n < len(ahead) {
			break
		}
	}
	// Of what is passed over, only plain numbers are let through unread: there
	// may be millions.
	if j.drop > 0 && len(bytes.Trim(j.buf, "0123456789.eE+-")) == 0 {
		return nil
	}
	l := leaf{line: j.line}
	switch s := string(j.buf); s {
	case "null", "None":
	case "true", "True":
		l.kind, l.num = leafBool, 1
	case "false", "False":
		l.kind = leafBool
	case "NaN", "nan", "-NaN":
		l.kind, l.num = leafNumber, math.NaN()
	case "Infinity", "inf":
		l.kind, l.num = leafNumber, math.Inf(1)
	case "-Infinity", "-inf":
		l.kind, l.num = leafNumber, math.Inf(-1)
	default:
		v, ok := parseNumber(s)
		if !ok || strings.IndexByte("-0123456789", s[0]) < 0 || strings.ContainsAny(s, "%,") {
			return j.fault("%q is not a JSON value", s)
		}
		l.kind, l.num = leafNumber, v
	}
	return j.leaf(l)
}

// delimiter reports whether a number or a word ends before c.
func delimiter(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ',', ']', '}', ':', '{', '[', '"':
		return true
	default:
		return false
	}
}

// text reads a string behind its opening quote and keeps up to limit bytes.
// Invalid UTF-8 becomes the replacement character.
func (j *jsonReader) text(limit int) (string, error) {
	j.buf = j.buf[:0]
	keep := func(b ...byte) {
		if j.drop == 0 && len(j.buf)+len(b) <= limit {
			j.buf = append(j.buf, b...)
		}
	}
	for {
		if j.drop > 0 || len(j.buf) >= limit {
			j.skipPlain()
		}
		c, err := j.r.ReadByte()
		if err != nil {
			return "", j.end(err)
		}
		switch c {
		case '"':
			return strings.ToValidUTF8(string(j.buf), "\uFFFD"), nil
		case '\n':
			j.line++
			keep(c)
		case '\\':
			r, err := j.escape()
			if err != nil {
				return "", err
			}
			keep(utf8.AppendRune(nil, r)...)
		default:
			keep(c)
		}
	}
}

// skipPlain passes over what is buffered up to a byte that means something in
// a string: generated texts are long.
func (j *jsonReader) skipPlain() {
	ahead, _ := j.r.Peek(j.r.Buffered())
	n := bytes.IndexAny(ahead, "\"\\\n")
	if n < 0 {
		n = len(ahead)
	}
	_, _ = j.r.Discard(n)
}

func (j *jsonReader) escape() (rune, error) {
	c, err := j.r.ReadByte()
	if err != nil {
		return 0, j.end(err)
	}
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return j.unicode()
	default:
		return 0, j.fault("\\%c is not an escape", c)
	}
}

func (j *jsonReader) unicode() (rune, error) {
	r, err := j.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if next, _ := j.r.Peek(2); string(next) != `\u` {
		return utf8.RuneError, nil
	}
	_, _ = j.r.Discard(2)
	low, err := j.hex4()
	return utf16.DecodeRune(r, low), err
}

func (j *jsonReader) hex4() (rune, error) {
	var r rune
	for range 4 {
		c, err := j.r.ReadByte()
		if err != nil {
			return 0, j.end(err)
		}
		d, err := strconv.ParseUint(string(c), 16, 8)
		if err != nil {
			return 0, j.fault("%q is not a hexadecimal digit", c)
		}
		r = r<<4 | rune(d)
	}
	return r, nil
}

// space reads the next byte that is not white space.
func (j *jsonReader) space() (byte, error) {
	for {
		c, err := j.r.ReadByte()
		switch {
		case err != nil:
			return 0, err
		case c == '\n':
			j.line++
		case c != ' ' && c != '\t' && c != '\r':
			return c, nil
		}
	}
}

// more is space inside a value, where the end of the stream is a fault.
func (j *jsonReader) more() (byte, error) {
	c, err := j.space()
	return c, j.end(err)
}

func (j *jsonReader) end(err error) error {
	if errors.Is(err, io.EOF) {
		return j.fault("the file ends inside a JSON value: it is half-written")
	}
	return err
}

// named adds the file to a fault.
func named(err error, file string) error {
	var p Problem
	if errors.As(err, &p) && p.File == "" {
		p.File = file
		return p
	}
	return err
}

// fault is an error at the current line; the caller adds the file.
func (j *jsonReader) fault(format string, args ...any) error {
	return Problem{Line: j.line, Text: fmt.Sprintf(format, args...)}
}

// pointerToken escapes a key for a JSON Pointer.
func pointerToken(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// pointers lists the leaves in a fixed order.
func (d document) pointers() []string { return slices.Sorted(maps.Keys(d.leaves)) }

// count is a whole number that is not negative, nil = not there.
func (d document) count(pointer string) *int64 {
	v, ok := d.number(pointer)
	if !ok || v < 0 || v > 1<<53 || v != math.Trunc(v) {
		return nil
	}
	n := int64(v)
	return &n
}

// small is count for what fits an int; 0 = not there.
func (d document) small(pointer string) int {
	if n := d.count(pointer); n != nil && *n <= math.MaxInt32 {
		return int(*n)
	}
	return 0
}
