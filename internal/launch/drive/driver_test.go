package drive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The politeness that the waiter promises, counted.
func TestCallsOfALargeSuite(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(n int) time.Duration { return time.Duration(n) * time.Minute }
		o := simOptions(t, s, dir, 50)
		begun := time.Now()
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		hours := time.Since(begun).Hours()
		for _, c := range run.Cases {
			require.Equal(t, rundir.OutcomePassed, c.Attempts[0].Outcome)
		}
		ours, naive := s.count("squeue", "sacct", "scontrol"), 0.0
		for n := range run.Cases { // one squeue and one sacct a minute for as long as the job lives
			naive += 2 * (s.wait(n) + s.run(n)).Minutes()
		}
		t.Logf("Slurm queries an hour, 50 jobs in %.1f simulated hours\n  one waiter for all:                        %5.0f  %v\n  one sacct and one squeue a job and minute: %5.0f",
			hours, float64(ours)/hours, s.all(), naive/hours)
		require.Less(t, float64(ours)/hours, 400.0)
		require.Equal(t, 50, s.count("sbatch"))
	})
}

func TestAStateIsToldWithinThirtySeconds(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return 3 * time.Hour }
		o := simOptions(t, s, dir, 1)
		var at time.Time
		o.Progress = func(u Update) {
			if u.Kind == EndedNow {
				at = u.At
			}
		}
		cancelled := time.Now().Add(time.Hour + 7*time.Second)
		time.AfterFunc(time.Until(cancelled), func() { s.scancel([]string{"1"}) })
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.OutcomeCancelled, run.Cases[0].Attempts[0].Outcome)
		require.Less(t, at.Sub(cancelled), 35*time.Second) // and what follows once it is known
	})
}

// What squeue does not say sacct does, also of a job whose agent has written nothing: its node died at once.
func TestAccountingIsAskedWhereTheQueueHangs(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		begun := time.Now()
		s.wait = func(int) time.Duration { return 3 * time.Minute }
		s.run = func(int) time.Duration { return time.Second }
		s.end = func(int) string { return "NODE_FAIL" }
		s.hang = func() bool { return true }
		o := simOptions(t, s, dir, 1)
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.OutcomeInfra, run.Cases[0].Attempts[0].Outcome)
		require.Less(t, time.Since(begun), 20*time.Minute)
		require.Less(t, s.count("squeue"), 20)
		require.Less(t, s.count("sacct", "scontrol"), 20)
	})
}

// However many jobs there are, a queue that hangs is no reason to ask for each of them.
func TestAHangingQueueIsReplacedSparingly(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return 20 * time.Minute }
		s.run = func(int) time.Duration { return time.Second }
		s.end = func(int) string { return "NODE_FAIL" }
		s.hang = func() bool { return true }
		asked := 0
		time.AfterFunc(15*time.Minute, func() { asked = s.count("sacct", "scontrol") })
		_, err := Run(context.Background(), simOptions(t, s, dir, 40))
		require.NoError(t, err)
		require.Positive(t, asked)
		require.LessOrEqual(t, asked, 100, "ten a minute, after five minutes")
	})
}

// Nor does one that waits for ever keep others from being asked for.
func TestEachSilentJobIsAskedForInItsTurn(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(n int) time.Duration { return []time.Duration{5 * time.Hour, time.Minute}[min(1, n/14)] }
		s.run = func(int) time.Duration { return time.Second }
		s.end = func(int) string { return "NODE_FAIL" }
		s.hang = func() bool { return true }
		o := simOptions(t, s, dir, 15)
		begun, ended := time.Now(), time.Duration(0)
		o.Progress = func(u Update) {
			if u.Kind == EndedNow && ended == 0 {
				ended = time.Since(begun)
			}
		}
		_, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Positive(t, ended)
		require.Less(t, ended, 30*time.Minute)
	})
}

// How often one is asked for hangs on those that are silent, not on all that wait for a slot.
func TestASilentJobIsAskedForWhateverWaits(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return 7 * time.Minute }
		s.run = func(int) time.Duration { return time.Second }
		s.end = func(int) string { return "NODE_FAIL" }
		s.hang = func() bool { return true }
		o := simOptions(t, s, dir, 100)
		o.MaxJobs = 1
		ctx, cancel := context.WithCancel(t.Context())
		begun, ended := time.Now(), time.Duration(0)
		o.Progress = func(u Update) {
			if u.Kind == EndedNow && ended == 0 {
				ended = time.Since(begun)
				cancel()
			}
		}
		_, _ = Run(ctx, o)
		require.Positive(t, ended)
		require.Less(t, ended, 10*time.Minute)
	})
}

