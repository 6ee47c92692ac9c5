package outcome

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const (
	s = time.Second
	m = time.Minute
)

type want struct {
	done    bool
	outcome rundir.Outcome
	conf    string
	kind    string
	cancel  string // part of it
	reason  string // part of it
	phase   rundir.Phase
	ask     Ask
	bad     []string
}

func TestResolve(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		f Facts
		w want
	}{
		// Going on.
		"nothing heard yet": {facts(5 * s), want{phase: rundir.PhaseQueue}},
		"pending":           {facts(5*m, queue(5*m, 0, slurm.Pending, "Priority")), want{phase: rundir.PhaseQueue}},
		"held is not never": {facts(5*m, queue(5*m, 0, slurm.Pending, "JobHeldUser")), want{phase: rundir.PhaseQueue}},
		"nodes not available is not never": {
			facts(50*m, queue(50*m, 0, slurm.Pending, "ReqNodeNotAvail,_UnavailableNodes:gpu1")), want{phase: rundir.PhaseQueue},
		},
		"configuring":                  {facts(1*m, queue(1*m, 0, slurm.Configuring, "")), want{phase: rundir.PhaseSetup}},
		"running without agent yet":    {facts(1*m, queue(1*m, 0, slurm.Running, "")), want{phase: rundir.PhaseSetup}},
		"running, agent in benchmark":  {facts(9*m, queue(9*m, 0, slurm.Running, ""), agentIn(9*m, rundir.PhaseBenchmark)), want{phase: rundir.PhaseBenchmark}},
		"suspended":                    {facts(9*m, queue(9*m, 0, slurm.Suspended, ""), agentIn(8*m, rundir.PhaseReady)), want{cancel: "suspended the job", phase: rundir.PhaseReady}},
		"suspended, its agent through": {facts(9*m, queue(9*m, 0, slurm.Suspended, ""), agentEnd(9*m-s, "passed", "", 9*m)), want{phase: rundir.PhaseCollect}},
		"cancelled, because suspended": {
			facts(9*m, queue(9*m, 9*m, slurm.Cancelled, ""), acct(9*m, 9*m, "CANCELLED by 0", "0:0"), agentIn(8*m, rundir.PhaseReady), stopped(rundir.CauseSuspended, "suspended by an operator")),
			want{done: true, outcome: "infra", kind: KindSuspended, conf: "sacct+squeue", reason: "suspended", phase: rundir.PhaseReady},
		},
		"completing is not over":         {facts(9*m, queue(9*m, 9*m, slurm.Completing, ""), agentEnd(9*m-s, "passed", "", 9*m)), want{phase: rundir.PhaseCollect}},
		"sacct ahead of completing":      {facts(9*m, queue(9*m, 9*m, slurm.Completing, ""), acct(9*m, 9*m, "TIMEOUT", "0:0")), want{phase: rundir.PhaseSetup}},
		"a stale end in sacct":           {facts(2*m, queue(2*m, 0, slurm.Running, ""), acct(2*m, s, "FAILED", "1:0")), want{phase: rundir.PhaseSetup}},
		"a new word":                     {facts(9*m, queue(9*m, 5*m, "HIBERNATING", ""), agentIn(9*m, rundir.PhaseReady)), want{phase: rundir.PhaseReady}},
		"a new word for too long":        {facts(90*m, queue(90*m, 50*m, "HIBERNATING", ""), agentIn(90*m, rundir.PhaseReady)), want{done: true, outcome: "lost", kind: KindLost, cancel: "HIBERNATING", conf: "squeue"}},
		"squeue hangs: says nothing":     {facts(60*m, queue(1*m, 0, slurm.Running, ""), agentIn(60*m, rundir.PhaseBenchmark)), want{phase: rundir.PhaseBenchmark}},
		"squeue never answered, an hour": {facts(60 * m), want{phase: rundir.PhaseQueue, ask: AskAccounting}},
		"squeue never answered, a day":   {facts(24 * 60 * m), want{done: true, outcome: "lost", kind: KindLost, cancel: "said anything for 24h", conf: "none", reason: "said anything"}},
		"resumed after two days":         {facts(48*60*m, func(f *Facts) { f.Since = at(48*60*m - s) }), want{phase: rundir.PhaseQueue}},
		"an agent says something":        {facts(50*60*m, queue(1*m, 0, slurm.Running, ""), agentIn(49*60*m, rundir.PhaseBenchmark)), want{phase: rundir.PhaseBenchmark, ask: AskAccounting}},
		"not listed right after sbatch":  {facts(12*s, notListed(11*s, 11*s), noAcctRow(11*s)), want{phase: rundir.PhaseQueue, ask: AskControl | AskAccounting}},
		"empty sacct is no answer":       {facts(2*m, notListed(2*m, 90*s), noAcctRow(2*m), unknownToControl(2*m)), want{phase: rundir.PhaseQueue, ask: AskControl | AskAccounting}},

		"moved to another cluster": {
			facts(10*m, queue(10*m, 0, slurm.Revoked, ""), acctOff, control(10*m, slurm.Revoked, "0:0")),
			want{done: true, outcome: "infra", kind: KindLost, cancel: "another cluster", reason: "another cluster", conf: "scontrol+squeue"},
		},

		// The queue.
		"too few nodes, says squeue": {facts(5*m, queue(5*m, 0, slurm.Pending, "PartitionNodeLimit")), want{phase: rundir.PhaseQueue, ask: AskControl}},
		"too few nodes are up":       {facts(5*m, queue(5*m, 0, slurm.Pending, "PartitionNodeLimit"), room(9, 16)), want{phase: rundir.PhaseQueue}},
		"more nodes than there are":  {facts(5*m, queue(5*m, 0, slurm.Pending, "PartitionNodeLimit"), room(9, 4)), want{cancel: "can never start: PartitionNodeLimit: asks for 9 nodes, and partition batch has or allows 4", phase: rundir.PhaseQueue}},
		"queue budget spent":         {facts(31*m, queue(31*m, 0, slurm.Pending, "Priority"), queueBudget(30*m)), want{cancel: "queue budget", phase: rundir.PhaseQueue}},
		"queue budget is not over":   {facts(29*m, queue(29*m, 0, slurm.Pending, "Priority"), queueBudget(30*m)), want{phase: rundir.PhaseQueue}},
		"budget does not stop a run": {facts(31*m, queue(31*m, 0, slurm.Running, ""), queueBudget(30*m)), want{phase: rundir.PhaseSetup}},
		"cancelled for the budget": {
			facts(32*m, queue(32*m, 32*m, slurm.Cancelled, ""), acct(32*m, 32*m, "CANCELLED by 0", "0:0"), weCancelled("timeout:queue", "not started within")),
			want{done: true, outcome: "timeout:queue", kind: KindQueue, conf: "sacct+squeue", reason: "not started within"},
		},
		"bad constraints":          {facts(1*m, queue(1*m, 0, slurm.Pending, "BadConstraints")), want{cancel: "can never start", phase: rundir.PhaseQueue}},
		"bad constraints, at once": {facts(10*s, queue(10*s, 9*s, slurm.Pending, "BadConstraints")), want{phase: rundir.PhaseQueue}},
		"requeued state":           {facts(9*m, queue(9*m, 9*m, slurm.Requeued, "")), want{cancel: "put the job back", phase: rundir.PhaseQueue}},
		"pending after it ran":     {facts(9*m, queue(9*m, 9*m, slurm.Pending, "BeginTime"), agentIn(8*m, rundir.PhaseReady)), want{cancel: "put the job back", phase: rundir.PhaseReady}},

		"pending is older than the agent's first record": {
			facts(9*m, queue(9*m-s, 0, slurm.Pending, "Priority"), agentIn(9*m, rundir.PhaseReady)), want{phase: rundir.PhaseReady},
		},

		// Good ends.
		"passed": {
			facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), agentEnd(10*m-2*s, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent+sacct+squeue", reason: "because", phase: rundir.PhaseCollect},
		},
		"passed, accounting off": {
			facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acctOff, control(10*m, slurm.Completed, "0:0"), agentEnd(10*m-2*s, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent+scontrol+squeue"},
		},
		"passed, accounting off, forgotten by slurmctld": {
			facts(30*m, notListed(30*m, 29*m), unknownToControl(30*m), acctOff, agentEnd(10*m, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent"},
		},
		"passed, seen after MinJobAge": {
			facts(30*m, notListed(30*m, 30*m), unknownToControl(30*m), acct(30*m, 10*m, "COMPLETED", "0:0"), agentEnd(10*m, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent+sacct"},
		},
		"passed, Slurm does not answer any more": {
			facts(13*m, queue(9*m, 0, slurm.Running, ""), agentEnd(10*m, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent+squeue", cancel: "goes on although"},
		},
		"passed, stuck in completing": {
			facts(13*m, queue(13*m, 10*m, slurm.Completing, ""), agentEnd(10*m, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent+squeue"},
		},
		"sacct is waited for": {
			facts(10*m+s, queue(10*m, 10*m, slurm.Completed, ""), agentEnd(10*m-2*s, "passed", "", 9*m)),
			want{ask: AskAccounting, phase: rundir.PhaseCollect},
		},
		"sacct is late: slurmctld is asked": {
			facts(10*m+6*s, queue(10*m, 10*m, slurm.Completed, ""), agentEnd(10*m-2*s, "passed", "", 9*m)),
			want{ask: AskAccounting | AskControl, phase: rundir.PhaseCollect},
		},
		"sacct is not waited for for ever": {
			facts(10*m+11*s, queue(10*m, 10*m, slurm.Completed, ""), agentEnd(10*m-2*s, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent+squeue"},
		},
		"sacct lags": {
			facts(10*m+11*s, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m+5*s, 0, "RUNNING", "0:0"), agentEnd(10*m-2*s, "passed", "", 9*m)),
			want{done: true, outcome: "passed", conf: "agent+squeue"},
		},

		// Green needs evidence.
		"completed, but the agent's record never came": {
			facts(12*m, queue(12*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0")),
			want{done: true, outcome: "infra", kind: KindLaunch, conf: "sacct+squeue"},
		},
		"completed, the record may only be late": {
			facts(10*m+30*s, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), agentIn(9*m, rundir.PhaseDrain)),
			want{phase: rundir.PhaseDrain},
		},
		"a planned role is missing": {
			facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), agentEnd(10*m, "passed", "", 9*m), roleMissing),
			want{done: true, outcome: "infra", kind: KindIncomplete, reason: "BENCHMARK", conf: "agent+sacct+squeue"},
		},
		"agent says passed, Slurm says failed": {
			facts(10*m, queue(10*m, 10*m, slurm.Failed, ""), acct(10*m, 10*m, "FAILED", "1:0"), agentEnd(10*m, "passed", "", 9*m)),
			want{done: true, outcome: "infra", kind: KindDisagree, conf: "agent+sacct+squeue"},
		},
		"agent says passed, node failed": {
			facts(10*m, queue(10*m, 10*m, slurm.NodeFail, ""), acct(10*m, 10*m, "NODE_FAIL", "0:0"), agentEnd(10*m, "passed", "", 9*m)),
			want{done: true, outcome: "infra", kind: KindDisagree, conf: "agent+sacct+squeue"},
		},

		// Bad ends with 0:0.
		"TIMEOUT 0:0 in benchmark": {
			facts(72*m, queue(70*m, 70*m, slurm.Timeout, ""), acct(70*m, 70*m, "TIMEOUT", "0:0"), agentIn(69*m, rundir.PhaseBenchmark)),
			want{done: true, outcome: "timeout:benchmark", kind: KindTimeLimit, conf: "sacct+squeue"},
		},
		"TIMEOUT 0:0 before the agent": {
			facts(72*m, queue(70*m, 70*m, slurm.Timeout, ""), acct(70*m, 70*m, "TIMEOUT", "0:0")),
			want{done: true, outcome: "timeout:setup", kind: KindTimeLimit, conf: "sacct+squeue"},
		},
		"TIMEOUT: the agent has said it": {
			facts(70*m, queue(70*m, 70*m, slurm.Timeout, ""), acct(70*m, 70*m, "TIMEOUT", "0:0"), agentEnd(69*m, "timeout:ready", "", 69*m)),
			want{done: true, outcome: "timeout:ready", conf: "agent+sacct+squeue"},
		},
		"CANCELLED by uid 0:0": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 1234", "0:0"), agentIn(10*m, rundir.PhaseReady), down()),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "uid 1234", conf: "sacct+squeue"},
		},
		"CANCELLED+ of a narrow column": {
			facts(10*m, notListed(10*m, 9*m), acct(10*m, 9*m, "CANCELLED+", "0:15")),
			want{done: true, outcome: "cancelled", kind: KindCancelled, conf: "sacct"},
		},
		"cancelled by us": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), weCancelled("", "interrupted: terminated")),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "interrupted", conf: "sacct+squeue"},
		},
		"a prolog that failed, and the reason has gone": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), drained(10*m, "0", "Prolog error")),
			want{done: true, outcome: "infra", kind: KindLaunch, reason: "the prolog failed on gpu1 (Prolog error)", bad: []string{"gpu1"}, conf: "sacct+squeue"},
		},
		"a prolog that failed, and the agent saw no more than the signal": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), agentEnd(10*m, "cancelled", "", 0), drained(10*m, "0", "Prolog error")),
			want{done: true, outcome: "infra", kind: KindLaunch, reason: "the prolog failed on gpu1 (Prolog error)", bad: []string{"gpu1"}, conf: "agent+sacct+squeue"},
		},
		"a role failed by itself, then its node was drained and the job cancelled": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), agentEnd(10*m, "test_failed", "GEN_0", 4*m), drained(6*m, "0", "Kill task failed")),
			want{done: true, outcome: "test_failed", kind: "role-crash", reason: "because", conf: "agent+sacct+squeue"},
		},
		"a role failed with its job's end, by a prolog": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), agentEnd(10*m, "test_failed", "GEN_0", 10*m), drained(10*m, "0", "Prolog error")),
			want{done: true, outcome: "infra", kind: KindLaunch, reason: "the prolog failed on gpu1 (Prolog error)", bad: []string{"gpu1"}, conf: "agent+sacct+squeue"},
		},
		"a prolog that drains its node in its own words": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), drained(10*m, "0", "NHC: 7 of 8 GPUs")),
			want{done: true, outcome: "infra", kind: KindLaunch, reason: "uid 0 drained gpu1 and cancelled the job (NHC: 7 of 8 GPUs)", bad: []string{"gpu1"}, conf: "sacct+squeue"},
		},
		"cancelled by a user, while an administrator drains a node": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 1234", "0:0"), drained(9*m, "0", "maintenance")),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "uid 1234", conf: "sacct+squeue"},
		},
		"cancelled by an administrator, a node had been drained before": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), drained(-time.Hour, "0", "Prolog error")),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "uid 0", conf: "sacct+squeue"},
		},
		"cancelled by us, on nodes of which one was drained": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), weCancelled("", "interrupted: terminated"), drained(10*m, "0", "maintenance")),
			want{done: true, outcome: "cancelled", kind: KindCancelled, reason: "interrupted", conf: "sacct+squeue"},
		},
		"CANCELLED: what is against its nodes is asked once all of them are known": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, "")),
			want{phase: rundir.PhaseSetup, ask: AskAccounting},
		},
		"CANCELLED: what is against its nodes": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 0", "0:0")),
			want{phase: rundir.PhaseSetup, ask: AskNodes},
		},
		"a prolog that failed cancels the job": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, "Prolog"), acct(10*m, 10*m, "CANCELLED by 0", "0:0"), down("gpu1")),
			want{done: true, outcome: "infra", kind: KindLaunch, reason: "the prolog failed on gpu1 (Prolog)", bad: []string{"gpu1"}, conf: "sacct+squeue"},
		},
		"NODE_FAIL 0:0 (before 24.11)": {
			facts(10*m, queue(10*m, 10*m, slurm.NodeFail, "NodeDown"), acct(10*m, 10*m, "NODE_FAIL", "0:0"), agentIn(8*m, rundir.PhaseBenchmark), down("gpu1")),
			want{done: true, outcome: "infra", kind: KindNode, reason: "a node of the job failed: gpu1 (NodeDown)", bad: []string{"gpu1"}, conf: "sacct+squeue"},
		},
		"NODE_FAIL: which node is asked first": {
			facts(10*m, queue(10*m, 10*m, slurm.NodeFail, "NodeDown"), acct(10*m, 10*m, "NODE_FAIL", "0:0"), agentIn(8*m, rundir.PhaseBenchmark)),
			want{phase: rundir.PhaseBenchmark, ask: AskNodes},
		},
		"NODE_FAIL: the node is back, the agent fell silent": {
			facts(10*m, queue(10*m, 10*m, slurm.NodeFail, ""), acct(10*m, 10*m, "NODE_FAIL", "0:0"), agentIn(8*m, rundir.PhaseBenchmark), down()),
			want{done: true, outcome: "infra", kind: KindNode, reason: "gpu0, whose agent fell silent", bad: []string{"gpu0"}, conf: "sacct+squeue"},
		},
		"NODE_FAIL: sinfo does not answer": {
			facts(11*m, queue(10*m, 10*m, slurm.NodeFail, ""), acct(10*m, 10*m, "NODE_FAIL", "0:0")),
			want{done: true, outcome: "infra", kind: KindNode, conf: "sacct+squeue"},
		},
		"NODE_FAIL 1:0 (24.11)": {
			facts(10*m, queue(10*m, 10*m, slurm.NodeFail, ""), acct(10*m, 10*m, "NODE_FAIL", "1:0"), down()),
			want{done: true, outcome: "infra", kind: KindNode, conf: "sacct+squeue"},
		},
		"OUT_OF_MEMORY 0:125": {
			facts(12*m, queue(10*m, 10*m, slurm.OutOfMemory, ""), acct(10*m, 10*m, "OUT_OF_MEMORY", "0:125"), agentIn(9*m, rundir.PhaseReady)),
			want{done: true, outcome: "test_failed", kind: KindOOM, conf: "sacct+squeue"},
		},
		"BOOT_FAIL":                  {facts(10*m, queue(10*m, 10*m, slurm.BootFail, ""), acct(10*m, 10*m, "BOOT_FAIL", "0:0")), want{done: true, outcome: "infra", kind: KindLaunch, conf: "sacct+squeue"}},
		"launch failed: FAILED 0:53": {facts(12*m, queue(10*m, 10*m, slurm.Failed, "JobLaunchFailure"), acct(10*m, 10*m, "FAILED", "0:53")), want{done: true, outcome: "infra", kind: KindLaunch, reason: "(JobLaunchFailure): most often, because a node does not see the run directory", conf: "sacct+squeue"}},
		"agent killed": {
			facts(12*m, queue(10*m, 10*m, slurm.Failed, "RaisedSignal:9(Killed)"), acct(10*m, 10*m, "FAILED", "0:9"), agentIn(10*m, rundir.PhaseReady)),
			want{done: true, outcome: "infra", kind: KindAgentDied, reason: "killed by SIGKILL", conf: "sacct+squeue", phase: rundir.PhaseReady},
		},
		"agent killed a moment ago: no record will come": {
			facts(10*m+11*s, queue(10*m, 10*m, slurm.Failed, "RaisedSignal:9(Killed)"), acct(10*m, 10*m, "FAILED", "0:9"), agentIn(10*m, rundir.PhaseReady)),
			want{done: true, outcome: "infra", kind: KindAgentDied, conf: "sacct+squeue"},
		},
		"the agent could not write its record": {
			facts(10*m+11*s, queue(10*m, 10*m, slurm.Failed, "NonZeroExitCode"), acct(10*m, 10*m, "FAILED", "3:0"), agentIn(10*m, rundir.PhaseReady)),
			want{done: true, outcome: "infra", kind: KindStorage, reason: "could not be written", conf: "sacct+squeue"},
		},
		"a role ran out of memory, and Slurm says it of the job": {
			facts(10*m+15*s, queue(10*m, 10*m, slurm.OutOfMemory, ""), acct(10*m, 10*m, "OUT_OF_MEMORY", "0:125"), agentEnd(10*m, "test_failed", "GEN_0", 10*m), outOfMemory),
			want{done: true, outcome: "test_failed", kind: "role-crash", conf: "agent+sacct+squeue"},
		},
		"the job ran out of memory, and the agent took it for a crash": {
			facts(10*m+15*s, queue(10*m, 10*m, slurm.OutOfMemory, ""), acct(10*m, 10*m, "OUT_OF_MEMORY", "0:125"), agentEnd(10*m, "infra", "GEN_0", 10*m)),
			want{done: true, outcome: "test_failed", kind: KindOOM, conf: "agent+sacct+squeue"},
		},
		"test failed": {
			facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), agentEnd(10*m, "test_failed", "GEN_0", 9*m)),
			want{done: true, outcome: "test_failed", kind: "role-crash", conf: "agent+sacct+squeue"},
		},
		"test failed, then cancelled by others during teardown": {
			facts(10*m, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 9", "0:0"), agentEnd(10*m+5*s, "test_failed", "GEN_0", 9*m), down()),
			want{done: true, outcome: "test_failed", kind: "role-crash", conf: "agent+sacct+squeue"},
		},
		"cancelled by others, and the agent took it for a crash": {
			facts(10*m+10*s, queue(10*m, 10*m, slurm.Cancelled, ""), acct(10*m, 10*m, "CANCELLED by 9", "0:0"), agentEnd(10*m+5*s, "test_failed", "GEN_0", 10*m+s)),
			want{done: true, outcome: "cancelled", kind: KindCancelled, conf: "agent+sacct+squeue"},
		},
		"agent has recognised the preemption": {
			facts(11*m, queue(11*m, 10*m, slurm.Preempted, ""), acct(10*m, 10*m, "PREEMPTED", "0:0"), agentEnd(10*m, "infra", "", 10*m)),
			want{done: true, outcome: "infra", conf: "agent+sacct+squeue"},
		},

		// Preemption with and without comeback.
		"PREEMPTED just now":         {facts(10*m, queue(10*m, 10*m, slurm.Preempted, "")), want{}},
		"PREEMPTED for good":         {facts(11*m, queue(11*m, 10*m, slurm.Preempted, ""), acct(11*m, 10*m, "PREEMPTED", "0:0")), want{done: true, outcome: "infra", kind: KindPreempted, conf: "sacct+squeue"}},
		"PREEMPTED only in sacct":    {facts(10*m, notListed(10*m, 10*m), acct(10*m, 10*m, "PREEMPTED", "0:0")), want{ask: AskControl | AskAccounting}},
		"PREEMPTED in sacct, absent": {facts(11*m, notListed(11*m, 10*m), acct(11*m, 10*m, "PREEMPTED", "0:0")), want{done: true, outcome: "infra", kind: KindPreempted, conf: "sacct"}},
		"PREEMPTED, then it comes back": {
			facts(11*m, queue(11*m, 11*m, slurm.Pending, "BeginTime"), acct(11*m, 10*m, "PREEMPTED", "0:0"), agentIn(10*m, rundir.PhaseReady)),
			want{cancel: "put the job back", phase: rundir.PhaseReady},
		},

		// Lost.
		"Invalid job id, stale REQUEUED": {
			facts(20*m, notListed(20*m, 14*m), unknownToControl(20*m), acct(20*m, 0, "REQUEUED", "0:0")),
			want{done: true, outcome: "lost", kind: KindLost, cancel: "neither", conf: "none"},
		},
		"absent everywhere, not long enough": {
			facts(18*m, notListed(18*m, 14*m), unknownToControl(18*m), noAcctRow(18*m)),
			want{ask: AskControl | AskAccounting},
		},
		"absent long ago, squeue silent since": {
			facts(60*m, notListed(15*m, 14*m), unknownToControl(15*m), noAcctRow(15*m)),
			want{ask: AskControl | AskAccounting},
		},
		"absent everywhere, but the agent lives": {
			facts(20*m, notListed(20*m, 14*m), unknownToControl(20*m), noAcctRow(20*m), agentIn(20*m-5*s, rundir.PhaseReady)),
			want{ask: AskControl | AskAccounting, phase: rundir.PhaseReady},
		},
		"absent, accounting off": {
			facts(20*m, notListed(20*m, 14*m), unknownToControl(20*m), acctOff),
			want{done: true, outcome: "lost", kind: KindLost, reason: "no accounting", cancel: "neither", conf: "none"},
		},

		// A team's own draft.
		"draft passed": {facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), draft), want{done: true, outcome: "passed", conf: "sacct+squeue"}},
		"draft failed": {facts(10*m, queue(10*m, 10*m, slurm.Failed, ""), acct(10*m, 10*m, "FAILED", "3:0"), draft), want{done: true, outcome: "test_failed", kind: "draft-failed", reason: "exit 3", conf: "sacct+squeue"}},
		"draft hides a step's failure": {
			facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), draft, func(f *Facts) { f.Acct.Row.Derived = exitOf("3:0") }),
			want{done: true, outcome: "test_failed", kind: "draft-failed", reason: "3:0", conf: "sacct+squeue"},
		},
		"draft passed, and Slurm ended its servers with the job": {
			facts(10*m, queue(10*m, 10*m, slurm.Completed, ""), acct(10*m, 10*m, "COMPLETED", "0:0"), draft, func(f *Facts) { f.Acct.Row.Derived = exitOf("0:15") }),
			want{done: true, outcome: "passed", conf: "sacct+squeue"},
		},
		"draft killed": {facts(10*m, queue(10*m, 10*m, slurm.Failed, ""), acct(10*m, 10*m, "FAILED", "0:9"), draft), want{done: true, outcome: "infra", kind: "draft-killed", conf: "sacct+squeue"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, tc.f, tc.w)
		})
	}
}

