// Package strictyaml reads YAML that people write by hand, and tells them
// exactly what is wrong with it.
//
// In: a file name (for messages), its bytes, and a Go value. Out: the value
// filled, or every problem of the file at once, each with file, line, column and
// key path, in words that do not mention Go. Unknown keys, duplicate keys, keys
// without a value, an empty file and a second document are problems.
//
// Scalars that go into text fields keep their literal spelling (1.10, 0123,
// yes). Anchors, aliases and merge keys work; their expansion is bounded.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// maxBytes bounds the size of one file: the parser needs a multiple of it.
const maxBytes = 16 << 20

// Decode fills into, a pointer, from the YAML document in data. Values that into
// already holds are kept where the document says nothing. The error is a
// Problems.
func Decode(file string, data []byte, into any) error {
	_, err := Read(file, data, into)
	return err
}

// Read is Decode that also gives the document, in which positions of keys can be
// looked up for checks that come after the decoding. The document can be used
// even when there is an error.
func Read(file string, data []byte, into any) (Document, error) {
	doc := Document{File: file, pos: map[string]position{}}
	root, err := Parse(file, data)
	if err != nil {
		return doc, err
	}
	return doc, doc.decode(root, "", into)
}

// Parse gives the one document of the file, for readers that walk its nodes
// themselves. The error is a Problems.
func Parse(file string, data []byte) (*yaml.Node, error) {
	if len(data) > maxBytes {
		return nil, Problems{{File: file, Message: fmt.Sprintf("%d bytes is more than the %d that a config file may have", len(data), maxBytes)}}
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	err := dec.Decode(&root)
	switch {
	case errors.Is(err, io.EOF):
		return nil, Problems{{File: file, Message: "the file is empty"}}
	case err != nil:
		return nil, Problems{syntaxProblem(file, data, err)}
	}
	if len(root.Content) == 0 || root.Content[0].Kind == yaml.ScalarNode && root.Content[0].ShortTag() == "!!null" {
		return nil, Problems{{File: file, Message: "the file is empty"}}
	}
	err = dec.Decode(&second)
	switch {
	case errors.Is(err, io.EOF):
		return root.Content[0], nil
	case err != nil:
		return nil, Problems{syntaxProblem(file, data, err)}
	}
	return nil, Problems{{
		File: file, Line: second.Line, Column: second.Column,
		Message: "a second document (---) begins here: a config file holds exactly one",
	}}
}

// syntaxProblem turns the parser's "yaml: line 3: text" into a Problem, and finds
// the line in the file where the parser does not say.
func syntaxProblem(file string, data []byte, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	p := Problem{File: file}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		num, msg, ok := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(num); ok && err == nil {
			p.Line, text = n, msg
		}
	}
	if p.Line > 0 && strings.HasPrefix(text, "did not find expected") { // the parser counts these from 0
		p.Line++
		text += ": a bracket or a quote that is not closed, or another indentation than the lines around"
	}
	if p.Line == 0 {
		p.Line = badLine(data, text)
	}
	if strings.HasPrefix(text, "mapping values are not allowed") {
		p.Line = max(1, p.Line) // the parser does not name the first
		text += ": a text with a colon and a blank in it has to stand in quotes; or this line is indented too far"
	}
	if tabbed(data, p.Line) {
		text += ": the line is indented with a tab, YAML wants spaces"
	}
	p.Message = "not valid YAML: " + text
	return p
}

// tabbed reports whether a line has a tab in its indentation.
func tabbed(data []byte, line int) bool {
	lines := bytes.Split(data, []byte("\n"))
	if line < 1 || line > len(lines) {
		return false
	}
	text := lines[line-1]
	return bytes.ContainsRune(text[:len(text)-len(bytes.TrimLeft(text, " \t"))], '\t')
}

// badLine is the first line with bytes that YAML does not allow, or with the alias
// that the parser's message names; 0 = none.
func badLine(data []byte, message string) int {
	_, name, _ := strings.Cut(message, "unknown anchor '")
	name, _, alias := strings.Cut(name, "'")
	n := 0
	for line := range bytes.Lines(data) {
		n++
		control := bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' })
		if !utf8.Valid(line) || control || alias && bytes.Contains(line, []byte("*"+name)) {
			return n
		}
	}
	return 0
}

