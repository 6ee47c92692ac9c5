package node

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
