package trtllm

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What the caller's environment names stands over the config, as in upstream's scripts.
func TestNamesOfTheTests(t *testing.T) {
	t.Parallel()
	s := settingsOf(Input{Env: map[string]string{"PERF_TEST_MODULE": "perf/other.py", "PERF_TEST_FUNCTION": "test_it", "PERF_TEST_PREFIX": "disagg"}, Config: Config{Tests: Tests{TestModule: "ignored.py"}}})
	require.Equal(t, testlist.Names{Module: "perf/other.py", Function: "test_it", Prefix: "disagg", Rooted: true}, s.names)
	require.Equal(t, testlist.Names{Module: "perf/test_perf_sanity.py", Function: "test_e2e", Prefix: "disagg_upload"}, settingsOf(Input{Config: Config{Dir: "/d"}}).names)
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
		require.Equal(t, rundir.ModeAggregated, one(t, in).Case.Mode)
		in.Env = nil
		in.Tests = []string{"perf/t.py::test_e2e[" + prefix + "-six_gpus]"}
		_, err := Resolve(in)
		require.ErrorContains(t, err, "or a test_prefix of your own")
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
	in.Config.KnownFailures = []testlist.KnownFailure{
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

	in.Config.KnownFailures = []testlist.KnownFailure{{}, {Test: "x", Bug: "y", Expires: "tomorrow"}}
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

// A config's name alone becomes the id that today's test collects; where its folder is that of before, it keeps the
// form of before.
func TestBareNames(t *testing.T) {
	t.Parallel()
	id := func(in Input) (string, string) {
		p := one(t, in)
		return p.Case.ID, strings.Join(p.Warnings, "\n")
	}
	const head = "perf/test_perf_sanity.py::test_e2e"
	got, warned := id(input("synthetic", "six_gpus"))
	require.Equal(t, head+"[disagg_upload-gen_only-six_gpus]", got)
	require.NotContains(t, warned, "no mode")
	got, _ = id(input("synthetic", "gen_only_no_context"))
	require.Equal(t, head+"[disagg_upload-gen_only-gen_only_no_context]", got, "the config says that there is no context")
	got, warned = id(input("synthetic", "disagg_upload-six_gpus"))
	require.Equal(t, head+"[disagg_upload-six_gpus]", got, "as it was given")
	require.Contains(t, warned, "disagg_upload-six_gpus has no mode, and only older tests collect it: today's collect disagg_upload-e2e-six_gpus, disagg_upload-gen_only-six_gpus and aggr_upload-ctx_only-six_gpus")

	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, oldConfigs), 0o700))
	data, err := os.ReadFile(configs + "synthetic/six_gpus.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, oldConfigs, "six_gpus.yaml"), data, 0o600))
	in := input("synthetic", "six_gpus")
	in.Config.Source, in.Config.DisaggConfigs = root, ""
	got, warned = id(in)
	require.Equal(t, head+"[disagg_upload-six_gpus]", got)
	require.NotContains(t, warned, "no mode")
}

// What is not here is as a rule not on the nodes either; behind a login node nobody can say.
func TestPlacesThatAreNotHere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for want, change := range map[string]func(*Input){
		"workload.source: /repo cannot be seen from here: it must be a directory on every node":                           func(*Input) {},
		"workload.dir: /gone cannot be seen from here: it must be a directory on every node":                              func(in *Input) { in.Config.Source, in.Config.Dir = dir, "/gone" },
		"workload.dir: " + dir + "/tests/integration/defs cannot be seen from here: it must be a directory on every node": func(in *Input) { in.Config.Source = dir },
		"": func(in *Input) { in.Cluster.Elsewhere = true },
	} {
		in := input("synthetic", "disagg-gen_only-six_gpus")
		in.Cluster.Elsewhere = false
		change(&in)
		warned := strings.Join(one(t, in).Warnings, "\n")
		require.Equal(t, want, strings.Join(slices.DeleteFunc(strings.Split(warned, "\n"), func(w string) bool { return !strings.Contains(w, "seen from here") }), "\n"))
	}
}
