package drive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

// slow marks what takes more than some seconds: `make faults` runs it.
func slow(t *testing.T) {
	t.Helper()
	if !allFaults() {
		t.Skip("takes long; CI_DISAGG_FAULTS=all runs it")
	}
}

func allFaults() bool { return os.Getenv("CI_DISAGG_FAULTS") != "" }

func optionsOn(t testing.TB, c *slurmtest.Cluster, calls slurm.Options) Options {
	o := slurmOptions(t)
	o.Environ = c.Env(t)
	o.Host = host.NewHere(o.Environ)
	o.Slurm = slurm.New(o.Host, calls)
	return o
}

func TestSlurmNodeDeathIsRetriedElsewhere(t *testing.T) {
	slow(t)
	t.Parallel()
	c := slurmtest.Start(t, slurmtest.Options{Nodes: "3x4"})
	o := optionsOn(t, c, slurm.Options{})
	addCase(&o, "c", goodServer, `[ "${CI_DISAGG_ATTEMPT##*/}" = attempt-1 ] && sleep 1000; `+goodClient)
	o.Decide = retry.Policy{Max: 1, Exclude: true, Backoff: rundir.Duration(time.Second)}.Decide
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	waitFor(t, &seen, Role, "BENCHMARK r")
	j := jobRecord(t, o.Dir, "c", 1)
	node := c.Ask(t, "squeue", "-h", "-j", j.ID, "-o", "%N")
	died := time.Now()
	c.KillNode(t, node)
	run, err := wait(2 * ample)
	require.NoError(t, err)
	first := outcomeOf(t, o.Dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomeInfra, first.Outcome, "%+v", first)
	require.Equal(t, "NODE_FAIL", first.State)
	t.Logf("node death known after %v (SlurmdTimeout is 10 s): %s", first.Ended.Sub(died).Round(time.Second), first.Reason)
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, o.Dir, "c", 0, 2).Outcome)
	require.Equal(t, []string{node}, jobOf(t, o.Dir, "c", 0, 2).Excluded)
	require.Len(t, run.Cases[0].Attempts, 2)
	require.Equal(t, rundir.OutcomeInfra, run.Cases[0].Attempts[0].Outcome)
}

func TestSlurmPreempted(t *testing.T) {
	slow(t)
	t.Parallel()
	c := slurmtest.Start(t, slurmtest.Options{Nodes: "1x4"})
	o := optionsOn(t, c, slurm.Options{})
	addCase(&o, "c", hangServer, hangClient)
	o.Render = testRenderWith(t, "--partition=batch", "--exclusive")
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	waitFor(t, &seen, Role, "BENCHMARK r")
	c.Command(t, "sbatch", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3")
	_, err := wait(2 * ample)
	require.NoError(t, err)
	out := outcomeOf(t, o.Dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomeInfra, out.Outcome, "%+v", out)
	require.Equal(t, "PREEMPTED", out.State)
}

func TestSlurmControllerDownForAWhile(t *testing.T) {
	slow(t)
	t.Parallel()
	c := slurmtest.Start(t, slurmtest.Options{Nodes: "2x4"})
	o := optionsOn(t, c, slurm.Options{Timeout: 5 * time.Second})
	dir := t.TempDir()
	enough, server, client := filepath.Join(dir, "enough"), filepath.Join(dir, "server"), filepath.Join(dir, "client")
	addCase(&o, "c", ": > "+server+"; "+goodServer, ": > "+client+"; "+clientUntil(enough))
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	for _, runs := range []string{server, client} { // before it does, its srun needs the controller
		require.Eventually(t, func() bool { _, err := os.Stat(runs); return err == nil }, ample, 20*time.Millisecond)
	}
	c.StopController(t)
	waitFor(t, &seen, Warning, "squeue says nothing")
	touch(t, enough)
	agentEnded(t, o.Dir.CaseDir("c").Attempt(0, 1).AgentFile())
	c.StartController(t)
	_, err := wait(2 * ample)
	require.NoError(t, err)
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, o.Dir, "c", 0, 1).Outcome)
	require.True(t, seen.has(Warning, "squeue answers again"))
}

func TestSlurmControllerDownAtSubmission(t *testing.T) {
	slow(t)
	t.Parallel()
	c := slurmtest.Start(t, slurmtest.Options{Nodes: "2x4"})
	o := optionsOn(t, c, slurm.Options{Timeout: 5 * time.Second})
	addCase(&o, "c", goodServer, goodClient)
	c.StopController(t)
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	require.Eventually(t, func() bool {
		return seen.has(Warning, "looking for it by its name") || seen.has(Warning, "not submitted yet")
	}, ample, 100*time.Millisecond)
	c.StartController(t)
	_, err := wait(2 * ample)
	require.NoError(t, err)
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, o.Dir, "c", 0, 1).Outcome)
	require.Equal(t, 1, jobsNamed(t, c, jobOf(t, o.Dir, "c", 0, 1).Name))
}

