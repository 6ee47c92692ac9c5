// Package jsondoc reads JSON documents of any size in bounded memory: as Python
// writes them (NaN and Infinity), one after the other, with the line of each
// value.
//
// In: a stream. Out: a Document per top-level object, or a Fault with its line.
package jsondoc

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Limits of what is kept of a JSON document.
const (
	maxValues = 200_000
	maxBytes  = 32 << 20
)

// Document is one JSON object of a stream, flattened: each scalar stands under
// its JSON Pointer (RFC 6901), such as /ttft/avg. Of a list, the elements are
// there only if the reader asked for them.
type Document struct {
	line   int
	values map[string]value
	nodes  map[string]bool // pointers of the objects and lists
	lists  map[string]List
}

// List is what a list comes to, whether or not its elements were kept.
type List struct {
	Count int
	Sum   float64 // of those that are numbers
}

// Node is an object or a list, as a value.
type Node struct{}

// Twice is what stands under a key that is there more than once, with different values.
type Twice struct{ First, Last any }

// value is a scalar: a float64 (NaN and Inf included), a string, a bool, nil, or Twice.
type value struct {
	of   any
	line int
}

// Fault is what makes a stream unreadable, and where.
type Fault struct {
	Line int // 1-based
	Text string
}

// Error is the text: whoever knows the file puts it and the line before it.
func (f *Fault) Error() string { return f.Text }

// Has reports whether anything stands at the pointer.
func (d Document) Has(pointer string) bool {
	_, ok := d.values[pointer]
	return ok || d.nodes[pointer]
}

// Value finds what is there: a float64, a string, a bool, a Node, Twice, or nil.
func (d Document) Value(pointer string) any {
	if d.nodes[pointer] {
		return Node{}
	}
	return d.values[pointer].of
}

// Number finds a number, which may be NaN or infinite.
func (d Document) Number(pointer string) (float64, bool) {
	v, ok := d.values[pointer].of.(float64)
	return v, ok
}

// Text finds a string, "" if there is none.
func (d Document) Text(pointer string) string {
	s, _ := d.values[pointer].of.(string)
	return s
}

// True reports whether true stands at the pointer.
func (d Document) True(pointer string) bool {
	b, _ := d.values[pointer].of.(bool)
	return b
}

// Line is where the value at the pointer stands, else where the document begins.
func (d Document) Line(pointer string) int {
	if v, ok := d.values[pointer]; ok {
		return v.line
	}
	return d.line
}

// Count finds the first whole number, nil if there is none. What is below zero is none of anything, but was said.
func (d Document) Count(pointers ...string) *int64 {
	for _, p := range pointers {
		if v, ok := d.Number(p); ok && math.Abs(v) <= 1<<53 && v == math.Trunc(v) {
			n := int64(v)
			return &n
		}
	}
	return nil
}

// Small is Count for what fits an int; 0 = not there.
func (d Document) Small(pointers ...string) int {
	if n := d.Count(pointers...); n != nil && *n >= 0 && *n <= math.MaxInt32 {
		return int(*n)
	}
	return 0
}

// Lists are the lists of the document itself, by their keys.
func (d Document) Lists() map[string]List { return d.lists }

// Pointers lists the scalars in a fixed order.
func (d Document) Pointers() []string { return slices.Sorted(maps.Keys(d.values)) }

// reader reads a stream of JSON values, which may follow each other with
// any white space or none between them.
type reader struct {
	dec  *json.Decoder
	in   *filter
	keep func(list string) int // how many elements of the list are kept

	doc  Document
	path []byte
	drop int // above 0: inside something that is not kept
	size int
}

func newReader(r *bufio.Reader, keep func(list string) int) *reader {
	in := newFilter(r)
	dec := json.NewDecoder(in)
	dec.UseNumber()
	return &reader{dec: dec, in: in, keep: keep}
}

// Read calls each for every top-level object of r, and for every element of a
// top-level list. keep is how many elements of the list at a pointer are kept. Beside an error stands what was read of
// the document that it is in.
func Read(r *bufio.Reader, keep func(list string) int, each func(Document)) (Document, error) {
	j := newReader(r, keep)
	err := j.documents(each)
	return j.doc, err
}

func (j *reader) documents(each func(Document)) error {
	for {
		t, err := j.dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return j.fault(err)
		}
		if t == json.Delim('[') {
			err = j.elements(each)
		} else {
			err = j.document(t, each)
		}
		if err != nil {
			return err
		}
	}
}

