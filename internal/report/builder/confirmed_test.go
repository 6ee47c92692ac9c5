package builder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/confirm"
	"github.com/ci-disagg/ci-disagg/internal/report/recheck"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A regression that a session of its commits does not find too is no verdict; the history keeps it. What a file says of
// that is believed only where nobody drives the run, of no pull request, and where the session's own report says it.
func TestConfirmedRegressions(t *testing.T) {
	t.Parallel()
	o := builder(t, 20)
	dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 500})
	edit(t, dir, func(r *rundir.Run) { r.Build.Commit = "bad0bad" })
	before := build(t, o, dir, 0)
	require.Equal(t, 4, before.Document.ExitCode, before.Document.Cases[0].Message)
	measured := ab.Session{Verdict: paired.Pass, Headline: "why", Base: &ab.Build{Commit: "c0ffee1"}, Head: &ab.Build{Commit: "bad0bad"}}
	result := confirm.Result{Case: caseID, Answer: recheck.Answer{Why: "why", Good: "c0ffee1", Bad: "bad0bad"}}
	for _, row := range before.Document.Cases[0].Metrics {
		measured.Series = append(measured.Series, ab.Found{Point: row.Point, Metric: row.Metric})
		result.Series = append(result.Series, ab.Key{Point: row.Point, Metric: row.Metric}.String())
	}
	for outcome, code := range map[string]int{recheck.Confirmed: 4, recheck.Unconfirmed: 4, recheck.NotConfirmed: 5} {
		s := New(dir, o)
		d, err := s.Decide(t.Context(), 0)
		require.NoError(t, err)
		result.Outcome = outcome
		d.Confirm([]confirm.Result{{Case: "another", Answer: recheck.Answer{Outcome: recheck.NotConfirmed}}, result})
		after, err := s.Write(&d)
		require.NoError(t, err)
		require.Equal(t, code, after.ExitCode)
		require.Contains(t, after.Cases[0].Message, outcome+" in pairs: ")
		require.Equal(t, "Measured again in pairs: "+outcome+": why.", after.Cases[0].Confirmed)
		require.Equal(t, before.Records[0].Verdict, d.Records[0].Verdict)
	}

	result.Outcome = recheck.NotConfirmed
	reads := func(told confirm.Result, undriven bool) int {
		require.NoError(t, rundir.WriteJSON(filepath.Join(string(dir), confirm.RecordFile), map[string]any{"schema": rundir.Schema, "results": []confirm.Result{told}}))
		s := New(dir, o)
		s.ReadConfirmed = undriven
		d, err := s.Decide(t.Context(), 0)
		require.NoError(t, err)
		return report.Decide(d.Run, d.Cases).ExitCode
	}
	require.Equal(t, 4, reads(result, true), "there is no session")
	beside := rundir.Dir(string(dir) + "-confirm-tiny")
	require.NoError(t, os.MkdirAll(beside.Report(), 0o755))
	of := report.CaseReport{ID: caseID}
	of.AB = &measured
	require.NoError(t, rundir.WriteJSON(filepath.Join(beside.Report(), rundir.ReportVerdict), report.Report{Cases: []report.CaseReport{of}}))
	require.Equal(t, 5, reads(result, true))
	require.Equal(t, 4, reads(result, false), "it is driven")
	other := result
	other.Good = "c0ffee2"
	require.Equal(t, 4, reads(other, true), "of another commit")
	measured.Verdict = paired.Regression
	require.NoError(t, rundir.WriteJSON(filepath.Join(beside.Report(), rundir.ReportVerdict), report.Report{Cases: []report.CaseReport{of}}))
	require.Equal(t, 4, reads(result, true), "the session says another thing")
	edit(t, dir, func(r *rundir.Run) { r.Build.Mode = "pr" })
	require.NotContains(t, build(t, o, dir, 0).Document.Cases[0].Message, "confirmed")
}
