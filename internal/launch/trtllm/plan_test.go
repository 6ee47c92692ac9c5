package trtllm

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const configs = "../../../testdata/configs/"

// input plans against one folder of the test configurations.
func input(folder string, tests ...string) Input {
	return Input{
		Config:     Config{Source: "/repo", Tests: Tests{DisaggConfigs: configs + folder, AggConfigs: configs + folder}},
		ConfigFile: "ci-disagg.yaml", Stage: "stage", Tests: tests, Today: "2026-11-21",
		Cluster: Cluster{Elsewhere: true}, // /repo is not here
	}
}

// show writes a plan as text in which a reviewer sees every part.
func show(p rundir.Plan) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("case %s", p.Case.ID)
	line("mode %s config %s server %q source %s", p.Case.Mode, p.Case.Config, p.Case.Server, p.Case.Source)
	line("nodes %d x %d GPUs = %d, used %d", p.Nodes, p.GPUsPerNode, p.AllocatedGPUs, p.UsedGPUs)
	for _, r := range p.Roles() {
		line("role %s (%s) %s tasks %d mpi %q overlap %v junit %v ready {AddressFile:%s HTTPPath:%s LogPattern:%s}",
			r.Name, r.Kind, slice(r.Slice), r.Tasks(), r.MPI, r.Overlap, r.JUnit, r.Ready.AddressFile, r.Ready.HTTPPath, r.Ready.LogPattern)
		if r.Before != "" {
			line("  before %s", r.Before)
		}
		line("  $ %s", r.Command)
		showEnv(line, "  env", r.Env)
		if n := r.Output; n != "" {
			line("  output %s done %s", n, r.Done)
		}
	}
	showEnv(line, "env", p.Env)
	showEnv(line, "export", p.Exports)
	showEnv(line, "path", p.Paths)
	line("budgets %+v drain %+v links %v token %s", p.Budgets, p.Drain, p.Links, p.TokenEnv)
	for _, q := range p.Expected.Points {
		line("point %+v", q)
	}
	line("expected gpu %q device step %v accuracy %v metrics %v", p.Expected.GPUType, p.Expected.DeviceStep, p.Expected.Accuracy, p.Expected.Metrics)
	for _, k := range slices.Sorted(maps.Keys(p.Match)) {
		line("match %s=%s", k, p.Match[k])
	}
	for _, w := range p.Warnings {
		line("warning %s", w)
	}
	return b.String()
}

func showEnv(line func(string, ...any), what string, env []rundir.EnvVar) {
	for _, e := range env {
		line("%s %s=%s", what, e.Name, e.Value)
	}
}

