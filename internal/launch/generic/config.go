package generic

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Config is the part of ci-disagg.yaml that says which pipelines there are, and which
// cases of them. Texts may hold templates; see docs/pipelines.md.
type Config struct {
	Pipelines map[string]Pipeline `yaml:"pipelines"`
	Cases     []Entry             `yaml:"cases"` // none: one case of each pipeline
}

// EachReader calls each for every reader that a role names, with the place where it is named and whether its results
// are to tell of requests.
func (c Config) EachReader(each func(path, reader string, requests bool)) {
	for _, name := range slices.Sorted(maps.Keys(c.Pipelines)) {
		for i, r := range c.Pipelines[name].Roles {
			for j, b := range r.Bench {
				if b.Reader != "" {
					each(strictyaml.Path("pipelines", name, "roles", i, "bench", j, "reader"), b.Reader, len(r.Expect.Requests) > 0)
				}
			}
		}
	}
}

// Pipeline is roles that make up one measurement or one test.
type Pipeline struct {
	Roles []Role            `yaml:"roles"` // in start order
	Env   map[string]string `yaml:"env"`   // of all roles
	Dir   string            `yaml:"dir"`   // where their commands run; default: the folder of the config
}

// Role is a group of alike process groups.
type Role struct {
	Name  string `yaml:"name"`
	Kind  string `yaml:"kind" enum:"server,router,client,task"` // server, router, client or task
	Place `yaml:",inline"`

	Command  Command           `yaml:"command"`
	Launcher string            `yaml:"launcher"` // none (default), mpi, or shell text put before the command
	Env      map[string]string `yaml:"env"`
	Dir      string            `yaml:"dir"`
	// Container is the role's own, in the place of the cluster's.
	Container *script.Container `yaml:"container"`

	Port     string   `yaml:"port" bounds:"1,65535"` // a fixed one; without it {port} is a free one
	Ready    Ready    `yaml:"ready"`
	Needs    []string `yaml:"needs"`                             // roles that must be ready, or have ended well, first; nil = see needsOf
	Critical *bool    `yaml:"critical"`                          // false: it may leave, however it ends
	Stop     string   `yaml:"stop" enum:"with-client,by-itself"` // with-client (default of servers and routers) or by-itself

	Results Texts        `yaml:"results"`
	Bench   []BenchFiles `yaml:"bench"`
	Expect  Expect       `yaml:"expect"`
}

// Place says what an instance takes of the cluster. Numbers may be templates.
type Place struct {
	Count string `yaml:"count" bounds:"1,1000"` // instances; given: they are numbered
	Nodes string `yaml:"nodes" bounds:"1,"`     // per instance
	GPUs  string `yaml:"gpus" bounds:"0,"`      // per instance
	Tasks string `yaml:"tasks" bounds:"1,"`     // per instance
	With  string `yaml:"with"`                  // role whose nodes it shares
}

// Ready says when an instance is ready; all that is given must hold.
type Ready struct {
	HTTP string `yaml:"http"` // path that answers 200
	TCP  bool   `yaml:"tcp"`
	Log  string `yaml:"log"`  // RE2, for a line of its output
	File string `yaml:"file"` // pattern below its output folder
}

// BenchFiles are files that hold measurements.
type BenchFiles struct {
	Reader string `yaml:"reader"`
	Files  Texts  `yaml:"files"`
}

// Expect is what a complete run leaves behind. Of each key there is one value for all
// points, or a list with one for each.
type Expect struct {
	Name        Texts `yaml:"name"`
	Concurrency Texts `yaml:"concurrency"`
	Rate        Texts `yaml:"rate"`
	Requests    Texts `yaml:"requests"`
	InputLen    Texts `yaml:"input_len"`
	OutputLen   Texts `yaml:"output_len"`
	Metrics     Texts `yaml:"metrics"`
}

// Entry is a case, or a matrix of cases: lists in Vars multiply.
type Entry struct {
	Pipeline string              `yaml:"pipeline"` // may be left out where there is one
	Name     string              `yaml:"name"`     // default: the pipeline's
	Vars     map[string]Texts    `yaml:"vars"`
	Exclude  []map[string]string `yaml:"exclude"` // combinations that are left out
	Include  []map[string]string `yaml:"include"` // cases beside the combinations
	Tags     Texts               `yaml:"tags"`
	Timeout  rundir.Duration     `yaml:"timeout"` // of ready and benchmark together
}

// Texts is a list of values; one value may stand for a list of one.
type Texts []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *Texts) UnmarshalYAML(n *yaml.Node) error {
	list, err := scalars(n, "a value or a list of values")
	*t = list
	return err
}

// Command is what a role runs: the words of a program and its arguments, or shell text.
type Command struct {
	Argv  []string
	Shell string
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (c *Command) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		c.Shell = n.Value
		return nil
	}
	list, err := scalars(n, "shell text, or a list of a program and its arguments")
	c.Argv = list
	return err
}

func (c Command) empty() bool { return len(c.Argv) == 0 && strings.TrimSpace(c.Shell) == "" }

// scalars are the literal spellings of a value or of a list of values.
func scalars(n *yaml.Node, want string) ([]string, error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		for item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		switch {
		case item.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("expects %s, but line %d begins a mapping or a list", want, item.Line)
		case item.ShortTag() == "!!null":
			return nil, fmt.Errorf("expects %s, but line %d has no value", want, item.Line)
		}
		out = append(out, item.Value)
	}
	return out, nil
}

// Schema implements strictyaml.Shaped: one value or a list of them.
func (Texts) Schema() map[string]any {
	return map[string]any{"anyOf": []any{oneValue(), map[string]any{"type": "array", "items": oneValue()}}}
}

// Schema implements strictyaml.Shaped: shell text or a list of words.
func (Command) Schema() map[string]any { return Texts{}.Schema() }

func oneValue() map[string]any {
	return map[string]any{"type": []string{"string", "number", "boolean"}}
}
