package drive

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

var cluster *slurmtest.Cluster

func slurmOptions(t testing.TB) Options {
	o := testOptions(t, rundir.BackendSlurm)
	o.Environ = cluster.Env(t)
	o.Host = host.NewHere(o.Environ)
	o.Slurm = slurm.New(o.Host, slurm.Options{})
	o.Bounds = outcome.Bounds{Record: 30 * time.Second, Preempted: 3 * time.Second, Lost: time.Minute, Never: 2 * time.Second}
	return o
}

// noJobs asserts that no job of the run is left in the queue.
func noJobs(t *testing.T, o Options) {
	t.Helper()
	tag := jobs.OwnerTag(o.Run)
	require.Eventually(t, func() bool {
		out, err := cluster.Try("squeue", "-h", "-o", "%j")
		return err == nil && !strings.Contains(out, jobs.NamePrefix+tag)
	}, ample, 200*time.Millisecond, "jobs are left")
}

// cancelled waits until a job is being ended.
func cancelled(t *testing.T, j rundir.Job) {
	t.Helper()
	require.Eventually(t, func() bool {
		s, err := cluster.Try("squeue", "-h", "-t", "all", "-j", j.ID, "-o", "%T")
		return err == nil && (s == "CANCELLED" || s == "COMPLETING")
	}, ample, 20*time.Millisecond, "not cancelled")
}

// startDrive runs a drive in the background; wait gives its end.
func startDrive(t *testing.T, o *Options, seen *updates) (cancel context.CancelCauseFunc, wait func(time.Duration) (rundir.Run, error)) {
	t.Helper()
	o.Progress = seen.add
	ctx, cancel := context.WithCancelCause(context.Background())
	type end struct {
		run rundir.Run
		err error
	}
	done := make(chan end, 1)
	opts := *o
	go func() {
		r, err := Run(ctx, opts)
		done <- end{r, err}
	}()
	t.Cleanup(func() {
		cancel(&Interrupted{Signal: syscall.SIGTERM})
		if t.Failed() {
			t.Log("\n" + seen.String())
		}
	})
	return cancel, func(d time.Duration) (rundir.Run, error) {
		t.Helper()
		select {
		case e := <-done:
			return e.run, e.err
		case <-time.After(d):
			t.Fatal("no end of the drive")
			return rundir.Run{}, nil
		}
	}
}

func waitFor(t *testing.T, seen *updates, kind UpdateKind, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return seen.has(kind, text) }, ample, 20*time.Millisecond, "never told %s %q", kind, text)
}

func TestSlurmPassAndFail(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "good", goodServer, goodClient)
	addCase(&o, "bad", "sleep 0.3; echo 'ValueError: no'; exit 1", hangClient)
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	_, err := wait(2 * ample)
	require.NoError(t, err)
	good := outcomeOf(t, o.Dir, "good", 0, 1)
	require.Equal(t, rundir.OutcomePassed, good.Outcome, "%+v", good)
	require.Contains(t, good.Confidence, "agent+")
	require.Equal(t, "COMPLETED", good.State)
	require.NotEmpty(t, good.Nodes)
	bad := outcomeOf(t, o.Dir, "bad", 0, 1)
	require.Equal(t, rundir.OutcomeTestFailed, bad.Outcome, "%+v", bad)
	require.Equal(t, "GEN_0", bad.Finding.Root)
	noJobs(t, o)
	require.True(t, seen.has(Status, "Slurm calls in all: "), "what it cost")
	require.True(t, seen.has(Status, "sbatch 2"))
}

func TestSlurmInterrupt(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "long", hangServer, hangClient)
	var seen updates
	cancel, wait := startDrive(t, &o, &seen)
	waitFor(t, &seen, Role, "BENCHMARK r")
	j := jobRecord(t, o.Dir, "long", 1)
	begun := time.Now()
	cancel(&Interrupted{Signal: syscall.SIGTERM})
	cancelled(t, j)
	t.Logf("cancelled %v after the signal", time.Since(begun))
	_, err := wait(2 * ample)
	require.True(t, isInterrupted(err), "%v", err)
	require.Equal(t, rundir.OutcomeCancelled, outcomeOf(t, o.Dir, "long", 0, 1).Outcome)
	noJobs(t, o)
}

func TestSlurmCancelledByOthers(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "c", hangServer, hangClient)
	o.Decide = retry.Policy{Max: 2}.Decide
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	waitFor(t, &seen, Role, "BENCHMARK r")
	cluster.Command(t, "scancel", jobRecord(t, o.Dir, "c", 1).ID)
	run, err := wait(2 * ample)
	require.NoError(t, err)
	out := outcomeOf(t, o.Dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomeCancelled, out.Outcome, "%+v", out)
	require.Len(t, run.Cases[0].Attempts, 1, "a cancelled job is not retried")
	noJobs(t, o)
}

func TestSlurmNeverResolvingReason(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "c", goodServer, goodClient)
	o.Render = testRenderWith(t, "--partition=limited", "--time=60")
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	_, err := wait(2 * ample)
	require.NoError(t, err)
	out := outcomeOf(t, o.Dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomeInfra, out.Outcome, "%+v", out)
	require.Contains(t, out.Reason, "PartitionTimeLimit")
	noJobs(t, o)
}