// Problem is one thing that is wrong, and where.
type Problem struct {
	File    string
	Line    int // 1-based; 0 = the file as a whole
	Column  int // 1-based; 0 = unknown
	Path    string
	Message string
}

// Error is "file:line:column: path: message".
func (p Problem) Error() string {
	s := location(p.File, p.Line, p.Column) + ": "
	if p.Path != "" {
		s += p.Path + ": "
	}
	return s + p.Message
}

func location(file string, line, column int) string {
	if line > 0 {
		file += ":" + strconv.Itoa(line)
		if column > 0 {
			file += ":" + strconv.Itoa(column)
		}
	}
	return file
}

// Problems is everything that is wrong with a file, in file order.
type Problems []Problem

// Error is one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each problem reachable for errors.As.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return slices.Compact(ps) // an alias used twice repeats its problems
}

// DecodeNode is Decode for a part of the document: the content of a yaml.Node
// field at path, once its type is known.
func (d Document) DecodeNode(path string, node *yaml.Node, into any) error {
	return d.decode(node, path, into)
}

type position struct{ line, column int }

// Document knows where each key of a decoded file stands.
type Document struct {
	File string
	pos  map[string]position
}

// At is "file:line:column" of the key at path (see Path). A key that is not in
// the file has the position of the nearest enclosing one that is.
func (d Document) At(path string) string {
	p := d.nearest(path)
	return location(d.File, p.line, p.column)
}

// Problem is a problem found after decoding, at the position of path.
func (d Document) Problem(path, format string, args ...any) Problem {
	p := d.nearest(path)
	return Problem{File: d.File, Line: p.line, Column: p.column, Path: path, Message: fmt.Sprintf(format, args...)}
}

// KeyError is a value that cannot be, found by somebody who knows its key and not the file.
type KeyError struct {
	Key     string
	Message string
}

// Error is "key: message".
func (e KeyError) Error() string { return e.Key + ": " + e.Message }

// Locate gives each KeyError that err joins its position. section is put before its key.
func (d Document) Locate(section string, err error) []error {
	switch e := err.(type) { //nolint:errorlint // what is joined, not what is wrapped
	case nil:
		return nil
	case KeyError:
		return []error{d.Problem(section+e.Key, "%s", e.Message)}
	case interface{ Unwrap() []error }:
		var out []error
		for _, one := range e.Unwrap() {
			out = append(out, d.Locate(section, one)...)
		}
		return out
	default:
		return []error{err}
	}
}

func (d Document) nearest(path string) position {
	for path != "" {
		if p, ok := d.pos[path]; ok {
			return p
		}
		path = parent(path)
	}
	return d.pos[""]
}

// Path writes a key path as messages show it: strings are keys, ints are list
// indexes from 0. clusters.gb200.nodes, roles[2].name, cases["a.b"].ttft.
func Path(elems ...any) string {
	path := ""
	for _, e := range elems {
		switch e := e.(type) {
		case int:
			path = indexPath(path, e)
		case string:
			path = keyPath(path, e)
		default:
			path = keyPath(path, fmt.Sprint(e))
		}
	}
	return path
}

func indexPath(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func keyPath(path, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return r == '.' || r == '[' || r == ']' || r == '"' || r <= ' ' || r == 0x7f || r >= 0x80 && !strconv.IsPrint(r)
	}) {
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// parent cuts the last element off a path made by Path.
func parent(path string) string {
	if !strings.HasSuffix(path, "]") {
		return path[:max(0, strings.LastIndexByte(path, '.'))]
	}
	if !strings.HasSuffix(path, `"]`) {
		return path[:max(0, strings.LastIndexByte(path, '['))]
	}
	// A quoted key may contain brackets: its quote begins where the rest is one
	// quoted string.
	for i := 0; ; i++ {
		j := strings.Index(path[i:], `["`)
		if j < 0 {
			return ""
		}
		i += j
		if _, err := strconv.Unquote(path[i+1 : len(path)-1]); err == nil {
			return path[:i]
		}
	}
}