func TestSlurmAccountingDownAndOff(t *testing.T) {
	slow(t)
	t.Parallel()
	t.Run("down", func(t *testing.T) {
		t.Parallel()
		c := slurmtest.Start(t, slurmtest.Options{Nodes: "1x4"})
		o := optionsOn(t, c, slurm.Options{})
		addCase(&o, "c", goodServer, goodClient)
		c.StopAccounting(t)
		var seen updates
		_, wait := startDrive(t, &o, &seen)
		_, err := wait(2 * ample)
		require.NoError(t, err)
		out := outcomeOf(t, o.Dir, "c", 0, 1)
		require.Equal(t, rundir.OutcomePassed, out.Outcome, "%+v", out)
		require.NotContains(t, out.Confidence, "sacct")
	})
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		c := slurmtest.Start(t, slurmtest.Options{Nodes: "2x4", NoAccounting: true})
		o := optionsOn(t, c, slurm.Options{})
		addCase(&o, "good", goodServer, goodClient)
		addCase(&o, "cancelled", hangServer, hangClient)
		var seen updates
		_, wait := startDrive(t, &o, &seen)
		c.Command(t, "scancel", jobRecord(t, o.Dir, "cancelled", 1).ID)
		_, err := wait(2 * ample)
		require.NoError(t, err)
		good := outcomeOf(t, o.Dir, "good", 0, 1)
		require.Equal(t, rundir.OutcomePassed, good.Outcome, "%+v", good)
		require.Equal(t, "agent+scontrol+squeue", good.Confidence)
		require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, o.Dir, "cancelled", 0, 1).Outcome)
		require.True(t, o.Slurm.AccountingOff())
	})
}

func TestSlurmAgentKilled(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "c", hangServer, hangClient)
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	waitFor(t, &seen, Role, "BENCHMARK r")
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(o.Dir.CaseDir("c").Attempt(0, 1).AgentFile(), &rec))
	p, err := os.FindProcess(rec.PID)
	require.NoError(t, err)
	require.NoError(t, p.Kill())
	_, err = wait(2 * ample)
	require.NoError(t, err)
	out := outcomeOf(t, o.Dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomeInfra, out.Outcome, "%+v", out)
	require.Equal(t, outcome.KindAgentDied, out.Finding.Kind)
	noJobs(t, o)
}

// A driver that is killed at any moment leaves a run that the next one finishes,
// with one job per attempt.
func TestSlurmKilledAtRandomMoments(t *testing.T) {
	t.Parallel()
	seeds := 2
	if allFaults() {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			killedAtRandom(t, uint64(seed))
		})
	}
}

func killedAtRandom(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's seed
	dir := newRunDir(t)
	s := spec{Dir: dir, ID: t.Name(), Backend: rundir.BackendSlurm, Cases: [][3]string{{"a", goodServer, "sleep 2; " + goodClient}, {"b", goodServer, goodClient}}}
	for range 2 {
		d := child(t, s, cluster.Env(t))
		time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
		_ = d.Process.Kill()
		_, _ = d.Process.Wait()
	}
	last := child(t, s, cluster.Env(t))
	st, err := last.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 0, st.ExitCode())
	for _, slug := range []string{"a", "b"} {
		require.Equal(t, rundir.OutcomePassed, outcomeOf(t, dir, slug, 0, 1).Outcome)
		require.NoDirExists(t, string(dir.CaseDir(slug).Attempt(0, 2)))
	}
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
	require.Equal(t, 2, jobsNamed(t, cluster, jobs.NamePrefix+jobs.OwnerTag(run)), "one job per case")
}

func TestTwoDriversOneRun(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	enough := filepath.Join(t.TempDir(), "enough")
	addCase(&o, "c", goodServer, clientUntil(enough))
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	jobRecord(t, o.Dir, "c", 1)
	// Another process on this machine.
	s := spec{Dir: o.Dir, ID: o.Run.ID, Backend: rundir.BackendSlurm, Cases: [][3]string{{"c", goodServer, goodClient}}}
	second := child(t, s, cluster.Env(t))
	st, err := second.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 2, st.ExitCode(), "the second driver must refuse")
	touch(t, enough)
	_, err = wait(2 * ample)
	require.NoError(t, err)
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, o.Dir, "c", 0, 1).Outcome)
}

func TestDetachAndResume(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	enough := filepath.Join(t.TempDir(), "enough")
	addCase(&o, "a", goodServer, clientUntil(enough))
	addCase(&o, "b", goodServer, goodClient)
	o.Detach, o.MaxJobs = true, 1
	_, err := Run(context.Background(), o)
	require.NoError(t, err, "it does not wait for the job's end, which does not come yet")
	held, err := lease.Read(o.Dir.LeaseFile())
	require.NoError(t, err)
	require.True(t, held.Detached)
	require.NoFileExists(t, o.Dir.CaseDir("b").Attempt(0, 1).JobFile(), "--max-jobs holds")
	j := jobOf(t, o.Dir, "a", 0, 1)
	touch(t, enough)
	o.Detach = false
	_, err = resume(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, j.ID, outcomeOf(t, o.Dir, "a", 0, 1).JobID)
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, o.Dir, "b", 0, 1).Outcome)
}

