package document

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Section is a map in a document, under its dotted key. The zero section, of a
// part that the file does not have, answers every question with the default.
type Section struct {
	d       *Document
	node    *yaml.Node // nil = not there
	key     string
	line    int  // of the key, or of the parent where the key is missing
	invalid bool // something else stands in its place, which has been reported
}

// Entry is a key of a section.
type Entry struct {
	Name string
	Line int
}

// Line is a text in a list, and where it stands.
type Line struct {
	Text string
	Line int
}

// Key is the section's dotted key, "" at the top level.
func (c Section) Key() string { return c.key }

// Line is where the section stands, or its parent where it is missing.
func (c Section) Line() int { return c.line }

// Invalid reports whether something else than a map stands in the section's place.
// That has been reported.
func (c Section) Invalid() bool { return c.invalid }

// Keys are the keys of the section, in the order of the file.
func (c Section) Keys() []Entry {
	var out []Entry
	for i := 0; c.node != nil && i+1 < len(c.node.Content); i += 2 {
		out = append(out, Entry{Name: c.node.Content[i].Value, Line: c.node.Content[i].Line})
	}
	return out
}

// Problem notes that something is wrong with a key of the section, "" = with the
// section itself.
func (c Section) Problem(name, format string, args ...any) {
	line := c.line
	if name != "" {
		line = c.At(name)
	}
	c.ProblemAt(line, name, format, args...)
}

// ProblemAt is Problem for a line of the key's value.
func (c Section) ProblemAt(line int, name, format string, args ...any) {
	c.d.Problem(line, strings.TrimSuffix(join(c.key, name), "."), format, args...)
}

// find is the value of a key, its own or one that << brings in, or nil; null
// counts as not there.
func (c Section) find(name string) *yaml.Node {
	if c.node == nil || c.node.Kind != yaml.MappingNode {
		return nil
	}
	if n, ok := lookup(c.node, name, 0); ok && (n.Kind != yaml.ScalarNode || n.ShortTag() != "!!null") {
		return n
	}
	return nil
}

func lookup(m *yaml.Node, name string, depth int) (*yaml.Node, bool) {
	var merged []*yaml.Node
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], resolve(m.Content[i+1])
		switch {
		case k.ShortTag() == "!!merge" && v.Kind == yaml.SequenceNode:
			merged = append(merged, v.Content...)
		case k.ShortTag() == "!!merge":
			merged = append(merged, v)
		case k.Kind == yaml.ScalarNode && k.Value == name:
			return v, true
		}
	}
	for _, v := range merged { // the first that has the key wins
		if v = resolve(v); v.Kind == yaml.MappingNode && depth < 50 {
			if n, ok := lookup(v, name, depth+1); ok {
				return n, true
			}
		}
	}
	return nil, false
}

// Has reports whether the key has a value.
func (c Section) Has(name string) bool { return c.find(name) != nil }

// Written reports whether the key stands in this section, perhaps with null.
func (c Section) Written(name string) bool { return c.keyLine(name) > 0 }

// keyLine is the line of a key of this section, or 0.
func (c Section) keyLine(name string) int {
	for _, e := range c.Keys() {
		if e.Name == name {
			return e.Line
		}
	}
	return 0
}

// At is the line of a key's value, of the key, or of the section.
func (c Section) At(name string) int {
	if n := c.find(name); n != nil {
		return n.Line
	}
	return cmp.Or(c.keyLine(name), c.line)
}

// Sub is a section below this one. A value that is no map is a problem.
func (c Section) Sub(name string) Section {
	n := c.find(name)
	out := Section{d: c.d, key: join(c.key, name), line: c.line}
	if n == nil {
		return out
	}
	out.line = n.Line
	if n.Kind != yaml.MappingNode {
		c.d.Problem(n.Line, out.key, "is %s, a map of keys is expected", kind(n))
		out.invalid = true
		return out
	}
	out.node = n
	return out
}

// Maybe is Sub for keys that may also hold a plain value (load_balancer: a path).
func (c Section) Maybe(name string) Section {
	if !c.Map(name) {
		return Section{d: c.d, key: join(c.key, name), line: c.line}
	}
	return c.Sub(name)
}

