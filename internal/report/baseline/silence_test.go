package baseline_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
)

// A file server that answers no more holds nobody up for ever: a pipe in the place of a
// directory, which blocks whoever opens it, stands in for it.
func TestADeadStoreHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	store, err := baseline.Open(t.Context(), "dir:"+dir, true)
	require.NoError(t, err)
	_, err = store.Save(t.Context(), nightly("c", 1, 100))
	require.NoError(t, err)
	pipe := filepath.Join(dir, "cases", "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	t.Cleanup(func() {
		if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil { // lets the abandoned one go
			_ = f.Close()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = store.Each(ctx, baseline.Filter{}, func(baseline.Record) error { return nil })
	require.True(t, baseline.IsUnavailable(err), "%v", err)
	require.ErrorContains(t, err, "no answer in time")
}
