package drive

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
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

// Whoever goes on with a run whose attempts sweep, prune or cancel have closed brings home what these have left behind
// the login node, before anything is decided of them.
func TestAClosedAttemptIsBroughtHome(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		o := simOptions(t, s, rundir.Dir(parent+"/run"), 1)
		o.Host, o.Binary.Dir = &behind{sim: s}, parent+"/far"
		ctx, leave := context.WithTimeout(context.Background(), 20*time.Minute)
		defer leave()
		_, err := Run(ctx, o)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		slug := o.Plans[0].Case.Slug
		near := o.Dir.CaseDir(slug).Attempt(0, 1)
		there := rundir.AttemptDir(jobOf(t, o.Dir, slug, 0, 1).Dir)
		for _, f := range []string{there.AgentFile(), filepath.Join(there.Run(0).RoleDir("BENCHMARK"), "results.0.xml")} {
			require.NoError(t, rundir.WriteFile(f, []byte("{}"), rundir.FileMode))
		}
		time.Sleep(2 * time.Hour)
		left, err := runs.Finish(context.Background(), o.Access, o.Dir)
		require.NoError(t, err)
		require.Zero(t, left)
		before := outcomeOf(t, o.Dir, slug, 0, 1)
		require.Equal(t, rundir.OutcomePassed, before.Outcome, before.Reason)
		var home []bool
		o.Decide = func(context.Context, retry.Ended) retry.Decision {
			home = append(home, exists(near.AgentFile()) && exists(filepath.Join(near.Run(0).RoleDir("BENCHMARK"), "results.0.xml")))
			return retry.Decision{Action: retry.Done}
		}
		run, err := resume(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.CaseDone, run.Cases[0].State)
		require.Equal(t, []bool{true}, home)
		require.Equal(t, 1, s.count("sbatch"))
		require.Equal(t, before, outcomeOf(t, o.Dir, slug, 0, 1))
	})
}

// What is at home already is not fetched again.
func TestAnAttemptThatIsHomeIsOnlyDecided(t *testing.T) {
	t.Parallel()
	for want, away := range map[string]bool{"close": true, "decide": false} {
		p := newPlayer(t, 1, nil)
		p.s.cases[0].record.Attempts = []rundir.Attempt{{Attempt: 1}}
		todo := p.feed(event{kind: evBegin, found: []found{{
			job: &rundir.Job{Name: "n", ID: "7", Dir: "/far/x"}, outcome: &rundir.AttemptOutcome{Outcome: rundir.OutcomePassed}, away: away,
		}}})
		require.Equal(t, want, deeds(todo))
		require.Equal(t, rundir.AttemptDir("/far/x"), todo[0].there)
	}
	dir := rundir.AttemptDir(t.TempDir())
	d, a := driverOf(t, simOptions(t, newSim(), rundir.Dir(t.TempDir()), 1))
	require.False(t, d.away(a.job, dir), "its file system is ours")
	d.o.Host = &behind{sim: newSim()}
	require.True(t, d.away(a.job, dir))
	require.False(t, d.away(rundir.Job{}, dir), "there never was a job")
	require.NoError(t, os.WriteFile(filepath.Join(string(dir), "bundle.json"), nil, 0o600))
	require.False(t, d.away(a.job, dir))
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
