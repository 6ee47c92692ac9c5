package judging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// accepted is a store in which a step of night 12 was accepted at night 13 and went on to night 19. Each night has a
// commit of its own.
func accepted(t *testing.T) (baseline.Store, func(night, commit int, value float64) judging.Judgement, baseline.Record) {
	t.Helper()
	s := open(t, "dir:"+t.TempDir()+"/store")
	run := func(night, commit int, value float64) judging.Judgement {
		r := nightly("c", night, value)
		for len(r.Measurements[0].Values) < 4 {
			r.Measurements[0].Values = append(r.Measurements[0].Values, value)
		}
		r.Measurements = r.Measurements[:1]
		at := day(commit).AddDate(0, 0, -1)
		r.Build.Commit, r.Build.CommitTime = nightly("c", 100+commit, 1).Build.Commit, &at
		j := judge(t, setup(s), r.Normal())
		save(t, s, j.Record)
		return j
	}
	for i := range 12 {
		run(i, i, noisy(i))
	}
	require.Equal(t, verdict.Regression, word(t, run(12, 12, 0.75*noisy(12)), tput).Verdict)
	target := run(13, 13, 0.75*noisy(13)).Record
	save(t, s, act(baseline.KindAccept, target))
	for i := 14; i < 20; i++ {
		require.Equal(t, verdict.Pass, word(t, run(i, i, 0.75*noisy(i)), tput).Verdict)
	}
	return s, run, target
}

// An old commit that is measured late is no newer for it, and takes back nothing that was accepted before: whether the
// run that was accepted is still there, or was taken out since.
func TestAnOldCommitTakesNoAcceptanceBack(t *testing.T) {
	t.Parallel()
	for _, withdrawn := range []bool{false, true} {
		for _, commit := range []int{-30, 5} { // before all that was measured, and among it
			s, run, target := accepted(t)
			if withdrawn {
				save(t, s, act(baseline.KindWithdraw, target))
			}
			run(20, commit, noisy(20))
			row := word(t, run(21, 21, 0.75*noisy(21)), tput)
			require.Equal(t, verdict.Pass, row.Verdict, "withdrawn %t, commit %d: %s", withdrawn, commit, row.Reason)
			require.InDelta(t, 75, *row.Baseline, 1)
		}
	}
}

// What was accepted of later commits is not accepted of an older one that is measured again.
func TestAnAcceptanceStaysWithItsCommit(t *testing.T) {
	t.Parallel()
	_, run, _ := accepted(t)
	run(20, 11, noisy(20))
	row := word(t, run(21, 11, 0.75*noisy(21)), tput)
	require.Equal(t, verdict.Regression, row.Verdict, "a second look at an old commit: %s", row.Reason)
	require.InDelta(t, 100, *row.Baseline, 1)

	s, run, _ := accepted(t)
	for range 2 {
		run(20, 11, noisy(20))
	}
	pr := nightly("c", 22, 75)
	pr.Measurements = pr.Measurements[:1]
	pr.Measurements[0].Values = []float64{75, 75.1, 74.9, 75}
	pr.Build.Mode, pr.Build.Change = baseline.ModePR, "PR-1"
	pr.Build.MergeBase = nightly("c", 111, 1).Build.Commit
	row = word(t, judge(t, setup(s), pr.Normal()), tput)
	require.Equal(t, verdict.Regression, row.Verdict, "a change that left before the step: %s", row.Reason)
	require.InDelta(t, 100, *row.Baseline, 1)
}
