package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// suite resolves a config for this machine with a selection.
func suite(t *testing.T, text string, sel Selection) (Suite, error) {
	t.Helper()
	c := Default()
	doc, err := strictyaml.Read("c.yaml", []byte(text), &c)
	require.NoError(t, err)
	require.NoError(t, errors.Join(c.Validate(doc)...))
	return Resolve(Request{
		Config: c, Doc: doc, Base: t.TempDir(), Selection: sel, WorkDir: t.TempDir(), Getenv: func(string) string { return "" },
		Now: time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC),
	})
}

const ownCases = `
backend: local
workload:
  setup: source env.sh
  env: {B: "{port}", A: x}
  secrets: [{name: KEY, file: key}, {name: TOKEN}]
  grace: 3s
  hang: 1m
  command: pytest {test_id}
  known_failures: [{test: "*n=3*", bug: b/2, expires: 2027-01-01}]
pipelines:
  p: {roles: [{name: r, kind: task, command: x}]}
cases:
- {vars: {n: [1, 2, 3]}, tags: [t]}
- {name: q}
`

func TestSelectionOfOwnCases(t *testing.T) {
	t.Parallel()
	all := []string{"p[n=1]", "p[n=2]", "p[n=3]", "q"}
	for name, tt := range map[string]struct {
		sel  Selection
		want []string
		err  string
	}{
		"nothing named":    {Selection{}, all, ""},
		"an id":            {Selection{Tests: []string{"p[n=2]"}}, all[1:2], ""},
		"a pattern":        {Selection{Tests: []string{"p*"}}, all[:3], ""},
		"--case":           {Selection{Cases: []string{"q"}}, all[3:], ""},
		"--tag":            {Selection{Tags: []string{"t"}}, all[:3], ""},
		"a shard":          {Selection{Shard: "2/3"}, all[1:2], ""},
		"another shard":    {Selection{Shard: "1/3"}, []string{all[0], all[3]}, ""},
		"an empty shard":   {Selection{Shard: "5/5"}, nil, "--shard 5/5 is empty: there are 4 cases"},
		"one case":         {Selection{SplitGroup: 4}, all[3:], ""},
		"behind the end":   {Selection{SplitGroup: 5}, nil, "--split-group 5 is behind the end"},
		"near miss":        {Selection{Tests: []string{"p[n=22]"}}, nil, "no case is called p[n=22]; did you mean \"p[n=2]\"?"},
		"a test of theirs": {Selection{Tests: []string{"perf/test_x.py::test_e2e[y]"}}, nil, "does not begin with disagg-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := suite(t, ownCases, tt.sel)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, p := range s.Plans {
				got = append(got, p.Case.ID)
			}
			require.Equal(t, tt.want, got)
		})
	}
	_, err := suite(t, "backend: local", Selection{})
	require.ErrorContains(t, err, "which tests?")
	_, err = suite(t, "backend: local", Selection{Tags: []string{"t"}})
	require.ErrorContains(t, err, "--case and --tag choose among the cases of the config's pipelines, and it has none")
}

// What the section workload: says of every workload reaches cases of pipelines; the
// rest is named where it would mislead.
func TestWorkloadOfOwnCases(t *testing.T) {
	t.Parallel()
	s, err := suite(t, ownCases, Selection{})
	require.NoError(t, err)
	p := s.Plans[2]
	require.Equal(t, []rundir.EnvVar{{Name: "A", Value: "x"}, {Name: "B", Value: "{port}"}}, p.Env, "values are literal")
	require.Equal(t, "source env.sh", p.Builds[0].Setup)
	require.Equal(t, []rundir.Secret{{Name: "KEY", File: s.request.Base + "/key"}, {Name: "TOKEN", From: "TOKEN"}}, p.Secrets)
	require.Equal(t, rundir.Duration(3*time.Second), p.Grace)
	require.Equal(t, rundir.Duration(time.Minute), p.Hang)
	require.Contains(t, p.Case.KnownBug, "b/2")
	require.Empty(t, s.Plans[0].Case.KnownBug)
	require.Contains(t, p.Warnings, "workload.command: for TensorRT-LLM's tests alone; roles of a pipeline say it themselves")
	for _, v := range s.Settings("amd64") {
		require.NotContains(t, []string{"workload.pytest", "workload.command", "workload.ucx"}, v.Key)
	}
	_, err = suite(t, "backend: local\nworkload: {env: {A-B: x}}\npipelines: {p: {roles: [{name: r, kind: task, command: x}]}}", Selection{})
	require.ErrorContains(t, err, `c.yaml:2`)
}

