package outcome

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// looked: the last look for the agent's record that could tell what is there began then.
func looked(when time.Duration) fact { return func(f *Facts) { f.Looked = at(when) } }

// A record that cannot be read is not one that is missing: it may say that the test failed, which a retry would hide.
func TestNoEndWhileTheRecordCannotBeRead(t *testing.T) {
	t.Parallel()
	over := func(state slurm.State, exit string) fact {
		return func(f *Facts) {
			queue(10*m, 10*m, state, "")(f)
			acct(10*m, 10*m, string(state), exit)(f)
			down()(f)
		}
	}
	absent := func(f *Facts) { notListed(20*m, 10*m)(f); unknownToControl(20 * m)(f); noAcctRow(20 * m)(f) }
	stuck := func(f *Facts) { queue(41*m, 0, slurm.Completing, "")(f); acctOff(f) }
	strange := queue(41*m, 0, "HIBERNATING", "")
	alone := func(f *Facts) {
		f.Job.Backend, f.Local = rundir.BackendLocal, &Process{GoneSince: at(10 * m)}
	}
	for name, tc := range map[string]struct {
		how  fact
		seen time.Duration // a look that is late enough
		now  time.Duration // 0 = 20 minutes
	}{
		"completed":                  {how: over(slurm.Completed, "0:0"), seen: 10*m + 65*s},
		"failed":                     {how: over(slurm.Failed, "1:0"), seen: 10*m + 65*s},
		"failed, no record was kept": {how: over(slurm.Failed, "3:0"), seen: 10*m + 10*s},
		"killed":                     {how: over(slurm.Failed, "0:9"), seen: 10 * m},
		"time limit":                 {how: over(slurm.Timeout, "0:0"), seen: 10*m + 65*s},
		"node":                       {how: over(slurm.NodeFail, "0:0"), seen: 10 * m},
		"cancelled by others":        {how: over(slurm.Cancelled, "0:15"), seen: 10 * m},
		"nobody knows it":            {how: absent, seen: 15 * m},
		"without Slurm":              {how: alone, seen: 10 * m},
		"stuck in COMPLETING":        {how: stuck, seen: 30 * m, now: 41 * m},
		"a word that nobody knows":   {how: strange, seen: 30 * m, now: 41 * m},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := max(tc.now, 20*m)
			r := Resolve(facts(now, tc.how, agentIn(9*m, rundir.PhaseBenchmark), looked(9*m)))
			require.False(t, r.Done, r.Reason)
			require.Contains(t, r.Waits, "cannot be read")
			require.True(t, Resolve(facts(now, tc.how, agentIn(9*m, rundir.PhaseBenchmark), looked(tc.seen))).Done, "it was there to be read, and is not")
			r = Resolve(facts(now, tc.how, agentEnd(10*m, "test_failed", "GEN_0", 9*m), looked(now)))
			require.Equal(t, rundir.OutcomeTestFailed, r.Outcome, r.Reason)
			r = Resolve(facts(now+60*m, tc.how, agentIn(9*m, rundir.PhaseBenchmark), looked(9*m)))
			require.Equal(t, rundir.OutcomeInfra, r.Outcome, "a run ends")
			require.Equal(t, KindUnread, r.Finding.Kind)
			require.Equal(t, "unknown", r.Finding.Class, "what is not known is not retried")
			require.Contains(t, r.Reason, "could not be read for 1h")
			require.True(t, Resolve(facts(now, tc.how, looked(9*m), weCancelled("", "interrupted"))).Done, "we know why it ended")
		})
	}
}

// A job that was cancelled in the queue has no agent, whose record could be waited for.
func TestWhatNeverBeganHasNoRecord(t *testing.T) {
	t.Parallel()
	unborn := func(f *Facts) { f.Queue.Row.NodeList = "" } // its start is when it was cancelled
	r := Resolve(facts(11*m, queue(11*m, 10*m, slurm.Cancelled, ""), unborn, acctOff, looked(9*m)))
	require.True(t, r.Done, r.Waits)
	require.Equal(t, rundir.OutcomeCancelled, r.Outcome)
	require.Empty(t, r.Waits)
}

// A day in which neither Slurm nor a file server has answered says no more of the job than a minute.
func TestNothingIsLostThatMayBeWritten(t *testing.T) {
	t.Parallel()
	r := Resolve(facts(24*60*m+20*m, agentIn(9*m, rundir.PhaseBenchmark), looked(9*m)))
	require.False(t, r.Done, r.Reason)
	require.Contains(t, r.Waits, "nobody says how the job ended, and the agent's record cannot be read")
	require.Empty(t, r.Cancel)

	r = Resolve(facts(24*60*m+90*m, agentIn(9*m, rundir.PhaseBenchmark), looked(9*m)))
	require.True(t, r.Done)
	require.Equal(t, rundir.OutcomeInfra, r.Outcome)
	require.NotEmpty(t, r.Cancel, "it may run all the same")
}

// Of a job that scontrol knows slurmctld has spoken, though squeue is silent; accounting only repeats what it was told.
func TestWhoSpeaksWhereSqueueIsSilent(t *testing.T) {
	t.Parallel()
	r := Resolve(facts(25*60*m, queue(1*m, 1*m, slurm.Pending, ""), control(24*60*m, slurm.Pending, "")))
	require.Empty(t, r.Cancel)
	r = Resolve(facts(25*60*m, queue(1*m, 1*m, slurm.Pending, ""), acct(24*60*m, 0, "PENDING", "")))
	require.Contains(t, r.Cancel, "neither slurmctld nor the agent has said anything for 24h0m0s")
}