func TestAHangingQueueIsNoAnswer(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return time.Minute }
		begun := time.Now()
		s.hang = func() bool { d := time.Since(begun); return d > 2*time.Minute && d < 50*time.Minute }
		o := simOptions(t, s, dir, 1)
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.OutcomePassed, run.Cases[0].Attempts[0].Outcome)
	})
}

func TestOutOfMemoryAndWalltime(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.end = func(n int) string { return []string{"OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "COMPLETED"}[n] }
		o := simOptions(t, s, dir, 4)
		o.MaxJobs = 1
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		var got []rundir.Outcome
		for _, c := range run.Cases {
			got = append(got, c.Attempts[0].Outcome)
		}
		require.Equal(t, []rundir.Outcome{"test_failed", "timeout:benchmark", "infra", "passed"}, got)
		o1 := outcomeOf(t, dir, "c0", 0, 1)
		require.Equal(t, outcome.KindOOM, o1.Finding.Kind)
		require.Equal(t, "0:125", o1.ExitCode)
	})
}

// Nobody will ever say whether the job exists: that ends, too.
func TestASubmissionThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.unanswered = map[string]bool{"sbatch": true, "sacct": true}
		begun := time.Now()
		run, err := Run(context.Background(), simOptions(t, s, dir, 1))
		require.NoError(t, err)
		require.Less(t, time.Since(begun), notReadyFor+2*time.Minute)
		require.Equal(t, rundir.OutcomeInfra, run.Cases[0].Attempts[0].Outcome)
		require.Contains(t, outcomeOf(t, dir, "c0", 0, 1).Reason, "could not be found out for 10m0s")
		require.Equal(t, "submit-failed", outcomeOf(t, dir, "c0", 0, 1).Finding.Kind, "a retry may do better")
		require.Positive(t, s.count("scancel"), "it may exist all the same")
	})
}

// marked is a cluster on which whatever is read is the same.
type marked struct {
	*sim
	data []byte
	err  error
}

func (m marked) Read(_ context.Context, _ int64, paths ...string) (map[string][]byte, error) {
	if m.err != nil {
		return nil, host.UnreadError{paths[0]: m.err}
	}
	return map[string][]byte{paths[0]: m.data}, nil
}

// A job that has left a record may have run, whatever is wrong with that: none is submitted in its place.
func TestASubmissionOfWhichARecordIsLeft(t *testing.T) {
	t.Parallel()
	denied := &fs.PathError{Op: "open", Path: "agent.json", Err: syscall.EACCES}
	for name, tc := range map[string]struct {
		marked
		silent bool // sacct
	}{
		"unreadable":                            {marked{err: denied}, false},
		"unreadable, and sacct does not answer": {marked{err: denied}, true},
		"cut short":                             {marked{data: []byte("{")}, false},
		"cut short, and sacct does not answer":  {marked{data: []byte("{")}, true},
	} {
		dir := rundir.Dir(t.TempDir() + "/run")
		synctest.Test(t, func(t *testing.T) {
			tc.sim = newSim()
			tc.unanswered = map[string]bool{"sbatch": true, "sacct": tc.silent}
			o := simOptions(t, tc.sim, dir, 1)
			o.Host = tc.marked
			_, err := Run(context.Background(), o)
			require.NoError(t, err)
			o1 := outcomeOf(t, dir, "c0", 0, 1)
			require.Equal(t, outcome.KindUnfound, o1.Finding.Kind, "%s: %s", name, o1.Reason)
		})
	}
}

// Every source says that there is no job, again and again: that ends as well.
func TestSubmissionsThatLeaveNoJob(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.unanswered = map[string]bool{"sbatch": true}
		begun := time.Now()
		run, err := Run(context.Background(), simOptions(t, s, dir, 1))
		require.NoError(t, err)
		require.Less(t, time.Since(begun), notReadyFor+2*time.Minute)
		require.Len(t, run.Cases[0].Attempts, 1)
		require.Equal(t, rundir.OutcomeInfra, run.Cases[0].Attempts[0].Outcome)
		require.Contains(t, outcomeOf(t, dir, "c0", 0, 1).Reason, "for 10m0s: it left no job")
	})
}

