package recipe_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/recipe"
)

var update = flag.Bool("update", false, "rewrite what the recipes become")

// A dozen shapes of recipes, three backends; beside each stands the config that it becomes. That those plan, a test of
// cmd holds.
func TestImport(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 12)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := recipe.Import(filepath.Base(file), data)
			require.NoError(t, err)
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got.Text), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got.Text)
		})
	}
}

const small = `name: n
model: {path: a/b}
resources: {gpus_per_node: 8, agg_nodes: 1}
frontend: {type: vllm}
backend: {type: vllm}
benchmark: {type: sa-bench, isl: 1, osl: 1, concurrencies: 1}
`

// What has no counterpart is named, key by key; what could not be started is refused.
func TestNothingIsDropped(t *testing.T) {
	t.Parallel()
	got, err := recipe.Import("r.yaml", []byte(small+"telemetry: {enabled: true, deep: {er: 1}}\nsweep: [1, 2]\n"))
	require.NoError(t, err)
	for _, left := range []string{"telemetry.enabled (line 7)", "telemetry.deep.er (line 7)", "sweep (line 8)"} {
		require.Contains(t, got.Left, left)
		require.Contains(t, got.Text, "#   "+left)
	}
	for old, want := range map[string]string{
		"{type: vllm}\nbenchmark":          `backend.type: "mocker" is none of sglang, vllm, trtllm`,
		"frontend: {type: vllm}":           `frontend.type: "nginx" does not go with these workers`,
		"{type: sa-bench":                  `benchmark.type: "gpqa" is none of`,
		"{gpus_per_node: 8, agg_nodes: 1}": "no workers",
		"model: {path: a/b}":               "model.path is missing",
	} {
		changed := map[string]string{
			"{type: vllm}\nbenchmark": "{type: mocker}\nbenchmark", "frontend: {type: vllm}": "frontend: {type: nginx}", "{type: sa-bench": "{type: gpqa",
			"{gpus_per_node: 8, agg_nodes: 1}": "{gpus_per_node: 8}", "model: {path: a/b}": "model: {precision: fp8}",
		}[old]
		_, err := recipe.Import("r.yaml", []byte(strings.Replace(small, old, changed, 1)))
		require.ErrorContains(t, err, want)
	}
}

// What srt-slurm gives workers beside the flags of the recipe: the way by which prefill workers hand over, ports that
// no two workers of a node share, the ranks of a worker over several nodes.
func TestWhatWorkersGetBesideTheirFlags(t *testing.T) {
	t.Parallel()
	const (
		disagg = "{gpus_per_node: 8, prefill_nodes: 1, prefill_workers: 2, decode_nodes: 1, decode_workers: 1}"
		nixl   = `--kv-transfer-config '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'`
	)
	of := func(resources, frontend, backend string) string {
		return "name: n\nmodel: {path: a/b}\nresources: " + resources + "\nfrontend: {type: " + frontend + "}\nbackend: " + backend +
			"\nbenchmark: {type: sa-bench, isl: 1, osl: 1, concurrencies: 1}\n"
	}
	for _, tt := range []struct {
		name, recipe string
		want, not    []string
	}{
		{"vLLM hands over by NIXL", of(disagg, "dynamo", "{type: vllm}"), []string{nixl, "VLLM_NIXL_SIDE_CHANNEL_PORT=$((5400 + 32 * {index}))", "$((6400 + 32 * {index}))", "DYN_REQUEST_PLANE: tcp"}, nil},
		{"workers that do all share no port either", of("{gpus_per_node: 8, agg_nodes: 1, agg_workers: 4}", "dynamo", "{type: vllm}"), []string{nixl, "VLLM_NIXL_SIDE_CHANNEL_HOST={host} VLLM_NIXL_SIDE_CHANNEL_PORT=$((5400 + 32 * {index}))", "DYN_VLLM_KV_EVENT_PORT=$((5200 + 32 * {index}))", "VLLM_PORT=$((20000 + 50 * {index}))"}, []string{"$((6400"}},
		{"nor for events, nor among themselves", of(disagg, "dynamo", "{type: vllm}"), []string{"DYN_VLLM_KV_EVENT_PORT=$((5200 + 32 * {index}))", "DYN_VLLM_KV_EVENT_PORT=$((6200 + 32 * {index}))", "VLLM_PORT=$((20000 + 50 * {index}))", "VLLM_PORT=$((21000 + 50 * {index}))"}, nil},
		{"by nothing", of(disagg, "dynamo", "{type: vllm, connector: null}"), nil, []string{"kv-transfer-config", "connector ("}},
		{"by what its side says", of(disagg, "dynamo", "{type: vllm, vllm_config: {prefill: {connector: lmcache}}}"), []string{"LMCacheConnectorV1", nixl}, []string{"--connector"}},
		{"a recipe's own", of(disagg, "dynamo", `{type: vllm, vllm_config: {prefill: {kv-transfer-config: "{}"}, decode: {kv-transfer-config: "{}"}}}`), nil, []string{"NixlConnector"}},
		{"a model over two nodes", of("{gpus_per_node: 8, agg_nodes: 2}", "vllm", "{type: vllm, vllm_config: {aggregated: {tensor-parallel-size: 16}}}"), []string{`--master-addr "$first" --nnodes 2 --node-rank "$SLURM_NODEID"`, "echo --headless"}, nil},
		{"replicas over two nodes", of("{gpus_per_node: 8, agg_nodes: 2, agg_workers: 1}", "dynamo", "{type: vllm, vllm_config: {aggregated: {tensor-parallel-size: 2, data-parallel-size: 8}}}"), []string{"--data-parallel-size-local 4 --data-parallel-start-rank $((SLURM_NODEID * 4))"}, []string{"--headless"}},
		{"SGLang's ports", of(disagg, "sglang", "{type: sglang}"), []string{"--disaggregation-bootstrap-port $((7200 + {index}))", "--nccl-port $((17500 + {index}))", `(--prefill "${servers[i]}" $((7200 + i)))`}, nil},
		{"a recipe's own port", of(disagg, "sglang", "{type: sglang, sglang_config: {prefill: {disaggregation-bootstrap-port: 9000}}}"), []string{`(--prefill "${servers[i]}" 9000)`}, []string{"7200"}},
		{"memory of a GB200", of("{gpu_type: gb200, gpus_per_node: 4, prefill_nodes: 1, decode_nodes: 1}", "dynamo", "{type: trtllm}"), []string{"numactl -m 0,1 trtllm-llmapi-launch"}, nil},
		{"time to be ready", of(disagg, "dynamo", "{type: sglang}") + "health_check: {max_attempts: 360, interval_seconds: 10}\n", []string{"ready: 60m"}, []string{"health_check"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := recipeOf(tt.recipe)
			require.NoError(t, err)
			for _, w := range tt.want {
				require.Contains(t, got, w)
			}
			for _, w := range tt.not {
				require.NotContains(t, got, w)
			}
		})
	}
	_, err := recipeOf("base: {name: n}\noverride_tp4: {resources: {agg_nodes: 1}}\n")
	require.ErrorContains(t, err, "a base with overrides")
	_, err = recipeOf(of("{gpus_per_node: 8, agg_nodes: 2, agg_workers: 1}", "dynamo", "{type: vllm, vllm_config: {aggregated: {tensor-parallel-size: 16, data-parallel-size: 2}}}"))
	require.ErrorContains(t, err, "data-parallel replicas of 16 GPUs over 2 nodes of 8 are not taken over")
}

