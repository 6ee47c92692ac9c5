package trtllm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// maxYAML bounds a config file; real ones are below 10 kB.
const maxYAML = 4 << 20

// source is one of upstream's YAML files and the problems found in it.
// It is read from nodes, not into structs, because every value's line is needed
// and because upstream's files mix types where a struct allows one.
type source struct {
	file     string
	root     *yaml.Node
	problems Problems
	warnings []string
}

// readSource parses one YAML file. Duplicate keys are reported: which of them
// counts differs between readers.
func readSource(file string, data []byte) (*source, error) {
	s := &source{file: file}
	if len(data) > maxYAML {
		return nil, Problems{{File: file, Text: fmt.Sprintf("%d bytes is more than a config file can have (%d)", len(data), maxYAML)}}
	}
	root, err := strictyaml.Parse(file, data)
	var bad strictyaml.Problems
	if errors.As(err, &bad) {
		var out Problems
		for _, p := range bad {
			out = append(out, Problem{File: file, Line: p.Line, Text: p.Message})
		}
		return nil, out
	}
	s.root = resolve(root)
	if s.root.Kind != yaml.MappingNode {
		return nil, Problems{{File: file, Line: s.root.Line, Text: "the file is not a map of sections (metadata, hardware, …)"}}
	}
	s.lint(s.root, "", 0)
	return s, nil
}

// lint reports duplicate keys, of which one reader takes the first and another
// the last, and tags of other programs, which upstream's reader refuses.
func (s *source) lint(n *yaml.Node, key string, depth int) {
	if depth > 50 || n.Kind == yaml.AliasNode {
		return
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		s.problem(n.Line, key, "the tag %s is not known here: remove it", n.Tag)
	}
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			s.lint(c, key, depth+1)
		}
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		path := join(key, k.Value)
		if first, ok := seen[k.Value]; ok {
			s.problem(k.Line, path, "given twice, also on line %d: keep one", first)
		}
		seen[k.Value] = k.Line
		s.lint(v, path, depth+1)
	}
}