// Without a process there was no submission: no job is looked for, and no attempt is used up.
func TestASubmissionThatCouldNotBeStarted(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.crowded = 3
		o := simOptions(t, s, dir, 1)
		var seen updates
		o.Progress = seen.add
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, []rundir.Attempt{{Attempt: 1, Outcome: rundir.OutcomePassed, Why: "first", Due: rundir.DueFirst}}, run.Cases[0].Attempts)
		require.True(t, seen.has(Warning, "not submitted yet"))
		require.False(t, seen.has(Warning, "looking for it"))
	})
}

// A file server that is away for a moment uses up no attempt; a full disk, or a plan that cannot be rendered, is told.
func TestAFileServerIsAwayDuringASubmission(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want rundir.Outcome
	}{
		"stale":        {&fs.PathError{Op: "open", Path: "x", Err: syscall.ESTALE}, rundir.OutcomePassed},
		"silent":       {fmt.Errorf("lease: %w", &fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}), rundir.OutcomePassed},
		"full":         {&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, rundir.OutcomeInfra},
		"not there":    {&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, rundir.OutcomeInfra},
		"disconnected": {fmt.Errorf("copy: %w", &fs.PathError{Op: "stat", Path: "x", Err: syscall.ENOTCONN}), rundir.OutcomePassed},
		"no processes": {&fs.PathError{Op: "fork/exec", Path: "x", Err: syscall.EAGAIN}, rundir.OutcomePassed},
		"a file":       {&fs.PathError{Op: "open", Path: "x/y", Err: syscall.ENOTDIR}, rundir.OutcomeInfra},
		"a loop":       {&fs.PathError{Op: "open", Path: "x/y", Err: syscall.ELOOP}, rundir.OutcomeInfra},
		"long":         {&fs.PathError{Op: "open", Path: "x", Err: syscall.ENAMETOOLONG}, rundir.OutcomeInfra},
		"no program":   {&fs.PathError{Op: "fork/exec", Path: "x", Err: syscall.ENOEXEC}, rundir.OutcomeInfra},
		"not of files": {errors.New("no such template"), rundir.OutcomeInfra},
	} {
		dir := rundir.Dir(t.TempDir() + "/run")
		synctest.Test(t, func(t *testing.T) {
			o := simOptions(t, newSim(), dir, 1)
			render, tries := o.Render, 0
			o.Render = func(in submit.Input) ([]rundir.File, error) {
				if tries++; tries < 3 {
					return nil, tc.err
				}
				return render(in)
			}
			run, err := Run(context.Background(), o)
			require.NoError(t, err)
			require.Len(t, run.Cases[0].Attempts, 1, name)
			require.Equal(t, tc.want, run.Cases[0].Attempts[0].Outcome, name)
		})
	}
}

// A request to end the run that the driver has not come across yet is found before each submission.
func TestNothingIsSubmittedAfterACancel(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait, s.run = func(int) time.Duration { return 0 }, func(int) time.Duration { return time.Minute }
		o := simOptions(t, s, dir, 2)
		o.MaxJobs, o.Poll.Lease = 1, time.Hour // its own pace would be too slow
		o.Progress = func(u Update) {
			if u.Kind == EndedNow {
				require.NoError(t, rundir.WriteJSON(dir.CancelFile(), rundir.Cancel{At: u.At, Reason: "enough"}))
			}
		}
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, 1, s.count("sbatch"))
		require.Empty(t, run.Cases[1].Attempts)
		// Were the driver killed now, a record dated after the request would say that nobody had made one.
		require.NoFileExists(t, dir.CaseDir(o.Plans[1].Case.Slug).Attempt(0, 1).JobFile())
	})
}

// apart is a login node whose files cannot be listed.
type apart struct {
	*sim
	list func() ([]host.FileInfo, error)
	n    atomic.Int32
}

func (*apart) Shared() bool { return false }

func (a *apart) List(context.Context, string, int) ([]host.FileInfo, error) {
	a.n.Add(1)
	return a.list()
}

// slowApart is a login node that takes its time to say how much a job has printed.
type slowApart struct{ *apart }

func (s slowApart) Run(ctx context.Context, c host.Cmd) (host.Result, error) {
	if c.Argv[0] != "sh" {
		return s.sim.Run(ctx, c)
	}
	return host.Result{}, runs.Sleep(ctx, c.Timeout)
}

// A driver that takes up a run ends its jobs on a signal while it still looks around.
func TestASignalWhileADriverLooksAround(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		o := simOptions(t, s, dir, 3)
		ctx, leave := context.WithTimeout(context.Background(), 5*time.Minute)
		defer leave()
		_, err := Run(ctx, o)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		o.Host, o.Binary.Dir, o.Console = slowApart{&apart{sim: s, list: func() ([]host.FileInfo, error) { return nil, host.ErrPartial }}}, "/far", io.Discard
		begun := time.Now()
		stop, abort := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { abort(&Interrupted{Signal: syscall.SIGTERM}) })
		_, err = resume(stop, o)
		require.True(t, isInterrupted(err))
		require.Less(t, s.cancelled().Sub(begun), 3*time.Second)
	})
}