// Slurm ends a job by SIGTERM, whatever its reason, and that signal is all that an agent may have seen.
func TestStateDecidesOverTheSignal(t *testing.T) {
	t.Parallel()
	type ends struct{ signalled, asked, blamed rundir.Outcome }
	const infra, cancelled, failed = rundir.OutcomeInfra, rundir.OutcomeCancelled, rundir.OutcomeTestFailed
	for state, w := range map[slurm.State]ends{
		slurm.NodeFail:     {infra, cancelled, failed},
		slurm.BootFail:     {infra, cancelled, failed},
		slurm.LaunchFailed: {infra, cancelled, failed},
		slurm.ReconfigFail: {infra, cancelled, failed},
		slurm.Preempted:    {infra, cancelled, failed},
		slurm.Revoked:      {infra, cancelled, failed},
		slurm.Cancelled:    {cancelled, cancelled, failed},
		slurm.Failed:       {cancelled, cancelled, failed},
	} {
		resolve := func(more ...fact) Resolution {
			return Resolve(facts(11*m, append([]fact{queue(11*m, 10*m, state, ""), acct(11*m, 10*m, string(state), "0:0"), down("gpu1")}, more...)...))
		}
		require.Equal(t, w.signalled, resolve(agentEnd(10*m, "cancelled", "", 0)).Outcome, "%s, the agent signalled", state)
		require.Equal(t, w.asked, resolve(agentEnd(10*m, "cancelled", "", 0), weCancelled("", "interrupted")).Outcome, "%s, asked for by us", state)
		require.Equal(t, w.blamed, resolve(agentEnd(10*m, "test_failed", "GEN_0", 4*m)).Outcome, "%s, a role had failed before", state)
		require.Equal(t, infra, resolve(agentEnd(10*m, "infra", "", 0)).Outcome, "%s, the agent saw infrastructure", state)
	}
}

