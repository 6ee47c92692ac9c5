package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/node"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/ports"
)

// childEnv makes the test binary play a server, or the role that runs one.
const childEnv = "CI_DISAGG_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "server":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		if err := rundir.WriteFile(os.Args[1], []byte(l.Addr().String()+"\n"), rundir.FileMode); err != nil {
			panic(err)
		}
		panic(http.Serve(l, http.NotFoundHandler())) //nolint:gosec // a test
	case "role": // it never asks how its server ended
		cmd := exec.Command(os.Args[0], os.Args[1])
		cmd.Env = append(os.Environ(), childEnv+"=server")
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		os.Exit(m.Run())
	}
}

// watched is a helper at work on one role.
type watched struct {
	t       *testing.T
	run     rundir.RunDir
	address string // of the role's server
	agent   *os.File
	done    chan error

	mu    sync.Mutex
	heard bytes.Buffer // what the agent is told
}

// Write takes what the agent is told.
func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard.Write(b)
}

func (w *watched) told() []rundir.NodeEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return node.Events(w.heard.Bytes())
}

func watchRole(t *testing.T, ahead time.Duration) *watched {
	t.Helper()
	dir := rundir.AttemptDir(t.TempDir())
	plan := rundir.Plan{Schema: rundir.Schema, Runs: rundir.OneRun(), Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: []rundir.RolePlan{
		{Name: "GEN_0", Kind: rundir.KindServer, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}, Ready: rundir.Ready{AddressFile: "hosts-%j/GEN_0.txt"}},
		{Name: "CTX_0", Kind: rundir.KindServer, Slice: []rundir.NodeShare{{Node: 1, Tasks: 1}}, Ready: rundir.Ready{AddressFile: "hosts-%j/CTX_0.txt"}},
	}}}}
	require.NoError(t, rundir.WriteJSON(dir.PlanFile(), plan))
	w := &watched{t: t, run: dir.Run(0), address: filepath.Join(dir.Run(0).Output(), "hosts-7", "GEN_0.txt"), done: make(chan error, 1)}
	r, agent, err := os.Pipe()
	require.NoError(t, err)
	w.agent = agent
	go func() {
		w.done <- node.Watch(t.Context(), node.Options{
			Dir: dir, Run: 0, Node: 0, Name: "n0", Job: "7", Agent: r, Tell: w, Now: func() time.Time { return time.Now().Add(ahead) },
		})
	}()
	fmt.Fprintln(agent, time.Now().UnixNano())
	return w
}

func (w *watched) events() []rundir.NodeEvent {
	text, err := os.ReadFile(w.run.NodeFile("n0"))
	if err != nil {
		return nil
	}
	var out []rundir.NodeEvent
	for line := range bytes.Lines(text) {
		var e rundir.NodeEvent
		if json.Unmarshal(line, &e) == nil {
			out = append(out, e)
		}
	}
	return out
}

func (w *watched) await(what rundir.NodeWhat) rundir.NodeEvent {
	w.t.Helper()
	var found rundir.NodeEvent
	require.Eventually(w.t, func() bool {
		for _, e := range w.events() {
			if e.What == what {
				found = e
				return true
			}
		}
		return false
	}, 3*time.Minute, 10*time.Millisecond, "%s", what)
	return found
}

func (w *watched) end() {
	w.t.Helper()
	require.NoError(w.t, w.agent.Close())
	require.NoError(w.t, <-w.done)
	w.await(rundir.NodeLeft)
	for _, e := range w.events() {
		require.Contains(w.t, []string{"", "GEN_0"}, e.Role, "the other role is on another node")
	}
}

// role starts a role with a server and gives its stdin, which ends it.
func (w *watched) role() (*exec.Cmd, io.Closer) {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], w.address)
	cmd.Env = append(os.Environ(), childEnv+"=role")
	in, err := cmd.StdinPipe()
	require.NoError(w.t, err)
	require.NoError(w.t, cmd.Start())
	return cmd, in
}

