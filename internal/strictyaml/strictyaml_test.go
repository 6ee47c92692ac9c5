package strictyaml_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

type cluster struct {
	Partition string            `yaml:"partition"`
	Nodes     int               `yaml:"nodes"`
	Share     float64           `yaml:"share"`
	Exclusive bool              `yaml:"exclusive"`
	Env       map[string]string `yaml:"env"`
	Args      []string          `yaml:"args"`
	Limit     *int              `yaml:"limit"`
	Budget    rundir.Duration   `yaml:"budget"`
}

type common struct {
	MaxJobs uint `yaml:"max_jobs"`
}

type config struct {
	common   `yaml:"-"`
	Common   common             `yaml:",inline"`
	Clusters map[string]cluster `yaml:"clusters"`
	Section  yaml.Node          `yaml:"section"`
	Free     any                `yaml:"free"`
	Wait     time.Duration      `yaml:"wait"`
	Since    time.Time          `yaml:"since"`
	Roles    []struct {
		Name string `yaml:"name"`
	} `yaml:"roles"`
}

func TestDecodeFillsEveryKindOfField(t *testing.T) {
	t.Parallel()
	var c config
	doc, err := strictyaml.Read("c.yaml", []byte(`
max_jobs: 3
clusters:
  base: &base
    partition: batch
    nodes: 4
    env: {A: 1.10, B: 0123, C: yes, D: 2026-01-01, E: ~x, "F": ""}
  gb200:
    <<: *base
    nodes: 9
    share: 0.5
    exclusive: yes
    args: [--mpi=pmix, 0x10]
    limit: 7
    budget: 1h30m
section: {mode: fast}
free: {when: 2026-01-01, n: [1, 2.5, true, ~]}
wait: 90s
since: 2026-01-31T08:00:00Z
roles:
  - name: CTX_0
  - {name: GEN_0}
`), &c)
	require.NoError(t, err)
	require.EqualValues(t, 3, c.Common.MaxJobs)
	gb := c.Clusters["gb200"]
	require.Equal(t, "batch", gb.Partition)
	require.Equal(t, 9, gb.Nodes, "an own key wins over a merged one")
	require.Equal(t, 4, c.Clusters["base"].Nodes)
	require.Equal(t, map[string]string{"A": "1.10", "B": "0123", "C": "yes", "D": "2026-01-01", "E": "~x", "F": ""}, gb.Env)
	require.Equal(t, []string{"--mpi=pmix", "0x10"}, gb.Args)
	require.Equal(t, 7, *gb.Limit)
	require.True(t, gb.Exclusive)
	require.InDelta(t, 0.5, gb.Share, 0)
	require.Equal(t, 90*time.Minute, gb.Budget.D())
	require.Equal(t, map[string]any{"when": "2026-01-01", "n": []any{1, 2.5, true, nil}}, c.Free)
	require.Equal(t, 90*time.Second, c.Wait)
	require.Equal(t, 2026, c.Since.Year())
	require.Len(t, c.Roles, 2)

	require.Equal(t, "c.yaml:10:5", doc.At("clusters.gb200.nodes"))
	require.Equal(t, "c.yaml:8:3", doc.At("clusters.gb200.absent.deeper[2]"), "falls back to what is there")
	require.Equal(t, "c.yaml:22:6", doc.At("roles[1].name"))
	require.EqualError(t, doc.Problem("clusters.gb200.nodes", "%d is odd", 9), "c.yaml:10:5: clusters.gb200.nodes: 9 is odd")

	var section struct {
		Mode string `yaml:"mode"`
	}
	require.NoError(t, doc.DecodeNode("section", &c.Section, &section))
	require.Equal(t, "fast", section.Mode)
	var wrong struct {
		Mood string `yaml:"mood"`
	}
	require.EqualError(t, doc.DecodeNode("section", &c.Section, &wrong),
		`c.yaml:16:11: section.mode: unknown key; did you mean "mood"?`)
}

