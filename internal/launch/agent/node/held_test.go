//go:build linux

package node

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// keepsEnds reports whether this kernel tells how a process ended that was reaped, as Linux does since 6.15.
func keepsEnds(t *testing.T) bool {
	t.Helper()
	var name unix.Utsname
	require.NoError(t, unix.Uname(&name))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	require.NoError(t, err)
	return major > 6 || major == 6 && minor >= 15
}

// A test that asks first how its server ended takes what /proc shows with it. Where nothing else tells, the
// record says that it is not known.
func TestEndOfAServerThatWasReaped(t *testing.T) {
	t.Parallel()
	for end, want := range map[string]rundir.NodeEvent{
		"kill -KILL $$": {What: rundir.NodeEnded, Exit: 137, Signal: 9},
		"kill -SEGV $$": {What: rundir.NodeEnded, Exit: 139, Signal: 11},
		"kill -USR1 $$": {What: rundir.NodeEnded, Exit: 138, Signal: 10}, // a SIGHUP may be ignored here, under nohup
		"exit 3":        {What: rundir.NodeEnded, Exit: 3},
		"exit 0":        {What: rundir.NodeEnded},
	} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("bash", "-c", "read -r x; "+end)
			in, err := cmd.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			self, err := procfs("/proc").process(cmd.Process.Pid)
			require.NoError(t, err)
			parent, err := procfs("/proc").process(self.parent)
			require.NoError(t, err)
			var told []rundir.NodeEvent
			s := &server{
				role: watch.Role{Name: "AGG", Find: func() string { return "" }}, proc: "/proc", self: self, parent: parent, held: hold(self.pid), now: time.Now,
				tell: func(e rundir.NodeEvent) { told = append(told, e) },
			}
			s.process()
			require.Empty(t, told, "it lives")
			require.NotNil(t, s.held)
			ends := s.held.ends()
			require.NoError(t, in.Close())
			_ = cmd.Wait()
			<-ends
			_, err = procfs("/proc").process(self.pid)
			require.Error(t, err, "nothing is to be seen of it")
			s.process()
			want.Role, want.PID = "AGG", self.pid
			if !keepsEnds(t) {
				want.What, want.Exit, want.Signal = rundir.NodeGone, 0, 0
				require.Contains(t, Words(told[0]), "its server's process has gone; the one that had started it asked how before anybody else could, and nothing else tells")
				told[0].Text = ""
			}
			require.Equal(t, []rundir.NodeEvent{want}, told)
			require.Nil(t, s.held)
		})
	}
}

// Whoever waits for a server's end is woken by it, and not by the next look.
func TestWokenByAnEnd(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("bash", "-c", "read -r x; exit 3")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	h := hold(cmd.Process.Pid)
	require.NotNil(t, h)
	defer h.release()
	select {
	case <-h.ends():
		t.Fatal("it lives")
	default:
	}
	_, ok := h.ended()
	require.False(t, ok, "it lives")
	require.NoError(t, in.Close())
	<-h.ends()
	left, err := procfs("/proc").process(cmd.Process.Pid)
	require.NoError(t, err)
	require.True(t, left.ended, "nobody has asked yet")
	require.ErrorContains(t, cmd.Wait(), "exit status 3")
	require.Nil(t, hold(cmd.Process.Pid), "it has gone")
}

// A test ends its server by SIGTERM or SIGINT, or lets it leave with 0. What dies of a SIGHUP was not told to by it.
func TestWhoWasTold(t *testing.T) {
	t.Parallel()
	for signal, told := range map[int]bool{15: true, 2: true, 1: false, 9: false, 11: false} {
		require.Equal(t, told, Told(rundir.NodeEvent{What: rundir.NodeEnded, Exit: 128 + signal, Signal: signal}), signal)
		require.Equal(t, told, Told(rundir.NodeEvent{What: rundir.NodeEnded, Exit: 128 + signal}), "exit status of %d", signal)
	}
	require.True(t, Told(rundir.NodeEvent{What: rundir.NodeEnded}))
}