func TestSlurmQueueBudget(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "c", goodServer, goodClient)
	o.Plans[0].Budgets.Queue = rundir.Duration(3 * time.Second)
	o.Render = testRenderWith(t, "--hold")
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	_, err := wait(2 * ample)
	require.NoError(t, err)
	out := outcomeOf(t, o.Dir, "c", 0, 1)
	require.Equal(t, rundir.TimeoutOf(rundir.PhaseQueue), out.Outcome, "%+v", out)
	require.True(t, seen.has(Queue, "held by its owner"), seen.String())
	noJobs(t, o)
}

func TestSlurmRefused(t *testing.T) {
	t.Parallel()
	o := slurmOptions(t)
	addCase(&o, "c", goodServer, goodClient)
	o.Decide = retry.Policy{Max: 3}.Decide
	o.Render = testRenderWith(t, "--partition=nope")
	var seen updates
	_, wait := startDrive(t, &o, &seen)
	run, err := wait(2 * ample)
	require.NoError(t, err)
	out := outcomeOf(t, o.Dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomeInfra, out.Outcome)
	require.Equal(t, outcome.KindSubmit, out.Finding.Kind)
	require.Contains(t, out.Reason, "invalid partition")
	require.Len(t, run.Cases[0].Attempts, 1)
}

func TestSlurmKillAndResume(t *testing.T) {
	t.Parallel()
	dir := newRunDir(t)
	enough := filepath.Join(t.TempDir(), "enough")
	s := spec{Dir: dir, ID: t.Name(), Backend: rundir.BackendSlurm, Cases: [][3]string{{"c", goodServer, clientUntil(enough)}}}
	first := child(t, s, cluster.Env(t))
	j := jobRecord(t, dir, "c", 1)
	require.NoError(t, first.Process.Kill())
	_, _ = first.Process.Wait()
	second := child(t, s, cluster.Env(t))
	touch(t, enough)
	st, err := second.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 0, st.ExitCode())
	out := outcomeOf(t, dir, "c", 0, 1)
	require.Equal(t, rundir.OutcomePassed, out.Outcome, "%+v", out)
	require.Equal(t, j.ID, out.JobID)
	require.NoFileExists(t, dir.CaseDir("c").Attempt(0, 2).JobFile())
	require.Equal(t, 1, jobsNamed(t, cluster, j.Name))
}

// jobsNamed counts the jobs of a name that slurmctld knows, ended ones included: accounting would lag.
func jobsNamed(t *testing.T, c *slurmtest.Cluster, prefix string) int {
	t.Helper()
	n := 0
	for _, name := range strings.Fields(c.Ask(t, "squeue", "-h", "-t", "all", "-o", "%j")) {
		if strings.HasPrefix(name, prefix) {
			n++
		}
	}
	return n
}

// slowSbatch puts an sbatch on PATH that answers late, or never.
func slowSbatch(t *testing.T, env []string, body string) []string {
	t.Helper()
	return withFake(t, env, "sbatch", body)
}

// withFake puts a script in the place of a command on PATH.
func withFake(t *testing.T, env []string, command, body string) []string {
	t.Helper()
	bin := t.TempDir()
	require.NoError(t, rundir.WriteFile(filepath.Join(bin, command), []byte("#!/bin/bash\n"+body+"\n"), rundir.ExecMode))
	out := []string{}
	for _, e := range env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			e = "PATH=" + bin + ":" + p
		}
		out = append(out, e)
	}
	return out
}

func TestSlurmKilledBetweenSbatchAndItsAnswer(t *testing.T) {
	t.Parallel()
	dir := newRunDir(t)
	enough := filepath.Join(t.TempDir(), "enough")
	s := spec{Dir: dir, ID: t.Name(), Backend: rundir.BackendSlurm, Cases: [][3]string{{"c", goodServer, clientUntil(enough)}}}
	// The job exists, and its id does not come before we say so, or the test is over.
	answer := filepath.Join(t.TempDir(), "answer")
	env := slowSbatch(t, cluster.Env(t), `out=$(/usr/bin/sbatch "$@"); while [ -d "`+filepath.Dir(answer)+`" ] && [ ! -e "`+answer+`" ]; do sleep 0.1; done; echo "$out"`)
	first := child(t, s, env)
	defer touch(t, answer)
	var j rundir.Job
	require.Eventually(t, func() bool {
		if rundir.ReadJSON(dir.CaseDir("c").Attempt(0, 1).JobFile(), &j) != nil {
			return false
		}
		out, err := cluster.Try("squeue", "-h", "-o", "%j")
		return err == nil && strings.Contains(out, j.Name)
	}, ample, 20*time.Millisecond)
	require.NoError(t, first.Process.Kill())
	_, _ = first.Process.Wait()
	require.Empty(t, jobOf(t, dir, "c", 0, 1).ID)
	second := child(t, s, cluster.Env(t))
	touch(t, enough)
	st, err := second.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 0, st.ExitCode())
	require.Equal(t, rundir.OutcomePassed, outcomeOf(t, dir, "c", 0, 1).Outcome)
	require.Equal(t, 1, jobsNamed(t, cluster, j.Name))
}

