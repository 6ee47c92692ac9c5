package environment_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/environment"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestEnvironment(t *testing.T) {
	source := t.TempDir()
	for _, args := range [][]string{
		{"init", "-q"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = source
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	image := filepath.Join(t.TempDir(), "i.sqsh")
	require.NoError(t, os.WriteFile(image, []byte("1234"), 0o600))
	role := func(name, tls string, c *rundir.Container) rundir.RolePlan {
		return rundir.RolePlan{Name: name, Env: []rundir.EnvVar{{Name: "UCX_TLS", Value: tls}, {Name: "X", Value: "y"}}, Outfit: rundir.Outfit{Container: c}}
	}
	plan := rundir.Plan{
		Schema: rundir.Schema,
		Builds: []rundir.BuildPlan{
			{Name: rundir.BaseBuild, Source: filepath.Join(source, "none"), Commit: "abc", Container: &rundir.Container{Image: "r/i@sha256:12"}},
			{Name: rundir.HeadBuild, Source: source, Container: &rundir.Container{Image: image}, Roles: []rundir.RolePlan{role("A", "rc", nil), role("B", "tcp", &rundir.Container{Image: "z"})}},
		},
		Surroundings: rundir.Surroundings{Env: []rundir.EnvVar{{Name: "NCCL_DEBUG", Value: "INFO"}, {Name: "NCCL_API_KEY", Value: "abcdefgh"}}},
	}
	plan.Versions = []rundir.EnvVar{{Name: "torch"}, {Name: "nccl"}, {Name: "trt"}, {Name: "slow"}}
	dir := rundir.AttemptDir(t.TempDir())
	require.NoError(t, rundir.WriteJSON(dir.PlanFile(), plan))
	files, err := dir.Tree()
	require.NoError(t, err)
	defer func() { _ = files.Close() }()
	run := dir.Run(1)
	require.NoError(t, rundir.WriteJSON(run.MachineFile("n0"), rundir.NodeRecord{Schema: rundir.Schema, NodeMachine: rundir.NodeMachine{Node: "n0", Kernel: "6"}}))
	require.NoError(t, rundir.WriteFile(run.VersionsFile("A"), []byte("torch\t0\t2.11.0\nnccl\t0\t2.28\nslow\t124\t\nbroken\n"), rundir.FileMode))
	require.NoError(t, rundir.WriteFile(run.VersionsFile("B"), []byte("torch\t0\t2.11.0\nnccl\t0\t2.29\n"), rundir.FileMode))

	a := environment.Attempt{Files: files, Dir: dir, JobID: "7", Plan: plan, Git: time.Minute}
	require.NoError(t, a.Begin(t.Context(), dir.Run(0), plan.Builds[0], os.Environ()).Write([]string{"n0"}))
	require.NoError(t, a.Begin(t.Context(), run, plan.Builds[1], os.Environ()).Write([]string{"n0", "n1"}))

	var got rundir.Environment
	require.NoError(t, rundir.ReadJSON(dir.EnvironmentFile(), &got))
	require.Equal(t, "7", got.JobID)
	require.Equal(t, []rundir.NodeMachine{{Node: "n0", Kernel: "6"}}, got.Nodes)
	require.Len(t, got.Builds, 2)
	base, head := got.Builds[0], got.Builds[1]
	require.Equal(t, []any{"abc", (*bool)(nil), "r/i@sha256:12", "sha256:12"}, []any{base.Commit, base.Dirty, base.Image, base.Digest})
	require.Len(t, head.Commit, 40)
	require.False(t, *head.Dirty)
	require.Contains(t, head.ImageFile, "4 bytes, 20")
	require.Equal(t, map[string]string{"NCCL_DEBUG": "INFO", "UCX_TLS": "rc (A), tcp (B)"}, head.Variables)
	require.Equal(t, []rundir.Version{
		{Name: "torch", Value: "2.11.0"},
		{Name: "nccl", Value: "2.28 (A), 2.29 (B)"},
		{Name: "trt", Error: "not said before the roles ended"},
		{Name: "slow", Error: "no answer in time"},
	}, head.Versions)
}
