package drive

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The helper of a driver that was told to stop may start slowly: what it asks for does not end a run that was resumed.
func TestALateHelperEndsNoResumedRun(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		o := simOptions(t, s, dir, 2)
		o.MaxJobs = 1
		o.Progress = func(u Update) {
			if u.Kind == Submitted {
				go func() { assert.NoError(t, helperOf("before", o)) }()
			}
		}
		run, err := Run(context.Background(), o)
		require.NoError(t, err)
		for _, c := range run.Cases {
			require.Len(t, c.Attempts, 1)
			require.Equal(t, rundir.OutcomePassed, c.Attempts[0].Outcome)
		}
		require.Zero(t, s.count("scancel"))
	})
}

// helperOf does what a driver that was told to stop leaves to a process of its own.
func helperOf(owner string, o Options) error {
	_, err := runs.Cancel(context.Background(), runs.CancelOptions{
		Access: o.Access, Dir: o.Dir, Reason: "interrupted", Cause: rundir.CauseInterrupted, Driver: owner, Wait: true, Patient: true,
	})
	return err
}

// leftBy is the lease owner of a driver that has been killed, after so long.
func leftBy(t *testing.T, o Options, after time.Duration) string {
	t.Helper()
	ctx, leave := context.WithTimeout(context.Background(), after)
	defer leave()
	_, err := Run(ctx, o)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	held, err := lease.Read(o.Dir.LeaseFile())
	require.NoError(t, err)
	return held.Owner
}

// Nor does one that is at work when the run is resumed, since slurmctld was away, end its jobs any more.
func TestAHelperLeavesARunThatIsResumed(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		s.unanswered = map[string]bool{"scancel": true}
		o := simOptions(t, s, dir, 1)
		owner := leftBy(t, o, 5*time.Minute)
		go func() { assert.NoError(t, helperOf(owner, o)) }()
		time.Sleep(30 * time.Second)
		before := s.count("scancel")
		require.Positive(t, before)
		run, err := resume(context.Background(), o)
		require.NoError(t, err)
		require.Equal(t, rundir.OutcomePassed, run.Cases[0].Attempts[0].Outcome)
		require.LessOrEqual(t, s.count("scancel"), before+3, "tries of one scancel")
	})
}

// A resume that fails at once leaves the run to nobody: the helper goes on.
func TestAHelperGoesOnAfterADriverThatGaveUp(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir() + "/run")
	synctest.Test(t, func(t *testing.T) {
		s := newSim()
		o := simOptions(t, s, dir, 1)
		owner := leftBy(t, o, 5*time.Minute)
		now := time.Now()
		require.NoError(t, rundir.WriteJSON(dir.LeaseFile(), rundir.Lease{Schema: 1, Owner: "B", Acquired: now, Heartbeat: now, Released: &now}))
		require.NoError(t, helperOf(owner, o))
		require.Positive(t, s.count("scancel"))
	})
}

// A driver that is told to stop may be killed before it has written down that it ended a job. Its helper has, then: the
// case comes again.
func TestWhatAHelperHasWrittenDownComesAgain(t *testing.T) {
	t.Parallel()
	for cause, attempts := range map[rundir.CancelCause]int{rundir.CauseInterrupted: 2, rundir.CauseRequested: 1} {
		dir := rundir.Dir(t.TempDir() + "/run")
		synctest.Test(t, func(t *testing.T) {
			s := newSim()
			o := simOptions(t, s, dir, 1)
			leftBy(t, o, 15*time.Minute)
			s.scancel([]string{"1"})
			if cause == rundir.CauseInterrupted { // a process of its own, which begins by reading
				time.Sleep(20 * time.Second)
			}
			require.NoError(t, rundir.WriteJSON(dir.CancelFile(), rundir.Cancel{At: time.Now(), Reason: "enough", Cause: cause}))
			time.Sleep(time.Minute)
			run, err := resume(context.Background(), o)
			require.NoError(t, err)
			require.Len(t, run.Cases[0].Attempts, attempts)
			require.Equal(t, rundir.OutcomeCancelled, run.Cases[0].Attempts[0].Outcome)
			require.Contains(t, outcomeOf(t, dir, "c0", 0, 1).Reason, ": enough")
			require.Equal(t, cause, jobOf(t, dir, "c0", 0, 1).Cancel.Cause)
		})
	}
}

