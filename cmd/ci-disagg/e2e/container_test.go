package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// In a container the roles find all that they need in what is mounted, and our variables in place of the image's. A
// named container is made once per node before the roles come for it, and is another one for each attempt.
func TestContainers(t *testing.T) {
	t.Parallel()
	need.Root(t)
	workload := filepath.Join(root, "testdata/workload")
	tests := []struct {
		name   string // of the container
		mounts string
		exit   int
		made   map[string]int
		says   string
	}{
		{name: "perf", mounts: workload + ":" + workload + ":ro", made: map[string]int{"create": 3, "attach": 5}},
		{name: "", mounts: workload + ":" + workload + ":ro", made: map[string]int{"anonymous": 5}},
		{name: "bare", mounts: "/usr:/usr", exit: 3, made: map[string]int{"create": 3}, says: "mount it into the container"},
	}
	for _, tt := range tests {
		t.Run("name="+tt.name, func(t *testing.T) {
			t.Parallel()
			runs := t.TempDir()
			profile := fmt.Sprintf("container: {image: %q, name: %q, mounts: [%q], workdir: /tmp}", imageWithout(t, root, filepath.Dir(binary), runs), tt.name, tt.mounts)
			j := startIn(t, runs, slurm, config(t, slurm, "", profile), nil, runtest.Wide)
			require.Equal(t, tt.exit, j.wait(t))
			require.Contains(t, j.stdout.String(), tt.says)
			require.Equal(t, tt.made, containersOf(t, runtest.Outcome(t, j.dir).JobID))
		})
	}
}

// imageWithout makes an image in which the given paths are not there, and whose environment says other things than
// ours.
func imageWithout(t *testing.T, hidden ...string) string {
	t.Helper()
	image := t.TempDir()
	environ := "PATH=/usr/bin:/bin\nDISAGG_SERVING_TYPE=of-the-image\nCI_DISAGG_ROLE=of-the-image\n"
	require.NoError(t, os.WriteFile(filepath.Join(image, "environ"), []byte(environ), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(image, "hide"), []byte(strings.Join(hidden, "\n")+"\n"), 0o600))
	return image
}

// containersOf counts what the job's steps did, per node, to get their containers. Containers of one name stand for one
// attempt only.
func containersOf(t *testing.T, jobID string) map[string]int {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(containers, "log"))
	require.NoError(t, err)
	counts, names := map[string]int{}, map[string]bool{}
	for line := range strings.Lines(string(log)) {
		f := strings.Fields(line)
		if strings.HasPrefix(f[0], jobID+".") {
			counts[f[2]]++
			names[strings.Join(f[3:], "")] = true
		}
	}
	require.LessOrEqual(t, len(names), 1)
	return counts
}
