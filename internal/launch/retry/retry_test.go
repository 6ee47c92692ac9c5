package retry

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A measurement that its judge doubts is repeated, on other nodes and after a while; a session compares with itself.
func TestRepetition(t *testing.T) {
	t.Parallel()
	e := Ended{
		Attempt: 1, Outcome: rundir.AttemptOutcome{Outcome: rundir.OutcomePassed, Nodes: []string{"n1"}},
		Repeat: "looks slow", RepeatAfter: time.Minute,
	}
	decide := func() Decision { return Policy{Max: 2}.Decide(context.Background(), e) }
	require.Equal(t, Decision{Action: Repeat, Why: "looks slow", Exclude: []string{"n1"}, After: time.Minute}, decide())
	e.Plan.Pairs = &rundir.PairPlan{}
	require.Equal(t, Decision{Action: Repeat, Why: "looks slow"}, decide())
	e.Outcome.Outcome = rundir.OutcomeTestFailed
	require.Equal(t, Done, decide().Action, "there is no measurement")
}

func TestRetryPolicy(t *testing.T) {
	t.Parallel()
	ended := func(o rundir.Outcome, attempt int, f *rundir.Finding) Ended {
		at := time.Unix(1000, 0)
		history := []rundir.Attempt{{Rep: 1, Attempt: 2, Due: rundir.DueRetry}, {Attempt: 1, Due: rundir.DueFirst}}
		for n := 2; n <= attempt; n++ {
			history = append(history, rundir.Attempt{Attempt: n, Due: rundir.DueRetry})
		}
		return Ended{Attempt: attempt, History: history, Outcome: rundir.AttemptOutcome{Outcome: o, Finding: f, Reason: "r", Nodes: []string{"n1"}, Started: &at, Ended: at.Add(10 * time.Second)}}
	}
	infra := func(kind string, nodes ...string) *rundir.Finding {
		return &rundir.Finding{Class: "infra", Kind: kind, BadNodes: nodes}
	}
	r := Policy{Max: 2, Budget: 3, Backoff: rundir.Duration(time.Minute), MaxDelay: rundir.Duration(90 * time.Second), Exclude: true}
	for name, tc := range map[string]struct {
		e       Ended
		again   bool
		exclude []string
		after   time.Duration
	}{
		"passed":                {e: ended("passed", 1, nil)},
		"test failed":           {e: ended("test_failed", 1, nil)},
		"cancelled":             {e: ended("cancelled", 1, nil)},
		"time limit":            {e: ended("timeout:benchmark", 1, nil)},
		"queue budget":          {e: ended("timeout:queue", 1, nil)},
		"setup's budget":        {e: ended("timeout:setup", 1, &rundir.Finding{Class: "unknown", Kind: "timeout"}), again: true, after: time.Minute},
		"time limit in setup":   {e: ended("timeout:setup", 2, &rundir.Finding{Class: "unknown", Kind: "time-limit"}), again: true, after: 90 * time.Second},
		"setup, by Slurm":       {e: ended("timeout:setup", 1, infra("time-limit")), again: true, after: time.Minute},
		"setup, retries used":   {e: ended("timeout:setup", 3, &rundir.Finding{Class: "unknown", Kind: "timeout"})},
		"hang":                  {e: ended("timeout:benchmark", 1, &rundir.Finding{Class: "unknown", Kind: "timeout"})},
		"node failed":           {e: ended("infra", 1, infra("node-fail", "n7")), again: true, exclude: []string{"n7"}, after: time.Minute},
		"instant, no node":      {e: ended("infra", 1, infra("launch-failed")), again: true, exclude: []string{"n1"}, after: time.Minute},
		"preempted":             {e: ended("infra", 2, infra("preempted")), again: true, after: 90 * time.Second},
		"lost":                  {e: ended("lost", 1, infra("lost")), again: true, after: time.Minute},
		"retries used":          {e: ended("infra", 3, infra("node-fail"))},
		"refused by sbatch":     {e: ended("infra", 1, infra("submit-refused"))},
		"never resolves":        {e: ended("infra", 1, infra("queue-never"))},
		"not proven to be that": {e: ended("infra", 1, &rundir.Finding{Class: "unknown", Kind: "sources-disagree"})},
	} {
		d := r.Decide(context.Background(), tc.e)
		require.Equal(t, tc.again, d.Action == Again, name)
		require.Equal(t, tc.exclude, d.Exclude, name)
		require.Equal(t, tc.after, d.After, name)
	}
	// What was resumed, or withdrawn for a limit, was no failure: it neither uses up a retry nor doubles its delay.
	third := ended("infra", 3, infra("node-fail", "n7"))
	third.History[2].Due, third.History[3].Due = rundir.DueResumed, rundir.DueAgain
	once := r
	once.Max = 1
	require.Equal(t, Decision{Action: Again, Exclude: []string{"n7"}, After: time.Minute, Why: "retry: r"}, once.Decide(context.Background(), third))
	third.History[3].Due = rundir.DueRetry
	require.Equal(t, Decision{Action: Done, Why: "1 of 1 retries used"}, once.Decide(context.Background(), third))

	e := ended("infra", 1, infra("node-fail"))
	e.Retries = 3
	require.Equal(t, Done, r.Decide(context.Background(), e).Action, "the run's budget")
}