// driverOf is a driver with one attempt under way, and what closing that takes.
func driverOf(t *testing.T, o Options) (*driver, action) {
	t.Helper()
	require.NoError(t, o.complete())
	d := newDriver(o, o.Run, o.Plans, nil)
	c := &d.state.cases[0]
	c.attempt = d.state.newAttempt(c, 0, 1, o.Now())
	c.stage, c.job = stageWatched, rundir.Job{Schema: rundir.Schema, Backend: o.Backend, Name: "n", ID: "7"}
	return d, action{of: c.key(0), dir: c.dir, there: c.there, job: c.job}
}

func TestAnInterruptionEndsTheTriesToBringHome(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		h := &apart{sim: newSim(), list: func() ([]host.FileInfo, error) { return nil, errors.New("away") }}
		o := simOptions(t, h.sim, dir, 1)
		o.Host, o.Binary.Dir = h, "/far"
		d, a := driverOf(t, o)
		done := make(chan error, 1)
		go func() { done <- d.bringHome(context.Background(), a) }()
		time.Sleep(2 * time.Second)
		d.stopping.Store(true)
		require.ErrorContains(t, <-done, "away")
		require.LessOrEqual(t, h.n.Load(), int32(3))
	})
}

func TestAnIncompleteCollectionIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		h := &apart{sim: newSim(), list: func() ([]host.FileInfo, error) { return nil, host.ErrPartial }}
		o := simOptions(t, h.sim, dir, 1)
		o.Host, o.Binary.Dir = h, "/far"
		d, a := driverOf(t, o)
		begun := time.Now()
		require.ErrorIs(t, d.bringHome(context.Background(), a), collect.ErrIncomplete)
		require.Zero(t, time.Since(begun))
	})
}

// Who puts something else in the place of its attempt's directory behind a login node has failed by itself, and at
// once.
func TestAPlantedDirectoryIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		h := &apart{sim: newSim(), list: func() ([]host.FileInfo, error) {
			return nil, fmt.Errorf("list: %w", &rundir.NodeError{Path: "/far/attempt-1", Is: rundir.NodeLink, Want: rundir.NodeDirectory})
		}}
		o := simOptions(t, h.sim, dir, 1)
		o.Host, o.Binary.Dir = h, "/far"
		d, a := driverOf(t, o)
		begun := time.Now()
		a.outcome = rundir.AttemptOutcome{Schema: rundir.Schema, Outcome: rundir.OutcomeInfra}
		e := d.close(context.Background(), a, d.recordOf(a.dir))
		require.NoError(t, e.err)
		require.Equal(t, rundir.OutcomeTestFailed, e.outcome.Outcome)
		require.Equal(t, "planted", e.outcome.Finding.Kind)
		require.Contains(t, e.outcome.Reason, "/far/attempt-1 is a symbolic link, not a directory")
		require.Zero(t, time.Since(begun))
		a.outcome.Outcome = rundir.OutcomeCancelled
		require.Equal(t, rundir.OutcomeCancelled, d.close(context.Background(), a, d.recordOf(a.dir)).outcome.Outcome)
	})
}

func TestTheNewestJobRecordStands(t *testing.T) {
	t.Parallel()
	f := &jobFile{path: t.TempDir() + "/job.json"}
	first, second := f.next(rundir.Job{Schema: rundir.Schema, ID: "1"}), f.next(rundir.Job{Schema: rundir.Schema, ID: "2"})
	require.NoError(t, second())
	require.NoError(t, first())
	var got rundir.Job
	require.NoError(t, rundir.ReadJSON(f.path, &got))
	require.Equal(t, "2", got.ID)
}

func TestQueueBudgetOnAFakeClock(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.wait = func(int) time.Duration { return 30 * time.Hour }
		o := simOptions(t, s, dir, 1)
		o.Plans[0].Budgets.Queue = rundir.Duration(6 * time.Hour)
		begun := time.Now()
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.TimeoutOf(rundir.PhaseQueue), run.Cases[0].Attempts[0].Outcome)
		require.InDelta(t, 6*time.Hour, time.Since(begun), float64(time.Minute))
		require.False(t, s.cancelled().IsZero())
	})
}
