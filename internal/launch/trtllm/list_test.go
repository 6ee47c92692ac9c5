package trtllm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]entry{
		"perf/t.py::f[a-b]":                        {id: "perf/t.py::f[a-b]"},
		"  perf/t.py::f[a-b]  # why":               {id: "perf/t.py::f[a-b]"},
		"x[a b [c]] TIMEOUT (90)":                  {id: "x[a b [c]]", timeout: 90 * time.Minute},
		"x TIMEOUT(1.5) ISOLATION":                 {id: "x", timeout: 90 * time.Second, isolation: true},
		"x ISOLATION TIMEOUT (5) # c":              {id: "x", timeout: 5 * time.Minute, isolation: true},
		"x SKIP (https://nvbugs/1 (see also (2)))": {id: "x", skip: "https://nvbugs/1 (see also (2))"},
		"x SKIP":                {id: "x", skip: "no reason given"},
		"x SKIP () TIMEOUT (3)": {id: "x", skip: "no reason given", timeout: 3 * time.Minute},
		"\ufeffx":               {id: "x"},
		"x\tSKIP\t(no fabric)":  {id: "x", skip: "no fabric"},
	} {
		got, ok, err := parseLine(line)
		require.NoError(t, err, line)
		require.True(t, ok)
		require.Equal(t, want, got, line)
	}
	for _, line := range []string{"", "   ", "# comment", "\t#x"} {
		_, ok, err := parseLine(line)
		require.NoError(t, err)
		require.False(t, ok, "%q", line)
	}
	for line, want := range map[string]string{
		"x TIMEOUT": "TIMEOUT needs minutes", "x TIMEOUT (soon)": "TIMEOUT needs minutes", "x TIMEOUT (-5)": "TIMEOUT needs minutes",
		"x TIMEOUT (NaN)": "TIMEOUT needs minutes", "x SKIPPED (a)": `"SKIPPED" behind the test id`, "x y": `"y" behind the test id`,
	} {
		_, _, err := parseLine(line)
		require.ErrorContains(t, err, want, line)
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	s := settle(Input{Config: Config{}, Env: map[string]string{}})
	for id, want := range map[string]string{
		"perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-x]": "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-x]",
		"tests/integration/defs/perf/t.py::f[disagg-x]":           "perf/t.py::f[disagg-x]",
		"a/b.py::TestX::test_y[aggr-f-s]":                         "a/b.py::TestX::test_y[aggr-f-s]",
		"test_z[disagg-x]":                                        "perf/test_perf_sanity.py::test_z[disagg-x]",
		"disagg-gen_only-x":                                       "perf/test_perf_sanity.py::test_e2e[disagg-gen_only-x]",
		"gb200_x":                                                 "perf/test_perf_sanity.py::test_e2e[disagg_upload-gb200_x]",
		"gb200-x":                                                 "perf/test_perf_sanity.py::test_e2e[disagg_upload-gb200-x]",
	} {
		got, err := s.parseID(id)
		require.NoError(t, err)
		require.Equal(t, want, got.full)
	}
	for id, want := range map[string]string{
		"'a.py::f[disagg-x]'": "stands in quotes", "a.py::f": "names no case", "a.py::f[x": "does not end with ]", "a.py::f[x]y": "does not end with ]", "a.py::f[other-x]": "does not begin with",
		"f[disagg]": "does not begin with", "disagg-../../etc/passwd": "names a path", "f[aggr-a/b]": "names a path", "f[disagg-\x01\n]": "control character",
		"f[disagg-]": "something is missing", "aggr-f-": "something is missing", "f[ disagg-x]": "begins or ends with a blank", "disagg-x.yaml": "leave out .yaml",
	} {
		_, err := s.parseID(id)
		require.ErrorContains(t, err, want, "%q", id)
	}
	s = settle(Input{Env: map[string]string{"PERF_TEST_MODULE": "perf/other.py", "PERF_TEST_FUNCTION": "test_it", "PERF_TEST_PREFIX": "disagg"}, Config: Config{TestModule: "ignored.py"}})
	got, err := s.parseID("conf")
	require.NoError(t, err)
	require.Equal(t, "perf/other.py::test_it[disagg-conf]", got.full)
}

