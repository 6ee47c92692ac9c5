package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func maker(t *testing.T) (host, config) {
	t.Helper()
	h := newHost()
	h.environ = func() []string { return []string{"PATH=" + os.Getenv("PATH"), "CI_DISAGG_STORE=postgres://x:pass@y/z"} }
	return h, config{Path: filepath.Join(t.TempDir(), "ci-disagg.yaml")}
}

// A signal ends builds.make with all that it has started, also what does not listen, and is the exit code.
func TestASignalEndsMake(t *testing.T) {
	t.Parallel()
	h, cfg := maker(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	pid := filepath.Join(filepath.Dir(cfg.Path), "pid")
	go func() {
		for {
			if data, err := os.ReadFile(pid); err == nil && strings.HasSuffix(string(data), "\n") {
				cancel(&drive.Interrupted{Signal: syscall.SIGTERM})
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	code, _, err := makeBuild(ctx, h, cfg, `(trap "" TERM; exec sleep 3000) & echo $! >pid; wait`)
	require.Error(t, err)
	require.Equal(t, 128+int(syscall.SIGTERM), code)
	data, err := os.ReadFile(pid)
	require.NoError(t, err)
	left := "/proc/" + strings.TrimSpace(string(data)) + "/stat"
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(left)
		return err != nil || strings.Contains(string(stat), ") Z")
	}, time.Minute, time.Millisecond)
}

// A build that does not end is ended, and none sees the store.
func TestMakeIsBounded(t *testing.T) {
	t.Parallel()
	h, cfg := maker(t)
	cfg.Builds.MakeTime = new(rundir.Duration)
	*cfg.Builds.MakeTime = rundir.Duration(50 * time.Millisecond)
	code, _, err := makeBuild(t.Context(), h, cfg, `sleep 3000`)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, code)
	cfg.Builds.MakeTime = nil
	_, _, err = makeBuild(t.Context(), h, cfg, `[ -z "$CI_DISAGG_STORE" ]; yes | head -c 5000000`)
	require.NoError(t, err)
}
