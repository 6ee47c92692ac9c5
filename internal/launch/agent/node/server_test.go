package node

import (
	"context"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a server has answered and the other side does not take, as a client that was stopped, is no request that waits.
func TestAnswersThatAreNotTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	c, err := l.Accept()
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	var told []rundir.NodeEvent
	port := l.Addr().(*net.TCPAddr).Port
	s := &server{proc: "/proc", port: port, tell: func(e rundir.NodeEvent) { told = append(told, e) }}
	look := func() rundir.NodeEvent {
		for range 2 * portLooks {
			found, err := s.proc.sockets(port)
			require.NoError(t, err)
			s.connected(found.peers)
		}
		return told[len(told)-1]
	}
	require.Equal(t, 1, look().Open, "it waits for an answer")
	require.Eventually(t, func() bool { // more than the kernel takes
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second/5)))
		_, _ = c.Write(make([]byte, 32<<20))
		e := look()
		return e.Unread == 1 && e.Open == 0
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, client.Close())
	require.Eventually(t, func() bool { e := look(); return e.Open == 0 && e.Unread == 0 }, time.Minute, 10*time.Millisecond)
}

// A server that somebody stops is told once it goes on, or is watched no longer; a profiler's short look is not.
func TestServerStandsStill(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "600")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	self, err := procfs("/proc").process(cmd.Process.Pid)
	require.NoError(t, err)
	now, told := time.Unix(0, 0), []rundir.NodeEvent{}
	s := &server{
		role: watch.Role{Name: "GEN_0"}, proc: "/proc", self: self, now: func() time.Time { return now },
		tell: func(e rundir.NodeEvent) { told = append(told, e) },
	}
	stand := func(d time.Duration) {
		require.NoError(t, cmd.Process.Signal(syscall.SIGSTOP))
		require.Eventually(t, func() bool { s.process(); return !s.stops.IsZero() }, time.Minute, time.Millisecond)
		now = now.Add(d)
	}
	goOn := func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGCONT))
		require.Eventually(t, func() bool { s.process(); return s.stops.IsZero() }, time.Minute, time.Millisecond)
	}
	stand(stoodFor - 1)
	goOn()
	require.Empty(t, told)
	stand(4 * time.Second)
	goOn()
	stood := rundir.NodeEvent{Role: "GEN_0", What: rundir.NodeStood, PID: self.pid, For: rundir.Duration(4 * time.Second)}
	require.Equal(t, []rundir.NodeEvent{stood}, told)
	require.Equal(t, []rundir.Stall{{For: stood.For, Role: "GEN_0"}}, Stalls(told))
	require.Equal(t, "its server stood still for 4s: somebody had stopped it", Words(stood))
	stand(4 * time.Second)
	over, end := context.WithCancel(t.Context())
	end()
	s.looked = now // nothing else is looked for
	s.follow(over)
	require.Equal(t, []rundir.NodeEvent{stood, stood}, told)
}