func (s *source) problem(line int, key, format string, args ...any) {
	s.problems = append(s.problems, Problem{File: s.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

func (s *source) warn(line int, key, format string, args ...any) {
	s.warnings = append(s.warnings, Problem{File: s.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)}.String())
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "." + b
}

// resolve follows aliases.
func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && n.Alias != nil && i < 50; i++ {
		n = n.Alias
	}
	return n
}

// section is a map in a source, under its dotted key. The zero section, of a
// part that the file does not have, answers every question with the default.
type section struct {
	s    *source
	node *yaml.Node // nil = not there
	key  string
	line int  // of the key, or of the parent where the key is missing
	bad  bool // something else stands in its place, which has been reported
}

func (s *source) top() section { return section{s: s, node: s.root, line: s.root.Line} }

// find is the value of a key, its own or one that << brings in, or nil; null
// counts as not there.
func (c section) find(name string) *yaml.Node {
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

func (c section) has(name string) bool { return c.find(name) != nil }

// written says that the key stands in this section, perhaps with null.
func (c section) written(name string) bool { return c.keyLine(name) > 0 }

// keyLine is the line of a key of this section, or 0.
func (c section) keyLine(name string) int {
	for i := 0; c.node != nil && i+1 < len(c.node.Content); i += 2 {
		if c.node.Content[i].Value == name {
			return c.node.Content[i].Line
		}
	}
	return 0
}

// sub is a section below this one. A value that is no map is a problem.
func (c section) sub(name string) section {
	n := c.find(name)
	out := section{s: c.s, key: join(c.key, name), line: c.line}
	if n == nil {
		return out
	}
	out.line = n.Line
	if n.Kind != yaml.MappingNode {
		c.s.problem(n.Line, out.key, "is %s, a map of keys is expected", kind(n))
		out.bad = true
		return out
	}
	out.node = n
	return out
}

// list is the elements of a sequence of maps.
func (c section) list(name string) []section {
	n := c.find(name)
	if n == nil {
		return nil
	}
	key := join(c.key, name)
	if n.Kind != yaml.SequenceNode {
		c.s.problem(n.Line, key, "is %s, a list is expected", kind(n))
		return nil
	}
	var out []section
	for i, e := range n.Content {
		e = resolve(e)
		k := fmt.Sprintf("%s[%d]", key, i)
		if e.Kind != yaml.MappingNode {
			c.s.problem(e.Line, k, "is %s, a map of keys is expected", kind(e))
			continue
		}
		out = append(out, section{s: c.s, node: e, key: k, line: e.Line})
	}
	return out
}

// text is a scalar as it is written.
func (c section) text(name string) string {
	n := c.find(name)
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		c.s.problem(n.Line, join(c.key, name), "is %s, text is expected", kind(n))
		return ""
	}
	return n.Value
}

// count is a whole number of at least low. Missing gives def; def below low
// means that the key is required.
func (c section) count(name string, def, low int) int {
	n, key := c.find(name), join(c.key, name)
	if n == nil {
		switch {
		case c.bad:
		case c.written(name):
			c.s.problem(c.at(name), key, "has no value: write a whole number of at least %d", low)
		case def < low:
			c.s.problem(c.line, key, "missing: add it as a whole number of at least %d", low)
		}
		return max(def, low)
	}
	v, err := strconv.Atoi(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode:
		c.s.problem(n.Line, key, "is %s, a whole number is expected", kind(n))
	case n.ShortTag() == "!!str" && err == nil:
		c.s.problem(n.Line, key, "%q is text, a whole number is expected: remove the quotes", n.Value)
	case err != nil || n.ShortTag() != "!!int":
		c.s.problem(n.Line, key, "%q is not a whole number: write it in decimal digits", n.Value)
	case octal(n.Value):
		c.s.problem(n.Line, key, "%q begins with 0, which some readers take for octal: write it without", n.Value)
	case v < low:
		c.s.problem(n.Line, key, "%d is too small: at least %d", v, low)
	case v > maxCount:
		c.s.problem(n.Line, key, "%d is larger than anything this can mean (%d)", v, maxCount)
	default:
		return v
	}
	return max(def, low)
}

// octal says that YAML 1.1, which upstream reads, and YAML 1.2 differ on a number.
func octal(v string) bool {
	v = strings.TrimLeft(v, "+-")
	return len(v) > 1 && v[0] == '0'
}

// maxCount bounds every number that something is multiplied or looped with.
const maxCount = 1 << 20

func (c section) flag(name string) bool {
	n := c.find(name)
	if n == nil {
		return false
	}
	var v bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&v) != nil {
		c.s.problem(n.Line, join(c.key, name), "%q is neither true nor false", n.Value)
	}
	return v
}

// texts is a list of scalars, or one scalar.
func (c section) texts(name string) []string {
	n := c.find(name)
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var out []string
	for _, e := range n.Content {
		if e = resolve(e); e.Kind == yaml.ScalarNode && n.Kind == yaml.SequenceNode {
			out = append(out, e.Value)
		} else {
			c.s.problem(e.Line, join(c.key, name), "is %s, text is expected", kind(e))
		}
	}
	return out
}

// at is the line of a key's value, of the key, or of the section.
func (c section) at(name string) int {
	if n := c.find(name); n != nil {
		return n.Line
	}
	return cmp.Or(c.keyLine(name), c.line)
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

// concurrencies reads concurrency_list in its four forms: '2048', '1 2 4 8', a
// YAML list, a number. Commas separate as blanks do.
func (c section) concurrencies(name string) []int {
	n, key := c.find(name), join(c.key, name)
	if n == nil {
		if c.written(name) {
			c.s.problem(c.at(name), key, "has no value: name at least one concurrency, or remove the key")
		}
		return []int{1}
	}
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	var out []int
	words := 0
	for _, e := range items {
		if e = resolve(e); e.Kind != yaml.ScalarNode {
			c.s.problem(e.Line, key, "is %s, whole numbers are expected", kind(e))
			return out
		}
		for _, w := range strings.Fields(strings.ReplaceAll(e.Value, ",", " ")) {
			words++
			v, err := strconv.Atoi(w)
			switch {
			case err != nil || v < 1 || v > maxCount || octal(w):
				c.s.problem(e.Line, key, "%q is no concurrency: write whole numbers of at least 1", w)
			case slices.Contains(out, v):
				c.s.problem(e.Line, key, "%d is given twice, and the two results could not be told apart: remove one, for more requests raise multi_round", v)
			default:
				out = append(out, v)
			}
		}
	}
	if words == 0 {
		c.s.problem(n.Line, key, "is empty: name at least one concurrency")
	}
	return out
}