// Who went with the job is the agent's word, whoever says what ended it.
func TestCollateralOfTheJob(t *testing.T) {
	t.Parallel()
	cancelled := []fact{queue(11*m, 10*m, slurm.Cancelled, ""), acct(11*m, 10*m, "CANCELLED by 1000", "0:0")}
	asked := func(f *Facts) { f.Job.Cancel = &rundir.Cancel{At: at(10 * m), Reason: "interrupted: terminated"} }
	said := func(f *Facts) {
		f.Agent.End.Finding = &rundir.Finding{Kind: KindCancelled, Rule: "agent-signalled", Collateral: map[string]string{"GEN_0": "exit 213 when the job was ended"}}
	}
	names := func(fs ...fact) []string {
		r := Resolve(facts(11*m, append(slices.Clone(cancelled), fs...)...))
		require.Equal(t, rundir.OutcomeCancelled, r.Outcome, r.Reason)
		require.Empty(t, r.Finding.Root)
		return slices.Sorted(maps.Keys(r.Finding.Collateral))
	}
	require.Equal(t, []string{"GEN_0"}, names(agentEnd(10*m, "cancelled", "", 0), said))
	require.Equal(t, []string{"GEN_0"}, names(agentEnd(10*m, "cancelled", "", 0), said, asked))
	require.Equal(t, []string{"GEN_0"}, names(agentEnd(10*m, "test_failed", "GEN_0", 10*m-s)), "the agent has not seen what ended its job")
	require.Equal(t, []string{"GEN_0"}, names(agentEnd(10*m, "infra", "GEN_0", 10*m-s), asked))
	require.Empty(t, names(agentEnd(10*m, "infra", "GEN_0", 4*m), asked), "it had failed long before, and stays told")
}

