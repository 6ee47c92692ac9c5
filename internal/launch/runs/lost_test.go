package runs

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// lost is a run whose driver died an hour ago while it waited for the answer to a submission.
type lost struct {
	access  Access
	dir     rundir.Dir
	attempt rundir.AttemptDir
	job     rundir.Job
}

// newLost makes one. squeue runs the shell text given before it answers that there is no job, and sacct after its
// header.
func newLost(t *testing.T, squeue, sacct string) lost {
	t.Helper()
	now, dir := time.Now(), rundir.Dir(t.TempDir())
	l := lost{dir: dir, attempt: dir.CaseDir("c").Attempt(0, 1)}
	l.job = rundir.Job{Schema: rundir.Schema, Name: "cid-x", Backend: rundir.BackendSlurm, Intent: now.Add(-time.Hour), Dir: string(l.attempt)}
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), rundir.Run{Schema: rundir.Schema, ID: "x", Backend: rundir.BackendSlurm}))
	require.NoError(t, rundir.WriteJSON(l.attempt.PlanFile(), rundir.Plan{}))
	require.NoError(t, rundir.WriteJSON(l.attempt.JobFile(), l.job))
	bin := t.TempDir()
	for command, body := range map[string]string{
		"squeue": squeue + `
printf '\036JOBID\037NAME\037STATE\037REASON\037START_TIME\037SUBMIT_TIME\037NODES\037NODELIST\037USER\037COMMAND\n'`,
		"scancel":  "",
		"scontrol": "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
		"sacct":    "echo 'JobID|JobName|State|ExitCode|DerivedExitCode|Submit|Start|End|NodeList|Reason|Restarts|Suspended|WorkDir'\n" + sacct,
	} {
		require.NoError(t, rundir.WriteFile(filepath.Join(bin, command), []byte("#!/bin/sh\n"+body+"\n"), rundir.ExecMode))
	}
	env := []string{"PATH=" + bin + ":/usr/bin:/bin"}
	l.access = Access{Host: host.NewHere(env), Environ: env, Now: func() time.Time { return now }}
	return l
}

// While it is found out how an attempt ended, resume may submit it under its number and leave: what was found is of
// another job then.
func TestFinishLeavesAnAttemptThatWasSubmittedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, sacct := range map[string]string{
		"the first never became a job": "",
		"the first is found":           "echo '9|cid-x|RUNNING|0:0|0:0|Unknown|Unknown|Unknown|gpu0|None|0|00:00:00|/'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newer := filepath.Join(t.TempDir(), "job.json")
			l := newLost(t, "while read -r f; do cp "+newer+" \"$f\"; done <"+newer+".to", sacct)
			again := l.job
			again.ID, again.Intent = "10", l.access.Now()
			require.NoError(t, rundir.WriteJSON(newer, again))
			require.NoError(t, rundir.WriteFile(newer+".to", []byte(l.attempt.JobFile()+"\n"), rundir.FileMode))
			left, err := Finish(context.Background(), l.access, l.dir)
			require.NoError(t, err)
			require.Equal(t, 1, left)
			require.NoFileExists(t, l.attempt.OutcomeFile())
			var j rundir.Job
			require.NoError(t, rundir.ReadJSON(l.attempt.JobFile(), &j))
			require.Equal(t, "10", j.ID)
		})
	}
}

// A submission of which Slurm knows nothing any more is looked for in its agent's record: otherwise resume would
// submit it once more.
func TestFinishReadsTheRecordOfALostSubmission(t *testing.T) {
	t.Parallel()
	interrupted := rundir.Cancel{At: time.Now(), Reason: "interrupted", Cause: rundir.CauseInterrupted}
	for name, tc := range map[string]struct {
		plant    func(path string) error
		cancel   *rundir.Cancel
		id       string
		outcome  rundir.Outcome
		class    blame.Class
		unsolved bool
	}{
		"there is none": {plant: func(string) error { return nil }, outcome: rundir.OutcomeInfra, class: blame.Infra},
		"it names its job": {plant: func(path string) error {
			return rundir.WriteJSON(path, rundir.AgentRecord{Schema: rundir.Schema, JobID: "9"})
		}, id: "9"},
		"it is cut short": {plant: func(path string) error {
			return rundir.WriteFile(path, []byte(`{"job`), rundir.FileMode)
		}, outcome: rundir.OutcomeInfra, class: blame.Unknown},
		"a link is in its place": {plant: func(path string) error { return os.Symlink("x", path) }, outcome: rundir.OutcomeInfra, class: blame.Unknown},
		"it is cut short, and the driver was told to stop": {plant: func(path string) error {
			return rundir.WriteFile(path, []byte(`{"job`), rundir.FileMode)
		}, cancel: &interrupted, outcome: rundir.OutcomeCancelled},
		"it is too long": {plant: func(path string) error {
			return errors.Join(rundir.WriteFile(path, nil, rundir.FileMode), os.Truncate(path, MaxRecord+1))
		}, unsolved: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLost(t, "", "")
			require.NoError(t, tc.plant(l.attempt.AgentFile()))
			if tc.cancel != nil {
				require.NoError(t, rundir.WriteJSON(l.dir.CancelFile(), tc.cancel))
			}
			left, err := Finish(context.Background(), l.access, l.dir)
			require.Equal(t, tc.unsolved, err != nil, "%v", err)
			var j rundir.Job
			require.NoError(t, rundir.ReadJSON(l.attempt.JobFile(), &j))
			require.Equal(t, tc.id, j.ID)
			if tc.outcome == "" {
				require.Equal(t, 1, left)
				require.NoFileExists(t, l.attempt.OutcomeFile())
				return
			}
			require.Equal(t, 0, left)
			var got rundir.AttemptOutcome
			require.NoError(t, rundir.ReadJSON(l.attempt.OutcomeFile(), &got))
			require.Equal(t, tc.outcome, got.Outcome, got.Reason)
			if tc.class != "" {
				require.Equal(t, string(tc.class), got.Finding.Class, got.Reason)
			}
		})
	}
}

