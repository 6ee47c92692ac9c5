package node

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent/watch"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Slurm tells a node's place in the network where it knows the network.
func TestLeaf(t *testing.T) {
	t.Parallel()
	require.Equal(t, "leaf3", leaf("spine.leaf3.gpu7", "switch.switch.node"))
	require.Empty(t, leaf("gpu7", "node"))
	require.Empty(t, leaf("", ""))
	require.Empty(t, leaf("a.b.c", "switch.node"))
}

// What is wrong is told once it was seen twice, and again while it lasts, with how often it was seen; what is well is told once.
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
		watch: watch.New(files, dir.Run(0), []watch.Role{{Name: "GEN_0", Address: address}}, nil, 0), role: "GEN_0",
		now: func() time.Time { return now }, tell: func(e rundir.NodeEvent) { told = append(told, e) },
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