func TestNodeOfASignalledAgent(t *testing.T) {
	t.Parallel()
	base := []fact{queue(10*m, 10*m, slurm.NodeFail, "NodeDown"), acct(10*m, 10*m, "NODE_FAIL", "0:0"), agentEnd(10*m, "cancelled", "", 0)}
	require.Equal(t, AskNodes, Resolve(facts(10*m, base...)).Ask)
	require.Equal(t, []string{"gpu1"}, Resolve(facts(10*m, append(base, down("gpu1"))...)).Finding.BadNodes)
	seen := func(f *Facts) {
		f.Agent.End.Evidence = []byte(`{"Events":[{"Kind":"node-lost","Role":"GEN_0","Node":"gpu0"}]}`)
	}
	r := Resolve(facts(10*m, append(base, seen)...))
	require.Equal(t, []string{"gpu0"}, r.Finding.BadNodes)
	require.Equal(t, KindNode, r.Finding.Kind)
}

func TestResolveLocal(t *testing.T) {
	t.Parallel()
	local := func(aliveNow bool, gone time.Duration) fact {
		return func(f *Facts) {
			f.Job.Backend = "local"
			f.Local = &Process{Alive: aliveNow}
			if !aliveNow {
				f.Local.GoneSince = at(gone)
			}
		}
	}
	require.False(t, Resolve(facts(9*m, local(true, 0), agentIn(9*m, rundir.PhaseReady))).Done)
	require.False(t, Resolve(facts(9*m, local(true, 0), agentEnd(9*m, "passed", "", 9*m))).Done, "its process has not ended yet")
	require.False(t, Resolve(facts(9*m, local(false, 9*m), agentIn(9*m, rundir.PhaseReady))).Done, "its last record may just be on the way")
	r := Resolve(facts(9*m, local(false, 9*m), agentEnd(9*m, "passed", "", 9*m)))
	require.Equal(t, rundir.OutcomePassed, r.Outcome)
	r = Resolve(facts(9*m+2*s, local(false, 9*m), agentIn(9*m, rundir.PhaseReady)))
	require.Equal(t, rundir.OutcomeInfra, r.Outcome)
	require.Equal(t, KindAgentDied, r.Finding.Kind)
	r = Resolve(facts(9*m+2*s, local(false, 9*m)))
	require.Equal(t, KindLaunch, r.Finding.Kind)
	r = Resolve(facts(9*m+2*s, local(false, 9*m), agentIn(9*m, rundir.PhaseReady), weCancelled("", "interrupted")))
	require.Equal(t, rundir.OutcomeCancelled, r.Outcome)
	elsewhere := func(f *Facts) { local(true, 0)(f); f.Local.Elsewhere = "gpu9" }
	require.False(t, Resolve(facts(13*m, elsewhere, agentIn(9*m, rundir.PhaseReady))).Done, "it may live")
	r = Resolve(facts(9*m, elsewhere, agentEnd(9*m, "passed", "", 9*m)))
	require.Equal(t, rundir.OutcomePassed, r.Outcome)
	hung := func(f *Facts) { f.Looked = at(13 * m) }
	require.False(t, Resolve(facts(20*m, elsewhere, agentIn(9*m, rundir.PhaseReady), hung)).Done, "nobody knows what it has written")
	r = Resolve(facts(14*m, elsewhere, agentIn(9*m, rundir.PhaseReady), func(f *Facts) { f.Looked = at(14 * m) }))
	require.Equal(t, rundir.OutcomeLost, r.Outcome)
	require.Contains(t, r.Reason, "gpu9")
}

