package answers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/follow"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// elsewhere is this machine as one with another file system: what is there is below dir.
type elsewhere struct {
	host.Host
	fails atomic.Bool
}

func (*elsewhere) Shared() bool { return false }

func (e *elsewhere) Push(ctx context.Context, from, to string, paths []string) error {
	if e.fails.Load() {
		return errors.New("the connection is away")
	}
	return e.Host.Push(ctx, from, to, paths)
}

func record(n int) *rundir.AgentRecord {
	rec := &rundir.AgentRecord{}
	for _, r := range rundir.SessionRuns(rundir.PairPlan{MaxPairs: 10})[:n] {
		rec.Runs = append(rec.Runs, rundir.RunEnd{Run: r, Outcome: rundir.OutcomePassed})
	}
	return rec
}

func session(mode string) rundir.Plan {
	return rundir.Plan{Case: rundir.Case{ID: "x[c]", Slug: "c"}, Pairs: &rundir.PairPlan{MaxPairs: 10, Mode: mode}, Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild}}}
}

func awaitFile(t *testing.T, path string) (a rundir.Answer) {
	t.Helper()
	require.Eventually(t, func() bool { return rundir.ReadJSON(path, &a) == nil }, time.Minute, 5*time.Millisecond, path)
	return a
}

// idle waits until nobody answers for an attempt: who still does writes into a directory that the test's end removes.
func idle(t *testing.T, d *Desk, attempt rundir.AttemptDir) {
	t.Helper()
	require.Eventually(t, func() bool { d.mu.Lock(); defer d.mu.Unlock(); return !d.state[attempt].busy }, time.Minute, time.Millisecond)
}

func TestDeskAnswersEveryPairOnce(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	here := host.NewHere(os.Environ())
	var asked atomic.Int32
	d := Desk{
		Access: runs.Access{Host: here, Log: slog.New(slog.DiscardHandler), Now: time.Now}, Dir: dir, Plans: []rundir.Plan{session(rundir.PairAlways)}, Tell: func(string, string) {},
		Decide: func(_ context.Context, p Pair) (rundir.Answer, error) {
			asked.Add(1)
			all := rundir.PairsOf(p.Ends)
			if last := all[len(all)-1].Last(); last.Run != p.Ends[len(p.Ends)-1].Run {
				return rundir.Answer{}, fmt.Errorf("asked after %+v, and the last pair ended with %+v", p.Ends[len(p.Ends)-1], last)
			}
			return rundir.Answer{Do: rundir.DoGo, After: all[len(all)-1].Last().Run.Index, Pair: len(all) + 1}, nil
		},
	}
	there := dir.CaseDir("c").Attempt(0, 1)
	see := func(rec *rundir.AgentRecord) {
		d.Saw(t.Context(), []follow.Job{{There: there}}, []follow.Sight{{Record: rec}})
	}
	see(nil)
	see(record(3)) // half a pair
	see(record(4))
	require.Equal(t, 2, awaitFile(t, there.AnswerFile(3)).Pair)
	idle(t, &d, there)
	see(record(4)) // a sign of life
	see(record(5))
	see(record(7)) // the first half of the next one
	require.Equal(t, 3, awaitFile(t, there.AnswerFile(5)).Pair)
	idle(t, &d, there)
	require.EqualValues(t, 2, asked.Load())
}

// Behind a login node the runs are fetched, once each, and the answer is brought there.
// A connection that comes and goes is tried again.
func TestDeskBehindALoginNode(t *testing.T) {
	t.Parallel()
	dir, far := rundir.Dir(t.TempDir()), rundir.Dir(t.TempDir())
	there, here := far.CaseDir("c").Attempt(1, 2), dir.CaseDir("c").Attempt(1, 2)
	for k := range 4 {
		require.NoError(t, rundir.WriteFile(filepath.Join(there.Run(k).Output(), "result.txt"), []byte("42"), rundir.FileMode))
	}
	away := &elsewhere{Host: host.NewHere(os.Environ())}
	away.fails.Store(true)
	var decided atomic.Int32
	d := Desk{
		Access: runs.Access{Host: away, Log: slog.New(slog.DiscardHandler), Now: time.Now}, Dir: dir, Plans: []rundir.Plan{session(rundir.PairSuspicious)}, Tell: func(string, string) {},
		Decide: func(_ context.Context, p Pair) (rundir.Answer, error) {
			for k := range 4 {
				if _, err := os.Stat(filepath.Join(p.Dir.Run(k).Output(), "result.txt")); err != nil {
					return rundir.Answer{}, err
				}
			}
			decided.Add(1)
			return rundir.Answer{Do: rundir.DoStop, After: 3}, nil
		},
	}
	see := func() {
		d.Saw(t.Context(), []follow.Job{{There: there}}, []follow.Sight{{Record: record(4)}})
	}
	see()
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return decided.Load() > 0 && !d.state[here].busy
	}, time.Minute, time.Millisecond)
	require.NoFileExists(t, there.AnswerFile(3))
	away.fails.Store(false)
	see()
	require.Equal(t, rundir.DoStop, awaitFile(t, there.AnswerFile(3)).Do)
	idle(t, &d, here)

	// The single run before a session is none.
	d.Saw(t.Context(), []follow.Job{{There: far.CaseDir("c").Attempt(0, 1)}}, []follow.Sight{{Record: record(4)}})
	require.Len(t, d.state, 1)
}