func TestDecodeKeepsWhatTheFileDoesNotSay(t *testing.T) {
	t.Parallel()
	c := config{Common: common{MaxJobs: 5}, Wait: time.Second}
	require.NoError(t, strictyaml.Decode("c.yaml", []byte("wait: 2s\n"), &c))
	require.EqualValues(t, 5, c.Common.MaxJobs)
	require.Equal(t, 2*time.Second, c.Wait)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"empty":        {"", "f: the file is empty"},
		"only comment": {"# nothing\n", "f: the file is empty"},
		"only null":    {"---\n", "f: the file is empty"},
		"second document": {
			"max_jobs: 1\n---\nmax_jobs: 2\n",
			"f:2:1: a second document (---) begins here: a config file holds exactly one",
		},
		"unknown key": {
			"clusters:\n  a:\n    noodes: 2\n",
			`f:3:5: clusters.a.noodes: unknown key; did you mean "nodes"?`,
		},
		"unknown key by spelling": {"maxJobs: 2\n", `f:1:1: maxJobs: unknown key; did you mean "max_jobs"?`},
		"unknown key without neighbour": {
			"roles: [{zebra: 1}]\n",
			`f:1:10: roles[0].zebra: unknown key; known keys: name`,
		},
		"duplicate key": {
			"max_jobs: 1\nwait: 1s\nmax_jobs: 2\n",
			"f:3:1: max_jobs: duplicate key: it is already in line 1",
		},
		"duplicate map key":      {"clusters: {a: {nodes: 1}, a: {}}\n", "f:1:27: clusters.a: duplicate key: it is already in line 1"},
		"duplicate in yaml.Node": {"section: {x: 1, x: 2}\n", "f:1:17: section.x: duplicate key: it is already in line 1"},
		"duplicate in any":       {"free: [{x: 1, x: 2}]\n", "f:1:15: free[0].x: duplicate key: it is already in line 1"},
		"text for number":        {"max_jobs: three\n", `f:1:11: max_jobs: expects a whole number, 0 or more, but "three" is text`},
		"quoted number":          {"max_jobs: \"3\"\n", `f:1:11: max_jobs: expects a whole number, 0 or more, but "3" is text (because of the quotes)`},
		"negative":               {"max_jobs: -3\n", `f:1:11: max_jobs: expects a whole number, 0 or more, but "-3" does not fit`},
		"fraction":               {"clusters: {a: {nodes: 4.7}}\n", `f:1:23: clusters.a.nodes: expects a whole number, got 4.7`},
		"octal":                  {"clusters: {a: {nodes: 010}}\n", `f:1:23: clusters.a.nodes: expects a whole number; 010 begins with 0, which some read as octal: write it without`},
		"not a number":           {"clusters: {a: {share: .nan}}\n", `f:1:23: clusters.a.share: expects a finite number, got .nan`},
		"list for mapping":       {"clusters: [a]\n", `f:1:11: clusters: expects a mapping (key: value), but this is a list`},
		"mapping for text":       {"clusters: {a: {partition: {x: 1}}}\n", `f:1:27: clusters.a.partition: expects text, but this is a mapping`},
		"text for list":          {"clusters: {a: {args: -n}}\n", `f:1:22: clusters.a.args: expects a list, but "-n" is text`},
		"no value":               {"clusters:\n  a:\n    partition:\n", `f:3:15: clusters.a.partition: has no value: give it one or remove the key`},
		"bad duration":           {"clusters: {a: {budget: 20}}\n", `f:1:24: clusters.a.budget: "20" is not a duration such as 90s, 20m or 1h30m`},
		"list for duration":      {"clusters: {a: {budget: [20]}}\n", `f:1:24: clusters.a.budget: expects a single value, but this is a list`},
		"bad wait":               {"wait: soon\n", `f:1:7: wait: expects a duration such as 90s or 20m, but "soon" is text`},
		"bad time":               {"since: today\n", `f:1:8: since: expects a time such as 2026-01-31T08:00:00Z, but "today" is text`},
		"custom tag":             {"clusters: {a: {partition: !secret x}}\n", `f:1:27: clusters.a.partition: the tag "!secret" is not supported`},
		"complex key":            {"? [a, b]\n: 1\n", "f:1:3: a key must be a single value, but this is a list"},
		"top level list":         {"- a\n", "f:1:1: expects a mapping (key: value), but this is a list"},
		"merge of a scalar":      {"clusters: {a: {<<: 3}}\n", "f:1:20: clusters.a: << expects a mapping or a list of mappings, got 3"},
		"cycle":                  {"free: &a {b: *a}\n", "f:1:14: free.b: the anchor &a contains itself"},
		"merge cycle":            {"free: &a {<<: *a}\n", "f:1:15: free: the anchor &a contains itself"},
		"key that needs quotes":  {"clusters: {\"a.b[0]\": {x: 1}}\n", `f:1:23: clusters["a.b[0]"].x: unknown key; known keys: partition, nodes, share, exclusive, env, args, limit, budget`},
		"unknown key through alias": {
			"clusters:\n  a: &a {nodez: 1}\n  b: *a\n",
			"f:2:10: clusters.a.nodez: unknown key; did you mean \"nodes\"?\nf:2:10: clusters.b.nodez: unknown key; did you mean \"nodes\"?",
		},
		"several": {
			"roles: 3\nclusters:\n  a:\n    nodes: x\n    nodse: 1\nwait: 1s\n",
			"f:1:8: roles: expects a list, got 3\n" +
				"f:4:12: clusters.a.nodes: expects a whole number, but \"x\" is text\n" +
				"f:5:5: clusters.a.nodse: unknown key; did you mean \"nodes\"?",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c config
			require.EqualError(t, strictyaml.Decode("f", []byte(tt.in), &c), tt.want)
		})
	}
}

