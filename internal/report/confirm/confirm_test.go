package confirm

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func write(t *testing.T, dir string, cases ...report.CaseReport) {
	t.Helper()
	require.NoError(t, os.MkdirAll(rundir.Dir(dir).Report(), 0o755))
	require.NoError(t, rundir.WriteJSON(filepath.Join(rundir.Dir(dir).Report(), rundir.ReportVerdict), report.Report{Cases: cases}))
}

func regression(id string) report.CaseReport {
	c := report.CaseReport{ID: id, Slug: id}
	c.Result = report.ResultRegression
	c.Suspects = &report.Suspects{Good: "aaaaaaa", Bad: "bbbbbbb"}
	return c
}

// What an older session left in the directory says nothing about these commits.
func TestAnOlderSessionConfirmsNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		base, head *ab.Build
		session    int
		said       string
	}{
		{"refused", &ab.Build{Commit: "aaaaaaa"}, &ab.Build{Commit: "bbbbbbb"}, 2, "the session was refused"},
		{"another base", &ab.Build{Commit: "ccccccc"}, &ab.Build{Commit: "bbbbbbb"}, 0, "of other commits than aaaaaaa and bbbbbbb"},
		{"another head", &ab.Build{Commit: "aaaaaaa"}, &ab.Build{Commit: "ccccccc"}, 0, "of other commits"},
		{"of no commit", &ab.Build{}, &ab.Build{}, 0, "of other commits"},
		{"of nothing", nil, nil, 0, "of other commits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run")
			write(t, dir, regression("x"))
			old := report.CaseReport{ID: "x"}
			old.AB = &ab.Session{Verdict: paired.Pass, Base: tt.base, Head: tt.head}
			write(t, dir+"-confirm-x", old)
			var out bytes.Buffer
			code, err := Options{Dir: rundir.Dir(dir), Out: &out, Session: func(context.Context, string, string, string, string) (int, string) {
				return tt.session, ""
			}}.Run(t.Context())
			require.NoError(t, err)
			require.Equal(t, 4, code)
			require.Contains(t, out.String(), "unconfirmed  x: ")
			require.Contains(t, out.String(), tt.said)
		})
	}
}

// A run that is red without a regression does not turn green because there is nothing to confirm.
func TestRunWithoutARegressionKeepsItsExitCode(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 1, 3, 5} {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(rundir.Dir(dir).Report(), 0o755))
		var doc report.Report
		doc.ExitCode = code
		require.NoError(t, rundir.WriteJSON(filepath.Join(rundir.Dir(dir).Report(), rundir.ReportVerdict), doc))
		got, err := Options{Dir: rundir.Dir(dir), Out: io.Discard}.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, code, got)
	}
}

// A regression is confirmed, cleared, or neither; only what is cleared is no regression any more.
func TestRegressionsAreConfirmed(t *testing.T) {
	t.Parallel()
	unknown := regression("unknown")
	unknown.Suspects = nil
	green := regression("green")
	green.Result = report.ResultPassed
	for _, tt := range []struct {
		name    string
		cases   []report.CaseReport
		found   paired.Word
		failed  string
		session int // exit code of the session
		code    int
		said    string
	}{
		{name: "nothing to confirm", cases: []report.CaseReport{green}, code: 0, said: "no regression to confirm"},
		{name: "confirmed", cases: []report.CaseReport{green, regression("x")}, found: paired.Regression, code: 4, said: "confirmed  x: found"},
		{name: "cleared", cases: []report.CaseReport{regression("x")}, found: paired.Pass, code: 5, said: "not confirmed  x: head; the alarm stays open"},
		{name: "better", cases: []report.CaseReport{regression("x")}, found: paired.Improvement, code: 5, said: "not confirmed  x"},
		{name: "undecided", cases: []report.CaseReport{regression("x")}, found: paired.Inconclusive, code: 4, said: "unconfirmed  x: found"},
		{name: "no such build", cases: []report.CaseReport{regression("x")}, failed: "builds.make: exit 1", code: 4, said: "unconfirmed  x: builds.make: exit 1"},
		{name: "no commit", cases: []report.CaseReport{unknown}, code: 4, said: "unconfirmed  unknown: nothing says which commit was the last good one"},
		{name: "one cleared, one unknown", cases: []report.CaseReport{regression("x"), unknown}, found: paired.Pass, code: 4, said: "not confirmed  x"},
		{name: "interrupted", cases: []report.CaseReport{regression("x")}, session: 143, code: 143},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run")
			write(t, dir, tt.cases...)
			var out bytes.Buffer
			o := Options{Dir: rundir.Dir(dir), Out: &out, Session: func(_ context.Context, at, id, good, bad string) (int, string) {
				require.Equal(t, []string{dir + "-confirm-" + id, "aaaaaaa", "bbbbbbb"}, []string{at, good, bad})
				if tt.session > 0 || tt.failed != "" {
					return tt.session, tt.failed
				}
				c := report.CaseReport{ID: id, Message: "found"}
				c.AB = &ab.Session{Verdict: tt.found, Headline: "head", Base: &ab.Build{Commit: good + "aa"}, Head: &ab.Build{Commit: bad}}
				write(t, at, c)
				return 4, ""
			}}
			code, err := o.Run(t.Context())
			require.NoError(t, err)
			require.Equal(t, tt.code, code, out.String())
			require.Contains(t, out.String(), tt.said)
		})
	}
}
