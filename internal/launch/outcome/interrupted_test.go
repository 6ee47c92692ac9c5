package outcome

import (
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What a driver that was told to stop could not end is told as what it is.
func TestAnInterruptionThatDidNotReachItsJob(t *testing.T) {
	t.Parallel()
	interrupted := func(f *Facts) {
		f.Job.Cancel = &rundir.Cancel{At: at(18 * m), Reason: "interrupted", Outcome: rundir.OutcomeCancelled, Cause: rundir.CauseInterrupted}
	}
	for name, tc := range map[string]struct {
		f Facts
		w want
	}{
		"it used up its time after the driver was told to stop": {
			facts(30*m, notListed(30*m, 30*m), acct(30*m, 20*m, "FAILED", "1:0"), agentEnd(20*m, "timeout:benchmark", "BENCHMARK", 20*m), interrupted),
			want{done: true, outcome: "timeout:benchmark", conf: "agent+sacct", reason: "because", phase: rundir.PhaseCollect},
		},
		"likewise, and Slurm has forgotten it": {
			facts(30*m, notListed(30*m, 20*m), acctOff, agentEnd(20*m, "timeout:benchmark", "BENCHMARK", 20*m), interrupted),
			want{done: true, outcome: "timeout:benchmark", conf: "agent", reason: "because", phase: rundir.PhaseCollect},
		},
		"it lost a node after the driver was told to stop": {
			facts(30*m, notListed(30*m, 30*m), acct(30*m, 20*m, "FAILED", "1:0"), agentEnd(20*m, "infra", "GEN_0", 20*m), interrupted),
			want{done: true, outcome: "infra", conf: "agent+sacct", reason: "because", phase: rundir.PhaseCollect},
		},
		"its record may be late": {
			facts(20*m+20*s, queue(20*m, 20*m, slurm.Failed, ""), acct(20*m, 20*m, "FAILED", "1:0"), agentIn(19*m, rundir.PhaseBenchmark), interrupted),
			want{phase: rundir.PhaseBenchmark},
		},
		"the driver was told to stop, and ended it": {
			facts(30*m, notListed(30*m, 30*m), acct(30*m, 20*m, "CANCELLED by 1000", "0:0"), agentEnd(20*m, "infra", "GEN_0", 20*m), interrupted),
			want{done: true, outcome: "cancelled", kind: KindCancelled, conf: "agent+sacct", reason: "interrupted", phase: rundir.PhaseCollect},
		},
		"somebody else ended it, long after": {
			facts(50*m, notListed(50*m, 50*m), acct(50*m, 40*m, "CANCELLED by 1000", "0:0"), agentEnd(40*m, "cancelled", "", 40*m), interrupted),
			want{done: true, outcome: "cancelled", conf: "agent+sacct", reason: "because", phase: rundir.PhaseCollect},
		},
		"a role died of the signal": {
			facts(30*m, notListed(30*m, 30*m), acct(30*m, 20*m, "CANCELLED by 1000", "0:0"), agentEnd(20*m, "test_failed", "GEN_0", 20*m), interrupted),
			want{done: true, outcome: "cancelled", kind: KindCancelled, conf: "agent+sacct", reason: "interrupted", phase: rundir.PhaseCollect},
		},
		"its agent saw the signal": {
			facts(30*m, notListed(30*m, 30*m), acct(30*m, 20*m, "NODE_FAIL", "0:0"), agentEnd(20*m, "cancelled", "", 20*m), interrupted),
			want{done: true, outcome: "cancelled", kind: KindCancelled, conf: "agent+sacct", reason: "interrupted", phase: rundir.PhaseCollect},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, tc.f, tc.w)
		})
	}
}
