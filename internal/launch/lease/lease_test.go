package lease

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// On a fake clock: who waits how long does not depend on the machine.
func TestLease(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	synctest.Test(t, func(t *testing.T) { leases(t, dir) })
}

func leases(t *testing.T, dir rundir.Dir) {
	t.Helper()
	ctx := context.Background()
	none := func(*Lease) {}
	first, err := Acquire(ctx, dir, time.Now, none)
	require.NoError(t, err)
	require.NoError(t, first.Renew())

	// Somebody else, elsewhere, alive.
	now := time.Now()
	other := rundir.Lease{Schema: 1, Owner: "other", Host: "elsewhere", PID: 1, Acquired: now, Heartbeat: now}
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), other))
	require.ErrorIs(t, first.Renew(), ErrLost)
	_, err = Acquire(ctx, dir, time.Now, none)
	busy := new(BusyError)
	require.ErrorAs(t, err, &busy)
	require.Equal(t, "elsewhere", busy.Lease.Host)
	var kept rundir.Lease
	require.NoError(t, rundir.ReadJSON(dir.LeaseFile(), &kept))
	require.Equal(t, "other", kept.Owner, "the loser writes nothing")

	// Silent for too long: taken over.
	other.Heartbeat = now.Add(-2 * TTL)
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), other))
	second, err := Acquire(ctx, dir, time.Now, none)
	require.NoError(t, err)
	require.NoError(t, second.Release(true))
	require.NoError(t, rundir.ReadJSON(dir.LeaseFile(), &kept))
	require.True(t, kept.Detached)
	begun := time.Now()
	third, err := Acquire(ctx, dir, time.Now, none)
	require.NoError(t, err)
	require.Zero(t, time.Since(begun), "a lease that was given back is not contested")

	// Dead on this host: at once.
	dead := kept
	dead.Owner, dead.Host, dead.PID, dead.Heartbeat, dead.Released = "dead", HostName(), 1<<22-1, time.Now(), nil
	require.False(t, Lives(dead, time.Now()))
	zombie := exec.Command("true")
	require.NoError(t, zombie.Start())
	dead.PID = zombie.Process.Pid
	for !isZombie(dead.PID) {
		runtime.Gosched()
	}
	require.False(t, Lives(dead, time.Now()), "a zombie drives nothing")
	require.NoError(t, zombie.Wait())
	dead.PID = 1
	require.True(t, Lives(dead, time.Now()))
	require.False(t, Lives(dead, time.Now().Add(TTL)), "its process id may be somebody else's")
	require.NoError(t, third.Release(false))

	// Two that take over at the same time: one wins.
	other.Heartbeat = now.Add(-2 * TTL)
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), other))
	errs := make(chan error, 2)
	for range 2 {
		go func() { _, err := Acquire(ctx, dir, time.Now, none); errs <- err }()
	}
	won := 0
	for range 2 {
		err := <-errs
		if err == nil {
			won++
			continue
		}
		require.True(t, errors.Is(err, ErrLost) || errors.As(err, &busy), "%v", err)
	}
	require.Equal(t, 1, won)
}

// Several that find a lease given back at the same moment: one has it at once, the others are told who.
func TestReleasedLeaseIsTakenOnce(t *testing.T) {
	t.Parallel()
	for range 50 {
		dir := rundir.Dir(t.TempDir())
		at := time.Now()
		held := rundir.Lease{Schema: rundir.Schema, Owner: "before", Host: "h", Acquired: at, Heartbeat: at, Released: &at}
		require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), held))
		errs := make(chan error, 4)
		for i := range cap(errs) {
			l := &Lease{file: dir.LeaseFile(), now: time.Now, mine: rundir.Lease{Schema: rundir.Schema, Owner: fmt.Sprint(i), Host: fmt.Sprint("h", i), Acquired: at, Heartbeat: at}}
			go func() {
				_, err := l.claim()
				if err == nil {
					err = l.Check()
				}
				errs <- err
			}()
		}
		won := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorAs(t, err, new(*BusyError))
			}
		}
		require.Equal(t, 1, won)
	}
}

// One that died while it took a lease does not keep others from it: they wait until they know that theirs stood.
func TestHalfTakenLease(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	at := time.Now()
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), rundir.Lease{Schema: rundir.Schema, Owner: "before", Heartbeat: at, Released: &at}))
	dead := rundir.Lease{Schema: rundir.Schema, Owner: "dead", Host: HostName(), PID: 1<<22 - 1, Heartbeat: at}
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile()+claimed, dead))
	synctest.Test(t, func(t *testing.T) {
		l, err := Acquire(context.Background(), dir, time.Now, func(*Lease) {})
		require.NoError(t, err)
		require.NoError(t, l.Release(false))
	})
	dead.Host, dead.Heartbeat = "elsewhere", time.Now()
	require.NoError(t, rundir.WriteJSON(dir.LeaseFile()+claimed, dead))
	_, err := Acquire(context.Background(), dir, time.Now, func(*Lease) {})
	require.ErrorAs(t, err, new(*BusyError), "it lives, as far as is known")
}

// Two that begin a run at the same instant, when nobody has held it: one wins, the other is told who.
func TestTheFirstLease(t *testing.T) {
	t.Parallel()
	for range 50 {
		dir := rundir.Dir(t.TempDir())
		errs := make(chan error, 4)
		for i := range cap(errs) {
			l := &Lease{file: dir.LeaseFile(), mine: rundir.Lease{Owner: fmt.Sprint(i), Host: fmt.Sprint("h", i), Acquired: time.Now(), Heartbeat: time.Now()}}
			go func() { _, err := l.claim(); errs <- err }()
		}
		won := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorAs(t, err, new(*BusyError))
			}
		}
		require.Equal(t, 1, won)
	}
}

func isZombie(pid int) bool {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return bytes.Contains(stat, []byte(") Z "))
}

// Signs of life that cannot be written end the drive in time, however well the old one can be read: others go by it.
func TestUnwrittenIsSilent(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), strings.Repeat("x", 250)) // the temporary name of its successor is too long
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		l := &Lease{file: file, now: time.Now, mine: rundir.Lease{Schema: rundir.Schema, Owner: "me", Host: "h", Acquired: begun, Heartbeat: begun}}
		data, err := json.Marshal(l.mine)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, data, 0o600))
		require.NoError(t, l.Check())
		require.ErrorIs(t, l.Renew(), syscall.ENAMETOOLONG)
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		l.Keep(ctx, 10*time.Second, func() {}, func(err error) {
			require.ErrorIs(t, err, ErrLost)
			require.ErrorIs(t, err, syscall.ENAMETOOLONG)
			cancel()
		})
		require.Equal(t, unheardBound+10*time.Second, time.Since(begun), "what it says of its jobs meanwhile is worth more")
		require.Equal(t, begun, l.Record().Heartbeat, "as last written")
		require.NoError(t, l.Check(), "nobody else has it")
	})
}
