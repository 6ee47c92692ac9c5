package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A restarted job is refused: what the first start wrote stays.
func TestRestartIsRefused(t *testing.T) {
	t.Parallel()
	plan := testPlan()
	plan.LocalAgent = false
	var out syncBuffer
	o := Options{
		Dir: rundir.AttemptDir(t.TempDir()), PID: os.Getpid(), Now: time.Now, Stdout: &out,
		Env: []string{"SLURM_JOB_ID=7", "SLURM_RESTART_COUNT=1", "SLURM_JOB_NODELIST=n[1-2]"},
	}
	writeAttempt(t, o.Dir, plan, scenario{})
	first := rundir.AgentRecord{
		Schema: rundir.Schema, JobID: "7", RunAccount: rundir.RunAccount{Phase: rundir.PhaseBenchmark, Timeline: []rundir.Event{{What: "earlier"}}},
		End: &rundir.AgentEnd{Outcome: rundir.OutcomeCancelled, Reason: "what a requeue looks like to the first start"},
	}
	require.NoError(t, rundir.WriteJSON(o.Dir.AgentFile(), first))
	require.ErrorIs(t, Run(t.Context(), o), ErrRefused)
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(o.Dir.AgentFile(), &rec))
	require.Equal(t, "earlier", rec.Timeline[0].What)
	require.Equal(t, 1, rec.Restart)
	require.Equal(t, rundir.OutcomeInfra, rec.End.Outcome)
	require.NoDirExists(t, o.Dir.Run(0).Output())
}

// When the local agent is killed, its guard ends what it had running.
func TestAgentIsKilled(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	writeAttempt(t, dir, testPlan(), scenario{env: long(), faults: one("CTX_0", "start:deaf")})
	self, err := os.Executable()
	require.NoError(t, err)
	cookie := "CI_DISAGG_TEST_RUN=killed-" + filepath.Base(string(dir))
	p, err := proc.Start(t.Context(), proc.Command{Argv: []string{self, string(dir)}, Env: append(os.Environ(), childEnv+"=agent", cookie)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return clientBegan(dir) }, soon, 20*time.Millisecond)
	require.Greater(t, len(proc.WithCookie(cookie)), 5)
	require.NoError(t, syscall.Kill(p.PID(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return len(proc.WithCookie(cookie)) == 0 }, soon, 20*time.Millisecond)
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(dir.AgentFile(), &rec))
	require.Nil(t, rec.End, "nothing says that it ended well")
}

func TestCancelBySignal(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	e := runLocal(t, scenario{env: long(), signals: signals, prepare: func(t *testing.T, dir rundir.AttemptDir) {
		t.Helper()
		go func() {
			for t.Context().Err() == nil && !clientBegan(dir) {
				time.Sleep(20 * time.Millisecond)
			}
			signals <- syscall.SIGTERM
		}()
	}})
	require.NoError(t, e.err)
	require.Equal(t, rundir.OutcomeCancelled, e.rec.End.Outcome)
	require.Less(t, e.took, 3*soon)
}

func clientBegan(dir rundir.AttemptDir) bool {
	_, err := os.Stat(filepath.Join(dir.Run(0).Output(), "client-began"))
	return err == nil
}

// What a role put in the place of another one's files keeps that from starting, or the record from being written: the
// test's fault, however early.
func TestPlantedIsTheTests(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("log: %w", &rundir.NodeError{Path: "roles/CTX_0", Is: rundir.NodeFIFO, Want: rundir.NodeDirectory})
	for kind, root := range map[eventKind]string{evNotStarted: "CTX_0", evBroken: ""} {
		for _, isPlanted := range []bool{true, false} {
			p := &player{t: t, s: testState(nil)}
			p.play(strings.Split(serving, "6 started GEN_0")[0])
			p.s, _ = next(p.s, event{kind: kind, role: ctx, at: sec(6), text: err.Error(), planted: planted(err) && isPlanted})
			f, outcome, _ := conclude(p.s, p.s.evidence())
			require.Equal(t, root, f.Root)
			want := map[bool]rundir.Outcome{true: rundir.OutcomeTestFailed, false: rundir.OutcomeInfra}
			require.Equal(t, want[isPlanted], outcome, f.Message)
		}
	}
	require.False(t, planted(os.ErrPermission))
}
