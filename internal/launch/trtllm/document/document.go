package document

import (
	"errors"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// maxYAML bounds a file; real ones are below 10 kB, lists of tests near 100 kB.
const maxYAML = 8 << 20

// Document is one of upstream's YAML files and the problems found in it.
// It is read from nodes, not into structs, because every value's line is needed
// and because upstream's files mix types where a struct allows one.
type Document struct {
	file     string
	root     *yaml.Node
	problems Problems
	warnings []string
}

// Read parses one YAML file. Duplicate keys are reported: which of them counts
// differs between readers. The error is a Problems.
func Read(file string, data []byte) (*Document, error) {
	d := &Document{file: file}
	if len(data) > maxYAML {
		return nil, Problems{{File: file, Text: fmt.Sprintf("%d bytes is more than such a file can have (%d)", len(data), maxYAML)}}
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
	d.root = resolve(root)
	if d.root.Kind != yaml.MappingNode {
		return nil, Problems{{File: file, Line: d.root.Line, Text: "the file is not a map of sections (metadata, hardware, …)"}}
	}
	d.lint(d.root, "", 0)
	return d, nil
}

// Top is the section of the file's top level.
func (d *Document) Top() Section { return Section{d: d, node: d.root, line: d.root.Line} }

// Problems is what has been found wrong so far.
func (d *Document) Problems() Problems { return d.problems }

// Warnings is what has been found doubtful so far.
func (d *Document) Warnings() []string { return d.warnings }

// Problem notes that something is wrong with the file.
func (d *Document) Problem(line int, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)})
}

// Warn notes that something is doubtful about the file.
func (d *Document) Warn(format string, args ...any) {
	d.warnings = append(d.warnings, Problem{File: d.file, Text: fmt.Sprintf(format, args...)}.String())
}

// lint reports duplicate keys, of which one reader takes the first and another
// the last, and tags of other programs, which upstream's reader refuses.
func (d *Document) lint(n *yaml.Node, key string, depth int) {
	if depth > 50 || n.Kind == yaml.AliasNode {
		return
	}
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		d.Problem(n.Line, key, "the tag %s is not known here: remove it", n.Tag)
	}
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			d.lint(c, key, depth+1)
		}
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		path := join(key, k.Value)
		if first, ok := seen[k.Value]; ok {
			d.Problem(k.Line, path, "given twice, also on line %d: keep one", first)
		}
		seen[k.Value] = k.Line
		d.lint(v, path, depth+1)
	}
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
