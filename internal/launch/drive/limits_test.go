package drive

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func TestDetachOnALimitedCluster(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limit Cluster
		want  int
		hang  time.Duration
	}{
		"jobs":        {limit: Cluster{Name: "x", MaxJobs: 2}, want: 2},
		"nodes":       {limit: Cluster{Name: "x", MaxNodes: 1}, want: 1},
		"room":        {limit: Cluster{Name: "x", MaxJobs: 9, MaxNodes: 9}, want: 3},
		"late answer": {limit: Cluster{Name: "x", MaxJobs: 2}, want: 2, hang: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := rundir.Dir(t.TempDir() + "/run")
			synctest.Test(t, func(t *testing.T) {
				s := newSim()
				begun := time.Now()
				s.hang = func() bool { return time.Since(begun) < tc.hang }
				o := simOptions(t, s, dir, 3)
				o.Detach, o.Cluster = true, tc.limit
				_, err := Run(context.Background(), o)
				require.NoError(t, err)
				require.Equal(t, tc.want, s.count("sbatch"))
				require.Less(t, time.Since(begun), tc.hang+2*time.Minute)
				require.Less(t, s.count("squeue"), 30)
			})
		})
	}
}

// Drivers that start at the same moment all find room. The limit holds all the same once they have looked again, and
// whoever was over it comes later.
func TestLimitsHoldForDriversThatStartTogether(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]Cluster{"jobs": {Name: "x", MaxJobs: 2}, "nodes": {Name: "x", MaxNodes: 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				const drivers, cases = 4, 3
				s := newSim()
				s.wait, s.run = func(int) time.Duration { return time.Minute }, func(int) time.Duration { return 5 * time.Minute }
				ended := make(chan rundir.Run, drivers)
				for i := range drivers {
					o := simOptions(t, s, rundir.Dir(fmt.Sprint(dir, "/", i)), cases)
					o.Run.ID, o.Cluster = fmt.Sprint("run", i), limit
					go func() {
						run, err := Run(context.Background(), o)
						require.NoError(t, err)
						ended <- run
					}()
				}
				over := time.Duration(0)
				var runs []rundir.Run
				for len(runs) < drivers {
					select {
					case r := <-ended:
						runs = append(runs, r)
					case <-time.After(time.Second):
						if s.live() > 2 {
							over += time.Second
						}
					}
				}
				require.Less(t, over, time.Minute, "over the limit in %v", s.last())
				for _, r := range runs {
					for _, c := range r.Cases {
						require.Equal(t, rundir.OutcomePassed, c.Attempts[len(c.Attempts)-1].Outcome, "%+v", c)
						for _, a := range c.Attempts[1:] {
							require.Contains(t, a.Why, "again; the attempt before was withdrawn: all our runs have")
						}
					}
					require.Zero(t, retry.Used(r), "that was no failure")
				}
				require.Greater(t, s.count("sbatch"), drivers*cases, "some were too many")
				require.Less(t, s.count("sbatch"), 3*drivers*cases, "whoever is taken back waits for room")
			})
		})
	}
}

// live is how many jobs are pending or running.
func (s *sim) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, j := range s.jobs {
		if state, _ := s.state(j); state == "PENDING" || state == "RUNNING" {
			n++
		}
	}
	return n
}

// last is when the last job was submitted, after the test's begin.
func (s *sim) last() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[len(s.jobs)-1].submit.Sub(s.jobs[0].submit)
}

func TestDetachEndsWhenTheClusterNeverAnswers(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		begun := time.Now()
		var answers atomic.Bool
		s.hang = func() bool { return !answers.Load() }
		o := simOptions(t, s, dir, 3)
		o.Detach, o.Cluster = true, Cluster{Name: "x", MaxJobs: 2}
		var seen updates
		o.Progress = seen.add
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Less(t, time.Since(begun), notReadyFor+2*time.Minute)
		require.Nil(t, run.Ended, "resume goes on with it")
		require.True(t, seen.has(Warning, "3 cases are not submitted yet"), seen.String())
		require.Zero(t, s.count("sbatch"))
		answers.Store(true)
		o.Detach = false
		run, err = resume(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.OutcomePassed, run.Cases[2].Attempts[0].Outcome)
	})
}
