package node

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A server whose test publishes no address is found by its command line, and how it ended is seen; another job's is
// not.
func TestServerWithoutAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	script := filepath.Join(t.TempDir(), program)
	require.NoError(t, os.WriteFile(script, []byte("read -r x\nkill -SEGV $$\n"), 0o600))
	cmd := exec.Command("bash", script, "model", "--host", "127.0.0.1", "--port="+port)
	cmd.Env, cmd.ExtraFiles = []string{"SLURM_JOB_ID=4711"}, []*os.File{f}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, f.Close())
	finder := func(job string) *unpublished { return newUnpublished(Options{Job: job, Now: time.Now}) }
	find := finder("4711")
	require.Eventually(t, func() bool { return find.address() == net.JoinHostPort("127.0.0.1", port) }, time.Minute, 10*time.Millisecond)
	require.Empty(t, finder("471").address(), "of another job")
	require.Equal(t, port, strconv.Itoa(procfs("/proc").listens(cmd.Process.Pid)))

	var told []rundir.NodeEvent
	roles := []watch.Role{{Name: "AGG", Find: find.address}}
	s := &server{
		proc: "/proc", role: roles[0], watch: watch.New(nil, rundir.AttemptDir(t.TempDir()).Run(0), roles, nil, 0), now: time.Now,
		tell: func(e rundir.NodeEvent) {
			if e.What != rundir.NodeRequests { // told once it has lived through three looks at its port
				told = append(told, e)
			}
		},
	}
	s.look(time.Now())
	require.Len(t, told, 1)
	require.NoError(t, in.Close())
	require.Eventually(t, func() bool { s.look(time.Now()); return len(told) > 1 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, rundir.NodeEvent{Role: "AGG", What: rundir.NodeEnded, PID: cmd.Process.Pid, Port: told[0].Port, Exit: 139, Signal: 11}, told[1])
	require.False(t, s.over, "its test may start another one")
	require.ErrorContains(t, cmd.Wait(), "segmentation fault")
	require.Empty(t, strings.TrimSpace(find.address()))
}

// Looking through all processes costs the node that is measured: it is done ever less often while no server is there,
// and at once where one has ended. One that loads is looked at by itself.
func TestSearchesAreRare(t *testing.T) {
	t.Parallel()
	now, lists, servers := time.Unix(0, 0), 0, []int(nil)
	u := &unpublished{proc: "/proc", now: func() time.Time { return now }, list: func() []int { lists++; return servers }}
	minute := func() int {
		before := lists
		for range 200 {
			require.Empty(t, u.address())
			now = now.Add(soonEvery)
		}
		return lists - before
	}
	require.Less(t, minute(), 40)
	require.InDelta(t, 12, minute(), 1)

	script := filepath.Join(t.TempDir(), program)
	require.NoError(t, os.WriteFile(script, []byte("read -r x\nexit 0\n"), 0o600))
	cmd := exec.Command("bash", script)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	servers = []int{os.Getpid(), cmd.Process.Pid}
	require.Eventually(t, func() bool { now = now.Add(rareEvery); return u.address() == "" && len(u.loading) == 1 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, cmd.Process.Pid, u.loading[0].pid)
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
	require.Empty(t, u.address())
	require.Empty(t, u.loading, "it has ended")
}

// A server that one of the job's processes starts is seen at once, however rarely the list is looked through.
func TestAServerIsSeenWhenItStarts(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), program)
	require.NoError(t, os.WriteFile(script, []byte("read -r x\n"), 0o600))
	cmd := exec.Command("bash", "-c", `read -r x; bash "$SERVER" <&0 & wait`)
	cmd.Env = append(os.Environ(), "SERVER="+script)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	now := time.Unix(0, 0)
	self, all := []int{cmd.Process.Pid}, procfs("/proc")
	u := &unpublished{proc: all, now: func() time.Time { return now }, list: func() []int { return append(self, all.children(self[0])...) }}
	for range 200 {
		require.Empty(t, u.address())
		now = now.Add(soonEvery)
	}
	require.Empty(t, u.loading)
	u.looked, now = now, now.Add(soonEvery) // and not for another 5 s
	_, err = in.Write([]byte("\n"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { u.peeked = time.Time{}; return u.address() == "" && len(u.loading) == 1 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, in.Close())
}

// Only TensorRT-LLM's aggregated test is known to be the only one that runs such a server.
func TestWhoMayRunAServer(t *testing.T) {
	t.Parallel()
	at := script.RunPlace{Build: rundir.BuildPlan{Roles: []rundir.RolePlan{
		{Name: "AGG", Kind: rundir.KindTask, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}},
	}}}
	roles, _, _ := servers(rundir.Plan{}, at, Options{})
	require.Len(t, roles, 1)
	require.NotNil(t, roles[0].Find)
	roles, _, _ = servers(rundir.Plan{Case: rundir.Case{Pipeline: "mine"}}, at, Options{})
	require.Empty(t, roles)
}