func TestSyntaxErrorsHaveALine(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"a: 1\nb: [1, 2\nc: 3\n", "a: 1\nb: \"x\nc: 3\n", "a: 1\n\tb: 2\n", "a: *gone\n", "a: \xff\n"} {
		err := strictyaml.Decode("f", []byte(in), &config{})
		require.ErrorContains(t, err, "not valid YAML: ", in)
		require.NotContains(t, err.Error(), "yaml:", in)
	}
	err := strictyaml.Decode("f", []byte("a:\n\tb: 2\n"), &config{})
	require.ErrorContains(t, err, "f:2: not valid YAML")
	require.ErrorContains(t, err, "indented with a tab")
}

func TestHostileDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	var merges strings.Builder
	merges.WriteString("m0: &m0 {k: v}\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&merges, "m%d: &m%d {<<: [*m%d, *m%d]}\n", i, i, i-1, i-1)
	}
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	longKeys := strings.Repeat("{"+strings.Repeat("k", 1000)+": ", 150) + "[" + strings.Repeat("1,", 100_000) + "1]" + strings.Repeat("}", 150)
	for name, in := range map[string]string{"laughs": laughs.String(), "merges": merges.String(), "deep": deep, "long keys": longKeys} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var v any
			err := strictyaml.Decode("f", []byte(in), &v)
			require.ErrorContains(t, err, "too ")
		})
	}
	var c config
	err := strictyaml.Decode("f", []byte(strings.Repeat("clusters: {}\n", 1000)), &c)
	require.ErrorContains(t, err, "too many problems")
	require.Less(t, strings.Count(err.Error(), "\n"), 60)
}

func TestPathRoundTrip(t *testing.T) {
	t.Parallel()
	require.Equal(t, `cases["perf/test.py::x[a.b]"].points[2]["con 1"].ttft`,
		strictyaml.Path("cases", "perf/test.py::x[a.b]", "points", 2, "con 1", "ttft"))
	var v any
	doc, err := strictyaml.Read("f", []byte("cases:\n  perf/test.py::x[a.b]:\n    m: 1\n"), &v)
	require.NoError(t, err)
	require.Equal(t, "f:3:5", doc.At(strictyaml.Path("cases", "perf/test.py::x[a.b]", "m")))
	require.Equal(t, "f:2:3", doc.At(strictyaml.Path("cases", "perf/test.py::x[a.b]", "other.x")))
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("clusters: {a: {nodes: 1, env: {A: yes}}}\nroles: [{name: x}]\n"))
	f.Add([]byte("free: &a {b: *a}\n"))
	f.Add([]byte("clusters: {a: &a {<<: {nodes: 2}}, b: *a}\nsection: !!binary aGk=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var c config
		doc, err := strictyaml.Read("f", data, &c)
		if err == nil {
			require.NotEmpty(t, doc.At("clusters.a.nodes"))
			return
		}
		for line := range strings.Lines(err.Error()) {
			require.NotContains(t, line, "strictyaml_test", "no Go type name in a message")
		}
	})
}

// The parser does not always say where; people want to know.
func TestSyntaxErrorsWithoutALineGetOne(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: 1\nb: *gone\n":      "c.yaml:2: not valid YAML: unknown anchor 'gone' referenced",
		"a: 1\nb: \"\xff\"\n":   "c.yaml:2: not valid YAML: ",
		"a: 1\n\nb: \"\x01\"\n": "c.yaml:3: not valid YAML: control characters are not allowed",
		"a: 1\n\tb: 2\n":        "c.yaml:2: not valid YAML: ",
	} {
		_, err := strictyaml.Parse("c.yaml", []byte(text))
		require.ErrorContains(t, err, want)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"max_jobs", "partition", strings.Repeat("gen8_", 30) + "NIXL"}
	for name, want := range map[string]string{"maxjobs": "max_jobs", "partitoin": "partition", "zzz": "", strings.Repeat("gen8_", 30) + "UCX": known[2], strings.Repeat("x", 1000): ""} {
		require.Equal(t, want, strictyaml.Nearest(name, known))
	}
}
