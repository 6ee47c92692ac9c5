package cost_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var began = time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)

func at(minutes int) *time.Time {
	t := began.Add(time.Duration(minutes) * time.Minute)
	return &t
}

// plan is 16 GPUs on four nodes: a generation server has eight, a context server four, and four are nobody's.
func plan() rundir.Plan {
	var p rundir.Plan
	p.Nodes, p.GPUsPerNode, p.AllocatedGPUs, p.UsedGPUs = 4, 4, 16, 12
	p.Hang = rundir.Duration(12 * time.Minute)
	p.Builds = []rundir.BuildPlan{{Roles: []rundir.RolePlan{
		{Name: "GEN_0", Kind: rundir.KindServer, Slice: []rundir.NodeShare{{Node: 0, GPUs: 4}, {Node: 1, GPUs: 4}}},
		{Name: "CTX_0", Kind: rundir.KindServer, Slice: []rundir.NodeShare{{Node: 2, GPUs: 4}}},
		{Name: "BENCHMARK", Kind: rundir.KindClient, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}},
	}}}
	return p
}

func account(from, to int) rundir.RunAccount {
	return rundir.RunAccount{Phases: []rundir.PhaseSpan{
		{Phase: rundir.PhaseReady, Start: *at(0), End: at(from)},
		{Phase: rundir.PhaseBenchmark, Start: *at(from), End: at(to)},
		{Phase: rundir.PhaseDrain, Start: *at(to), End: at(60)},
	}}
}

// hour is an attempt that held its nodes for an hour and measured for the middle half.
func hour(outcome rundir.Outcome) results.Ended {
	return results.Ended{Outcome: outcome, Attempt: results.Attempt{
		Counts: true, Agent: &rundir.AgentRecord{RunAccount: account(15, 45)},
		Result: &rundir.AttemptOutcome{Started: at(0), Ended: *at(60), Nodes: []string{"n1", "n2", "n3", "n4"}},
	}}
}

