package recorder

import (
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Who removes the files of an attempt that runs breaks its run directory, although they can be written again.
func TestRemovedFilesAreNoticed(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir()).CaseDir("c").Attempt(0, 1)
	require.NoError(t, os.MkdirAll(string(dir), rundir.DirMode))
	require.NoError(t, os.WriteFile(dir.PlanFile(), []byte("{}"), rundir.FileMode))
	tree, err := dir.Tree()
	require.NoError(t, err)
	t.Cleanup(func() { _ = tree.Close() })
	broken := make(chan error, 1)
	r := New(tree, dir, dir.Run(0), time.Hour, func(err error) { broken <- err })
	put := func(at time.Time) {
		r.Put(func() rundir.AgentRecord {
			s := rundir.AgentRecord{Heartbeat: at}
			s.Roles = []rundir.RoleRecord{{Name: "GEN_0", State: rundir.RoleRunning}}
			return s
		}, true, at, time.Second)
	}
	put(time.Unix(1, 0))
	require.Eventually(t, func() bool { return tree.Has(dir.AgentFile()) }, time.Minute, time.Millisecond)
	require.NoError(t, os.Remove(dir.AgentFile()))
	put(time.Unix(2, 0))
	require.Eventually(t, func() bool { return tree.Has(dir.AgentFile()) }, time.Minute, time.Millisecond, "its record alone is written again")
	require.Empty(t, broken)
	both := []string{dir.AgentFile(), dir.PlanFile()}
	for _, path := range both { // something is there, and cannot be looked at
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, rundir.DirMode))
	}
	again := rundir.AgentRecord{Heartbeat: time.Unix(2, 0)}
	err = r.write(again)
	require.Error(t, err)
	require.NotErrorIs(t, err, errRemoved, "a file system that fails may work again")
	for _, path := range both {
		require.NoError(t, os.Remove(path))
	}
	require.ErrorIs(t, r.write(again), errRemoved)
	require.NoError(t, os.RemoveAll(string(dir)))
	put(time.Unix(3, 0))
	require.ErrorIs(t, <-broken, errRemoved)
	r.Stop()
	require.True(t, tree.Has(dir.AgentFile()), "and so it is after all")
}

// A file server that held a write through the end of the run does not bring an older record back.
func TestTheEndIsWhatStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := rundir.Dir(t.TempDir()).CaseDir("c").Attempt(0, 1)
		require.NoError(t, os.MkdirAll(string(dir), rundir.DirMode))
		tree, err := dir.Tree()
		require.NoError(t, err)
		defer func() { require.NoError(t, tree.Close()) }()
		stalls, comesBack := make(chan struct{}), make(chan struct{})
		var once sync.Once
		tree.Mask = func(b []byte) []byte {
			once.Do(func() {
				close(stalls)
				<-comesBack
			})
			return b
		}
		r := New(tree, dir, dir.Run(0), time.Hour, func(err error) { require.NoError(t, err) })
		put := func(role string, at time.Time) {
			r.Put(func() rundir.AgentRecord {
				rec := rundir.AgentRecord{Heartbeat: at}
				rec.Roles = []rundir.RoleRecord{{Name: role, State: rundir.RoleRunning}}
				return rec
			}, true, at, time.Second)
		}
		put("GEN_0", time.Unix(1, 0))
		<-stalls
		put("CTX_0", time.Unix(2, 0))
		r.Stop()
		written := make(chan error)
		go func() {
			written <- r.Write(rundir.AgentRecord{End: &rundir.AgentEnd{Outcome: rundir.OutcomePassed}})
		}()
		close(comesBack)
		require.NoError(t, <-written)
		<-r.done
		var rec rundir.AgentRecord
		require.NoError(t, tree.ReadJSON(dir.AgentFile(), &rec))
		require.NotNil(t, rec.End)
	})
}
