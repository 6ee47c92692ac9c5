package runs

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// withJob is a run in dir whose driver is dead, with a job that has no outcome.
func withJob(t *testing.T, dir rundir.Dir) rundir.AttemptDir {
	t.Helper()
	a := dir.CaseDir("c").Attempt(0, 1)
	run := rundir.Run{Schema: rundir.Schema, ID: "x", Backend: rundir.BackendSlurm, Created: time.Now()}
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), run))
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), rundir.Lease{Schema: rundir.Schema, Heartbeat: time.Now().Add(-time.Hour)}))
	require.NoError(t, rundir.WriteJSON(a.JobFile(), rundir.Job{Schema: rundir.Schema, ID: "7", Backend: rundir.BackendSlurm, Intent: time.Now()}))
	return a
}

// A run directory's path is no pattern.
func TestOpenInADirectoryOfAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"[perf]", "a*b", "what?", "[", "[z-a]"} {
		runs := filepath.Join(t.TempDir(), name)
		a := withJob(t, rundir.Dir(filepath.Join(runs, "x")))
		open, err := Open(a.Dir())
		require.NoError(t, err, name)
		require.Len(t, open, 1, name)
		require.Equal(t, "c", open[0].Case, name)
		require.Equal(t, a, open[0].Attempt, name)

		o := SweepOptions{RunsDir: runs, Backend: rundir.BackendSlurm}
		require.NoError(t, os.Remove(a.JobFile()))
		require.NoError(t, os.Symlink("x", a.JobFile()))
		swept, err := Sweep(context.Background(), o)
		require.NoError(t, err, name)
		require.Len(t, swept, 1, name)
		require.Contains(t, swept[0].Why, "its records cannot be read", name)
	}
	open, err := Open(rundir.Dir(filepath.Join(t.TempDir(), "none")))
	require.NoError(t, err)
	require.Empty(t, open)
}

// What cannot be listed may hold a job.
func TestOpenOfWhatCannotBeListed(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"cases", "cases/c", "cases/c/rep-0", "cases/c/rep-0/attempt-1"} {
		runs := t.TempDir()
		dir := rundir.Dir(filepath.Join(runs, "x"))
		withJob(t, dir)
		require.NoError(t, rundir.WriteJSON(dir.CaseDir("d").Attempt(0, 1).JobFile(), rundir.Job{Schema: rundir.Schema, ID: "8", Intent: time.Now()}))
		broken := filepath.Join(string(dir), level)
		require.NoError(t, os.RemoveAll(broken))
		require.NoError(t, os.Symlink(filepath.Base(broken), broken)) // a loop: "too many levels of symbolic links"

		open, err := Open(dir)
		require.ErrorContains(t, err, broken)
		if level != "cases" {
			require.Len(t, open, 1, "the others are listed all the same")
		}
		left, err := Finish(context.Background(), Access{Host: host.NewHere(nil), Environ: []string{"PATH=/nowhere"}, Now: time.Now}, dir)
		require.Error(t, err)
		require.Len(t, open, left)
		o := PruneOptions{RunsDir: runs, OlderThan: time.Nanosecond, Now: time.Now}
		pruned, err := Prune(o)
		require.NoError(t, err)
		require.Len(t, pruned, 1)
		require.Contains(t, pruned[0].Why, "its records cannot be read")
		require.DirExists(t, string(dir))
	}
}
