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
	alone := func(f *Facts) {
		f.Job.Backend, f.Local = rundir.BackendLocal, &Process{GoneSince: at(10 * m)}
	}
	for name, tc := range map[string]struct {
		how  fact
		seen time.Duration // a look that is late enough
	}{
		"completed":                  {over(slurm.Completed, "0:0"), 10*m + 65*s},
		"failed":                     {over(slurm.Failed, "1:0"), 10*m + 65*s},
		"failed, no record was kept": {over(slurm.Failed, "3:0"), 10*m + 10*s},
		"killed":                     {over(slurm.Failed, "0:9"), 10 * m},
		"time limit":                 {over(slurm.Timeout, "0:0"), 10*m + 65*s},
		"node":                       {over(slurm.NodeFail, "0:0"), 10 * m},
		"cancelled by others":        {over(slurm.Cancelled, "0:15"), 10 * m},
		"nobody knows it":            {absent, 15 * m},
		"without Slurm":              {alone, 10 * m},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Resolve(facts(20*m, tc.how, agentIn(9*m, rundir.PhaseBenchmark), looked(9*m)))
			require.False(t, r.Done, r.Reason)
			require.Contains(t, r.Waits, "cannot be read")
			require.True(t, Resolve(facts(20*m, tc.how, agentIn(9*m, rundir.PhaseBenchmark), looked(tc.seen))).Done, "it was there to be read, and is not")
			r = Resolve(facts(20*m, tc.how, agentEnd(10*m, "test_failed", "GEN_0", 9*m), looked(20*m)))
			require.Equal(t, rundir.OutcomeTestFailed, r.Outcome, r.Reason)
			r = Resolve(facts(80*m, tc.how, agentIn(9*m, rundir.PhaseBenchmark), looked(9*m)))
			require.Equal(t, rundir.OutcomeInfra, r.Outcome, "a run ends")
			require.Equal(t, KindUnread, r.Finding.Kind)
			require.Equal(t, "unknown", r.Finding.Class, "what is not known is not retried")
			require.Contains(t, r.Reason, "could not be read for 1h")
			require.True(t, Resolve(facts(20*m, tc.how, looked(9*m), weCancelled("", "interrupted"))).Done, "we know why it ended")
		})
	}
}