func TestSlurmTermBetweenSbatchAndItsAnswer(t *testing.T) {
	t.Parallel()
	dir := newRunDir(t)
	s := spec{Dir: dir, ID: t.Name(), Backend: rundir.BackendSlurm, Cases: [][3]string{{"c", hangServer, hangClient}}}
	// sbatch runs while the driver is told to stop and then shot. Only after that comes the job, and its id never.
	begun, submit := filepath.Join(t.TempDir(), "begun"), filepath.Join(t.TempDir(), "submit")
	env := slowSbatch(t, cluster.Env(t), `touch "`+begun+`"; while [ -d "`+filepath.Dir(submit)+`" ] && [ ! -e "`+submit+`" ]; do sleep 0.1; done; /usr/bin/sbatch "$@"`)
	first := child(t, s, env)
	defer touch(t, submit)
	require.Eventually(t, func() bool { return exists(begun) }, ample, 20*time.Millisecond)
	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return helping(dir) }, ample, 20*time.Millisecond, "no helper")
	require.NoError(t, first.Process.Kill())
	_, _ = first.Process.Wait()
	touch(t, submit)
	name := jobOf(t, dir, "c", 0, 1).Name
	require.Eventually(t, func() bool {
		out, err := cluster.Try("squeue", "-h", "-t", "all", "-o", "%j %T")
		return err == nil && strings.Contains(out, name+" CANCELLED")
	}, ample, 300*time.Millisecond, "the job outlives its driver")
}

// testRenderWith is testRender with further sbatch options.
func testRenderWith(t testing.TB, opts ...string) func(submit.Input) ([]rundir.File, error) {
	t.Helper()
	prof := testProfile()
	prof.Sbatch = opts
	return testRender(prof)
}

// Fakes replay what no cluster here can be made to do.
func TestScriptedSubmissions(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sbatch string
		check  func(*testing.T, rundir.Run, rundir.Job, rundir.AttemptOutcome)
	}{
		"id;cluster": {
			`out=$(/usr/bin/sbatch "$@") && echo "$out;$(scontrol show config | sed -n 's/^ClusterName *= *//p')"`,
			func(t *testing.T, _ rundir.Run, j rundir.Job, o rundir.AttemptOutcome) {
				require.Equal(t, rundir.OutcomePassed, o.Outcome)
				require.NotEmpty(t, j.Routed)
			},
		},
		"late": {
			`out=$(/usr/bin/sbatch "$@"); sleep 3; echo "$out"`,
			func(t *testing.T, _ rundir.Run, _ rundir.Job, o rundir.AttemptOutcome) {
				require.Equal(t, rundir.OutcomePassed, o.Outcome)
			},
		},
		"answer lost": {
			`/usr/bin/sbatch "$@" >/dev/null; echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1`,
			func(t *testing.T, r rundir.Run, j rundir.Job, o rundir.AttemptOutcome) {
				require.Equal(t, rundir.OutcomePassed, o.Outcome)
				require.Len(t, r.Cases[0].Attempts, 1)
				require.Equal(t, 1, jobsNamed(t, cluster, j.Name))
			},
		},
		"standby once": {
			`if [ ! -e "$STATE" ]; then touch "$STATE"; echo "sbatch: error: Batch job submission failed: Slurm backup controller in standby mode" >&2; exit 1; fi; exec /usr/bin/sbatch "$@"`,
			func(t *testing.T, r rundir.Run, _ rundir.Job, o rundir.AttemptOutcome) {
				require.Equal(t, rundir.OutcomePassed, o.Outcome)
				require.Len(t, r.Cases[0].Attempts, 1, "no retry is used up")
			},
		},
		"fails": {
			`echo "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified" >&2; exit 1`,
			func(t *testing.T, r rundir.Run, _ rundir.Job, o rundir.AttemptOutcome) {
				require.Equal(t, rundir.OutcomeInfra, o.Outcome)
				require.Equal(t, outcome.KindSubmit, o.Finding.Kind)
				require.Contains(t, o.Reason, "Invalid account")
				require.Len(t, r.Cases[0].Attempts, 1)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := slurmOptions(t)
			o.Environ = append(slowSbatch(t, o.Environ, tc.sbatch), "STATE="+t.TempDir()+"/once")
			o.Host = host.NewHere(o.Environ)
			o.Slurm = slurm.New(o.Host, slurm.Options{})
			o.Decide = retry.Policy{Max: 2}.Decide
			addCase(&o, "c", goodServer, goodClient)
			var seen updates
			_, wait := startDrive(t, &o, &seen)
			run, err := wait(2 * ample)
			require.NoError(t, err)
			j := rundir.Job{}
			if _, err := os.Stat(o.Dir.CaseDir("c").Attempt(0, 1).JobFile()); err == nil {
				j = jobOf(t, o.Dir, "c", 0, 1)
			}
			tc.check(t, run, j, outcomeOf(t, o.Dir, "c", 0, 1))
		})
	}
}
