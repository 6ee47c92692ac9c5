package drive

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

func TestCancelEndsALiveRun(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "a", hangServer, hangClient)
	addCase(&o, "b", hangServer, hangClient)
	addCase(&o, "later", goodServer, goodClient)
	o.MaxJobs = 2
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	jobRecord(t, o.Dir, "a", 1)
	jobRecord(t, o.Dir, "b", 1)
	ended, err := runs.Cancel(context.Background(), runs.CancelOptions{
		Access: runs.Access{Host: o.Host, Slurm: o.Slurm, Environ: o.Environ, Now: time.Now}, Dir: o.Dir, Reason: "enough", Patient: true,
	})
	require.NoError(t, err)
	require.Len(t, ended, 2)
	for _, e := range ended {
		require.NoError(t, e.Err)
	}
	run, err := wait(2 * ample)
	require.NoError(t, err)
	require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, o.Dir, "a", 0, 1).Outcome)
	require.Contains(t, outcomeOf(t, o.Dir, "a", 0, 1).Reason, "enough")
	require.Contains(t, outcomeOf(t, o.Dir, "a", 0, 1).Finding.Message, "enough", "which is what people are shown")
	require.Empty(t, run.Cases[2].Attempts, "a live driver submits nothing after the request")
	noJobs(t, o)
}

func TestCancelWithoutADriver(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{rundir.BackendLocal, rundir.BackendSlurm} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			dir := newRunDir(t)
			s := spec{Dir: dir, ID: t.Name(), Backend: backend, Cases: [][3]string{{"c", hangServer, hangClient}}}
			d := child(t, s, cluster.Env(t))
			jobRecord(t, dir, "c", 1)
			awaitAgent(t, dir)
			require.NoError(t, d.Process.Kill())
			_, _ = d.Process.Wait()
			ended, err := runs.Cancel(context.Background(), runs.CancelOptions{
				Access: runs.Access{Environ: cluster.Env(t), Now: time.Now}, Dir: dir, Reason: "enough", Patient: true,
			})
			require.NoError(t, err)
			require.Len(t, ended, 1)
			require.NoError(t, ended[0].Err)
			noProcesses(t, dir)
			// The next driver finds out how it ended.
			again := child(t, s, cluster.Env(t))
			st, err := again.Process.Wait()
			require.NoError(t, err)
			require.Equal(t, 0, st.ExitCode())
			require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, dir, "c", 0, 1).Outcome, "%+v", outcomeOf(t, dir, "c", 0, 1))
			require.Contains(t, outcomeOf(t, dir, "c", 0, 1).Reason, "enough")
			require.Contains(t, outcomeOf(t, dir, "c", 0, 1).Finding.Message, "enough")
		})
	}
}

func TestSweepEndsOnlyOrphans(t *testing.T) {
	t.Parallel()
	parent := t.TempDir() // before the cluster, whose jobs write there until it ends
	c := slurmtest.Start(t, slurmtest.Options{Nodes: "6x4", NoAccounting: true, Conf: slurmtest.Patient()})
	start := func(id string) (rundir.Dir, rundir.Job, func()) {
		dir := rundir.Dir(filepath.Join(parent, id))
		d := child(t, spec{Dir: dir, ID: id, Backend: rundir.BackendSlurm, Cases: [][3]string{{"c", hangServer, hangClient}}}, c.Env(t))
		return dir, jobRecord(t, dir, "c", 1), func() { _ = d.Process.Kill(); _, _ = d.Process.Wait() }
	}
	_, alive, _ := start("alive")
	deadDir, dead, kill := start("dead")
	unseenDir, unseen, killUnseen := start("unseen")
	kill()
	killUnseen()
	silence(t, deadDir)
	require.NoError(t, os.Remove(unseenDir.LeaseFile()))
	foreign := c.Command(t, "sbatch", "--parsable", "-J", "cid-x-looks-similar", "-o", "/dev/null", "--wrap", "sleep 600")
	h := host.NewHere(c.Env(t))
	opts := runs.SweepOptions{
		Access: runs.Access{Host: h, Slurm: optionsOn(t, c, slurm.Options{}).Slurm, Environ: c.Env(t), Now: time.Now}, Queue: true, OlderThan: 10 * time.Minute, DryRun: true,
	}
	var found []runs.Swept
	var err error
	orphans := func() (out []string) {
		for _, s := range found {
			if s.Orphan {
				out = append(out, s.Job)
			}
		}
		return out
	}
	require.Eventually(t, func() bool {
		found, err = runs.Sweep(context.Background(), opts)
		return err == nil && len(found) == 3 && len(orphans()) == 1
	}, ample, 300*time.Millisecond, "%+v", found)
	require.Equal(t, []string{dead.ID}, orphans())
	require.Len(t, c.Running(t), 4, "a dry run ends nothing")
	opts.DryRun = false
	_, err = runs.Sweep(context.Background(), opts)
	require.NoError(t, err)
	left := func(n int) (ids []string) {
		c.Eventually(t, ample, fmt.Sprint(n, " jobs to be left"), func() bool { ids = c.Running(t); return len(ids) == n })
		return ids
	}
	ids := left(3)
	require.NotContains(t, ids, dead.ID)
	require.Contains(t, ids, alive.ID)
	require.Contains(t, ids, foreign)
	opts.Owner = unseen.Owner
	_, err = runs.Sweep(context.Background(), opts)
	require.NoError(t, err)
	left(2)
}

