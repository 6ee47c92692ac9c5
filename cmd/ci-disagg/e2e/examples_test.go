package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// The way of a new user: init in an empty folder, then run, with software that nobody here wrote.
func TestFirstConfigsRun(t *testing.T) {
	t.Parallel()
	need.Programs(t, "redis-server redis-tools nginx-light wrk postgresql python3-pytest", "redis-server", "redis-benchmark", "nginx", "wrk", "pgbench")
	for name, tt := range map[string]struct{ one, metric string }{
		"redis":    {"redis*clients=8]", "request_throughput"},
		"postgres": {"postgres*clients=1,*", "request_throughput"},
		"nginx":    {"nginx*connections=8,*", "request_throughput"},
		"pytest":   {"pytest*", ""},
		"custom":   {"custom*", "request_throughput"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(dir, "tests"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tests", "test_sum.py"), []byte("def test_sum():\n    assert sum([1, 2]) == 3\n"), 0o600))
			ci := func(args ...string) string {
				cmd := exec.CommandContext(t.Context(), binary, args...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				require.Zero(t, runtest.Exit(t, cmd, err), "%s", out)
				return string(out)
			}
			ci("init", "--pipeline", name)
			ci("plan", "--create-store")
			ci("run", "--run-dir", "run", "--case", tt.one)
			text, err := os.ReadFile(filepath.Join(dir, "run", "report", rundir.ReportVerdict))
			require.NoError(t, err)
			require.True(t, json.Valid(text))
			require.Contains(t, string(text), tt.metric)
		})
	}
}
