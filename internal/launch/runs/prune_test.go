package runs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// prunable makes a run directory that ended so long ago.
func prunable(t *testing.T, runs, id string, ago time.Duration, size int) string {
	t.Helper()
	ended := time.Now().Add(-ago)
	dir := rundir.Dir(filepath.Join(runs, id))
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), rundir.Run{Schema: 1, ID: id, Created: ended.Add(-time.Hour), Ended: &ended}))
	require.NoError(t, rundir.WriteFile(filepath.Join(string(dir), "big"), make([]byte, size), rundir.FileMode))
	return string(dir)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	young := prunable(t, runs, "young", time.Hour, 1000)
	middle := prunable(t, runs, "middle", 48*time.Hour, 1000)
	old := prunable(t, runs, "old", 40*24*time.Hour, 1000)
	driven := prunable(t, runs, "driven", 50*24*time.Hour, 1000)
	at := time.Now()
	require.NoError(t, rundir.WriteJSON(rundir.Dir(driven).LeaseFile(), rundir.Lease{Schema: 1, Owner: "x", Host: "elsewhere", Heartbeat: at}))
	open := prunable(t, runs, "open", 24*time.Hour, 1000)
	require.NoError(t, rundir.WriteJSON(rundir.Dir(open).CaseDir("c").Attempt(0, 1).JobFile(), rundir.Job{Schema: 1, ID: "7", Intent: at.Add(-24 * time.Hour)}))
	stranger := filepath.Join(runs, "stranger")
	require.NoError(t, os.Mkdir(stranger, 0o700))

	dry, err := Prune(PruneOptions{RunsDir: runs, OlderThan: 30 * 24 * time.Hour, DryRun: true, Now: time.Now})
	require.NoError(t, err)
	require.Len(t, dry, 5)
	require.DirExists(t, old)
	_, err = Prune(PruneOptions{RunsDir: runs, OlderThan: 30 * 24 * time.Hour, Now: time.Now})
	require.NoError(t, err)
	require.NoDirExists(t, old)
	for _, d := range []string{young, middle, driven, open, stranger} {
		require.DirExists(t, d)
	}
	_, err = Prune(PruneOptions{RunsDir: runs, Keep: 1, Now: time.Now})
	require.NoError(t, err)
	require.NoDirExists(t, middle)
	require.DirExists(t, young)
	require.DirExists(t, open, "it may still have a job")
	_, err = Prune(PruneOptions{RunsDir: runs, MaxBytes: 500, Now: time.Now})
	require.NoError(t, err)
	require.NoDirExists(t, young)
	left, err := filepath.Glob(filepath.Join(runs, ".pruned-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// What a run has behind a login node goes with it, and nothing else there.
func TestPruneBehindALoginNode(t *testing.T) {
	t.Parallel()
	runs, far := t.TempDir(), t.TempDir()
	young, old := prunable(t, runs, "young", time.Hour, 10), prunable(t, runs, "old", 40*24*time.Hour, 10)
	there := map[string]string{}
	for _, dir := range []string{young, old} {
		var run rundir.Run
		require.NoError(t, rundir.ReadJSON(rundir.Dir(dir).RunFile(), &run))
		there[dir] = string(jobs.FarRun(far, run))
		require.NoError(t, rundir.WriteFile(filepath.Join(there[dir], "cases/c/rep-0/attempt-1/agent.json"), []byte("{}"), rundir.FileMode))
	}
	// Two builds of ci-disagg were used there, each by one run, and a third has just been copied.
	ago := time.Now().Add(-2 * time.Hour)
	for name, user := range map[string]string{"ci-disagg-a": there[young], "ci-disagg-b": there[old], "ci-disagg-c": ""} {
		bin := filepath.Join(jobs.FarBin(far), name)
		require.NoError(t, rundir.WriteFile(bin, nil, rundir.ExecMode))
		if user == "" {
			continue
		}
		require.NoError(t, os.Chtimes(bin, ago, ago))
		_, err := host.LinkBinary(context.Background(), host.NewHere(os.Environ()), bin, user+"/bin")
		require.NoError(t, err)
	}
	o := PruneOptions{RunsDir: runs, OlderThan: 30 * 24 * time.Hour, Now: time.Now}
	o.Far = func(rundir.Run, rundir.Dir) error { return errors.New("the login node is away") }
	_, err := Prune(o)
	require.ErrorContains(t, err, "the login node is away")
	require.DirExists(t, old, "nothing else knows what is left there")
	o.Far = func(r rundir.Run, _ rundir.Dir) error {
		return RemoveThere(context.Background(), host.NewHere(os.Environ()), far, r)
	}
	_, err = Prune(o)
	require.NoError(t, err)
	require.NoDirExists(t, old)
	require.NoDirExists(t, there[old])
	require.DirExists(t, there[young])
	bins, err := filepath.Glob(jobs.FarBin(far) + "/*")
	require.NoError(t, err)
	require.Equal(t, []string{jobs.FarBin(far) + "/ci-disagg-a", jobs.FarBin(far) + "/ci-disagg-c"}, bins, "what no run uses goes")
	require.Error(t, RemoveThere(context.Background(), host.NewHere(os.Environ()), "", rundir.Run{ID: "x"}))
	require.Error(t, RemoveThere(context.Background(), host.NewHere(os.Environ()), far, rundir.Run{}))
}

// torn makes a run directory whose records a crash has torn.
func torn(t *testing.T, runs, id, file string) string {
	t.Helper()
	dir := prunable(t, runs, id, 60*24*time.Hour, 10)
	require.NoError(t, rundir.WriteFile(filepath.Join(dir, file), []byte(`{"schema":1,"own`), rundir.FileMode))
	return dir
}

func TestPruneGoesOnPastBrokenRuns(t *testing.T) {
	t.Parallel()
	runs := t.TempDir()
	old := prunable(t, runs, "old", 40*24*time.Hour, 1000)
	brokenLease := torn(t, runs, "broken-lease", "lease.json")
	brokenJob := torn(t, runs, "broken-job", "cases/c/rep-0/attempt-1/job.json")
	left := filepath.Join(runs, prunedPrefix+"earlier")
	require.NoError(t, rundir.WriteFile(filepath.Join(left, "half"), []byte("x"), rundir.FileMode))
	o := PruneOptions{RunsDir: runs, OlderThan: 30 * 24 * time.Hour, DryRun: true, Now: time.Now}
	_, err := Prune(o)
	require.NoError(t, err)
	require.DirExists(t, left, "a dry run removes nothing")
	o.DryRun = false
	all, err := Prune(o)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.NoDirExists(t, old)
	require.NoDirExists(t, left)
	for _, p := range all {
		if p.ID != "old" {
			require.True(t, p.Protected, p.ID)
			require.Contains(t, p.Why, "cannot be read")
		}
	}
	require.DirExists(t, brokenLease)
	require.DirExists(t, brokenJob)
}

func TestTreeSizeOfWhatCannotBeSeen(t *testing.T) {
	t.Parallel()
	require.Zero(t, treeSize(filepath.Join(t.TempDir(), "not there")))
}

// What no run links to any more goes, but for what has just been copied.
func TestPruneSharedBinaries(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	bin := jobs.SharedBin(parent)
	hour := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"used", "unused", "new"} {
		require.NoError(t, rundir.WriteFile(filepath.Join(bin, name), make([]byte, 5000), rundir.ExecMode))
		if name != "new" {
			require.NoError(t, os.Chtimes(filepath.Join(bin, name), hour, hour))
		}
	}
	run := prunable(t, parent, "run", time.Hour, 10)
	require.NoError(t, os.Mkdir(filepath.Join(run, "bin"), 0o700))
	require.NoError(t, os.Link(filepath.Join(bin, "used"), filepath.Join(run, "bin", "used")))
	all, err := Prune(PruneOptions{RunsDir: parent, Now: time.Now})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Less(t, all[0].Bytes, int64(5000), "a shared binary is no run's own")
	left, err := filepath.Glob(bin + "/*")
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(bin, "new"), filepath.Join(bin, "used")}, left)
}
