package verdict_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func TestNodeEffectIsTakenOutAndNamed(t *testing.T) {
	t.Parallel()
	l := newLine(t, latency(), verdict.Policy{})
	on := func(n int, nodes string) verdict.Run {
		worse := 0.0
		if nodes == "slow" {
			worse = 0.06
		}
		r := l.run(l.value(worse))
		r.NodeSet = nodes
		r.ID = fmt.Sprintf("n%d", n)
		return r
	}
	for n := range 60 {
		nodes := "fast"
		if n%3 == 0 {
			nodes = "slow"
		}
		l.runs = append(l.runs, on(n, nodes))
	}
	newest := on(60, "slow")
	row := l.judge(newest, verdict.Policy{})
	require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
	require.InDelta(t, 0.06, *row.NodeEffect, 0.02)
	require.Contains(t, row.Reason, "that of its nodes")
	with := *row.P

	for k := range l.runs {
		l.runs[k].NodeSet = ""
	}
	newest.NodeSet = ""
	row = l.judge(newest, verdict.Policy{})
	require.Nil(t, row.NodeEffect)
	require.Less(t, with, *row.P)
}
