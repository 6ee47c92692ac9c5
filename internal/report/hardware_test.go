package report

import (
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

func TestWrongHardware(t *testing.T) {
	t.Parallel()
	attempt := rundir.AttemptDir(t.TempDir())
	plan := rundir.Plan{Roles: []rundir.RolePlan{{Name: "GEN_0"}, {Name: "CTX_0"}, {Name: "DISAGG_SERVER"}}, Expected: rundir.Expected{GPUType: "GB200"}}
	writeText(t, attempt.RoleDir("GEN_0")+"/gpus.n1.txt", "NVIDIA GB200\nNVIDIA GB200\n")
	require.Empty(t, wrongHardware(plan, attempt))
	writeText(t, attempt.RoleDir("GEN_0")+"/gpus.n2.txt", "NVIDIA GB200\nNVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3\n")
	writeText(t, attempt.RoleDir("CTX_0")+"/gpus.n3.txt", "\nNVIDIA B200\n")
	require.Equal(t, []string{
		"GEN_0 ran on NVIDIA H100 80GB HBM3 of n2; planned was GB200 (gpu_type)",
		"CTX_0 ran on NVIDIA B200 of n3; planned was GB200 (gpu_type)",
	}, wrongHardware(plan, attempt))
	plan.Expected.GPUType = ""
	require.Empty(t, wrongHardware(plan, attempt))
}
