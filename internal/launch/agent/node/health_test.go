package node

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/ports"
)

// Slurm tells a node's place in the network where it knows the network.
func TestLeaf(t *testing.T) {
	t.Parallel()
	require.Equal(t, "leaf3", leaf("spine.leaf3.gpu7", "switch.switch.node"))
	require.Empty(t, leaf("gpu7", "node"))
	require.Empty(t, leaf("", ""))
	require.Empty(t, leaf("a.b.c", "switch.node"))
}

// patient watches a role whose server answers, however slow the machine.
func patient(files *rundir.Tree, run rundir.RunDir, r watch.Role) *watch.Watch {
	w := watch.New(files, run, []watch.Role{r}, nil, 0)
	w.Answer = time.Minute
	return w
}

// What is wrong is told once it was seen twice, and again while it lasts, with how often it was seen; what is well is
// told once.
func TestHealthIsToldAgain(t *testing.T) {
	t.Parallel()
	var code atomic.Int64
	code.Store(http.StatusOK)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(code.Load())) }))
	t.Cleanup(s.Close)
	dir := rundir.AttemptDir(t.TempDir())
	files, err := dir.Tree()
	require.NoError(t, err)
	address := dir.Run(0).NodeFile("address")
	require.NoError(t, files.WriteFile(address, []byte(s.Listener.Addr().String()), rundir.FileMode))
	now, told := time.Unix(0, 0), []rundir.NodeEvent{}
	h := &health{
		watch: patient(files, dir.Run(0), watch.Role{Name: "GEN_0", Address: address}), role: "GEN_0",
		now: func() time.Time { return now }, tell: func(e rundir.NodeEvent) { told = append(told, e) }, ready: func() bool { return false },
	}
	for _, c := range []int64{500, 200, 200, 500, 500, 500, 500, 200} {
		code.Store(c)
		h.ask(t.Context())
		now = now.Add(tellAgain * 6 / 10)
	}
	event := func(what rundir.NodeWhat, status, looks int) rundir.NodeEvent {
		return rundir.NodeEvent{Role: "GEN_0", What: what, Status: status, Looks: looks}
	}
	require.Equal(t, []rundir.NodeEvent{
		event(rundir.NodeHealthy, 200, 0), event(rundir.NodeSick, 500, 2), event(rundir.NodeSick, 500, 4), event(rundir.NodeHealthy, 200, 0),
	}, told)
}

// What lasts is told for as long as it does: workload.hang may be long.
func TestSilenceIsToldToItsEnd(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	files, err := dir.Tree()
	require.NoError(t, err)
	address := dir.Run(0).NodeFile("address")
	require.NoError(t, files.WriteFile(address, []byte("127.0.0.1:1"), rundir.FileMode))
	now, last := time.Unix(0, 0), time.Time{}
	h := &health{
		watch: watch.New(files, dir.Run(0), []watch.Role{{Name: "GEN_0", Address: address}}, nil, 0), role: "GEN_0",
		now: func() time.Time { return now }, tell: func(rundir.NodeEvent) { last = now }, ready: func() bool { return true },
	}
	for now.Before(time.Unix(0, 0).Add(time.Hour)) {
		h.ask(t.Context())
		now = now.Add(tellAgain)
	}
	require.Less(t, now.Sub(last), 2*tellAgain)
}

// What comes by the thousand reaches the agent, and leaves room in the file for how a server ended.
func TestFileKeepsRoom(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "n0.jsonl"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	var told bytes.Buffer
	r := &record{f: f, to: &told, clock: &clock{now: time.Now}}
	for i := range 4000 {
		r.tell(rundir.NodeEvent{Role: "GEN_0", What: rundir.NodeRequests, Open: i % 2})
		r.tell(rundir.NodeEvent{Role: "GEN_0", What: rundir.NodeSilent, Looks: maxLooks + 1 + i, Text: "time-out"})
	}
	r.tell(rundir.NodeEvent{Role: "GEN_0", What: rundir.NodeEnded, Exit: 137, Signal: 9})
	require.NoError(t, r.err())
	require.Len(t, Events(told.Bytes()), 8001)
	text, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	require.Len(t, Events(text), 1)
}

