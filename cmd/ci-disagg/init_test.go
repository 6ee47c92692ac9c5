package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/starter"
)

// Every first config plans as it is written, whatever the machine shows.
func TestFirstConfigsPlan(t *testing.T) {
	t.Parallel()
	configs, err := filepath.Abs("../../testdata/configs/synthetic")
	require.NoError(t, err)
	for machine, seen := range map[string]starter.Seen{
		"nothing":           {},
		"Slurm":             {Slurm: true, Partition: "gpu", NodeGPUs: 4},
		"Slurm, large node": {Slurm: true, Partition: "gpu", NodeGPUs: 8, Python: "/usr/bin/python3", Tests: "tests"},
		"GPUs here":         {GPUs: 4, Python: "python3", Benchmark: true, Checkout: "/src/TensorRT-LLM"},
	} {
		for _, name := range starter.Names() {
			t.Run(machine+"/"+name, func(t *testing.T) {
				t.Parallel()
				c, err := starter.Write(name, seen)
				require.NoError(t, err)
				h, out, errs := planHost(t, "DISAGG_CONFIG_FOLDER="+configs)
				dir, err := h.getwd()
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, "ci-disagg.yaml"), []byte(c.Text), 0o600))
				args := []string{"plan"}
				if name == "trtllm" {
					args = append(args, "perf/test_perf_sanity.py::test_e2e[disagg-gen_only-six_gpus]")
				}
				require.Zero(t, run(t.Context(), h, args), "%s\n%s\n%s", c.Text, out, errs)
			})
		}
	}
}

// What is in the folder of examples is what init writes where nothing is seen.
func TestExamplesAreAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, name := range starter.Names() {
		c, err := starter.Write(name, starter.Seen{})
		require.NoError(t, err)
		if name == "sglang" {
			name = "sglang-disagg"
		}
		data, err := os.ReadFile(filepath.Join("../../examples", name+".yaml"))
		require.NoError(t, err)
		data = bytes.ReplaceAll(data, []byte(" --config "+name+".yaml"), nil)
		require.Equal(t, string(data), c.Text)
		readme, err := os.ReadFile("../../examples/README.md")
		require.NoError(t, err)
		require.Contains(t, string(readme), "["+name+".yaml]("+name+".yaml)")
		if strings.Contains(c.Text, "\nbackend: local") {
			require.Contains(t, c.Text, "\njobs: {max: 1} ", "cases of one machine measure each other")
		}
	}
}

// The configs for a real GPU, which no test has, are planned at least: as sessions of two builds.
func TestGPUConfigsArePlanned(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/gpu/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		h, out, errs := planHost(t)
		path, err := filepath.Abs(file)
		require.NoError(t, err)
		require.Zero(t, run(t.Context(), h, []string{"plan", "--config", path}), "%s\n%s", out, errs)
		require.Contains(t, out.String(), "base against head in pairs, always")
	}
}
