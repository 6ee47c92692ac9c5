package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Where there are more files than the report links to, it is the test's own that give way.
func TestArtifactsOfALargeOutput(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	attempt := rundir.AttemptDir(filepath.Join(string(dir), "cases", "c", "rep-0", "attempt-1"))
	names := []string{"agent.json", "run-0/roles/GEN_0/output.log", "run-0/roles/GEN_0/results.xml"}
	for i := range maxArtifacts + 10 {
		names = append(names, fmt.Sprintf("run-0/output/many/%04d.log", i))
	}
	for _, name := range names {
		path := filepath.Join(string(attempt), name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	links := artifacts(dir, place{openTree(t, dir), attempt, attempt.Run(0), new(kept)})
	require.Len(t, links, maxArtifacts)
	require.Equal(t, "agent.json", links[0].Label)
	require.True(t, strings.HasPrefix(links[1].Label, "run-0/output/many/0000"), links[1].Label)
	require.Equal(t, "run-0/roles/GEN_0/results.xml", links[maxArtifacts-1].Label)
	require.Equal(t, "cases/c/rep-0/attempt-1/run-0/roles/GEN_0/results.xml", links[maxArtifacts-1].Path)
}
