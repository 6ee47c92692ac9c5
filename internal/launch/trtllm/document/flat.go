package document

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFlat bounds a value in one line: aliases may make much of little.
const maxFlat = 2000

// Flat is the value of a key in one line, whatever it is, the same for the same value
// in any order and spelling of YAML: a scalar as it is written, a map as its dotted keys
// with their values, "a=1,b.c=[x y]". "" = nothing is there, or nothing in it.
func (c Section) Flat(name string) string {
	n := c.find(name)
	if n == nil {
		return ""
	}
	left := maxFlat
	var parts []string
	flatten(n, "", &parts, &left)
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// flatten adds what is below a node to parts, each as KEY=VALUE.
func flatten(n *yaml.Node, key string, parts *[]string, left *int) {
	n = resolve(n)
	if *left <= 0 {
		return
	}
	if n.Kind != yaml.MappingNode {
		text := plain(n, left)
		if key != "" {
			text = key + "=" + text
		}
		*left -= len(text)
		*parts = append(*parts, text)
		return
	}
	for _, k := range keysOf(n, 0) {
		if v, ok := lookup(n, k, 0); ok {
			flatten(v, join(key, k), parts, left)
		}
	}
}

// keysOf are the keys of a map, with those that << brings in.
func keysOf(m *yaml.Node, depth int) []string {
	var out []string
	for i := 0; i+1 < len(m.Content) && depth < 50; i += 2 {
		k, v := m.Content[i], resolve(m.Content[i+1])
		switch {
		case k.ShortTag() != "!!merge":
			out = append(out, k.Value)
		case v.Kind == yaml.SequenceNode:
			for _, one := range v.Content {
				out = append(out, keysOf(resolve(one), depth+1)...)
			}
		default:
			out = append(out, keysOf(v, depth+1)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// plain is a scalar or a list in one line.
func plain(n *yaml.Node, left *int) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	var all []string
	for _, c := range n.Content {
		var parts []string
		flatten(c, "", &parts, left)
		all = append(all, strings.Join(parts, ","))
	}
	return "[" + strings.Join(all, " ") + "]"
}

// Placeholder reports whether a value is one that somebody is to fill in: <partition>.
func Placeholder(v string) bool { return strings.HasPrefix(v, "<") && strings.HasSuffix(v, ">") }
