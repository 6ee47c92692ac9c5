package node

import (
	"io"
	"net"
	"os"
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
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second/5)))
	_, err = c.Write(make([]byte, 32<<20)) // more than the kernel takes
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Equal(t, 1, look().Unread)
	require.Equal(t, 0, look().Open)
	_, err = io.CopyN(io.Discard, client, 1<<10)
	require.NoError(t, err)
	require.Equal(t, 1, look().Unread, "it has begun to read, and stopped again")
	require.NoError(t, client.Close())
	require.Eventually(t, func() bool { e := look(); return e.Open == 0 && e.Unread == 0 }, time.Minute, 10*time.Millisecond)
}
