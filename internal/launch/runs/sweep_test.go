package runs

import (
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
