package runs

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestDead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	o := SweepOptions{Access: Access{Now: func() time.Time { return now }}, OlderThan: 10 * time.Minute}
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	just := ago(time.Second)
	for name, tt := range map[string]struct {
		lease rundir.Lease
		dead  bool
		why   string
	}{
		"alive":            {rundir.Lease{Heartbeat: just}, false, "a sign of life 1s ago"},
		"silent":           {rundir.Lease{Heartbeat: ago(time.Hour), PID: 7, Host: "h"}, true, "process 7 on h) has been silent for 1h0m0s"},
		"detached":         {rundir.Lease{Heartbeat: ago(time.Hour), Released: &just, Detached: true}, false, "on purpose"},
		"given back":       {rundir.Lease{Heartbeat: just, Released: &just}, true, "nobody has driven it since 11:59:59Z"},
		"given back early": {rundir.Lease{Heartbeat: ago(time.Hour), Released: &just}, true, "nobody has driven it since"},
	} {
		dead, why := o.dead(tt.lease)
		require.Equal(t, tt.dead, dead, name)
		require.Contains(t, why, tt.why, name)
	}
}

// Slurm knows only that the user has cancelled a job: that sweep did is told by the run's directory.
func TestSweepSigns(t *testing.T) {
	t.Parallel()
	now := time.Now()
	parent := t.TempDir()
	o := SweepOptions{Access: Access{Now: func() time.Time { return now }}, RunsDir: parent}
	o.Access = o.Complete()
	job := rundir.Job{Schema: rundir.Schema, ID: "7", Owner: "ab", Backend: rundir.BackendSlurm, Intent: now.Add(-time.Hour)}
	for id, far := range map[string]string{"shared": filepath.Join(parent, "shared"), "apart": "/far/runs/apart.ab"} {
		dir := rundir.Dir(filepath.Join(parent, id))
		require.NoError(t, rundir.WriteJSON(dir.CaseDir("c").Attempt(0, 1).JobFile(), job))
		o.sign(Swept{Job: "8", Owner: "ab", Dir: far, Why: "another job"})
		require.NoFileExists(t, dir.CancelFile())
		o.sign(Swept{Job: "7", Owner: "ab", Dir: far, Why: "nobody has driven it"})
		c, ok := dir.CancelledAfter(job.Intent)
		require.True(t, ok)
		require.Equal(t, "ended by ci-disagg sweep: nobody has driven it", c.Reason)
		o.sign(Swept{Job: "7", Owner: "ab", Dir: far, Why: "again"})
		c, _ = dir.CancelledAfter(job.Intent)
		require.NotContains(t, c.Reason, "again")
	}
}