// So it is on the local backend: neither is an agent that lives ended, nor the record of one that has ended lost.
func TestFinishFindsALocalAgentWhoseNumberIsNotWrittenDown(t *testing.T) {
	t.Parallel()
	l := newLost(t, "", "")
	l.job.Backend, l.job.Name = rundir.BackendLocal, "cid-lost-"+filepath.Base(t.TempDir())+strconv.Itoa(os.Getpid())
	require.NoError(t, rundir.WriteJSON(l.attempt.JobFile(), l.job))
	agent := exec.Command("sleep", "1000")
	agent.Env = append(os.Environ(), jobs.Cookie(l.job))
	require.NoError(t, agent.Start())
	t.Cleanup(func() { _ = agent.Process.Kill() })
	id := strconv.Itoa(agent.Process.Pid)
	for range 2 {
		left, err := Finish(t.Context(), l.access, l.dir)
		require.NoError(t, err)
		require.Equal(t, 1, left, "it lives")
		var j rundir.Job
		require.NoError(t, rundir.ReadJSON(l.attempt.JobFile(), &j))
		require.Equal(t, id, j.ID)
	}
	require.NoError(t, agent.Process.Kill())
	_, _ = agent.Process.Wait()
	require.NoError(t, rundir.WriteJSON(l.attempt.JobFile(), l.job))
	require.NoError(t, rundir.WriteJSON(l.attempt.AgentFile(), rundir.AgentRecord{Schema: rundir.Schema, JobID: id, Started: l.job.Intent}))
	_, err := Finish(t.Context(), l.access, l.dir)
	require.NoError(t, err)
	var j rundir.Job
	require.NoError(t, rundir.ReadJSON(l.attempt.JobFile(), &j))
	require.Equal(t, id, j.ID, "of the agent that has ended")
}

// A local job of another host is neither over nor killed because nothing of it is seen here: its record tells.
func TestALocalJobOfAnotherHost(t *testing.T) {
	t.Parallel()
	l := newLost(t, "", "")
	l.job.Backend, l.job.ID, l.job.Host = rundir.BackendLocal, "999999999", "gpu9"
	require.NoError(t, rundir.WriteJSON(l.attempt.JobFile(), l.job))
	rec := rundir.AgentRecord{Schema: rundir.Schema, JobID: l.job.ID, Started: l.job.Intent, Heartbeat: l.access.Now()}
	require.NoError(t, rundir.WriteJSON(l.attempt.AgentFile(), rec))
	ends, err := Cancel(t.Context(), CancelOptions{Access: l.access, Dir: l.dir, Wait: true})
	require.NoError(t, err)
	require.ErrorContains(t, ends[0].Err, "it runs on gpu9: cancel it there")
	left, err := Finish(t.Context(), l.access, l.dir)
	require.NoError(t, err)
	require.Equal(t, 1, left, "it lives")

	rec.End = &rundir.AgentEnd{At: rec.Heartbeat, Outcome: rundir.OutcomePassed}
	require.NoError(t, rundir.WriteJSON(l.attempt.AgentFile(), rec))
	ends, err = Cancel(t.Context(), CancelOptions{Access: l.access, Dir: l.dir, Wait: true})
	require.NoError(t, err)
	require.NoError(t, ends[0].Err, "its own record tells that it was over")
	require.Contains(t, ends[0].What, "was over already, passed")
	var got rundir.AttemptOutcome
	require.NoError(t, rundir.ReadJSON(l.attempt.OutcomeFile(), &got))
	require.Equal(t, rundir.OutcomePassed, got.Outcome, got.Reason)
}

// Of a job that squeue says nothing of, nobody knows that it is there.
func TestCancelSaysNothingOfAJobThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ squeue, want string }{
		"silent": {"exit 1", "whether it is gone is not known after 3m40s"},
		"listed": {`printf '\036JOBID\037NAME\037STATE\037REASON\037START_TIME\037SUBMIT_TIME\037NODES\037NODELIST\037USER\037COMMAND\n'
printf '\0367\037cid-x\037RUNNING\037None\037N/A\037N/A\0371\037gpu0\037me\037(null)\n'; exit`, "it is still there after 3m40s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLost(t, tc.squeue, "")
			at := l.access.Now()
			l.access.Now = func() time.Time { at = at.Add(4 * time.Minute); return at }
			ends, err := Cancel(context.Background(), CancelOptions{Access: l.access, Dir: l.dir, Wait: true})
			require.NoError(t, err)
			require.ErrorContains(t, ends[0].Err, tc.want)
		})
	}
}
