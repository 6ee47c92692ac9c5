package starter_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/starter"
)

// program makes a program that prints a text, where the fake ones of a test lie.
func program(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
}

func TestLook(t *testing.T) {
	t.Parallel()
	bin, dir := t.TempDir(), t.TempDir()
	env := []string{"PATH=" + bin}
	nothing := starter.Look(t.Context(), dir, env)
	require.False(t, nothing.Slurm)
	require.Zero(t, nothing.GPUs)

	program(t, bin, "sbatch", "")
	program(t, bin, "sinfo", `echo "cpu (null)"; echo "batch* gpu:h100:8(S:0-1),nic:2"`)
	program(t, bin, "nvidia-smi", `echo 0; echo 1`)
	program(t, bin, "python3", `[ "$2" = "import pytest" ]`)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "tests"), 0o755))
	got := starter.Look(t.Context(), dir, env)
	require.True(t, got.Slurm)
	require.Equal(t, "batch", got.Partition)
	require.Equal(t, 8, got.NodeGPUs)
	require.Equal(t, 2, got.GPUs)
	require.Equal(t, "python3", got.Python)
	require.False(t, got.Benchmark)
	require.Equal(t, "tests", got.Tests)

	program(t, bin, "python3", "exit 0")
	require.False(t, starter.Look(t.Context(), dir, env).Benchmark, "no test asks for it")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tests", "test_x.py"), []byte("def test_x(benchmark):\n    pass\n"), 0o600))
	require.True(t, starter.Look(t.Context(), dir, env).Benchmark)

	c, err := starter.Write("", got)
	require.NoError(t, err)
	require.Equal(t, "pytest", c.Pipeline)
	require.NotContains(t, c.Text, " --junit-xml={out}/results.xml --benchmark-json")
	require.Empty(t, c.Missing)

	_, err = starter.Write("rediss", got)
	require.ErrorContains(t, err, "did you mean \"redis\"?")
	c, err = starter.Write("redis", got)
	require.NoError(t, err)
	require.Equal(t, []string{"redis-server", "redis-benchmark"}, c.Missing)
	require.Contains(t, c.Told("x.yaml"), "missing redis-server is not on $PATH")
	require.Contains(t, c.Told("x.yaml"), "next: ci-disagg plan -c x.yaml")

	// Without Slurm the GPUs of this machine are used.
	require.NoError(t, os.Remove(filepath.Join(bin, "sbatch")))
	c, err = starter.Write("vllm-disagg", starter.Look(t.Context(), dir, env))
	require.NoError(t, err)
	require.Contains(t, c.Text, "\nbackend: local ")
	require.NotContains(t, c.Text, "runs_dir")
	require.Equal(t, []string{"vllm"}, c.Missing)
}
