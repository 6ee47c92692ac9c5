package testlist

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// upstream is how the tests are called there.
func upstream() Names {
	return Names{Module: "perf/test_perf_sanity.py", Function: "test_e2e", Prefix: "disagg_upload", Rooted: true}
}

func TestLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]Entry{
		"perf/t.py::f[a-b]":                        {ID: "perf/t.py::f[a-b]"},
		"  perf/t.py::f[a-b]  # why":               {ID: "perf/t.py::f[a-b]"},
		"x[a b [c]] TIMEOUT (90)":                  {ID: "x[a b [c]]", Timeout: 90 * time.Minute},
		"x TIMEOUT(1.5) ISOLATION":                 {ID: "x", Timeout: 90 * time.Second, Isolation: true},
		"x ISOLATION TIMEOUT (5) # c":              {ID: "x", Timeout: 5 * time.Minute, Isolation: true},
		"x SKIP (https://nvbugs/1 (see also (2)))": {ID: "x", Skip: "https://nvbugs/1 (see also (2))"},
		"x SKIP":                {ID: "x", Skip: "no reason given"},
		"x SKIP () TIMEOUT (3)": {ID: "x", Skip: "no reason given", Timeout: 3 * time.Minute},
		"\ufeffx":               {ID: "x"},
		"x\tSKIP\t(no fabric)":  {ID: "x", Skip: "no fabric"},
	} {
		got, ok, err := ParseLine(line)
		require.NoError(t, err, line)
		require.True(t, ok)
		require.Equal(t, want, got, line)
	}
	for _, line := range []string{"", "   ", "# comment", "\t#x"} {
		_, ok, err := ParseLine(line)
		require.NoError(t, err)
		require.False(t, ok, "%q", line)
	}
	for line, want := range map[string]string{
		"x TIMEOUT": "TIMEOUT needs minutes", "x TIMEOUT (soon)": "TIMEOUT needs minutes", "x TIMEOUT (-5)": "TIMEOUT needs minutes",
		"x TIMEOUT (NaN)": "TIMEOUT needs minutes", "x SKIPPED (a)": `"SKIPPED" behind the test id`, "x y": `"y" behind the test id`,
	} {
		_, _, err := ParseLine(line)
		require.ErrorContains(t, err, want, line)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	s := upstream()
	for id, want := range map[string]string{
		"perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-x]": "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-x]",
		"tests/integration/defs/perf/t.py::f[disagg-x]":           "perf/t.py::f[disagg-x]",
		"a/b.py::TestX::test_y[aggr-f-s]":                         "a/b.py::TestX::test_y[aggr-f-s]",
		"test_z[disagg-x]":                                        "perf/test_perf_sanity.py::test_z[disagg-x]",
		"disagg-gen_only-x":                                       "perf/test_perf_sanity.py::test_e2e[disagg-gen_only-x]",
		"gb200_x":                                                 "perf/test_perf_sanity.py::test_e2e[disagg_upload-gb200_x]",
		"gb200-x":                                                 "perf/test_perf_sanity.py::test_e2e[disagg_upload-gb200-x]",
	} {
		got, err := s.ParseID(id)
		require.NoError(t, err)
		require.Equal(t, want, got.Full)
	}
	for id, want := range map[string]string{
		"'a.py::f[disagg-x]'": "stands in quotes", "a.py::f": "names no case", "a.py::f[x": "does not end with ]", "a.py::f[x]y": "does not end with ]", "a.py::f[other-x]": "does not begin with",
		"f[disagg]": "does not begin with", "disagg-../../etc/passwd": "names a path", "f[aggr-a/b]": "names a path", "f[disagg-\x01\n]": "control character",
		"f[disagg-]": "something is missing", "aggr-f-": "something is missing", "f[ disagg-x]": "begins or ends with a blank", "disagg-x.yaml": "leave out .yaml",
	} {
		_, err := s.ParseID(id)
		require.ErrorContains(t, err, want, "%q", id)
	}
}

func TestGrammars(t *testing.T) {
	t.Parallel()
	s := upstream()
	for caseName, want := range map[string]Grammar{
		"disagg-x":                              {Stem: "x", Disagg: true, Roles: true},
		"disagg_upload-e2e-x-y":                 {Mode: rundir.ModeE2E, Stem: "x-y", Disagg: true, Roles: true},
		"disagg_upload-gen_only-x":              {Mode: rundir.ModeGenOnly, Stem: "x", Disagg: true, Roles: true},
		"disagg-gen_only_no_context-x":          {Mode: rundir.ModeGenNoContext, Stem: "x", Disagg: true, Roles: true},
		"disagg-e2e-time_breakdown-x":           {Mode: rundir.ModeE2E, Stem: "x", Disagg: true, Roles: true},
		"aggr-ctx_only-x":                       {Mode: rundir.ModeCtxOnly, Stem: "x", Disagg: true},
		"aggr_upload-ctx_only-time_breakdown-x": {Mode: rundir.ModeCtxOnly, Stem: "x", Disagg: true},
		"aggr_upload-gen_only_no_context-x":     {Mode: rundir.ModeGenNoContext, Stem: "x", Disagg: true},
		"aggr-file":                             {Mode: rundir.ModeAggregated, Stem: "file"},
		"aggr-file-s1,s2-b":                     {Mode: rundir.ModeAggregated, Stem: "file", Server: "s1,s2-b"},
	} {
		id, err := s.ParseID(caseName)
		require.NoError(t, err)
		require.Equal(t, want, id.Grammars()[0], caseName)
	}
	id, err := s.ParseID("disagg-e2e-x")
	require.NoError(t, err)
	require.Len(t, id.Grammars(), 2, "the file may be named e2e-x")
}

