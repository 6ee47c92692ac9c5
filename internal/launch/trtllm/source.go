package trtllm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
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
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, Problems{{File: file, Text: "the file is empty"}}
		}
		return nil, Problems{yamlProblem(file, err)}
	}
	if err := dec.Decode(&more); err == nil {
		return nil, Problems{{File: file, Line: more.Line, Text: "a second YAML document begins here: a config file holds one"}}
	}
	s.root = resolve(doc.Content[0])
	if s.root.Kind != yaml.MappingNode {
		return nil, Problems{{File: file, Line: s.root.Line, Text: "the file is not a map of sections (metadata, hardware, …)"}}
	}
	s.duplicates(s.root, "", 0)
	return s, nil
}

// yamlProblem takes the line out of the YAML library's message.
func yamlProblem(file string, err error) Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if num, msg, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(num); err == nil {
				line, text = n, msg
			}
		}
	}
	return Problem{File: file, Line: line, Text: "not valid YAML: " + text}
}

func (s *source) duplicates(n *yaml.Node, key string, depth int) {
	if depth > 50 || n.Kind == yaml.AliasNode {
		return
	}
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			s.duplicates(c, key, depth+1)
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
		s.duplicates(v, path, depth+1)
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
	line int // of the key, or of the parent where the key is missing
}

func (s *source) top() section { return section{s: s, node: s.root, line: s.root.Line} }

// find is the value of a key, or nil; null counts as not there.
func (c section) find(name string) *yaml.Node {
	if c.node == nil || c.node.Kind != yaml.MappingNode {
		return nil
	}
	var merged *yaml.Node
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		k, v := c.node.Content[i], resolve(c.node.Content[i+1])
		if k.Value == name && k.Kind == yaml.ScalarNode {
			if v.Kind == yaml.ScalarNode && v.ShortTag() == "!!null" {
				return nil
			}
			return v
		}
		if k.ShortTag() == "!!merge" && v.Kind == yaml.MappingNode {
			merged = section{node: v}.find(name)
		}
	}
	return merged
}

func (c section) has(name string) bool { return c.find(name) != nil }

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
	n := c.find(name)
	key := join(c.key, name)
	if n == nil {
		if def < low {
			c.s.problem(c.line, key, "missing: add it as a whole number of at least %d", low)
			return low
		}
		return def
	}
	v, err := strconv.Atoi(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode:
		c.s.problem(n.Line, key, "is %s, a whole number is expected", kind(n))
	case n.ShortTag() == "!!str" && err == nil:
		c.s.problem(n.Line, key, "%q is text, a whole number is expected: remove the quotes", n.Value)
	case n.ShortTag() != "!!int" || err != nil:
		c.s.problem(n.Line, key, "%q is no whole number", n.Value)
	case v < low:
		c.s.problem(n.Line, key, "%d is too small: at least %d", v, low)
	case v > maxCount:
		c.s.problem(n.Line, key, "%d is larger than anything this can mean (%d)", v, maxCount)
	default:
		return v
	}
	return max(def, low)
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

func (c section) at(name string) int {
	if n := c.find(name); n != nil {
		return n.Line
	}
	return c.line
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
	n := c.find(name)
	if n == nil {
		return []int{1}
	}
	key := join(c.key, name)
	var words []string
	switch n.Kind {
	case yaml.ScalarNode:
		words = strings.Fields(strings.ReplaceAll(n.Value, ",", " "))
	case yaml.SequenceNode:
		for _, e := range n.Content {
			words = append(words, resolve(e).Value)
		}
	default:
	}
	var out []int
	for _, w := range words {
		v, err := strconv.Atoi(w)
		if err != nil || v < 1 || v > maxCount {
			c.s.problem(n.Line, key, "%q is no concurrency: write whole numbers of at least 1", w)
			continue
		}
		out = append(out, v)
	}
	if len(words) == 0 {
		c.s.problem(n.Line, key, "is empty: name at least one concurrency")
	}
	return out
}
