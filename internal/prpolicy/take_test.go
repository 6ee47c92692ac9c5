package prpolicy

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

type limits struct {
	Threshold float64           `yaml:"threshold"`
	Allow     bool              `yaml:"allow"`
	Metrics   map[string]limit  `yaml:"metrics"`
	Env       map[string]string `yaml:"env"`
	hidden    int
}

type limit struct {
	Gate *bool   `yaml:"gate"`
	Min  float64 `yaml:"min"`
}

type cluster struct {
	Partition string   `yaml:"partition"`
	Export    []string `yaml:"export" policy:"base"`
}

type known struct {
	Name string `yaml:"name"`
	Bug  string `yaml:"bug"`
}

type section struct {
	Limits limits  `yaml:",inline" policy:"base"`
	Define []known `yaml:"define" policy:"named"`
	Store  string  `yaml:"store"`
}

type file struct {
	Backend  string             `yaml:"backend" policy:"base"`
	Stage    string             `yaml:"stage"`
	Clusters map[string]cluster `yaml:"clusters"`
	Known    []known            `yaml:"known" policy:"base"`
	Perf     section            `yaml:"perf"`
}

func TestTake(t *testing.T) {
	t.Parallel()
	no := false
	base := file{
		Stage: "old", Known: []known{{Name: "a"}},
		Clusters: map[string]cluster{"x": {Partition: "p", Export: []string{"PATH"}}},
		Perf: section{
			Limits: limits{Threshold: 0.05, hidden: 7, Metrics: map[string]limit{"tps": {Min: 0.02}}},
			Define: []known{{Name: "m", Bug: "old"}},
		},
	}
	own := file{
		Stage: "new", Backend: "local", Known: []known{{Name: "a"}, {Name: "*", Bug: "everything"}},
		Clusters: map[string]cluster{"x": {Partition: "q", Export: []string{"ALL"}}, "y": {Export: []string{"ALL"}}},
		Perf: section{
			Limits: limits{Threshold: 0.5, Allow: true, Metrics: map[string]limit{"tps": {Min: 0.02, Gate: &no}, "ttft": {Gate: &no}}},
			Define: []known{{Name: "m", Bug: "new"}, {Name: "n"}},
			Store:  "dir:x",
		},
	}
	want := []string{
		"backend: the default, not local",
		"clusters.x.export: [PATH], not [ALL]",
		"clusters.y.export: the default, not [ALL]",
		"known: [{name: a}], not [{name: a}, {name: '*', bug: everything}]",
		"perf.threshold: 0.05, not 0.5",
		"perf.allow: the default, not true",
		"perf.metrics.tps.gate: the default, not false",
		"perf.metrics.ttft: the default, not {gate: false}",
		"perf.define[m].bug: old, not new",
	}
	var said []string
	for _, c := range Take(&own, base) {
		said = append(said, c.String())
	}
	require.ElementsMatch(t, want, said)
	require.Equal(t, base.Perf.Limits, own.Perf.Limits)
	require.Equal(t, base.Known, own.Known)
	require.Empty(t, own.Backend)
	require.Equal(t, []known{{Name: "m", Bug: "old"}, {Name: "n"}}, own.Perf.Define)
	require.Equal(t, "new", own.Stage, "what is no rule is its own")
	require.Equal(t, "dir:x", own.Perf.Store)
	require.Equal(t, map[string]cluster{"x": {Partition: "q", Export: []string{"PATH"}}, "y": {}}, own.Clusters)
	require.Empty(t, Take(&own, base), "once is enough")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"backend", "clusters.<name>.export", "known", "perf.threshold", "perf.allow", "perf.metrics", "perf.env", "perf.define[]",
	}, Keys(reflect.TypeFor[file]()))
}
