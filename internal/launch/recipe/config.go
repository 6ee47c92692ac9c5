package recipe

import (
	"fmt"
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
type pair struct{ key, value, raw string }

// find yields the value of a key, nil = none.
func (s section) find(key string) *yaml.Node {
	if s.node == nil || s.node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		if s.node.Content[i].Value == key {
			v := s.node.Content[i+1]
			for v.Kind == yaml.AliasNode {
				v = v.Alias
			}
			return v
		}
	}
	return nil
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
		key, value := s.node.Content[i].Value, s.node.Content[i+1]
		raw, err := yaml.Marshal(map[string]*yaml.Node{key: value})
		if err != nil {
			continue // unreachable: it was read as YAML
		}
		p := pair{key: key, value: value.Value, raw: string(raw)}
		if value.Kind != yaml.ScalarNode {
			p.value = flow(value)
		}
		out = append(out, p)
	}
	return out
}

// flow is a list as words' text joined by blanks, a mapping as JSON.
func flow(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
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
		if n.ShortTag() == "!!str" {
			return strconv.Quote(n.Value)
		}
		return n.Value
	}
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