// A server that is killed is seen, with its signal, while its role knows nothing; the time is the agent's, however
// wrong the node's clock is.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	w := watchRole(t, time.Hour)
	cmd, in := w.role()
	at := w.await(rundir.NodeServer)
	w.await(rundir.NodeHealthy)
	before := time.Now()
	require.NoError(t, syscall.Kill(at.PID, syscall.SIGKILL))
	e := w.await(rundir.NodeEnded)
	require.Equal(t, rundir.NodeEvent{Schema: rundir.Schema, At: e.At, Role: "GEN_0", What: rundir.NodeEnded, PID: at.PID, Port: at.Port, Exit: 137, Signal: 9}, e)
	require.WithinRange(t, e.At, before.Add(-time.Minute), time.Now().Add(time.Minute))
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
	w.end()
}

// A connection that lasts is a request that waits. Health checks come and go.
func TestRequestsWait(t *testing.T) {
	t.Parallel()
	w := watchRole(t, 0)
	cmd, in := w.role()
	at := w.await(rundir.NodeServer)
	port := at.Port
	t.Cleanup(func() { _ = syscall.Kill(at.PID, syscall.SIGKILL) }) // its role leaves without it
	become := func(waits bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			var last *bool
			for _, e := range w.told() {
				if e.What == rundir.NodeRequests {
					open := e.Open > 0 // a health check that takes long counts, too
					last = &open
				}
			}
			return last != nil && *last == waits
		}, 3*time.Minute, 10*time.Millisecond)
	}
	become(false)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	become(true)
	require.NoError(t, c.Close())
	become(false)
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
	w.end()
}

// A server that goes with its role tells nothing by itself.
func TestRoleIsKilled(t *testing.T) {
	t.Parallel()
	w := watchRole(t, 0)
	cmd, _ := w.role()
	at := w.await(rundir.NodeServer)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.NoError(t, syscall.Kill(at.PID, syscall.SIGKILL))
	w.await(rundir.NodeGone)
	for _, e := range w.events() {
		require.NotEqual(t, rundir.NodeEnded, e.What)
	}
	w.end()
}

// An engine that is dead behind a server that lives shows in the health check; one error alone is an accident.
func TestServerAnswersErrors(t *testing.T) {
	t.Parallel()
	w := watchRole(t, 0)
	var code, asked atomic.Int64
	code.Store(http.StatusOK)
	port, lock, err := ports.Range{Name: "node", From: 2000, To: 3000, N: 1}.Reserve() // nobody else takes it in the end
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Close() })
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { //nolint:gosec // a test
		asked.Add(1)
		if got := code.Load(); got != 1 {
			w.WriteHeader(int(got))
			return
		}
		code.Store(http.StatusOK) // once
		w.WriteHeader(http.StatusInternalServerError)
	})}
	go func() { _ = s.Serve(l) }()
	require.NoError(t, rundir.WriteFile(w.address, []byte("http://"+l.Addr().String()+"/\n"), rundir.FileMode))
	w.await(rundir.NodeHealthy)
	code.Store(1)
	n := asked.Load()
	require.Eventually(t, func() bool { return asked.Load() > n+3 }, 3*time.Minute, 10*time.Millisecond)
	for _, e := range w.events() {
		require.NotEqual(t, rundir.NodeSick, e.What, "one error")
	}
	code.Store(http.StatusInternalServerError)
	require.Equal(t, http.StatusInternalServerError, w.await(rundir.NodeSick).Status)
	require.NoError(t, s.Close())
	w.await(rundir.NodeRefused)
	w.await(rundir.NodePortGone)
	w.end()
}

func TestWhatCannotBeWatched(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	require.Error(t, node.Watch(t.Context(), node.Options{Dir: dir, Now: time.Now, Agent: bytes.NewReader(nil)}), "no plan")
	require.NoError(t, rundir.WriteJSON(dir.PlanFile(), rundir.Plan{Schema: rundir.Schema, Runs: rundir.OneRun(), Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild}}}))
	require.ErrorContains(t, node.Watch(t.Context(), node.Options{Dir: dir, Run: 3, Now: time.Now, Agent: bytes.NewReader(nil)}), "has no run 3")
}
