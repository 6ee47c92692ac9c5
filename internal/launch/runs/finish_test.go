package runs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A run whose driver is dead is told as its driver would have: with what sinfo has against the nodes, and by no request
// to end it that came when the job was over.
func TestFinishAsTheDriverWould(t *testing.T) {
	t.Parallel()
	const drained = `echo "gpu1 drained $START root(0) Prolog error"`
	for name, tc := range map[string]struct {
		ago     time.Duration // since the submission; the job ended a minute later
		state   string        // sacct's
		sinfo   string
		request time.Duration // to end the run, after the submission; 0 = none
		left    int
		outcome rundir.Outcome
		reason  string
		bad     []string
		planted bool // something else stands where the agent's record was
	}{
		"a prolog that failed, long ago": {
			ago: time.Hour, state: "CANCELLED by 0", sinfo: drained,
			outcome: rundir.OutcomeInfra, reason: "the prolog failed on gpu1 (Prolog error)", bad: []string{"gpu1"},
		},
		"a prolog that failed just now": {
			ago: 2 * time.Minute, state: "CANCELLED by 0", sinfo: drained,
			outcome: rundir.OutcomeInfra, reason: "the prolog failed on gpu1 (Prolog error)", bad: []string{"gpu1"},
		},
		"a prolog that failed, and then the run was cancelled": {
			ago: time.Hour, state: "CANCELLED by 0", sinfo: drained, request: 30 * time.Minute,
			outcome: rundir.OutcomeInfra, reason: "the prolog failed on gpu1 (Prolog error)", bad: []string{"gpu1"},
		},
		"a node that is down": {
			ago: time.Hour, state: "NODE_FAIL", sinfo: `echo "gpu0 idle Unknown Unknown none"; echo "gpu1 down* $START slurm(64030) Not responding"`,
			outcome: rundir.OutcomeInfra, reason: "gpu1", bad: []string{"gpu1"},
		},
		"root has cancelled it": {
			ago: time.Hour, state: "CANCELLED by 0", sinfo: `echo "gpu1 idle Unknown Unknown none"`,
			outcome: rundir.OutcomeCancelled, reason: "uid 0",
		},
		"somebody has cancelled it, whom sinfo is not asked about": {
			ago: time.Hour, state: "CANCELLED by 1001", sinfo: drained,
			outcome: rundir.OutcomeCancelled, reason: "uid 1001",
		},
		"the request came first": {
			ago: time.Hour, state: "CANCELLED by 0", sinfo: "exit 1", request: 30 * time.Second,
			outcome: rundir.OutcomeCancelled, reason: "enough",
		},
		"a role put a link in the place of the agent's record": {
			ago: time.Hour, state: "FAILED", sinfo: "exit 1", planted: true,
			outcome: rundir.OutcomeTestFailed, reason: "agent.json is a symbolic link",
		},
		"sinfo does not answer: the next look": {ago: 2 * time.Minute, state: "CANCELLED by 0", sinfo: "exit 1", left: 1},
		"sinfo never answers":                  {ago: time.Hour, state: "CANCELLED by 0", sinfo: "exit 1", outcome: rundir.OutcomeCancelled, reason: "uid 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			begun := now.Add(-tc.ago)
			dir := rundir.Dir(t.TempDir())
			attempt := dir.CaseDir("c").Attempt(0, 1)
			require.NoError(t, rundir.WriteJSON(dir.RunFile(), rundir.Run{Schema: 1, ID: "x", Backend: rundir.BackendSlurm}))
			require.NoError(t, rundir.WriteJSON(attempt.PlanFile(), rundir.Plan{}))
			require.NoError(t, rundir.WriteJSON(attempt.JobFile(), rundir.Job{Schema: 1, ID: "7", Name: "cid-x", Backend: rundir.BackendSlurm, Intent: begun, Dir: string(attempt)}))
			if tc.planted {
				require.NoError(t, os.Symlink("x", attempt.AgentFile()))
			}
			if tc.request > 0 {
				require.NoError(t, rundir.WriteJSON(dir.CancelFile(), rundir.Cancel{At: begun.Add(tc.request), Reason: "enough"}))
			}
			stamp := func(after time.Duration) int64 { return begun.Add(after).Unix() }
			bin := t.TempDir()
			for command, body := range map[string]string{
				"squeue":   `printf '\036JOBID\037NAME\037STATE\037REASON\037START_TIME\037SUBMIT_TIME\037NODES\037NODELIST\037USER\037COMMAND\n'`,
				"scontrol": "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
				"sacct": fmt.Sprintf(`echo "JobID|JobName|State|ExitCode|DerivedExitCode|Submit|Start|End|NodeList|Reason|Restarts|Suspended"
echo "7|cid-x|%s|0:0|0:0|%d|%d|%d|gpu[0-1]|None|0|00:00:00"`, tc.state, stamp(0), stamp(2*time.Second), stamp(time.Minute)),
				"sinfo": fmt.Sprintf("START=%d\n%s", stamp(5*time.Second), tc.sinfo),
			} {
				require.NoError(t, rundir.WriteFile(filepath.Join(bin, command), []byte("#!/bin/sh\n"+body+"\n"), rundir.ExecMode))
			}
			env := []string{"PATH=" + bin + ":/usr/bin:/bin"}
			left, err := Finish(context.Background(), Access{Host: host.NewHere(env), Environ: env, Now: func() time.Time { return now }}, dir)
			require.NoError(t, err)
			require.Equal(t, tc.left, left)
			if tc.left > 0 {
				return
			}
			var got rundir.AttemptOutcome
			require.NoError(t, rundir.ReadJSON(attempt.OutcomeFile(), &got))
			require.Equal(t, tc.outcome, got.Outcome, got.Reason)
			require.Contains(t, got.Reason, tc.reason)
			require.Equal(t, tc.bad, got.Finding.BadNodes)
		})
	}
}

