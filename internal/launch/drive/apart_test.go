package drive

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// behind is a login node whose files are in a directory of their own. silent is how many copies of the lease get lost.
type behind struct {
	*sim
	silent int
	shown  []rundir.Lease
}

func (*behind) Shared() bool { return false }

func (b *behind) Push(ctx context.Context, localDir, dir string, paths []string) error {
	if len(paths) != 1 || paths[0] != "lease.json" {
		return b.sim.Push(ctx, localDir, dir, paths)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silent > 0 {
		b.silent--
		return host.ErrUnreachable
	}
	held, err := lease.Read(filepath.Join(localDir, paths[0]))
	if err == nil {
		b.shown = append(b.shown, *held)
	}
	return err
}

// That a detached run is left on purpose has to stand where its jobs are: sweep goes by it, and a job with a lifeline.
func TestADetachedRunIsShownToBeLeft(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		silent int
		warned bool
	}{"at once": {}, "a connection that comes and goes": {silent: 3}, "nobody answers": {1000, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var told updates
				b := &behind{sim: newSim(), silent: tc.silent}
				o := simOptions(t, b.sim, rundir.Dir(parent+"/run"), 2)
				o.Host, o.Binary.Dir, o.Detach, o.Progress = b, parent+"/far", true, told.add
				_, err := Run(context.Background(), o)
				require.NoError(t, err)
				require.Equal(t, tc.warned, told.has(Warning, "left on purpose"), told.String())
				if tc.warned {
					return
				}
				require.NotEmpty(t, b.shown)
				last := b.shown[len(b.shown)-1]
				require.NotNil(t, last.Released)
				require.True(t, last.Detached)
			})
		})
	}
}