const db = `version: 0.0.1
l0_gb200:
- condition:
    ranges: {system_gpu_count: {gte: 4, lte: 8}}
    wildcards: {gpu: ['*gb200*'], linux_distribution_name: ubuntu*}
    terms: {stage: post_merge, backend: pytorch}
  tests:
  - perf/t.py::f[disagg-a] TIMEOUT (120)
  - perf/t.py::f[disagg-b] SKIP (bug 1) # c
- condition:
    wildcards: {gpu: ['*b300*']}
  tests:
  - perf/t.py::f[disagg-c]
- condition: {ranges: {system_gpu_count: {gt: 7}}}
  tests: ["perf/t.py::f[disagg-d]"]
`

func TestTestDatabase(t *testing.T) {
	t.Parallel()
	ids := func(facts map[string]string) []string {
		entries, _, problems := Parse("l0.yml", []byte(db), facts, Names{})
		require.Empty(t, problems)
		var out []string
		for _, e := range entries {
			out = append(out, e.ID)
			require.Equal(t, "l0.yml", e.File)
			require.Positive(t, e.Line)
		}
		return out
	}
	all := []string{"perf/t.py::f[disagg-a]", "perf/t.py::f[disagg-b]", "perf/t.py::f[disagg-c]", "perf/t.py::f[disagg-d]"}
	require.Equal(t, all, ids(nil), "nothing is known, nothing is excluded")
	require.Equal(t, all[:2], ids(map[string]string{"gpu": "NVIDIA GB200", "system_gpu_count": "4", "stage": "Post-Merge"}))
	require.Equal(t, all[3:], ids(map[string]string{"gpu": "B200", "system_gpu_count": "8"}))
	entries, _, _ := Parse("l0.yml", []byte(db), nil, Names{})
	require.Equal(t, 2*time.Hour, entries[0].Timeout)
	require.Equal(t, "bug 1", entries[1].Skip)
	require.Equal(t, 9, entries[1].Line)

	_, _, problems := Parse("l0.yml", []byte(db), map[string]string{"gpu": "H100", "system_gpu_count": "4"}, Names{})
	require.ErrorContains(t, problems, "none of its 3 blocks fits this cluster")
	require.ErrorContains(t, problems, `gpu is "H100" here (2), system_gpu_count is "4" here (1); see workload.facts`)
	_, warnings, _ := Parse("l0.yml", []byte(db), map[string]string{"gpu": "GB300", "system_gpu_count": "4"}, Names{})
	require.Equal(t, []string{`l0.yml: 2 of its 3 blocks are not for this cluster: gpu is "GB300" here (1), system_gpu_count is "4" here (1)`}, warnings)
	for doc, want := range map[string]string{
		"": "the file is empty", "a: [": "not valid YAML", "- x": "not a map of sections", "a: 1": "a list is expected", "a: [{condition: {}}]": "",
		"a: [{tests: 1}]": `a[0].tests: is "1", a list of tests is expected`, "a: [{condition: {}, test: [b]}]": "a[0].test: unknown: a block has a condition and a list of tests", "a: [{condition: {x: {y: z}}, tests: [b]}]": "is not one of ranges", "a: [{tests: [[x]]}]": "a test id is expected",
		"a: [{tests: [x TIMEOUT]}]": "TIMEOUT needs minutes", "a: [{condition: {ranges: {y: {min: 1}}}, tests: [b]}]": "condition.ranges.y.min: is not one of gte, gt, lte, lt",
	} {
		_, _, problems := Parse("l.yaml", []byte(doc), map[string]string{"y": "1"}, Names{})
		require.ErrorContains(t, problems, want, doc)
		require.NotEmpty(t, problems, doc)
	}
}

func TestWaives(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{"a/b.py::f[x]": true, "a/b.py::f": true, "a/b.py::fx[x]": false, "a/b.py::f[y]": true} {
		require.Equal(t, want, Waive{Entry: Entry{ID: "a/b.py::f"}}.Covers(id, ""), id)
	}
	require.True(t, Waive{Entry: Entry{ID: "a/b.py"}}.Covers("a/b.py::f[x]", ""))
	require.True(t, Waive{Entry: Entry{ID: "a/"}}.Covers("a/b.py::f[x]", ""))
	require.False(t, Waive{Entry: Entry{ID: "a"}}.Covers("ab.py::f[x]", ""))
}