// elements reads the rest of a top-level list.
func (j *reader) elements(each func(Document)) error {
	for {
		t, err := j.token()
		if err != nil || t == json.Delim(']') {
			return err
		}
		if err := j.document(t, each); err != nil {
			return err
		}
	}
}

func (j *reader) document(t json.Token, each func(Document)) error {
	j.doc = Document{line: j.line(), values: map[string]value{}, nodes: map[string]bool{}, lists: map[string]List{}}
	j.path, j.drop, j.size = j.path[:0], 0, 0
	if err := j.value(t); err != nil {
		return err
	}
	each(j.doc)
	return nil
}

// token is the next one inside a value, where the end of the stream is a fault.
func (j *reader) token() (json.Token, error) {
	t, err := j.dec.Token()
	return t, j.fault(err)
}

func (j *reader) line() int { return j.in.lineAt(j.dec.InputOffset()) }

// fault gives an error its line; the caller adds the file.
func (j *reader) fault(err error) error {
	var known *Fault
	var syntax *json.SyntaxError
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Fault{Line: j.in.line, Text: "the file ends inside a JSON value: it is half-written"}
	case errors.As(err, &syntax):
		return &Fault{Line: j.line(), Text: "not JSON: " + syntax.Error()}
	default:
		return err
	}
}

func (j *reader) value(t json.Token) error {
	switch t := t.(type) {
	case json.Delim:
		if err := j.node(); err != nil {
			return err
		}
		if t == '[' {
			return j.list()
		}
		return j.object()
	case json.Number:
		return j.scalar(number(t))
	default:
		return j.scalar(t)
	}
}

// number is the value of a number as the filter writes it.
func number(n json.Number) float64 {
	if strings.TrimPrefix(n.String(), "-") == nan {
		return math.NaN()
	}
	v, _ := n.Float64() // out of range is infinite
	return v
}

func (j *reader) object() error {
	for {
		t, err := j.token()
		if err != nil || t == json.Delim('}') {
			return err
		}
		key, _ := t.(string)
		if t, err = j.token(); err != nil {
			return err
		}
		mark := len(j.path)
		j.path = append(append(j.path, '/'), pointerToken(key)...)
		err = j.value(t)
		j.path = j.path[:mark]
		if err != nil {
			return err
		}
	}
}

func (j *reader) list() error {
	most, mark := 0, len(j.path)
	if j.drop == 0 {
		most = j.keep(string(j.path))
	}
	var sum float64
	for i := 0; ; i++ {
		t, err := j.token()
		if key, own := strings.CutPrefix(string(j.path), "/"); err == nil && t == json.Delim(']') && j.drop == 0 && own && !strings.Contains(key, "/") {
			j.doc.lists[Unescape(key)] = List{i, sum}
		}
		if err != nil || t == json.Delim(']') {
			return err
		}
		if n, ok := t.(json.Number); ok {
			sum += number(n)
		}
		kept := i < most
		if kept {
			j.path = strconv.AppendInt(append(j.path, '/'), int64(i), 10)
		} else {
			j.drop++
		}
		err = j.value(t)
		j.path = j.path[:mark]
		if !kept {
			j.drop--
		}
		if err != nil {
			return err
		}
	}
}

// node notes that an object or a list stands here.
func (j *reader) node() error {
	if j.drop > 0 {
		return nil
	}
	j.doc.nodes[string(j.path)] = true
	return j.bound(0)
}

func (j *reader) scalar(v any) error {
	if j.drop > 0 {
		return nil
	}
	s, _ := v.(string)
	before, ok := j.doc.values[string(j.path)]
	if _, twice := before.of.(Twice); twice {
		v = before.of
	} else if ok && before.of != v {
		v = Twice{before.of, v}
	}
	j.doc.values[string(j.path)] = value{of: v, line: j.line()}
	return j.bound(len(s))
}

// bound ends a document that would take too much memory.
func (j *reader) bound(n int) error {
	j.size += len(j.path) + n
	if len(j.doc.values)+len(j.doc.nodes) > maxValues || j.size > maxBytes {
		return &Fault{Line: j.line(), Text: fmt.Sprintf("more than %d values or %d MB in one document", maxValues, maxBytes>>20)}
	}
	return nil
}

// pointerToken escapes a key for a JSON Pointer.
func pointerToken(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// Unescape undoes the escapes of a token of a JSON Pointer.
func Unescape(s string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
}
