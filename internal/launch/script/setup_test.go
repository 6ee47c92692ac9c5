package script

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// TestSetupThatFailsEndsTheRole runs preparations in a real bash, with a command behind
// them.
func TestSetupThatFailsEndsTheRole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lib := filepath.Join(dir, "lib.sh")
	require.NoError(t, rundir.WriteFile(lib, []byte("false\nhelper() { false; true; }\ntrue\n"), rundir.FileMode))
	const said = "ci-disagg: workload.setup: exit "
	tests := []struct {
		name, setup, key, stderr string
		exit                     int
	}{
		{name: "none", exit: 3},
		{name: "passes", setup: "export A=1\ntrue\n", exit: 3},
		{name: "its first command fails", setup: "cd /nowhere\ntrue\n", exit: 78, stderr: said + "1 of: cd /nowhere"},
		{name: "a file that it sources is missing", setup: "source /nowhere/activate\ntrue", exit: 78, stderr: said + "1 of: source /nowhere/activate"},
		{name: "a command is not there", setup: "no-such-command --now", exit: 78, stderr: said + "127 of: no-such-command --now"},
		{name: "a condition is no failure", setup: "[ -e /nowhere ] && echo there\nif false; then :; fi\nfalse || true", exit: 3},
		{name: "what a sourced file does inside is its own", setup: ". " + lib + "\nhelper", exit: 3},
		{name: "a build's own", setup: "false", key: "builds.head.setup", exit: 78, stderr: "ci-disagg: builds.head.setup: exit 1 of: false"},
		{name: "its own shell options", setup: "set -euo pipefail", exit: 3},
		{name: "the command may fail", setup: "true", exit: 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := new(shell)
			s.shebang()
			s.setup(tt.setup, tt.key)
			s.user("false || true; (exit 3)")
			text, err := s.bytes()
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "role.sh")
			require.NoError(t, rundir.WriteFile(file, text, rundir.ExecMode))
			out, err := exec.Command("/bin/bash", file).CombinedOutput()
			var ended *exec.ExitError
			require.ErrorAs(t, err, &ended)
			require.Equal(t, tt.exit, ended.ExitCode(), string(out))
			if tt.stderr != "" {
				require.Contains(t, string(out), tt.stderr)
			}
		})
	}
}
