package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Every word that a run can end with has its line on the page that says what to do.
func TestEveryWordSaysWhatToDo(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docs/what-to-do.md")
	require.NoError(t, err)
	words := []string{
		"passed", "improved", "not judged", "KNOWN FAILURE", "TEST FAILED", "NOT RUN", "INFRASTRUCTURE", "REGRESSION", "NO VERDICT", "SKIPPED", "INTERRUPTED", "NOT FINISHED",
		blame.KindCrash, blame.KindEarlyExit, blame.KindHang, blame.KindReadyTimeout, blame.KindTimeout, blame.KindTimeLimit, blame.KindTestFailed,
		blame.KindCancelled, blame.KindPreempted, blame.KindNodeFail, blame.KindInstall, blame.KindPrecheck, blame.KindNeverStarted, blame.KindNoResult,
		blame.KindStorage, blame.KindUnkillable, blame.KindServerDied, blame.KindServerSick, blame.KindUnattributed,
	}
	for _, o := range []rundir.Outcome{rundir.OutcomePassed, rundir.OutcomeTestFailed, rundir.OutcomeInfra, rundir.OutcomeCancelled, rundir.OutcomeLost} {
		words = append(words, "`"+string(o)+"`")
	}
	for _, p := range []rundir.Phase{rundir.PhaseQueue, rundir.PhaseSetup, rundir.PhaseReady, rundir.PhaseBenchmark, rundir.PhaseDrain} {
		words = append(words, "`"+string(rundir.TimeoutOf(p))+"`")
	}
	for _, w := range []verdict.Word{
		verdict.Pass, verdict.Improvement, verdict.Regression, verdict.Inconclusive, verdict.Collecting, verdict.NoBaseline, verdict.BaselineUnavailable, verdict.Invalid,
	} {
		words = append(words, "| "+string(w)+" |")
	}
	for _, w := range words {
		require.Contains(t, string(data), w)
	}
}