// List is the elements of a sequence of maps.
func (c Section) List(name string) []Section {
	n := c.find(name)
	if n == nil {
		return nil
	}
	key := join(c.key, name)
	if n.Kind != yaml.SequenceNode {
		c.d.Problem(n.Line, key, "is %s, a list is expected", kind(n))
		return nil
	}
	var out []Section
	for i, e := range n.Content {
		e = resolve(e)
		k := fmt.Sprintf("%s[%d]", key, i)
		if e.Kind != yaml.MappingNode {
			c.d.Problem(e.Line, k, "is %s, a map of keys is expected", kind(e))
			continue
		}
		out = append(out, Section{d: c.d, node: e, key: k, line: e.Line})
	}
	return out
}

// Scalar reports whether the key's value is neither a map nor a list, or absent.
func (c Section) Scalar(name string) bool {
	n := c.find(name)
	return n == nil || n.Kind == yaml.ScalarNode
}

// Map reports whether the key's value is a map.
func (c Section) Map(name string) bool {
	n := c.find(name)
	return n != nil && n.Kind == yaml.MappingNode
}

// Text is a scalar as it is written.
func (c Section) Text(name string) string {
	n := c.find(name)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		c.d.Problem(n.Line, join(c.key, name), "is %s, text is expected", kind(n))
		return ""
	}
	return n.Value
}

// Lines is a list of scalars; one scalar is a list of one. expected says what each
// is to be, for the problem of one that is none: "text is expected".
func (c Section) Lines(name, expected string) []Line {
	n := c.find(name)
	if n == nil {
		return nil
	}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	var out []Line
	for _, e := range items {
		if e = resolve(e); e.Kind == yaml.ScalarNode {
			out = append(out, Line{Text: e.Value, Line: e.Line})
		} else {
			c.ProblemAt(e.Line, name, "is %s, %s", kind(e), expected)
		}
	}
	return out
}

// Texts is a list of scalars, or one scalar.
func (c Section) Texts(name string) []string {
	var out []string
	for _, l := range c.Lines(name, "text is expected") {
		out = append(out, l.Text)
	}
	return out
}

// MaxCount bounds every number that something is multiplied or looped with.
const MaxCount = 1 << 20

// Count is a whole number of at least low. Missing gives def; def below low
// means that the key is required.
func (c Section) Count(name string, def, low int) int {
	n, key := c.find(name), join(c.key, name)
	if n == nil {
		switch {
		case c.invalid:
		case c.Written(name):
			c.Problem(name, "has no value: write a whole number of at least %d", low)
		case def < low:
			c.d.Problem(c.line, key, "missing: add it as a whole number of at least %d", low)
		}
		return max(def, low)
	}
	v, err := strconv.Atoi(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode:
		c.d.Problem(n.Line, key, "is %s, a whole number is expected", kind(n))
	case n.ShortTag() == "!!str" && err == nil:
		c.d.Problem(n.Line, key, "%q is text, a whole number is expected: remove the quotes", n.Value)
	case err != nil || n.ShortTag() != "!!int":
		c.d.Problem(n.Line, key, "%q is not a whole number: write it in decimal digits", n.Value)
	case Octal(n.Value):
		c.d.Problem(n.Line, key, "%q begins with 0, which some readers take for octal: write it without", n.Value)
	case v < low:
		c.d.Problem(n.Line, key, "%d is too small: at least %d", v, low)
	case v > MaxCount:
		c.d.Problem(n.Line, key, "%d is larger than anything this can mean (%d)", v, MaxCount)
	default:
		return v
	}
	return max(def, low)
}

// Octal reports whether YAML 1.1, which upstream reads, and YAML 1.2 differ on a
// number.
func Octal(v string) bool {
	v = strings.TrimLeft(v, "+-")
	return len(v) > 1 && v[0] == '0'
}

// Flag is true or false; missing is false.
func (c Section) Flag(name string) bool {
	n := c.find(name)
	if n == nil {
		return false
	}
	var v bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&v) != nil {
		c.d.Problem(n.Line, join(c.key, name), "%q is neither true nor false", n.Value)
	}
	return v
}

func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("%q", n.Value)
	}
}
