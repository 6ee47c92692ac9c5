package runs

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
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
