package main

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A signal before we drive a run interrupts it, and resume goes on with its cases; where another one drives it, that is
// asked to end it.
func TestASignalBeforeTheRunIsDriven(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		held *rundir.Lease
		want rundir.CancelCause
	}{
		"nobody has driven it":   {nil, rundir.CauseInterrupted},
		"its driver has left it": {&rundir.Lease{Owner: "a", Host: "h", Heartbeat: now, Acquired: now, Released: &now}, rundir.CauseInterrupted},
		"its driver is dead":     {&rundir.Lease{Owner: "a", Host: "h", Heartbeat: now.Add(-time.Hour), Acquired: now}, rundir.CauseInterrupted},
		"another one drives it":  {&rundir.Lease{Owner: "a", Host: "h", Heartbeat: now, Acquired: now}, rundir.CauseRequested},
	} {
		dir := rundir.Dir(t.TempDir())
		require.NoError(t, rundir.WriteJSON(dir.RunFile(), rundir.Run{Schema: rundir.Schema, ID: "x"}))
		if tt.held != nil {
			require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), tt.held))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(&drive.Interrupted{Signal: syscall.SIGTERM})
		err := cancelOther(ctx, drive.Options{Access: runs.Access{Now: time.Now}, Dir: dir})
		require.ErrorAs(t, err, new(*drive.Interrupted), name)
		var c rundir.Cancel
		require.NoError(t, rundir.ReadJSON(dir.CancelFile(), &c), name)
		require.Equal(t, tt.want, c.Cause, name)
	}
}
