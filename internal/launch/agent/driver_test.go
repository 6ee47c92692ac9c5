package agent

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestDriverWatch(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	d := driverWatch{file: dir.CaseDir("c").Attempt(0, 1).Dir().LeaseFile()}
	require.Equal(t, dir.LeaseFile(), d.file)
	require.Zero(t, d.alone(sec(0)), "no lease: no lifeline")
	require.Zero(t, d.alone(sec(9000)))
	l := rundir.Lease{Schema: 1, Owner: "a", Heartbeat: sec(-1e6)} // another machine's clock
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
	require.Zero(t, d.alone(sec(9100)))
	require.Equal(t, 60*time.Second, d.alone(sec(9160)))
	l.Heartbeat = sec(-1e6 + 10)
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
	require.Zero(t, d.alone(sec(9200)), "it lives")
	require.NoError(t, os.Remove(dir.LeaseFile()))
	require.Equal(t, 100*time.Second, d.alone(sec(9300)), "a lease that cannot be read says nothing, and ends nothing sooner")
	at := sec(1)
	l.Released, l.Detached = &at, true
	l.Heartbeat = sec(2)
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
	require.Zero(t, d.alone(sec(9400)))
	require.Zero(t, d.alone(sec(99400)), "left alone on purpose")
}

func TestLifeline(t *testing.T) {
	t.Parallel()
	s := testState(func(s *state) { s.lifeline = time.Hour })
	s, _ = next(s, event{kind: evBegin, at: sec(0)})
	s, _ = next(s, event{kind: evTick, at: sec(10), alone: 59 * time.Minute})
	require.Nil(t, s.ending)
	s, _ = next(s, event{kind: evTick, at: sec(11), alone: time.Hour})
	require.NotNil(t, s.ending)
	require.Contains(t, s.ending.why, "no sign of life of its driver for 1h0m0s")
	_, outcome, reason := conclude(s, s.evidence())
	require.Equal(t, rundir.OutcomeCancelled, outcome, reason)
	require.Contains(t, reason, "jobs.lifeline")

	s = testState(nil)
	s, _ = next(s, event{kind: evBegin, at: sec(0)})
	s, _ = next(s, event{kind: evTick, at: sec(10), alone: 1000 * time.Hour})
	require.Nil(t, s.ending, "off unless it is set")
}
