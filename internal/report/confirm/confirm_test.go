package confirm

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
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
			got, stopped, err := Options{Dir: rundir.Dir(dir), Out: &out, Session: func(context.Context, string, string, string, string) (int, string) {
				return tt.session, ""
			}}.Run(t.Context())
			require.NoError(t, err)
			require.Zero(t, stopped)
			require.Len(t, got, 1)
			require.Equal(t, Unconfirmed, got[0].Outcome)
			require.Contains(t, out.String(), "unconfirmed  x: ")
			require.Contains(t, out.String(), tt.said)
		})
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
		want    []string
		said    string
	}{
		{name: "nothing to confirm", cases: []report.CaseReport{green}},
		{name: "confirmed", cases: []report.CaseReport{green, regression("x")}, found: paired.Regression, want: []string{Confirmed}, said: "confirmed  x: found"},
		{name: "cleared", cases: []report.CaseReport{regression("x")}, found: paired.Pass, want: []string{NotConfirmed}, said: "not confirmed  x: head; the alarm stays open"},
		{name: "better", cases: []report.CaseReport{regression("x")}, found: paired.Improvement, want: []string{NotConfirmed}, said: "not confirmed  x"},
		{name: "undecided", cases: []report.CaseReport{regression("x")}, found: paired.Inconclusive, want: []string{Unconfirmed}, said: "unconfirmed  x: found"},
		{name: "no such build", cases: []report.CaseReport{regression("x")}, failed: "builds.make: exit 1", want: []string{Unconfirmed}, said: "unconfirmed  x: builds.make: exit 1"},
		{name: "no commit", cases: []report.CaseReport{unknown}, want: []string{Unconfirmed}, said: "unconfirmed  unknown: nothing says which commit was the last good one"},
		{name: "one cleared, one unknown", cases: []report.CaseReport{regression("x"), unknown}, found: paired.Pass, want: []string{NotConfirmed, Unconfirmed}, said: "not confirmed  x"},
		{name: "interrupted", cases: []report.CaseReport{regression("x")}, session: 143},
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
			outcomes := func() (found []string) {
				got, stopped, err := o.Run(t.Context())
				require.NoError(t, err)
				require.Equal(t, tt.session, stopped)
				for _, r := range got {
					found = append(found, r.Outcome)
				}
				kept, err := Read(o.Dir)
				require.NoError(t, err)
				require.Len(t, kept, len(got))
				return found
			}
			require.Equal(t, tt.want, outcomes())
			require.Contains(t, out.String(), tt.said)
			for i, c := range tt.cases { // the report that has been made since calls what is cleared no verdict
				if c.Result == report.ResultRegression && tt.found == paired.Pass {
					tt.cases[i].Result = report.ResultNoVerdict
				}
			}
			write(t, dir, tt.cases...)
			require.Equal(t, tt.want, outcomes(), "again")
		})
	}
}

// A result changes red rows and nothing else, and turns none green.
func TestRowsOfAConfirmedCase(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[string]verdict.Word{Confirmed: verdict.Regression, Unconfirmed: verdict.Regression, NotConfirmed: verdict.Inconclusive} {
		row := func(w verdict.Word, reason string, advisory bool) verdict.Row {
			r := verdict.Row{Verdict: w, Reason: reason, Advisory: advisory}
			r.Alarm = true
			return r
		}
		r := Result{Outcome: outcome, Why: "why"}
		rows := []verdict.Row{row(verdict.Regression, "slower", false), row(verdict.Pass, "fine", false), row(verdict.Regression, "shown", true)}
		require.Equal(t, "Measured again in pairs: "+outcome+": why.", r.Apply(rows))
		wrong := []verdict.Row{{Verdict: verdict.Regression, Rule: report.RuleAccuracy, Reason: "wrong answers"}}
		require.Empty(t, r.Apply(append(wrong, rows[1:]...)))
		require.Equal(t, verdict.Regression, wrong[0].Verdict)
		require.Equal(t, []verdict.Row{
			row(want, outcome+": why. slower", false), row(verdict.Pass, "fine", false), row(verdict.Regression, "shown", true),
		}, rows)
	}
}
