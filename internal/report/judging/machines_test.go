package judging_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// on is a run on one node of five. Node 3 is 4 % slower.
func onNode(caseID string, i, node int) baseline.Record {
	value := noisy(i)
	if node == 3 {
		value *= 0.96
	}
	r := nightly(caseID, i, value)
	r.Repetitions[0].Nodes, r.Repetitions[0].NodeSet = []string{fmt.Sprintf("n%d", node)}, ""
	r.Measurements = r.Measurements[:1]
	return r.Normal()
}

// A run that is red because of the node that it was on is told so, and is not red.
func TestWhatASlowNodeCostsIsTakenOut(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	var all []baseline.Record
	for i := range 40 {
		for c := range 3 {
			all = append(all, onNode(fmt.Sprintf("c%d", c), i, (2*i+c)%5))
		}
	}
	for i := range 12 { // a young case that has never been on node 3
		all = append(all, onNode("young", i, i%2))
	}
	save(t, s, all...)
	r := onNode("young", 41, 3)
	r.Measurements[0].Values = []float64{96.1, 96.0, 95.9}
	r = r.Normal()

	without := judge(t, setup(s), r)
	require.Contains(t, []verdict.Word{verdict.Regression, verdict.Inconclusive}, verdict.Worst(without.Rows))
	set := setup(s)
	set.Machines = &judging.Machines{}
	with := judge(t, set, r)
	require.Equal(t, verdict.Pass, verdict.Worst(with.Rows), with.Rows[0].Reason)
	require.Len(t, with.Lemons, 1)
	require.Equal(t, "n3", with.Lemons[0].Node)
	require.InDelta(t, 0.04, with.Lemons[0].Worse, 0.01)
	require.Contains(t, with.Rows[0].Reason, "It ran on node n3, which is 4.")

	r.Measurements[0].Values = []float64{90.1, 90.0, 89.9} // more than the node costs
	require.Equal(t, verdict.Regression, verdict.Worst(judge(t, set, r.Normal()).Rows))
}

// The usual difference between cards is known where runs come back to them: three cards
// behind one name of a node are three places.
func TestCardsBehindOneNode(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	run := func(i, card int) baseline.Record {
		r := nightly("c", i, noisy(i)*[]float64{1, 1, 0.95}[card])
		r.Repetitions[0].Nodes, r.Repetitions[0].NodeSet = []string{"gpu-host"}, "gpu-host"
		r.Repetitions[0].Machine = &rundir.Machine{Cards: []rundir.Card{{Node: "gpu-host", UUID: fmt.Sprintf("GPU-%d", card)}}}
		r.Measurements = r.Measurements[:1]
		return r.Normal()
	}
	for i := range 30 {
		save(t, s, run(i, i*i%7%3))
	}
	row := word(t, judge(t, setup(s), run(31, 2)), tput)
	require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
	require.NotNil(t, row.NodeEffect)
	require.InDelta(t, 0.05, *row.NodeEffect, 0.01)
	require.Contains(t, row.Reason, "GPU-2")
}
