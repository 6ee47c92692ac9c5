package watch

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
	d := Driver{File: dir.CaseDir("c").Attempt(0, 1).Dir().LeaseFile()}
	alone := func(at float64) time.Duration { d.look(sec(at)); return d.Alone(sec(at)) }
	require.Equal(t, dir.LeaseFile(), d.File)
	require.Zero(t, alone(0), "no lease: no lifeline")
	require.Zero(t, alone(9000))
	l := rundir.Lease{Schema: 1, Owner: "a", Heartbeat: sec(-1e6)} // another machine's clock
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
	require.Zero(t, alone(9100))
	require.Equal(t, 60*time.Second, alone(9160))
	l.Heartbeat = sec(-1e6 + 10)
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
	require.Zero(t, alone(9200), "it lives")
	require.NoError(t, os.Remove(dir.LeaseFile()))
	require.Zero(t, alone(99300), "a lease that cannot be read says nothing")
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
	require.Equal(t, 60*time.Second, alone(99360), "nor has it said so before")
	at := sec(1)
	l.Released, l.Detached = &at, true
	l.Heartbeat = sec(2)
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), l))
	require.Zero(t, alone(99400))
	require.Zero(t, alone(199400), "left alone on purpose")
}

func sec(n float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(n * float64(time.Second)))
}