func TestGrammars(t *testing.T) {
	t.Parallel()
	s := settle(Input{})
	for kase, want := range map[string]grammar{
		"disagg-x":                              {stem: "x", disagg: true, roles: true},
		"disagg_upload-e2e-x-y":                 {mode: ModeE2E, stem: "x-y", disagg: true, roles: true},
		"disagg_upload-gen_only-x":              {mode: ModeGenOnly, stem: "x", disagg: true, roles: true},
		"disagg-gen_only_no_context-x":          {mode: ModeGenNoContext, stem: "x", disagg: true, roles: true},
		"disagg-e2e-time_breakdown-x":           {mode: ModeE2E, stem: "x", disagg: true, roles: true, breakdown: true},
		"aggr-ctx_only-x":                       {mode: ModeCtxOnly, stem: "x", disagg: true},
		"aggr_upload-ctx_only-time_breakdown-x": {mode: ModeCtxOnly, stem: "x", disagg: true, breakdown: true},
		"aggr_upload-gen_only_no_context-x":     {mode: ModeGenNoContext, stem: "x", disagg: true},
		"aggr-file":                             {mode: ModeAggregated, stem: "file"},
		"aggr-file-s1,s2-b":                     {mode: ModeAggregated, stem: "file", server: "s1,s2-b"},
	} {
		id, err := s.parseID(kase)
		require.NoError(t, err)
		require.Equal(t, want, id.grammars()[0], kase)
	}
	id, err := s.parseID("disagg-e2e-x")
	require.NoError(t, err)
	require.Len(t, id.grammars(), 2, "the file may be named e2e-x")
}

// A team's own test module may give its cases a prefix of its own.
func TestOwnPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"custom_test", "my-perf"} {
		in := input("synthetic")
		in.Env = map[string]string{"PERF_TEST_MODULE": "perf/test_perf_enhanced.py", "PERF_TEST_PREFIX": prefix}
		for _, test := range []string{"six_gpus", prefix + "-six_gpus", "perf/test_perf_enhanced.py::test_e2e[" + prefix + "-six_gpus]"} {
			in.Tests = []string{test}
			p := one(t, in)
			require.Equal(t, "perf/test_perf_enhanced.py::test_e2e["+prefix+"-six_gpus]", p.Case.ID)
			require.Equal(t, "GEN_0", p.Roles()[0].Name)
			require.Equal(t, "by-case/"+prefix+"-six_gpus", p.Links[0].Path)
		}
		in.Tests = []string{"aggr-agg_two_sizes-big-tp8"}
		require.Equal(t, ModeAggregated, one(t, in).Case.Mode)
		in.Env = nil
		in.Tests = []string{"perf/t.py::test_e2e[" + prefix + "-six_gpus]"}
		_, err := Resolve(in)
		require.ErrorContains(t, err, "or a test_prefix of your own")
	}
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
		entries, _, problems := parseList("l0.yml", []byte(db), facts, settings{})
		require.Empty(t, problems)
		var out []string
		for _, e := range entries {
			out = append(out, e.id)
			require.Equal(t, "l0.yml", e.file)
			require.Positive(t, e.line)
		}
		return out
	}
	all := []string{"perf/t.py::f[disagg-a]", "perf/t.py::f[disagg-b]", "perf/t.py::f[disagg-c]", "perf/t.py::f[disagg-d]"}
	require.Equal(t, all, ids(nil), "nothing is known, nothing is excluded")
	require.Equal(t, all[:2], ids(map[string]string{"gpu": "NVIDIA GB200", "system_gpu_count": "4", "stage": "Post-Merge"}))
	require.Equal(t, all[3:], ids(map[string]string{"gpu": "B200", "system_gpu_count": "8"}))
	entries, _, _ := parseList("l0.yml", []byte(db), nil, settings{})
	require.Equal(t, 2*time.Hour, entries[0].timeout)
	require.Equal(t, "bug 1", entries[1].skip)
	require.Equal(t, 9, entries[1].line)

	_, _, problems := parseList("l0.yml", []byte(db), map[string]string{"gpu": "H100", "system_gpu_count": "4"}, settings{})
	require.ErrorContains(t, problems, "none of its 3 blocks fits this cluster")
	require.ErrorContains(t, problems, `gpu is "H100" here (2), system_gpu_count is "4" here (1); see workload.facts`)
	_, warnings, _ := parseList("l0.yml", []byte(db), map[string]string{"gpu": "GB300", "system_gpu_count": "4"}, settings{})
	require.Equal(t, []string{`l0.yml: 2 of its 3 blocks are not for this cluster: gpu is "GB300" here (1), system_gpu_count is "4" here (1)`}, warnings)
	for doc, want := range map[string]string{
		"": "the file is empty", "a: [": "not valid YAML", "- x": "not a map of sections", "a: 1": "a list is expected", "a: [{condition: {}}]": "",
		"a: [{tests: 1}]": `a[0].tests: is "1", a list of tests is expected`, "a: [{condition: {}, test: [b]}]": "a[0].test: unknown: a block has a condition and a list of tests", "a: [{condition: {x: {y: z}}, tests: [b]}]": "is not one of ranges", "a: [{tests: [[x]]}]": "a test id is expected",
		"a: [{tests: [x TIMEOUT]}]": "TIMEOUT needs minutes", "a: [{condition: {ranges: {y: {min: 1}}}, tests: [b]}]": "condition.ranges.y.min: is not one of gte, gt, lte, lt",
	} {
		_, _, problems := parseList("l.yaml", []byte(doc), map[string]string{"y": "1"}, settings{})
		require.ErrorContains(t, problems, want, doc)
		require.NotEmpty(t, problems, doc)
	}
}

func TestWaivesAndKnownFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	waives := `# waives
perf/test_perf_sanity.py::test_e2e[disagg-gen_only-six_gpus] SKIP (https://nvbugs/5)
full:GB200/perf/test_perf_sanity.py::test_e2e[disagg-gen_only_no_context] SKIP (fabric)
full:H100/perf/test_perf_sanity.py::test_e2e[disagg-e2e-context_parallel] SKIP (not here)
unittest/other SKIP (elsewhere)
unittest/multi_gpu -m "gpu4 and part0" SKIP (https://nvbugs/9)
unittest/x.py -k "SKIPPED or not" TIMEOUT (90)
perf/test_perf_sanity.py::test_e2e[disagg-e2e-context_parallel] TIMEOUT (90)
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "waives.txt"), []byte(waives), 0o600))
	in := input("synthetic", "disagg-gen_only-six_gpus", "disagg-gen_only_no_context", "disagg-e2e-context_parallel")
	in.Cluster.GPUType = "GB200"
	in.Waives = []string{filepath.Join(dir, "waives.txt")}
	in.Config.KnownFailures = []KnownFailure{
		{Test: "*[disagg-e2e-*]", Bug: "nvbugs/7", Expires: "2026-11-21", Reason: "slow"},
		{Test: "*", Bug: "nvbugs/8", Expires: "2026-11-20"},
	}
	plans, err := Resolve(in)
	require.NoError(t, err)
	require.Equal(t, "https://nvbugs/5", plans[0].Case.SkipReason)
	require.Equal(t, "fabric", plans[1].Case.SkipReason)
	require.Empty(t, plans[2].Case.SkipReason)
	require.Equal(t, "nvbugs/7: slow", plans[2].Case.KnownBug)
	require.Contains(t, plans[2].Warnings[0], "expired on 2026-11-20")

	for id, want := range map[string]bool{"a/b.py::f[x]": true, "a/b.py::f": true, "a/b.py::fx[x]": false, "a/b.py::f[y]": true} {
		require.Equal(t, want, waive{entry: entry{id: "a/b.py::f"}}.covers(id, ""), id)
	}
	require.True(t, waive{entry: entry{id: "a/b.py"}}.covers("a/b.py::f[x]", ""))
	require.True(t, waive{entry: entry{id: "a/"}}.covers("a/b.py::f[x]", ""))
	require.False(t, waive{entry: entry{id: "a"}}.covers("ab.py::f[x]", ""))

	in.Config.KnownFailures = []KnownFailure{{}, {Test: "x", Bug: "y", Expires: "tomorrow"}}
	in.At = func(key string) string { return "ci-disagg.yaml@" + key }
	_, err = Resolve(in)
	require.ErrorContains(t, err, "ci-disagg.yaml@workload.known_failures[0].test: workload.known_failures[0].test: missing")
	require.ErrorContains(t, err, `"tomorrow" is not a day`)
}

// The GPUs of upstream's multi-node stages are those of all nodes: the profile's
// nodes say nothing about them.
func TestTestDatabaseOfAMultiNodeStage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := filepath.Join(dir, "l0_gb200_multi_nodes_disagg_perf_sanity_3_nodes.yml")
	require.NoError(t, os.WriteFile(list, []byte("version: 0.0.1\nl0:\n- condition:\n    ranges: {system_gpu_count: {gte: 12, lte: 12}}\n    wildcards: {gpu: ['*gb200*']}\n    terms: {stage: post_merge, backend: pytorch}\n  tests:\n  - perf/test_perf_sanity.py::test_e2e[disagg-gen_only-six_gpus] TIMEOUT (90)\n"), 0o600))
	in := input("synthetic")
	in.Lists, in.Cluster = []string{list}, Cluster{Name: "gb200", GPUsPerNode: 4, GPUType: "GB200"}
	require.Equal(t, 90*time.Minute, one(t, in).Case.Timeout.D())
	in.Config.Facts = map[string]string{"system_gpu_count": "8"}
	_, err := Resolve(in)
	require.ErrorContains(t, err, `none of its 1 blocks fits this cluster: system_gpu_count is "8" here (1); see workload.facts`)
}

// Upstream's lists of a stage hold its unit tests as well.
func TestTestDatabaseSharedWithOtherSuites(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "l0_dgx_b200.yml")
	write := func(tests ...string) Input {
		require.NoError(t, os.WriteFile(list, []byte("version: 0.0.1\nl0_dgx_b200:\n- condition: {terms: {stage: pre_merge}}\n  tests:\n  - "+strings.Join(tests, "\n  - ")+"\n"), 0o600))
		in := input("synthetic")
		in.Lists = []string{list}
		return in
	}
	others := []string{
		`unittest/_torch/misc -m "gpu4 and part0"`, "accuracy/test_llm_api.py::TestLlama::test_fp8[tp8-mtp=0] TIMEOUT (90)", "cpp/test_e2e.py::test_model[-gpt]", "unittest/a",
		"unittest/b -k \"x\"", "unittest/c",
	}
	p := one(t, write(append(others, "perf/test_perf_sanity.py::test_e2e[disagg-gen_only-six_gpus] TIMEOUT (90)")...))
	require.Contains(t, p.Warnings, list+": 6 tests left out, which are not of perf/test_perf_sanity.py::test_e2e: unittest/_torch/misc, "+
		"accuracy/test_llm_api.py::TestLlama::test_fp8[tp8-mtp=0], cpp/test_e2e.py::test_model[-gpt], unittest/a, unittest/b and 1 more")
	_, err := Resolve(write(others...))
	require.ErrorContains(t, err, "none of the 6 tests for this cluster is of perf/test_perf_sanity.py::test_e2e: unittest/_torch/misc")
	for test, want := range map[string]string{
		"perf/test_perf_sanity.py::test_e2e[dissag-gen_only-six_gpus]": "does not begin with disagg-", "dissag-six_gpus x": "behind the test id",
		"perf/own.py::test_e2e[disagg-nowhere]": "no config for disagg-nowhere", "tests/integration/defs/perf/test_perf_sanity.py::test_e2e[x]": "does not begin with disagg-",
	} {
		_, err := Resolve(write("unittest/a", test))
		require.ErrorContains(t, err, want, "what is ours must be right")
	}
}

// What is skipped need not even have a config: it is reported, not launched.
func TestSkippedCaseWithoutConfig(t *testing.T) {
	t.Parallel()
	in := input("synthetic", "disagg-no_such_file SKIP (gone)", "disagg-gen_only-six_gpus")
	plans, err := Resolve(in)
	require.NoError(t, err)
	require.Equal(t, "gone", plans[0].Case.SkipReason)
	require.NotEmpty(t, plans[0].Case.Slug)
	require.Equal(t, 4, plans[1].Nodes)
}

func TestShardsAndSplitGroup(t *testing.T) {
	t.Parallel()
	ids := []string{"disagg-gen_only-six_gpus", "disagg-gen_only_no_context", "disagg-e2e-context_parallel", "disagg-e2e-quoting", "aggr-agg_two_sizes"}
	var got []string
	for i := 1; i <= 3; i++ {
		in := input("synthetic", ids...)
		in.Shard, in.Shards = i, 3
		plans, err := Resolve(in)
		require.NoError(t, err)
		for _, p := range plans {
			got = append(got, p.Case.ID)
		}
	}
	require.Len(t, got, 5, "every case is in exactly one shard")
	in := input("synthetic", ids...)
	in.Shard, in.Shards = 7, 9
	_, err := Resolve(in)
	require.ErrorContains(t, err, "--shard: part 7 of 9 is empty: the suite has 5 tests, use at most as many parts")
	in.Shard, in.Shards, in.SplitGroup = 1, 2, 1
	_, err = Resolve(in)
	require.ErrorContains(t, err, "--split-group: chooses one test, --shard a part of the list: give one of them")
	in = input("synthetic", ids...)
	in.SplitGroup = 2
	require.Equal(t, "perf/test_perf_sanity.py::test_e2e[disagg-gen_only_no_context]", one(t, in).Case.ID)
	in.SplitGroup = 6
	_, err = Resolve(in)
	require.ErrorContains(t, err, "--split-group: 6 is behind the end of the list, which has 5 tests")
}
