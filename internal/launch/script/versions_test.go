package script

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
)

// TestVersions asks in a real bash, whatever options the role's setup has left on.
func TestVersions(t *testing.T) {
	t.Parallel()
	var p rundir.Plan
	p.Versions = []rundir.EnvVar{
		{Name: "torch", Value: "printf '2.11.0\nmore\n'"}, {Name: "nccl", Value: "echo '2.28 it'\"'\"'s'"}, {Name: "bad", Value: "echo no module >&2; exit 3"},
	}
	a, b := rundir.RolePlan{Name: "A"}, rundir.RolePlan{Name: "B"}
	other := rundir.RolePlan{Name: "C", Outfit: rundir.Outfit{Container: &rundir.Container{Image: "i"}}}
	at := RunPlace{Build: rundir.BuildPlan{Roles: []rundir.RolePlan{{Name: "P", Kind: rundir.KindPrecheck}, a, b, other}}}
	for name, tt := range map[string]struct {
		role rundir.RolePlan
		env  string
		says bool
	}{
		"the first role":            {role: a, says: true},
		"its second task":           {role: a, env: "SLURM_PROCID=1"},
		"a role like it":            {role: b},
		"one of another container":  {role: other, env: "SLURM_PROCID=0", says: true},
		"a precheck, which is gone": {role: at.Build.Roles[0]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := new(shell)
			s.shebang()
			s.export(envRoleDir, dir)
			s.line("set -euo pipefail")
			s.versions(p, at, tt.role)
			s.line("exec true")
			text, err := s.bytes()
			require.NoError(t, err)
			file := filepath.Join(dir, "role.sh")
			require.NoError(t, rundir.WriteFile(file, text, rundir.ExecMode))
			cmd := exec.Command("bash", file)
			cmd.Env = append(os.Environ(), tt.env)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			require.Empty(t, out)
			said := filepath.Join(dir, rundir.VersionsName)
			if !tt.says {
				require.NotContains(t, string(text), "ci_disagg_version \"", "nobody asks here")
				require.NoFileExists(t, said)
				return
			}
			require.Eventually(t, func() bool {
				got, err := os.ReadFile(said)
				return err == nil && strings.Count(string(got), "\n") == 3
			}, time.Minute, 5*time.Millisecond)
			got, err := os.ReadFile(said)
			require.NoError(t, err)
			require.Equal(t, "torch\t0\t2.11.0\nnccl\t0\t2.28 it's\nbad\t3\tno module\n", string(got))
			if !testing.Short() {
				need.Programs(t, "shellcheck", "shellcheck")
				out, err := exec.Command("shellcheck", file).CombinedOutput()
				require.NoError(t, err, string(out))
			}
		})
	}
}