func TestTableOfOwnCases(t *testing.T) {
	t.Parallel()
	s, err := suite(t, `
backend: local
pipelines:
  p:
    roles:
    - {name: s, kind: server, count: 2, port: 80, nodes: 1, command: [serve, "{index}"], ready: {http: /up}, critical: false}
    - {name: c, kind: client, needs: [s], command: "a {case.n}\nb", results: "*.xml"}
cases: [{vars: {n: 7}, tags: [t]}]
`, Selection{Backend: "slurm"})
	require.NoError(t, err)
	var b strings.Builder
	Document{Backend: s.Backend, Stage: s.Stage, Cases: []Case{{Plan: s.Plans[0]}}}.WriteTable(&b, "/w")
	for _, want := range []string{
		"   pipeline  p, n 7, tags t\n", "   nodes     2, without GPUs\n",
		"   role   kind               tasks  GPUs   nodes (tasks on each)  port  starts after  ready when\n",
		"   s_0…1  server, may leave  2 x 1  2 x 0  0-1 (1)                80    -             GET /up\n",
		"   command   s: exec serve 0\n", "   command   c: set -eo pipefail\n             a 7\n             b\n", "   expected  results of c (*.xml)\n",
	} {
		require.Contains(t, b.String(), want)
	}
}

// Lines of a test list name cases of pipelines as they name tests, with all that may stand behind an id.
func TestListsOfOwnCases(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		list string
		want []string // id, timeout, skip
		err  string
	}{
		"ids":         {"# nights\np[n=2]\nq TIMEOUT (30) # slow\n", []string{"p[n=2] 0s ", "q 30m "}, ""},
		"a pattern":   {"p* SKIP (broken)", []string{"p[n=1] 0s broken", "p[n=2] 0s broken", "p[n=3] 0s broken"}, ""},
		"near miss":   {"q\np[n=22]\n", nil, "list.txt:2: no case is called p[n=22]; did you mean \"p[n=2]\"?"},
		"too long":    {"q TIMEOUT (180)", nil, "list.txt:1: TIMEOUT 3h is above the job's time limit of 2h"},
		"with theirs": {"q\nperf/test_x.py::test_e2e[y]\n", nil, "does not begin with disagg-"},
		"not there":   {"", nil, "list.txt: cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := filepath.Join(t.TempDir(), "list.txt")
			if tt.list != "" {
				require.NoError(t, os.WriteFile(list, []byte(tt.list), 0o600))
			}
			s, err := suite(t, ownCases, Selection{Lists: []string{list}})
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				require.NotContains(t, err.Error(), "list.txt:1: case", "a case of ours is no test of theirs")
				return
			}
			require.NoError(t, err)
			var got []string
			for _, p := range s.Plans {
				require.Contains(t, p.Case.Source, "list.txt:")
				got = append(got, p.Case.ID+" "+p.Case.Timeout.Short()+" "+p.Case.SkipReason)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

// The table shows a port where somebody listens: a role that is published for its host's sake has none.
func TestTableShowsPorts(t *testing.T) {
	t.Parallel()
	s, err := suite(t, `
backend: local
pipelines:
  p:
    roles:
    - {name: only, kind: server, command: "serve {host}", ready: {log: up}}
    - {name: free, kind: server, command: "serve {port}", ready: {log: up}}
    - {name: c, kind: client, command: "a {only.host}"}
`, Selection{})
	require.NoError(t, err)
	table := pipelineTable(s.Plans[0])
	require.Regexp(t, `only +server +1 +0 +0 \(1\) +- +- +it prints`, table)
	require.Regexp(t, `free +server +1 +0 +0 \(1\) +free +- +it prints`, table)
	require.Empty(t, s.Plans[0].Warnings)
}