// Flags are those that srt-slurm makes of their values: a list is as many words, what is null or false is not given,
// and only YAML's own true is a switch.
func TestFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, flag, want string }{
		{"a list", "cuda-graph-bs: [1, 2, 4]", "--cuda-graph-bs 1 2 4"},
		{"texts", "lora_modules: ['a b', c]", "--lora-modules 'a b' c"},
		{"numbers that are texts", "cuda-graph-bs: ['1', \"2\"]", "--cuda-graph-bs 1 2"},
		{"a list of nothing", "cuda-graph-bs: []", "--cuda-graph-bs"},
		{"mappings in a list", "modules: [{name: a, n: 1}]", `--modules '{"name":"a","n":1}'`},
		{"a switch", "enable-x: true", "--enable-x"},
		{"a switch in the words of YAML 1.1", "enable-x: on", "--enable-x"},
		{"a switch that is off", "enable-x: false", ""},
		{"off in the words of YAML 1.1", "enable-x: No", ""},
		{"a text that reads like a switch", "enable-x: 'true'", "--enable-x true"},
		{"a text that reads like one that is off", "enable-x: 'false'", "--enable-x false"},
		{"null", "enable-x: null", ""},
		{"nothing", "enable-x:", ""},
		{"what stands elsewhere", "a: &x [1, 2]\n      b: *x", "--a 1 2 --b 1 2"},
		{"a text that reads like nothing", "enable-x: 'null'", "--enable-x null"},
		{"a number", "mem-fraction: 0.80", "--mem-fraction 0.80"},
		{"JSON as text", `kv-x: '{"a": true}'`, `--kv-x '{"a": true}'`},
		{"a mapping", "hf-overrides: {a: {b: True, c: ~, d: x, e: 1.0, f: [1, 'y']}}", `--hf-overrides '{"a":{"b":true,"c":null,"d":"x","e":1.0,"f":[1,"y"]}}'`},
	} {
		for backend, section := range map[string]string{"sglang": "sglang_config", "vllm": "vllm_config"} {
			t.Run(tt.name+" of "+backend, func(t *testing.T) {
				t.Parallel()
				got, err := recipeOf("name: n\nmodel: {path: a/b}\nresources: {gpus_per_node: 8, agg_nodes: 1}\nbackend:\n  type: " + backend + "\n  connector: null\n" +
					"  " + section + ":\n    aggregated:\n      " + tt.flag + "\n      z-last: 1\n" + "benchmark: {type: sa-bench, isl: 1, osl: 1, concurrencies: 1}\n")
				require.NoError(t, err)
				_, flags, begins := strings.Cut(got, " a/b \\\n")
				flags, _, ends := strings.Cut(flags, "--z-last 1\n")
				require.True(t, begins && ends, got)
				require.Equal(t, tt.want, strings.Join(strings.Fields(strings.ReplaceAll(flags, "\\\n", " ")), " "))
			})
		}
	}
}

// Those of a frontend, too; it is given no lists.
func TestFlagsOfTheFrontend(t *testing.T) {
	t.Parallel()
	got, err := recipeOf(strings.Replace(strings.Replace(small, "{type: vllm}", "{type: dynamo, args: {a: true, b: false, c: null, d: 'true', e: kv}}", 1), "backend: {type: vllm}", "backend: {type: sglang}", 1))
	require.NoError(t, err)
	require.Contains(t, got, "--http-port {port} --a --d true --e kv\n")
}

func recipeOf(text string) (string, error) {
	got, err := recipe.Import("r.yaml", []byte(text))
	return got.Text, err
}
