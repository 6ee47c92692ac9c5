package watch

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

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
