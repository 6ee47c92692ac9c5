package runs

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// submitting is a run whose driver is dead while its sbatch is still out. That makes the job, 7, and ends right after
// the answer to a certain squeue. Whoever ends the job is found in file cancelled.
type submitting struct {
	access    Access
	dir       rundir.Dir
	attempt   rundir.AttemptDir
	cancelled string
}

func newSubmitting(t *testing.T, after int) submitting {
	t.Helper()
	dir, state := rundir.Dir(t.TempDir()), t.TempDir()
	r := submitting{dir: dir, attempt: dir.CaseDir("c").Attempt(0, 1), cancelled: filepath.Join(state, "cancelled")}
	j := rundir.Job{
		Schema: rundir.Schema, Name: "cid-" + filepath.Base(string(dir)) + fmt.Sprint(time.Now().UnixNano()), Host: lease.HostName(),
		Backend: rundir.BackendSlurm, Intent: time.Now(), Dir: string(r.attempt),
	}
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), rundir.Run{Schema: rundir.Schema, ID: "x", Backend: rundir.BackendSlurm}))
	require.NoError(t, rundir.WriteJSON(r.attempt.PlanFile(), rundir.Plan{}))
	require.NoError(t, rundir.WriteJSON(r.attempt.JobFile(), j))
	sbatch := exec.Command("sleep", "1000")
	sbatch.Env = []string{jobs.Cookie(j)}
	require.NoError(t, sbatch.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = sbatch.Wait() }()
	t.Cleanup(func() { _ = sbatch.Process.Kill(); <-ended })
	bin := t.TempDir()
	for command, body := range map[string]string{
		"squeue": fmt.Sprintf(`printf '\036JOBID\037NAME\037STATE\037REASON\037START_TIME\037SUBMIT_TIME\037NODES\037NODELIST\037USER\037COMMAND\n'
if [ -e %[1]s/job ] && [ ! -e %[1]s/cancelled ]; then printf '\0367\037%[2]s\037RUNNING\037None\037N/A\037N/A\0371\037gpu0\037me\037(null)\n'; fi
echo >>%[1]s/asked
if [ $(wc -l <%[1]s/asked) = %[3]d ]; then kill %[4]d; while [ -e /proc/%[4]d ]; do sleep 0.02; done; touch %[1]s/job; fi`,
			state, j.Name, after, sbatch.Process.Pid),
		"scancel":  fmt.Sprintf(`if [ -e %[1]s/job ]; then echo "$@" >%[1]s/cancelled; fi`, state),
		"scontrol": "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
		"sacct":    `echo "JobID|JobName|State|ExitCode|DerivedExitCode|Submit|Start|End|NodeList|Reason|Restarts|Suspended"`,
	} {
		require.NoError(t, rundir.WriteFile(filepath.Join(bin, command), []byte("#!/bin/sh\n"+body+"\n"), rundir.ExecMode))
	}
	env := []string{"PATH=" + bin + ":/usr/bin:/bin"}
	r.access = Access{Host: host.NewHere(env), Environ: env, Now: time.Now}
	return r
}

// An sbatch that is done between two looks has left its job, or none: what was asked before it ended tells neither.
func TestCancelEndsAJobThatComesWhileItLooks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		after int // squeue's answers, until the job comes
		o     CancelOptions
	}{
		"a helper of a driver that was shot":       {1, CancelOptions{Patient: true, Wait: true}},
		"it comes when its end is written down":    {2, CancelOptions{Wait: true}},
		"it comes while its end is asked for, too": {1, CancelOptions{Wait: true}},
		"nobody drives it, and it comes late":      {5, CancelOptions{Wait: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newSubmitting(t, tc.after)
			tc.o.Access, tc.o.Dir, tc.o.Reason = r.access, r.dir, "enough"
			open, err := Cancel(context.Background(), tc.o)
			require.NoError(t, err)
			require.FileExists(t, r.cancelled, "the job goes on: %+v", open)
			require.NotContains(t, open[0].What, "never")
		})
	}
}

// What a driver that is told to stop leaves to its helper comes again with resume; what a user ends does not.
func TestCancelSaysForWhatReason(t *testing.T) {
	t.Parallel()
	for _, cause := range []rundir.CancelCause{rundir.CauseInterrupted, rundir.CauseRequested} {
		r := newSubmitting(t, 1000)
		var j rundir.Job
		require.NoError(t, rundir.ReadJSON(r.attempt.JobFile(), &j))
		j.Intent = j.Intent.Add(-2 * jobs.SubmitBound)
		require.NoError(t, rundir.WriteJSON(r.attempt.JobFile(), j))
		_, err := Cancel(context.Background(), CancelOptions{Access: r.access, Dir: r.dir, Reason: "enough", Wait: true, Patient: true, Cause: cause})
		require.NoError(t, err)
		var o rundir.AttemptOutcome
		require.NoError(t, rundir.ReadJSON(r.attempt.OutcomeFile(), &o))
		require.Equal(t, rundir.OutcomeCancelled, o.Outcome)
		require.NoError(t, rundir.ReadJSON(r.attempt.JobFile(), &j))
		require.Equal(t, cause, j.Cancel.Cause)
	}
}