// Who only writes down how jobs ended takes no run over of which another job goes on: its driver may come back, or a
// resume come for it, sweep would end the job, and the job would see a sign of life.
func TestFinishLeavesARunThatGoesOn(t *testing.T) {
	t.Parallel()
	for _, over := range []bool{false, true} {
		now := time.Now()
		begun, dir := now.Add(-time.Hour), rundir.Dir(t.TempDir())
		require.NoError(t, rundir.WriteJSON(dir.RunFile(), rundir.Run{Schema: 1, ID: "x", Backend: rundir.BackendSlurm}))
		for _, id := range []string{"7", "8"} {
			attempt := dir.CaseDir("c"+id).Attempt(0, 1)
			if id == "8" && !over {
				continue
			}
			require.NoError(t, rundir.WriteJSON(attempt.PlanFile(), rundir.Plan{}))
			require.NoError(t, rundir.WriteJSON(attempt.JobFile(), rundir.Job{Schema: 1, ID: id, Name: "cid-" + id, Backend: rundir.BackendSlurm, Intent: begun, Dir: string(attempt)}))
		}
		require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), rundir.Lease{Schema: rundir.Schema, Owner: "o", Host: "elsewhere", PID: 7, Acquired: begun, Heartbeat: now.Add(-2 * time.Minute)}))
		before, err := os.Stat(dir.LeaseFile())
		require.NoError(t, err)
		lease, err := os.ReadFile(dir.LeaseFile())
		require.NoError(t, err)
		bin := t.TempDir()
		for command, body := range map[string]string{
			"squeue": `printf '\036JOBID\037NAME\037STATE\037REASON\037START_TIME\037SUBMIT_TIME\037NODES\037NODELIST\037USER\037COMMAND\n'
printf '\0367\037cid-7\037RUNNING\037None\037N/A\037N/A\0371\037gpu0\037me\037(null)\n'`,
			"scontrol": "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
			"sacct": fmt.Sprintf(`echo "JobID|JobName|State|ExitCode|DerivedExitCode|Submit|Start|End|NodeList|Reason|Restarts|Suspended"
echo "8|cid-8|CANCELLED by 1001|0:0|0:0|%d|%d|%d|gpu1|None|0|00:00:00"`, begun.Unix(), begun.Unix()+2, begun.Unix()+60),
		} {
			require.NoError(t, rundir.WriteFile(filepath.Join(bin, command), []byte("#!/bin/sh\n"+body+"\n"), rundir.ExecMode))
		}
		env := []string{"PATH=" + bin + ":/usr/bin:/bin"}
		left, err := Finish(context.Background(), Access{Host: host.NewHere(env), Environ: env, Now: func() time.Time { return now }}, dir)
		require.NoError(t, err)
		require.Equal(t, 1, left)
		require.Equal(t, over, exists(dir.CaseDir("c8").Attempt(0, 1).OutcomeFile()))
		after, err := os.ReadFile(dir.LeaseFile())
		require.NoError(t, err)
		require.Equal(t, string(lease), string(after))
		if now, err := os.Stat(dir.LeaseFile()); !over {
			require.NoError(t, err)
			require.True(t, os.SameFile(before, now), "it was taken over for a moment")
		}
	}
}