func slice(s []rundir.NodeShare) string {
	var parts []string
	for _, n := range s {
		parts = append(parts, fmt.Sprintf("n%d:%dt/%dg", n.Node, n.Tasks, n.GPUs))
	}
	return strings.Join(parts, ",")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func stems(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(configs + folder + "/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".yaml")
	}
	return files
}

func one(t *testing.T, in Input) rundir.Plan {
	t.Helper()
	plans, err := Resolve(in)
	require.NoError(t, err)
	require.Len(t, plans, 1)
	return plans[0]
}

func TestPlansOfTheRealConfigs(t *testing.T) {
	t.Parallel()
	for folder, prefix := range map[string]string{"disaggregated": "disagg_upload-", "aggregated": "aggr_upload-"} {
		for _, stem := range stems(t, folder) {
			t.Run(stem, func(t *testing.T) {
				t.Parallel()
				golden(t, stem+".txt", show(one(t, input(folder, prefix+stem))))
			})
		}
	}
}

// Node and GPU counts as they were worked out by hand from the files
// (contexts × GPUs, generation × GPUs, GPUs per node → nodes).
func TestResourcesOfTheRealConfigs(t *testing.T) {
	t.Parallel()
	type want struct{ ctx, ctxGPUs, gen, genGPUs, perNode, nodes int }
	table := map[string]want{
		"b200_deepseek-r1-fp4_1k1k_con2048_ctx1_dep4_gen1_dep8_eplb0_mtp1_ccb-NIXL":           {1, 4, 1, 8, 8, 2},
		"deepseek-r1-fp4_128k8k_ctx5_pp4_gen1_dep16_bs16_eplb0_mtp0_con256-Default":           {5, 4, 1, 16, 4, 9},
		"gb200_deepseek-r1-fp4_128k8k_con128_ctx1_pp8_gen1_dep16_eplb0_mtp1_ccb-NIXL":         {1, 8, 1, 16, 4, 6},
		"gb200_deepseek-r1-fp4_1k1k_con2048_ctx2_dep4_gen1_dep16_eplb288_mtp3_ccb-NIXL":       {2, 4, 1, 16, 4, 6},
		"gb200_deepseek-v3-lite-fp8_1k1k_con256_ctx1_tp1_gen1_tp2_eplb0_mtp0_ccb-NIXL":        {1, 1, 1, 2, 4, 2},
		"gb200_deepseek-v32-fp4_32k4k_con256_ctx1_dep8_gen1_dep8_eplb0_mtp0_ccb-NIXL":         {1, 8, 1, 8, 4, 4},
		"gb200_gpt-oss-120b-fp4_1k1k_con512_ctx1_tp1_gen1_dep2_eplb0_mtp0_ccb-UCX":            {1, 1, 1, 2, 4, 2},
		"gb200_glm-5-fp4_1k1k_con1_ctx1_dep4_gen1_tep4_eplb0_mtp3_ccb-NIXL":                   {1, 4, 1, 4, 4, 2},
		"gb300_deepseek-v4-pro-fp4_8k1k_con8_ctx1_dep4_gen4_tep8_eplb0_mtp3_ccb-NIXL":         {1, 4, 4, 8, 4, 9},
		"gb300_deepseek-v4-pro-fp4_8k1k_con180_ctx3_dep4_gen1_dep32_eplb384_mtp3_ccb-NIXL":    {3, 4, 1, 32, 4, 11},
		"gb300_kimi-k25-thinking-fp4_8k1k_con1024_ctx1_dep4_gen1_dep32_eplb416_mtp3_ccb-NIXL": {1, 4, 1, 32, 4, 9},
		"deepseek-r1-fp4_128k8k_ctx1_pp4_gen13_tep4_bs1_eplb0_mtp0-Default":                   {1, 4, 13, 4, 4, 14},
		"Qwen3-235B-A22B-FP4_1k1k_ctx1_gen4_tep8_bs32_eplb0_mtp0_ccb-UCX":                     {1, 4, 4, 8, 4, 9},
		"deepseek-r1-fp4_1k1k_ctx2_gen1_dep16_bs128_eplb288_mtp3_ccb-NIXL":                    {2, 4, 1, 16, 4, 6},
		"deepseek-r1-fp4_1k1k_ctx2_gen1_dep48_bs16_eplb288_mtp3_ccb-DEFAULT":                  {2, 4, 1, 48, 4, 14},
		"deepseek-r1-fp4_8k1k_ctx8_gen1_dep32_bs16_eplb288_mtp3_ccb-UCX":                      {8, 4, 1, 32, 4, 16},
	}
	require.ElementsMatch(t, stems(t, "disaggregated"), slices.Collect(maps.Keys(table)))
	for stem, w := range table {
		p := one(t, input("disaggregated", "disagg-"+stem))
		require.Equal(t, w.nodes, p.Nodes, stem)
		require.Equal(t, w.perNode, p.GPUsPerNode, stem)
		require.Equal(t, w.ctx*w.ctxGPUs+w.gen*w.genGPUs, p.UsedGPUs, stem)
		checkSlices(t, p)
		for _, r := range p.Roles() {
			switch r.Group {
			case groupCtx:
				require.Equal(t, w.ctxGPUs, r.GPUs(), stem)
				require.Equal(t, w.ctxGPUs, r.Tasks(), stem)
			case groupGen:
				require.Equal(t, w.genGPUs, r.GPUs(), stem)
				require.Equal(t, w.genGPUs, r.Tasks(), stem)
			}
		}
	}
	for stem, w := range map[string][2]int{ // nodes, GPUs
		"deepseek_r1_fp4_v2_2_nodes_grace_blackwell": {2, 8}, "dynamo_gpt_oss_120b_fp4_blackwell": {1, 4},
		"gb300_nemotron_ultra_v3_fp4_grace_blackwell": {1, 4}, "host_perf_deepseek_v3_lite": {1, 1}, "super_mtp_ad_nvfp4_blackwell": {1, 4},
	} {
		p := one(t, input("aggregated", "aggr-"+stem))
		require.Equal(t, w, [2]int{p.Nodes, p.UsedGPUs}, stem)
		checkSlices(t, p)
	}
}

// checkSlices holds the invariants of every layout: no GPU is given to two
// servers, no node is asked for more than it has, every node is used.
func checkSlices(t require.TestingT, p rundir.Plan) {
	used := make([]int, p.Nodes)
	for _, r := range p.Roles() {
		for _, s := range r.Slice {
			require.GreaterOrEqual(t, s.Node, 0)
			require.Less(t, s.Node, p.Nodes)
			used[s.Node] += s.GPUs
		}
	}
	for n, g := range used {
		require.LessOrEqual(t, g, p.GPUsPerNode, "node %d", n)
		require.Positive(t, g, "node %d is idle", n)
	}
}

func TestPlansOfTheSyntheticConfigs(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{
		"context_parallel": "disagg-e2e-context_parallel", "no_context_seed": "disagg-gen_only_no_context",
		"no_context": "disagg-gen_only_no_context-gen_only_no_context", "no_context_by_mode": "disagg-gen_only-gen_only_no_context",
		"no_context_agg": "aggr_upload-gen_only_no_context-gen_only_no_context", "ctx_only": "aggr-ctx_only-six_gpus",
		"ctx_only_breakdown": "aggr-ctx_only-time_breakdown-six_gpus", "six_gpus": "disagg-gen_only-six_gpus",
		"quoting": "disagg_upload-e2e-quoting", "agg_one": "aggr-agg_two_sizes-big-tp8", "agg_two": "aggr-agg_two_sizes-small,big-tp8",
		"agg_all": "aggr-agg_two_sizes", "tricky": "disagg-e2e-tricky", "bare": "six_gpus", "breakdown": "disagg_upload-e2e-time_breakdown-context_parallel",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := one(t, input("synthetic", id))
			if p.Case.Mode != rundir.ModeAggregated {
				checkSlices(t, p)
			}
			golden(t, "synthetic_"+name+".txt", show(p))
		})
	}
}