// Whatever the sources say, green needs the agent's word and a Slurm that does not
// contradict it, and an answer never comes without a reason.
func FuzzResolve(f *testing.F) {
	f.Add(600, 590, 580, 3, 3, 1, 0, true, true, false)
	f.Add(10, 10, 10, 0, 0, 0, 9, false, false, true)
	states := []slurm.State{
		"", slurm.Pending, slurm.Running, slurm.Completed, slurm.Failed, slurm.Timeout, slurm.Cancelled, slurm.NodeFail,
		slurm.Preempted, slurm.Completing, slurm.Requeued, "NEW_WORD", slurm.OutOfMemory, slurm.BootFail,
	}
	outcomes := []rundir.Outcome{"", "passed", "test_failed", "infra", "timeout:ready", "cancelled"}
	f.Fuzz(func(t *testing.T, now, asked, since, q, a, o, exit int, hasQueue, hasAcct, off bool) {
		pick := func(i, n int) int { return ((i % n) + n) % n }
		fs := facts(time.Duration(pick(now, 100000)) * s)
		if hasQueue {
			if st := states[pick(q, len(states))]; st == "" {
				notListed(time.Duration(pick(asked, 100000))*s, time.Duration(pick(since, 100000))*s)(&fs)
			} else {
				queue(time.Duration(pick(asked, 100000))*s, time.Duration(pick(since, 100000))*s, st, "")(&fs)
			}
		}
		fs.AcctOff = off
		acctState := states[pick(a, len(states))]
		if hasAcct && acctState != "" {
			acct(time.Duration(pick(asked, 100000))*s, time.Duration(pick(since, 100000))*s, string(acctState), []string{"0:0", "1:0", "0:9"}[pick(exit, 3)])(&fs)
		}
		said := outcomes[pick(o, len(outcomes))]
		if said != "" {
			agentEnd(time.Duration(pick(asked, 100000))*s, said, "GEN_0", 0)(&fs)
		}
		r := Resolve(fs)
		if r.Done && (r.Outcome == "" || r.Reason == "" || r.Confidence == "") {
			t.Fatalf("an end without outcome, reason or confidence: %+v", r)
		}
		if !r.Done && r.Outcome != "" {
			t.Fatalf("an outcome without an end: %+v", r)
		}
		if r.Outcome != rundir.OutcomePassed {
			return
		}
		if said != rundir.OutcomePassed {
			t.Fatalf("green without the agent's word: %+v", r)
		}
		if r.State.Class() == slurm.Terminal && r.State != slurm.Completed {
			t.Fatalf("green although Slurm says %s", r.State)
		}
	})
}

func TestExplainKnowsTheReasonsThatEndAJob(t *testing.T) {
	t.Parallel()
	for _, r := range Defaults().NeverReasons {
		require.NotEqual(t, r, Explain(r))
	}
	require.Equal(t, "SomethingNew", Explain("SomethingNew"))
	require.Contains(t, Explain("ReqNodeNotAvail,_UnavailableNodes:gpu[1-2]"), "down, drained or reserved")
}
