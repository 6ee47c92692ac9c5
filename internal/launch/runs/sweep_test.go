package runs

import (
	"encoding/json"
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

// Behind a login node lies a copy of the lease, which may be an old one: the run's own counts where it is seen.
func TestSweepGoesByTheNewestLease(t *testing.T) {
	t.Parallel()
	now := time.Now()
	just, long := now.Add(-time.Minute), now.Add(-time.Hour)
	silent := rundir.Lease{Schema: rundir.Schema, Owner: "o", Heartbeat: long}
	for name, tt := range map[string]struct {
		near, far *rundir.Lease
		orphan    bool
		why       string
	}{
		"left on purpose":             {&rundir.Lease{Schema: rundir.Schema, Heartbeat: just, Released: &just, Detached: true}, &silent, false, "on purpose"},
		"driven":                      {&rundir.Lease{Schema: rundir.Schema, Heartbeat: just}, &silent, false, "a sign of life"},
		"silent":                      {&silent, &silent, true, "has been silent"},
		"never shown":                 {&silent, nil, true, "has been silent"},
		"of another machine's run":    {nil, &silent, true, "has been silent"},
		"restored from an old backup": {&silent, &rundir.Lease{Schema: rundir.Schema, Heartbeat: just}, false, "a sign of life"},
		"nowhere":                     {nil, nil, false, "cannot be seen from here"},
	} {
		parent := t.TempDir()
		o := SweepOptions{Access: Access{Now: func() time.Time { return now }}, RunsDir: parent, OlderThan: 30 * time.Minute}
		dir := rundir.Dir(filepath.Join(parent, "x"))
		require.NoError(t, rundir.WriteJSON(dir.CaseDir("c").Attempt(0, 1).JobFile(), rundir.Job{Schema: rundir.Schema, ID: "7", Owner: "ab"}))
		if tt.near != nil {
			require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), *tt.near))
		}
		var shown []byte
		if tt.far != nil {
			var err error
			shown, err = json.Marshal(*tt.far)
			require.NoError(t, err)
		}
		s := Swept{Job: "7", Owner: "ab", Dir: "/far/runs/x.ab"}
		o.judge(&s, shown)
		require.Equal(t, tt.orphan, s.Orphan, name)
		require.Contains(t, s.Why, tt.why, name)
		other := Swept{Job: "7", Owner: "cd", Dir: "/far/runs/x.cd"}
		o.judge(&other, shown)
		require.Equal(t, tt.far == &silent, other.Orphan, name+": the run of that name here is another one")
	}
}