// A server that had answered before its helper began, and does not answer it at all, is news.
func TestSilentFromTheFirstLook(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	files, err := dir.Tree()
	require.NoError(t, err)
	address := dir.Run(0).NodeFile("address")
	require.NoError(t, files.WriteFile(address, []byte("127.0.0.1:1"), rundir.FileMode))
	for _, ready := range []bool{false, true} {
		var told []rundir.NodeEvent
		h := &health{
			watch: watch.New(files, dir.Run(0), []watch.Role{{Name: "GEN_0", Address: address}}, nil, 0), role: "GEN_0",
			now: time.Now, tell: func(e rundir.NodeEvent) { told = append(told, e) }, ready: func() bool { return ready },
		}
		h.ask(t.Context())
		require.Equal(t, ready, len(told) == 1 && told[0].What == rundir.NodeRefused, "%+v", told)
	}
}

// listen listens on a port that nobody else takes when the listener is closed.
func listen(t *testing.T) net.Listener {
	t.Helper()
	port, lock, err := ports.Range{Name: "node", From: 2000, To: 3000, N: 1}.Reserve()
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Close() })
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// leave closes a listener and waits until nobody has it: a process that another test starts does until its exec.
func leave(t *testing.T, l net.Listener) {
	t.Helper()
	require.NoError(t, l.Close())
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, time.Minute, time.Millisecond)
}

// A server of whom nobody knows that it speaks HTTP is not spoken to: that it takes connections is all that is asked.
func TestNoHTTPToOthers(t *testing.T) {
	t.Parallel()
	l := listen(t)
	said := make(chan []byte, 1)
	go func() {
		defer close(said)
		c, err := l.Accept()
		if err == nil {
			b, _ := io.ReadAll(c)
			said <- b
		}
	}()
	dir := rundir.AttemptDir(t.TempDir())
	files, err := dir.Tree()
	require.NoError(t, err)
	address := dir.Run(0).NodeFile("address")
	require.NoError(t, files.WriteFile(address, []byte(l.Addr().String()), rundir.FileMode))
	var told []rundir.NodeEvent
	h := &health{
		watch: patient(files, dir.Run(0), watch.Role{Name: "redis", Address: address, Given: true, Dials: true}), role: "redis",
		now: func() time.Time { return time.Unix(0, 0) }, tell: func(e rundir.NodeEvent) { told = append(told, e) }, ready: func() bool { return false },
	}
	h.ask(t.Context())
	b, came := <-said
	require.True(t, came, "nobody called")
	require.Empty(t, b)
	leave(t, l)
	h.ask(t.Context())
	require.Equal(t, []rundir.NodeEvent{{Role: "redis", What: rundir.NodeHealthy, Status: 200}, {Role: "redis", What: rundir.NodeRefused, Looks: 2}}, told)
}

// A server that leaves its port to another process of its own has not gone; the other one is watched.
func TestServerIsReplaced(t *testing.T) {
	t.Parallel()
	l := listen(t)
	port := l.Addr().(*net.TCPAddr).Port
	var told []rundir.NodeEvent
	s := &server{role: watch.Role{Name: "web"}, proc: "/proc", port: port, self: process{pid: 1<<22 - 1}, tell: func(e rundir.NodeEvent) { told = append(told, e) }}
	s.process()
	require.False(t, s.over)
	require.Equal(t, []rundir.NodeEvent{{Role: "web", What: rundir.NodeServer, PID: os.Getpid(), Port: port}}, told)
	leave(t, l)
	s.self, told = process{pid: 1<<22 - 1}, nil
	s.process()
	require.True(t, s.over)
	require.Equal(t, []rundir.NodeEvent{{Role: "web", What: rundir.NodeGone, PID: 1<<22 - 1, Port: port, Text: unseen}}, told)
}
