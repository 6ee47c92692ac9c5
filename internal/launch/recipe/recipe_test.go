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
