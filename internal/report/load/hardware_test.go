package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestIsGPU(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, kind string
		want       bool
	}{
		{"NVIDIA GB200", "GB200", true},
		{"NVIDIA GB200", "gb200_nvl72", true},
		{"NVIDIA GB200", "B200", false},
		{"NVIDIA B200", "GB200", false},
		{"NVIDIA H100 80GB HBM3", "H100", true},
		{"NVIDIA H100 80GB HBM3", "DGX-H100-SXM", true},
		{"NVIDIA H200", "H100", false},
		{"NVIDIA A100-SXM4-80GB", "A100", true},
		{"NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000", true},
		{"NVIDIA Thor", "thor", true},
	} {
		require.Equal(t, tt.want, isGPU(tt.name, tt.kind), "%s is a %s", tt.name, tt.kind)
	}
}

func TestHardware(t *testing.T) {
	t.Parallel()
	attempt := rundir.AttemptDir(t.TempDir())
	run := attempt.Run(0)
	gpus := []rundir.NodeShare{{Tasks: 4, GPUs: 4}}
	plan := rundir.Plan{
		Case:     rundir.Case{ID: "c"},
		Expected: rundir.Expected{GPUType: "GB200"},
		Builds: []rundir.BuildPlan{{
			Roles: []rundir.RolePlan{{Name: "GEN_0", Slice: gpus}, {Name: "CTX_0", Slice: gpus}, {Name: "DISAGG_SERVER", Slice: []rundir.NodeShare{{Tasks: 1}}}},
		}},
	}
	writeText(t, run.RoleDir("GEN_0")+"/gpus.n1.txt", strings.Repeat("NVIDIA GB200\n", 4))
	writeText(t, run.RoleDir("CTX_0")+"/gpus.n3.txt", "") // nvidia-smi failed
	wrong, unseen := Hardware(plan, attempt, 0)
	require.Empty(t, wrong)
	require.Equal(t, "c: gpu_type GB200 is not verified: no node of CTX_0 said which GPUs it has (nvidia-smi)", unseen)

	writeText(t, run.RoleDir("GEN_0")+"/gpus.n2.txt", "NVIDIA GB200\nNVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3\n")
	writeText(t, run.RoleDir("CTX_0")+"/gpus.n3.txt", "\nNVIDIA B200\n")
	wrong, unseen = Hardware(plan, attempt, 0)
	require.Equal(t, []string{
		"GEN_0 ran on NVIDIA H100 80GB HBM3 of n2; planned was GB200 (gpu_type)",
		"GEN_0 takes 4 GPUs of a node; n2 has shown 3 (nvidia-smi)",
		"CTX_0 ran on NVIDIA B200 of n3; planned was GB200 (gpu_type)",
		"CTX_0 takes 4 GPUs of a node; n3 has shown 1 (nvidia-smi)",
	}, wrong)
	require.Empty(t, unseen)

	plan.Expected.GPUType = ""
	wrong, unseen = Hardware(plan, attempt, 0)
	require.Empty(t, wrong)
	require.Empty(t, unseen)
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