func TestLimitsCountAllOurJobs(t *testing.T) {
	t.Parallel()
	c := slurmtest.Start(t, slurmtest.Options{Nodes: "4x4", NoAccounting: true, Conf: slurmtest.Patient()})
	enough := filepath.Join(t.TempDir(), "enough")
	var all []Options
	for i := range 2 {
		o := optionsOn(t, c, slurm.Options{})
		o.Run.ID = fmt.Sprint("run", i)
		o.Dir = newRunDir(t)
		o.Cluster = Cluster{Name: "test", MaxJobs: 2}
		for k := range 3 {
			addCase(&o, fmt.Sprint("c", k), goodServer, clientUntil(enough))
		}
		all = append(all, o)
	}
	most := 0
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Millisecond):
				out, err := c.Try("squeue", "-h", "-t", "PD,R", "-o", "%j")
				if err == nil {
					most = max(most, strings.Count(out, jobs.NamePrefix))
				}
			}
		}
	}()
	var seen [2]updates
	var waits [2]func(time.Duration) (rundir.Run, error)
	_, waits[0] = startDrive(t, &all[0], &seen[0])
	jobRecord(t, all[0].Dir, "c0", 1) // the second run comes later, as builds do
	jobRecord(t, all[0].Dir, "c1", 1)
	_, waits[1] = startDrive(t, &all[1], &seen[1])
	waitFor(t, &seen[1], Queue, "the limit is 2")
	touch(t, enough)
	for i := range waits {
		_, err := waits[i](2 * ample)
		require.NoError(t, err)
	}
	close(stop)
	<-done
	require.LessOrEqual(t, most, 3, "one too many, until it has been seen and taken back")
	for i := range all {
		for k := range 3 {
			require.Equal(t, rundir.OutcomePassed, last(t, all[i].Dir, fmt.Sprint("c", k)))
		}
	}
}

// last is the outcome of a case's last attempt.
func last(t *testing.T, dir rundir.Dir, slug string) rundir.Outcome {
	t.Helper()
	run, _, err := runs.Load(dir)
	require.NoError(t, err)
	for _, c := range run.Cases {
		if c.Slug == slug {
			return c.Attempts[len(c.Attempts)-1].Outcome
		}
	}
	return ""
}

func TestFailFast(t *testing.T) {
	t.Parallel()
	o := testOptions(t, rundir.BackendLocal)
	addCase(&o, "bad", `while [ ! -e "`+o.Dir.CaseDir("long").Attempt(0, 1).AgentFile()+`" ]; do sleep 0.1; done; exit 1`, hangClient)
	addCase(&o, "long", hangServer, hangClient)
	addCase(&o, "never", goodServer, goodClient)
	o.FailFast, o.MaxJobs = true, 2
	var seen updates
	o.Progress = seen.add
	run, err := Run(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, o.Dir, "long", 0, 1).Outcome, seen.String())
	require.Contains(t, outcomeOf(t, o.Dir, "long", 0, 1).Reason, "--fail-fast")
	require.Empty(t, run.Cases[2].Attempts)
	require.Equal(t, rundir.CaseWaiting, run.Cases[2].State)
	noProcesses(t, o.Dir)
}

func TestRepeatAndRetryGoThroughOneFunction(t *testing.T) {
	t.Parallel()
	o := testOptions(t, rundir.BackendLocal)
	addCase(&o, "c", goodServer, goodClient)
	var asked []retry.Ended
	o.Decide = func(_ context.Context, e retry.Ended) retry.Decision {
		asked = append(asked, e)
		switch len(asked) {
		case 1:
			return retry.Decision{Action: retry.Repeat, Why: "repeat: looks slow"}
		case 2:
			return retry.Decision{Action: retry.Again, Why: "retry: for the test", After: 300 * time.Millisecond}
		}
		return retry.Decision{Action: retry.Done}
	}
	run, err := Run(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, []rundir.Attempt{
		{Rep: 0, Attempt: 1, Outcome: "passed", Why: "first", Due: rundir.DueFirst},
		{Rep: 1, Attempt: 1, Outcome: "passed", Why: "repeat: looks slow", Due: rundir.DueRepeat},
		{Rep: 1, Attempt: 2, Outcome: "passed", Why: "retry: for the test", Due: rundir.DueRetry},
	}, run.Cases[0].Attempts)
	require.Equal(t, 1, asked[2].Retries)
	require.Len(t, asked[2].History, 3)
}
