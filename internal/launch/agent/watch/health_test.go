package watch

import (
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Whom requests wait for, its node's helper knows best: an idle engine's last word is that it worked on one, and one
// that died before its first iteration has said nothing.
func TestWhoHasWork(t *testing.T) {
	t.Parallel()
	work := regexp.MustCompile(`num_scheduled_requests = (\d+)`)
	said := func(n string) Said {
		return Said{Lines: []rundir.LogLine{{Text: "iter = 7, num_scheduled_requests = " + n}}}
	}
	files, err := rundir.AttemptDir(t.TempDir()).Tree()
	require.NoError(t, err)
	defer func() { _ = files.Close() }()
	w := New(files, rundir.AttemptDir(t.TempDir()).Run(0), []Role{{Name: "GEN_0", Work: work}, {Name: "CTX_0", Work: work}, {Name: "BENCHMARK"}}, nil, 0)
	busy := func(gen, ctx Said) []string { return w.Probe(t.Context(), []Said{gen, ctx, {}}).Busy }
	require.Equal(t, []string{"CTX_0"}, busy(Said{}, said("1")), "nobody sees: by their own last word")
	require.Empty(t, busy(said("0"), Said{}))
	w.Waits(0, rundir.NodeEvent{Open: 4})
	w.Waits(1, rundir.NodeEvent{})
	w.Waits(2, rundir.NodeEvent{Open: 4})
	require.Equal(t, []string{"GEN_0"}, busy(Said{}, said("1")))
	w.Waits(0, rundir.NodeEvent{Unread: 4})
	found := w.Probe(t.Context(), []Said{said("1"), said("1"), {}})
	require.Empty(t, found.Busy, "what it has answered is not read")
	require.Equal(t, []string{"GEN_0"}, found.Unread)
}

// Health checks that are answered are no sign of life, but stand in the log that somebody will open.
func TestSilenceTellsOfHealthChecks(t *testing.T) {
	t.Parallel()
	files, err := rundir.AttemptDir(t.TempDir()).Tree()
	require.NoError(t, err)
	defer func() { _ = files.Close() }()
	w := New(files, rundir.AttemptDir(t.TempDir()).Run(0), []Role{{Name: "server"}, {Name: "client"}, {Name: "other"}}, nil, 0)
	at := time.Date(2026, 11, 29, 21, 46, 32, 0, time.UTC)
	w.Logs.asked[2] = at.Add(time.Minute)
	found := w.Probe(t.Context(), []Said{{Last: at, Checked: at.Add(2 * time.Second)}, {Last: at, Checked: at.Add(-time.Second)}, {Last: at}})
	require.Equal(t, "server 21:46:32Z (health checks answered until 21:46:34Z), client 21:46:32Z, other 21:46:32Z (health checks answered until 21:47:32Z)", found.Since)
}

// A role that has not said that it is ready is told with the key and the pattern of its
// config; one that is to say nothing is not waited for.
func TestAwaitReadySaysWhatIsLacking(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name, pattern string
		said          bool
		want          string
	}{
		{"has not said so", `up at \d+`, false, `no line of its output has matched ready: {log: up at \d+}`},
		{"has said so", `up at \d+`, true, ""},
		{"has nothing to say", "", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := New(nil, rundir.AttemptDir(t.TempDir()).Run(0), []Role{{Name: "s"}}, nil, 0)
			require.Equal(t, tt.want == "", w.AwaitReady(ctx, 0, tt.pattern, func() bool { return tt.said }))
			require.Equal(t, []string{tt.want}, w.Lacks())
		})
	}
}
