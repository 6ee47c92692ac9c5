package outcome

import (
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Where squeue has long said nothing, and neither has the agent, sacct and scontrol are asked and believed: a node that
// dies before its agent has written a line is told of by nobody else.
func TestSqueueIsSilent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		f Facts
		w want
	}{
		"for a moment":             {facts(4 * m), want{phase: rundir.PhaseQueue}},
		"from the beginning":       {facts(6 * m), want{phase: rundir.PhaseQueue, ask: AskAccounting}},
		"where there is no sacct":  {facts(6*m, acctOff), want{phase: rundir.PhaseQueue, ask: AskControl}},
		"since it ran":             {facts(9*m, queue(1*m, 0, slurm.Running, "")), want{phase: rundir.PhaseSetup, ask: AskAccounting}},
		"since it waited":          {facts(9*m, queue(1*m, 0, slurm.Pending, "Priority")), want{phase: rundir.PhaseQueue, ask: AskAccounting}},
		"while its agent speaks":   {facts(9*m, queue(1*m, 0, slurm.Running, ""), agentIn(8*m, rundir.PhaseBenchmark)), want{phase: rundir.PhaseBenchmark}},
		"as its agent is":          {facts(15*m, queue(1*m, 0, slurm.Running, ""), agentIn(8*m, rundir.PhaseBenchmark)), want{phase: rundir.PhaseBenchmark, ask: AskAccounting}},
		"and sacct says it runs":   {facts(9*m, acct(8*m, 0, "RUNNING", "0:0")), want{phase: rundir.PhaseQueue, ask: AskAccounting}},
		"and sacct knew only then": {facts(9*m, queue(2*m, 0, slurm.Running, ""), acct(1*m, 1*m, "TIMEOUT", "0:0")), want{phase: rundir.PhaseSetup, ask: AskAccounting}},
		"and its node has died": {
			facts(9*m, acct(8*m, 3*m, "NODE_FAIL", "0:0"), down("n1")),
			want{done: true, outcome: "infra", kind: KindNode, conf: "sacct", phase: rundir.PhaseSetup, bad: []string{"n1"}},
		},
		"and its time was up": {
			facts(9*m, queue(1*m, 0, slurm.Running, ""), acct(8*m, 3*m, "TIMEOUT", "0:0")),
			want{done: true, outcome: "timeout:setup", kind: KindTimeLimit, conf: "sacct+squeue", phase: rundir.PhaseSetup},
		},
		"and a record is still due": {
			facts(9*m, queue(1*m, 0, slurm.Running, ""), acct(9*m-s, 9*m-s, "COMPLETED", "0:0")),
			want{phase: rundir.PhaseSetup},
		},
		"for a day, and sacct knows nothing": {
			facts(24*60*m, noAcctRow(24*60*m-m)), want{done: true, outcome: "lost", kind: KindLost, cancel: "said anything for 24h", conf: "none", reason: "said anything"},
		},
		"and it was preempted just now": {
			facts(9*m, queue(1*m, 0, slurm.Running, ""), acct(9*m-s, 9*m-5*s, "PREEMPTED", "0:0")), want{phase: rundir.PhaseSetup, ask: AskAccounting},
		},
		"and it was preempted for good": {
			facts(90*m, acct(89*m, 3*m, "PREEMPTED", "0:0")), want{done: true, outcome: "infra", kind: KindPreempted, conf: "sacct", phase: rundir.PhaseSetup},
		},
		"and it was preempted, where there is no sacct": {
			facts(90*m, acctOff, queue(m, 0, slurm.Running, ""), control(89*m, slurm.Preempted, "0:0")),
			want{done: true, outcome: "infra", kind: KindPreempted, conf: "scontrol+squeue", phase: rundir.PhaseSetup},
		},
		"and the cluster's clock is ahead": {
			facts(30*m, queue(1*m, 0, slurm.Running, ""), acct(29*m, 63*m, "NODE_FAIL", "0:0"), down("n1")),
			want{done: true, outcome: "infra", kind: KindNode, conf: "sacct+squeue", phase: rundir.PhaseSetup, bad: []string{"n1"}},
		},
		"while it waited, and its agent has ended": {
			facts(60*m, queue(1*m, 0, slurm.Pending, "Priority"), agentEnd(40*m, "passed", "", 40*m)),
			want{done: true, outcome: "passed", conf: "agent+squeue", phase: rundir.PhaseCollect},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, tc.f, tc.w)
		})
	}
}
