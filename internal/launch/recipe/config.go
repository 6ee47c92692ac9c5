package recipe

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// What is written: the keys of ci-disagg.yaml that a recipe needs.
type file struct {
	Stage     string              `yaml:"stage"`
	RunsDir   string              `yaml:"runs_dir"`
	Clusters  map[string]cluster  `yaml:"clusters"`
	Budgets   map[string]string   `yaml:"budgets"`
	Pipelines map[string]pipeline `yaml:"pipelines"`
	Cases     []entry             `yaml:"cases,omitempty"`
	Perf      map[string]bool     `yaml:"perf"`
}

type cluster struct {
	Partition string     `yaml:"partition,omitempty"`
	Account   string     `yaml:"account,omitempty"`
	Time      string     `yaml:"time,omitempty"`
	GPUs      int        `yaml:"gpus_per_node"`
	GPUType   string     `yaml:"gpu_type,omitempty"`
	Sbatch    []string   `yaml:"sbatch,omitempty"`
	Container *container `yaml:"container,omitempty"`
}

type container struct {
	Image  string   `yaml:"image"`
	Mounts []string `yaml:"mounts,omitempty"`
}

type pipeline struct {
	Env   map[string]string `yaml:"env,omitempty"`
	Roles []role            `yaml:"roles"`
}

type role struct {
	Name     string            `yaml:"name"`
	Kind     string            `yaml:"kind"`
	Count    int               `yaml:"count,omitempty"`
	Nodes    int               `yaml:"nodes,omitempty"`
	GPUs     int               `yaml:"gpus,omitempty"`
	Tasks    int               `yaml:"tasks,omitempty"`
	With     string            `yaml:"with,omitempty"`
	Launcher string            `yaml:"launcher,omitempty"`
	Env      map[string]string `yaml:"env,omitempty"`
	Command  string            `yaml:"command"`
	Ready    *ready            `yaml:"ready,omitempty"`
	Needs    *[]string         `yaml:"needs,omitempty"`
	Bench    []bench           `yaml:"bench,omitempty"`
	Expect   map[string]string `yaml:"expect,omitempty"`
}

type ready struct {
	HTTP string `yaml:"http,omitempty"`
	TCP  bool   `yaml:"tcp,omitempty"`
}

type bench struct {
	Reader string `yaml:"reader,omitempty"`
	Files  string `yaml:"files"`
}

type entry struct {
	Vars map[string][]string `yaml:"vars"`
}

// section is a mapping of the recipe. What is read of it is marked, so that the rest can be named.
type section struct {
	path string
	node *yaml.Node // nil = it is not there
}

// pair is a key and its value as one text; raw is both as YAML.
type pair struct {
	key, value, raw string
	words           []string // of the value, as those of a flag: none of a switch
	off             bool     // null, or a switch that is off: a flag that is not given
}

// find yields the value of a key, nil = none.
func (s section) find(key string) *yaml.Node {
	if s.node == nil || s.node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		if s.node.Content[i].Value == key {
			return meant(s.node.Content[i+1])
		}
	}
	return nil
}

// meant is what an alias stands for.
func meant(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// in is the section below a key.
func (s section) in(key string) section {
	return section{path: strings.TrimPrefix(s.path+"."+key, "."), node: s.find(key)}
}

// text is a value that stands alone.
func (s section) text(key string) string {
	n := s.find(key)
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	n.HeadComment = read
	return n.Value
}

// read marks a value that has been taken over.
const read = "taken over"

func (s section) number(key string) int {
	n, _ := strconv.Atoi(s.text(key))
	return n
}

// texts is a list of values.
func (s section) texts(key string) []string {
	n := s.find(key)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	n.HeadComment = read
	var out []string
	for _, item := range n.Content {
		out = append(out, item.Value)
	}
	return out
}

// split is a list, or values with an x between them: 1x4x8.
func (s section) split(key string) []string {
	if list := s.texts(key); list != nil {
		return list
	}
	if text := s.text(key); text != "" {
		return strings.Split(text, "x")
	}
	return nil
}

// list are all keys of the section, in order.
func (s section) list() []pair {
	if s.node == nil || s.node.Kind != yaml.MappingNode {
		return nil
	}
	s.node.HeadComment = read
	var out []pair
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		key, value := s.node.Content[i].Value, meant(s.node.Content[i+1])
		raw, err := yaml.Marshal(map[string]*yaml.Node{key: value})
		if err != nil {
			continue // unreachable: it was read as YAML
		}
		p := pair{key: key, value: whole(value), raw: string(raw)}
		p.words, p.off = flag(value)
		out = append(out, p)
	}
	return out
}

// flag is what srt-slurm makes of the value of a flag: of a list as many words, of true none. It reads YAML 1.1, where
// on and yes are true.
func flag(n *yaml.Node) (words []string, off bool) {
	plain := n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch text := strings.ToLower(n.Value); {
	case n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			words = append(words, whole(meant(item)))
		}
		return words, false
	case plain && (n.ShortTag() == "!!null" || slices.Contains([]string{"false", "no", "off"}, text)):
		return nil, true
	case plain && slices.Contains([]string{"true", "yes", "on"}, text):
		return nil, false
	}
	return []string{whole(n)}, false
}

// whole is a value as one text: JSON where it is more than one.
func whole(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return flow(n)
}

// flow is a value as JSON.
func flow(n *yaml.Node) string {
	var parts []string
	switch n = meant(n); n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			parts = append(parts, flow(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			parts = append(parts, strconv.Quote(n.Content[i].Value)+":"+flow(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	default:
		return scalar(n)
	}
}

// scalar is a single value as JSON.
func scalar(n *yaml.Node) string {
	var v any = n.Value
	if n.ShortTag() != "!!str" {
		if json.Valid([]byte(n.Value)) {
			return n.Value
		}
		if n.Decode(&v) != nil {
			v = n.Value
		}
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return strconv.Quote(n.Value) // .inf, which JSON does not know
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// pairs are the keys of a section as a map.
func (s section) pairs() map[string]string {
	var out map[string]string
	for _, p := range s.list() {
		if out == nil {
			out = map[string]string{}
		}
		out[p.key] = p.value
	}
	return out
}

// unread names every key that nobody has read.
func (s section) unread() []string {
	var out []string
	if s.node == nil || s.node.Kind != yaml.MappingNode || s.node.HeadComment == read {
		return nil
	}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		below := s.in(s.node.Content[i].Value)
		switch {
		case below.node == nil || below.node.HeadComment == read:
		case below.node.Kind == yaml.MappingNode && len(below.node.Content) > 0:
			out = append(out, below.unread()...)
		default:
			out = append(out, fmt.Sprintf("%s (line %d)", below.path, s.node.Content[i].Line))
		}
	}
	return out
}