// silence makes the last sign of life of a dead driver an old one.
func silence(t *testing.T, dir rundir.Dir) {
	t.Helper()
	held, err := lease.Read(dir.LeaseFile())
	require.NoError(t, err)
	held.Heartbeat = held.Heartbeat.Add(-time.Hour)
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), held))
}

// awaitAgent waits until the agent of the case c is at work: before that a signal ends it without a word.
func awaitAgent(t *testing.T, dir rundir.Dir) {
	t.Helper()
	require.Eventually(t, func() bool { return exists(dir.CaseDir("c").Attempt(0, 1).AgentFile()) }, ample, 50*time.Millisecond, "no agent")
}

func TestSweepLocal(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := rundir.Dir(filepath.Join(parent, "run"))
	d := child(t, spec{Dir: dir, ID: "x", Backend: rundir.BackendLocal, Cases: [][3]string{{"c", hangServer, hangClient}}}, os.Environ())
	jobRecord(t, dir, "c", 1)
	awaitAgent(t, dir)
	opts := runs.SweepOptions{
		Access: runs.Access{Environ: os.Environ(), Now: time.Now}, RunsDir: parent, Backend: rundir.BackendLocal, OlderThan: 10 * time.Minute,
	}
	found, err := runs.Sweep(context.Background(), opts)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.False(t, found[0].Orphan, found[0].Why)
	_ = d.Process.Kill()
	_, _ = d.Process.Wait()
	silence(t, dir)
	found, err = runs.Sweep(context.Background(), opts)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	require.True(t, found[0].Orphan, found[0].Why)
	noProcesses(t, dir)
	// How it ended is written down, now or by the next sweep.
	_, err = runs.Sweep(context.Background(), opts)
	require.NoError(t, err)
	require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, dir, "c", 0, 1).Outcome)
}

func TestCancelAndSweepGoOnPastBrokenRecords(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := rundir.Dir(filepath.Join(parent, "run"))
	d := child(t, spec{Dir: dir, ID: "x", Backend: rundir.BackendLocal, Cases: [][3]string{{"c", hangServer, hangClient}}}, os.Environ())
	jobRecord(t, dir, "c", 1)
	awaitAgent(t, dir)
	_ = d.Process.Kill()
	_, _ = d.Process.Wait()
	broken := rundir.Dir(filepath.Join(parent, "a-broken-one"))
	require.NoError(t, rundir.WriteJSON(broken.RunFile(), rundir.Run{Schema: 1, ID: "a-broken-one"}))
	require.NoError(t, rundir.WriteFile(broken.CaseDir("c").Attempt(0, 1).JobFile(), []byte(`{"schema":1,"own`), rundir.FileMode))
	require.NoError(t, rundir.WriteFile(dir.CaseDir("a").Attempt(0, 1).JobFile(), []byte(`{"sch`), rundir.FileMode))
	found, err := runs.Sweep(context.Background(), runs.SweepOptions{
		Access: runs.Access{Environ: os.Environ(), Now: time.Now}, RunsDir: parent, Backend: rundir.BackendLocal, OlderThan: time.Hour,
	})
	require.NoError(t, err)
	require.Len(t, found, 3, "%+v", found)
	ended, err := runs.Cancel(context.Background(), runs.CancelOptions{
		Access: runs.Access{Environ: os.Environ(), Now: time.Now}, Dir: dir, Reason: "enough", Patient: true,
	})
	require.ErrorContains(t, err, "job.json")
	require.Len(t, ended, 1)
	require.NoError(t, ended[0].Err)
	require.NoError(t, os.Remove(dir.CaseDir("a").Attempt(0, 1).JobFile()))
	noProcesses(t, dir)
}

// rows are usable nodes of a partition.
func TestResumeCountsEarlierRetries(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2, retry.Used(rundir.Run{Cases: []rundir.CaseState{
		{Attempts: []rundir.Attempt{{Attempt: 1}, {Attempt: 2, Why: "retry: x"}, {Rep: 1, Attempt: 1}, {Rep: 1, Attempt: 2, Why: "retry: y"}}},
		{Attempts: []rundir.Attempt{{Attempt: 1}, {Attempt: 2, Due: rundir.DueResumed}, {Attempt: 3, Due: rundir.DueAgain}}},
		{},
	}}))
	o := testOptions(t, rundir.BackendLocal)
	for _, id := range []string{"a", "b"} {
		addCase(&o, id, goodServer, goodClient)
	}
	o.Run.Cases[0].State = rundir.CaseDone
	o.Run.Cases[0].Attempts = []rundir.Attempt{{Attempt: 1, Outcome: "infra"}, {Attempt: 2, Outcome: "passed", Why: "retry: x"}}
	require.NoError(t, o.complete())
	s, _ := next(newState(o, o.Run, o.Plans), event{kind: evBegin, found: make([]found, 2)})
	require.Equal(t, 1, s.retries)
}

// A node that a repetition was only to avoid is no bad node for others.
func TestResumeKeepsAvoidedNodesApart(t *testing.T) {
	t.Parallel()
	o := simOptions(t, newSim(), rundir.Dir(t.TempDir()+"/run"), 1)
	require.NoError(t, o.complete())
	job := rundir.Job{Name: "n", ID: "7", Excluded: []string{"a", "b"}, Avoided: []string{"b"}}
	o.Run.Cases[0].Attempts = []rundir.Attempt{{Rep: 1, Attempt: 1}}
	again, _ := next(newState(o, o.Run, o.Plans), event{kind: evBegin, found: []found{{job: &job}}})
	require.Equal(t, []string{"a"}, again.badNodes)
}