// Likewise for who only writes down how it ended.
func TestFinishWaitsForAJobThatComesWhileItLooks(t *testing.T) {
	t.Parallel()
	r := newSubmitting(t, 2)
	left, err := Finish(context.Background(), r.access, r.dir)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	require.NoFileExists(t, r.attempt.OutcomeFile())
	left, err = Finish(context.Background(), r.access, r.dir)
	require.NoError(t, err)
	require.Equal(t, 1, left)
	var j rundir.Job
	require.NoError(t, rundir.ReadJSON(r.attempt.JobFile(), &j))
	require.Equal(t, "7", j.ID)
}

// What a user has ended stays so, whatever else his run's driver was told, before or after.
func TestAUsersCancelStands(t *testing.T) {
	t.Parallel()
	by := func(cause rundir.CancelCause, ago time.Duration, now time.Time) *rundir.Cancel {
		return &rundir.Cancel{At: now.Add(-ago), Reason: "of before", Cause: cause}
	}
	for name, tt := range map[string]struct {
		noted, asked *rundir.Cancel
		cause, want  rundir.CancelCause
	}{
		"the helper comes after it":              {nil, by(rundir.CauseRequested, time.Minute, time.Now()), rundir.CauseInterrupted, rundir.CauseRequested},
		"the helper comes after one of old":      {nil, by(rundir.CauseRequested, 2*time.Hour, time.Now()), rundir.CauseInterrupted, rundir.CauseInterrupted},
		"the helper comes after another one":     {nil, by(rundir.CauseInterrupted, time.Minute, time.Now()), rundir.CauseInterrupted, rundir.CauseInterrupted},
		"it ends what outlives an interruption":  {by(rundir.CauseInterrupted, time.Minute, time.Now()), nil, rundir.CauseRequested, rundir.CauseRequested},
		"it ends what another reason had":        {by(rundir.CauseLimit, time.Minute, time.Now()), nil, rundir.CauseRequested, rundir.CauseLimit},
		"a helper, and its driver has noted why": {by(rundir.CauseInterrupted, time.Minute, time.Now()), nil, rundir.CauseInterrupted, rundir.CauseInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLost(t, "", "")
			l.job.Cancel = tt.noted
			require.NoError(t, rundir.WriteJSON(l.attempt.JobFile(), l.job))
			if tt.asked != nil {
				require.NoError(t, rundir.WriteJSON(l.dir.CancelFile(), tt.asked))
			}
			_, err := Cancel(context.Background(), CancelOptions{Access: l.access, Dir: l.dir, Reason: "now", Wait: true, Cause: tt.cause})
			require.NoError(t, err)
			require.FileExists(t, l.attempt.OutcomeFile())
			var j rundir.Job
			require.NoError(t, rundir.ReadJSON(l.attempt.JobFile(), &j))
			require.Equal(t, tt.want, j.Cancel.Cause)
		})
	}
}

// A job that was over before a user asked for its end keeps the reason for which it did: resume goes on with the case.
// Where accounting says nothing, which on the local backend it never does, its agent's record says when that was.
func TestACancelChangesNothingOfWhatWasOver(t *testing.T) {
	t.Parallel()
	for backend, tells := range map[string]map[time.Duration]rundir.CancelCause{ // the request, by how long after the end
		rundir.BackendLocal: {-time.Second: rundir.CauseRequested, time.Second: rundir.CauseInterrupted, time.Minute: rundir.CauseInterrupted},
		rundir.BackendSlurm: {time.Second: rundir.CauseRequested, time.Minute: rundir.CauseInterrupted}, // clocks differ
	} {
		for after, want := range tells {
			l := newLost(t, "", "exit 1")
			at := l.access.Now().Add(-10 * time.Minute)
			l.job.Backend, l.job.ID = backend, "999999999"
			l.job.Cancel = &rundir.Cancel{At: at.Add(-time.Second), Reason: "interrupted", Cause: rundir.CauseInterrupted}
			require.NoError(t, rundir.WriteJSON(l.attempt.JobFile(), l.job))
			require.NoError(t, rundir.WriteJSON(l.attempt.AgentFile(), rundir.AgentRecord{
				Schema: rundir.Schema, JobID: l.job.ID, Started: l.job.Intent, Heartbeat: at, End: &rundir.AgentEnd{At: at, Outcome: rundir.OutcomeCancelled},
			}))
			require.NoError(t, rundir.WriteJSON(l.dir.CancelFile(), rundir.Cancel{At: at.Add(after), Reason: "now", Cause: rundir.CauseRequested}))
			left, err := Finish(context.Background(), l.access, l.dir)
			require.NoError(t, err)
			require.Zero(t, left)
			var j rundir.Job
			require.NoError(t, rundir.ReadJSON(l.attempt.JobFile(), &j))
			require.Equal(t, want, j.Cancel.Cause, "%s, %v after its end", backend, after)
		}
	}
}