// Nor does a job come again that somebody else has cancelled long after.
func TestWhatOutlivedAnInterruptionIsNotResumed(t *testing.T) {
	t.Parallel()
	at := time.Now()
	j := rundir.Job{Cancel: &rundir.Cancel{At: at, Reason: "interrupted", Cause: rundir.CauseInterrupted}}
	for after, want := range map[time.Duration]bool{time.Minute: true, time.Hour: false} {
		_, again := inPlaceOf(j, 0, 1, rundir.AttemptOutcome{Outcome: rundir.OutcomeCancelled, Ended: at.Add(after)})
		require.Equal(t, want, again, after)
		dir := rundir.Dir(t.TempDir())
		require.NoError(t, rundir.WriteJSON(dir.CancelFile(), j.Cancel))
		require.Equal(t, want, runs.EndedBy(dir, rundir.Job{Intent: at}, at.Add(after)) != nil, after)
	}
}

// A job that outlives the interruption of its driver is gone on with: it ends for whatever reason comes then. One that
// was to end for a reason of its own is cancelled again.
func TestAJobOutlivesItsDriver(t *testing.T) {
	t.Parallel()
	for cause, again := range map[rundir.CancelCause]bool{rundir.CauseInterrupted: false, rundir.CauseFailFast: true} {
		for _, id := range []string{"7", ""} { // found by search
			p := newPlayer(t, 1, nil)
			p.s.cases[0].record.Attempts = []rundir.Attempt{{Attempt: 1}}
			j := rundir.Job{Name: "n", ID: id, Backend: rundir.BackendSlurm, Cancel: &rundir.Cancel{Cause: cause, Reason: "before"}}
			todo := p.feed(event{kind: evBegin, at: after(0), found: []found{{job: &j}}})
			if id == "" {
				todo = p.feed(event{kind: evSearched, at: after(1), of: key{number: 1}, search: runs.Search{OK: true, Job: slurm.Job{ID: "7"}}})
			}
			require.Equal(t, again, strings.Contains(deeds(todo), "cancel"), deeds(todo))
			require.Equal(t, again, strings.Contains(deeds(p.feed(event{kind: evTick, at: after(40)})), "cancel"))
			p.feed(event{kind: evRequested, at: after(41), text: "enough"})
			require.Equal(t, !again, p.s.cases[0].job.Cancel.Reason == "enough")
		}
	}
}

// What was to end for a reason of its own is not submitted again because nobody finds it.
func TestALostSubmissionThatWasToEnd(t *testing.T) {
	t.Parallel()
	for cause, want := range map[rundir.CancelCause]string{rundir.CauseInterrupted: "save", rundir.CauseRequested: "close"} {
		p := newPlayer(t, 1, nil)
		p.s.cases[0].record.Attempts = []rundir.Attempt{{Attempt: 1}}
		j := rundir.Job{Name: "n", Backend: rundir.BackendSlurm, Cancel: &rundir.Cancel{Cause: cause, Reason: "before"}}
		p.feed(event{kind: evBegin, at: after(0), found: []found{{job: &j}}})
		todo := p.feed(event{kind: evSearched, at: after(1), of: key{number: 1}, search: runs.Search{Over: true}})
		todo = append(todo, p.feed(event{kind: evTick, at: after(20)})...)
		require.Equal(t, want, deeds(todo))
	}
}

// A driver that is told to stop while a user's cancel is under way leaves what it looks for as ended by that.
func TestInterruptedWhileAUserEndsTheRun(t *testing.T) {
	t.Parallel()
	stop := &Interrupted{Signal: syscall.SIGTERM}
	lost := event{kind: evSubmitted, at: after(3), of: key{number: 1}, submitted: submit.Submitted{Job: rundir.Job{Name: "n"}}, err: &slurm.AmbiguousError{Err: errors.New("x")}}
	known := event{kind: evSubmitted, at: after(3), of: key{number: 1}, submitted: submit.Submitted{Job: rundir.Job{Name: "n", ID: "7"}}}
	for _, late := range []event{lost, known} {
		for _, first := range []bool{false, true} { // the answer to the submission
			p := newPlayer(t, 1, nil)
			p.feed(event{kind: evBegin, at: after(0), found: make([]found, 1)})
			p.feed(event{kind: evSaved, at: after(0)})
			if first {
				p.feed(late)
			}
			p.feed(event{kind: evRequested, at: after(3), text: "enough"})
			p.feed(event{kind: evInterrupted, at: after(4), err: stop})
			if !first {
				late.at = after(5)
				p.feed(late)
			}
			require.Equal(t, rundir.CauseRequested, p.s.cases[0].job.Cancel.Cause)
			require.Equal(t, error(stop), p.s.stopped)
		}
	}
}