// TestWhereHoursWent: loading and hanging are not computed on, every hour has one cause, and together they are what was
// allocated.
func TestWhereHoursWent(t *testing.T) {
	t.Parallel()
	idle := map[string]float64{"GEN_0": 4, "CTX_0": 2, cost.NoRole: 4}
	for name, c := range map[string]struct {
		change func(*results.Ended)
		want   cost.Spent
	}{
		"useful":       {func(*results.Ended) {}, cost.Spent{Allocated: 16, Computed: 6, Useful: 6, Idle: idle}},
		"a repetition": {func(e *results.Ended) { e.Rep = 1 }, cost.Spent{Allocated: 16, Computed: 6, Repeated: 6, Idle: idle}},
		"made twice":   {func(e *results.Ended) { e.Counts = false }, cost.Spent{Allocated: 16, Computed: 6, Repeated: 6, Idle: idle}},
		"failed":       {func(e *results.Ended) { e.Outcome = rundir.OutcomeTestFailed }, cost.Spent{Allocated: 16, Computed: 6, Failed: 16}},
		"hung": {func(e *results.Ended) {
			e.Outcome, e.Finding = rundir.OutcomeTestFailed, &rundir.Finding{Kind: blame.KindHang, Class: "test"}
		}, cost.Spent{Allocated: 16, Computed: 3.6, Failed: 16}},
		"infrastructure": {func(e *results.Ended) { e.Outcome = rundir.OutcomeInfra }, cost.Spent{Allocated: 16, Computed: 6, Infrastructure: 16}},
		"late containers, exit 3": {func(e *results.Ended) {
			e.Outcome, e.Agent.Phases = rundir.TimeoutOf(rundir.PhaseSetup), nil
		}, cost.Spent{Allocated: 16, Infrastructure: 16}},
		"late servers, exit 1": {func(e *results.Ended) {
			e.Outcome, e.Finding = rundir.TimeoutOf(rundir.PhaseReady), &rundir.Finding{Class: "infra"}
			e.Agent.Phases = e.Agent.Phases[:1]
		}, cost.Spent{Allocated: 16, Failed: 16}},
		"runs that overlap": {func(e *results.Ended) {
			e.Agent.RunAccount, e.Before = account(0, 60), []rundir.RunAccount{account(0, 60), account(5, 50)}
		}, cost.Spent{Allocated: 16, Computed: 12, Useful: 12, Idle: map[string]float64{cost.NoRole: 4}}},
		"busier than can be": {func(e *results.Ended) {
			e.Machine = seen(map[string]float64{"n1": 4000, "n2": -1, "n3": math.Inf(1), "n4": 0})
		}, cost.Spent{Allocated: 16, Computed: 4, Useful: 4, Idle: map[string]float64{"GEN_0": 6, "CTX_0": 2, cost.NoRole: 4}}},
		"cancelled":     {func(e *results.Ended) { e.Outcome = rundir.OutcomeCancelled }, cost.Spent{Allocated: 16, Computed: 6, Cancelled: 16}},
		"never began":   {func(e *results.Ended) { e.Result, e.Agent = nil, nil }, cost.Spent{}},
		"without agent": {func(e *results.Ended) { e.Agent, e.Outcome = nil, rundir.OutcomeLost }, cost.Spent{Allocated: 16, Infrastructure: 16}},
		"a paired session": {func(e *results.Ended) {
			e.Agent.RunAccount, e.Before = account(50, 55), []rundir.RunAccount{account(5, 15), account(20, 35)}
		}, cost.Spent{Allocated: 16, Computed: 6, Useful: 6, Idle: idle}},
		"a server that waits, by its samples": {func(e *results.Ended) {
			e.Machine = seen(map[string]float64{"n1": 0.75, "n2": 0.25, "n3": 1, "n4": 0})
		}, cost.Spent{Allocated: 16, Computed: 4, Useful: 4, Idle: map[string]float64{"GEN_0": 6, "CTX_0": 2, cost.NoRole: 4}}},
		"half of its nodes sampled: not known": {func(e *results.Ended) {
			e.Machine = seen(map[string]float64{"n1": 0.5, "n2": math.NaN()})
		}, cost.Spent{Allocated: 16, Computed: 6, Useful: 6, Idle: idle}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := hour(rundir.OutcomePassed)
			c.change(&e)
			got := cost.Of(e, plan())
			require.InDeltaMapValues(t, c.want.Idle, got.Idle, 1e-9)
			sum := got.Useful + got.Repeated + got.Failed + got.Infrastructure + got.Cancelled + got.IdleHours()
			require.InDelta(t, got.Allocated, sum, 1e-9, "each hour once")
			got.Idle, c.want.Idle = nil, nil
			require.InDelta(t, c.want.Computed, got.Computed, 1e-9)
			got.Computed, c.want.Computed = 0, 0
			require.Equal(t, c.want, got)
		})
	}
}

// seen are four cards on each of the nodes that had work for a part of the benchmark.
func seen(busy map[string]float64) *machine.Seen {
	out := &machine.Seen{}
	for node, part := range busy {
		n := machine.NodeSeen{Node: node}
		for i := range 4 {
			n.Cards = append(n.Cards, machine.CardSeen{Card: rundir.Card{Node: node, Index: i}, Busy: part})
		}
		out.Nodes = append(out.Nodes, n)
	}
	return out
}

// TestSharedGPUs: of roles that share GPUs nothing is counted twice.
func TestSharedGPUs(t *testing.T) {
	t.Parallel()
	p := plan()
	p.AllocatedGPUs = 6
	got := cost.Of(hour(rundir.OutcomePassed), p)
	require.InDelta(t, 6, got.Allocated, 1e-9)
	require.InDelta(t, 3, got.Useful, 1e-9)
	require.InDelta(t, 3, got.IdleHours(), 1e-9)
}

// TestSharesAreWords: what there is, in a fixed order, the longest idle role first.
func TestSharesAreWords(t *testing.T) {
	t.Parallel()
	var sum cost.Spent
	sum.Add(cost.Of(hour(rundir.OutcomePassed), plan()))
	sum.Add(cost.Of(hour(rundir.OutcomeInfra), plan()))
	require.Equal(t, []cost.Share{
		{"useful", false, 6}, {"infrastructure", false, 16}, {"GEN_0", true, 4}, {cost.NoRole, true, 4}, {"CTX_0", true, 2},
	}, sum.Shares())
	require.InDelta(t, 32, sum.Allocated, 1e-9)
}
