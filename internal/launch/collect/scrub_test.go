package collect

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A role can write over everything in its attempt, also what ci-disagg wrote for the job.
func TestScrubLooksEverywhere(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	names := []string{
		"plan.json", "job.sh", "install-0.sh", "run.sh", "test_list.txt", "slurm.out", "agent.json", "run-0/roles/X/role.sh", "run-0/roles/X/output.log",
		"run-0/output/a/b", "other",
	}
	for _, name := range names {
		path := filepath.Join(string(dir), name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("echo hunter2hunter2\n"), 0o700))
	}
	require.NoError(t, Rules{Mask: mask.New([]string{"hunter2hunter2"})}.Scrub(dir))
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(string(dir), name))
		require.NoError(t, err)
		require.Equal(t, "echo [masked]\n", string(data), name)
	}
}
