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
	"github.com/ci-disagg/ci-disagg/internal/report/recheck"
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
	c.Together = &verdict.Case{Alarm: true}
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
		{"of another driver", &ab.Build{Commit: "aaaaaaa"}, &ab.Build{Commit: "bbbbbbb"}, 6, "another driver has the session in "},
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
			got, stopped, err := Options{Dir: rundir.Dir(dir), Out: &out, Session: func(context.Context, Result) (int, string) {
				return tt.session, ""
			}}.Run(t.Context(), nil)
			require.NoError(t, err)
			require.Zero(t, stopped)
			require.Len(t, got, 1)
			require.Equal(t, recheck.Unconfirmed, got[0].Outcome)
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
	old := regression("old")
	old.Together.Alarm = false
	named := regression("named")
	named.Suspects = &report.Suspects{Good: "$(touch x)", Bad: "bbbbbbb"}
	weekend := regression("weekend")
	weekend.Suspects.Commits = []string{"bbbbbbb Third", "1234567 Second", "7654321 First"}
	pinned := regression("pinned") // a session passes, and a promise is broken all the same
	pinned.AB, pinned.Together = &ab.Session{Verdict: paired.Pass}, nil
	pinned.Metrics = []verdict.Row{{Metric: "ttft_median_ms", Gate: true, Rule: string(verdict.RuleFixed), Verdict: verdict.Regression}}
	pinned.Worst = &report.MetricRef{Metric: "ttft_median_ms"}
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
		{name: "confirmed", cases: []report.CaseReport{green, regression("x")}, found: paired.Regression, want: []string{recheck.Confirmed}, said: "confirmed  x: found"},
		{
			name: "nights without a run between", cases: []report.CaseReport{weekend}, found: paired.Regression, want: []string{recheck.Confirmed},
			said: "confirmed  weekend: found; it came with one of 3 commits, and `ci-disagg bisect` finds which",
		},
		{name: "cleared", cases: []report.CaseReport{regression("x")}, found: paired.Pass, want: []string{recheck.NotConfirmed}, said: "not confirmed  x: head; the alarm stays open"},
		{name: "better", cases: []report.CaseReport{regression("x")}, found: paired.Improvement, want: []string{recheck.NotConfirmed}, said: "not confirmed  x"},
		{name: "undecided", cases: []report.CaseReport{regression("x")}, found: paired.Inconclusive, want: []string{recheck.Unconfirmed}, said: "unconfirmed  x: found"},
		{name: "no such build", cases: []report.CaseReport{regression("x")}, failed: "builds.make: exit 1", want: []string{recheck.Unconfirmed}, said: "unconfirmed  x: builds.make: exit 1"},
		{name: "no commit", cases: []report.CaseReport{unknown}, want: []string{recheck.Unconfirmed}, said: "unconfirmed  unknown: nothing says which commit was the last good one"},
		{name: "one cleared, one unknown", cases: []report.CaseReport{regression("x"), unknown}, found: paired.Pass, want: []string{recheck.NotConfirmed, recheck.Unconfirmed}, said: "not confirmed  x"},
		{name: "open for weeks", cases: []report.CaseReport{old}},
		{name: "a promise", cases: []report.CaseReport{pinned}},
		{name: "no id", cases: []report.CaseReport{named}, want: []string{recheck.Unconfirmed}, said: `unconfirmed  named: "$(touch x)" is not the id of a commit`},
		{name: "interrupted", cases: []report.CaseReport{regression("x")}, session: 143},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run")
			write(t, dir, tt.cases...)
			var out bytes.Buffer
			o := Options{Dir: rundir.Dir(dir), Out: &out, Session: func(_ context.Context, w Result) (int, string) {
				require.Equal(t, []string{dir + "-confirm-" + w.Case, "aaaaaaa", "bbbbbbb"}, []string{w.Dir, w.Good, w.Bad})
				if tt.session > 0 || tt.failed != "" {
					return tt.session, tt.failed
				}
				c := report.CaseReport{ID: w.Case, Message: "found"}
				c.AB = &ab.Session{Verdict: tt.found, Headline: "head", Base: &ab.Build{Commit: w.Good + "aa"}, Head: &ab.Build{Commit: w.Bad}}
				write(t, w.Dir, c)
				return 4, ""
			}}
			outcomes := func() (found []string) {
				got, stopped, err := o.Run(t.Context(), nil)
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

// All sessions of a run together take no more than ab.max_gpu_hours.
func TestConfirmingIsBounded(t *testing.T) {
	t.Parallel()
	var asked []string
	o := Options{
		Dir: rundir.Dir(t.TempDir()), Out: t.Output(), Most: 5,
		Hours: func(id, _, _ string) (float64, error) { return map[string]float64{"a": 3, "b": 4, "c": 2}[id], nil },
		Session: func(_ context.Context, w Result) (int, string) {
			asked = append(asked, w.Case)
			return 0, "no node"
		},
	}
	got, _, err := o.Run(t.Context(), []report.CaseReport{regression("a"), regression("b"), regression("c")})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "c"}, asked)
	require.Equal(t, "ab.max_gpu_hours: its session may take 4.0 GPU-hours, and those before it may take 3.0 of the 5", got[1].Why)
}

// The session runs on other nodes than those that the regression was found on, as far as there are any, whatever comes
// of it; what came of it says which.
func TestRegressionsAreConfirmedElsewhere(t *testing.T) {
	t.Parallel()
	found := regression("x")
	found.Attempts = []report.AttemptReport{
		{Attempt: 1, Nodes: []string{"n9"}}, // did not count
		{Attempt: 2, Nodes: []string{"n2", "n1"}, Counts: true},
		{Rep: 1, Attempt: 1, Nodes: []string{"n1", "n3"}, Counts: true},
	}
	for _, tt := range []struct {
		name  string
		ran   []string
		word  paired.Word
		want  string
		where string
	}{
		{"confirmed elsewhere", []string{"n4", "n5"}, paired.Regression, recheck.Confirmed, "found; on other nodes (n4, n5) than the run (n1, n2, n3)"},
		{"cleared elsewhere", []string{"n4", "n5"}, paired.Pass, recheck.NotConfirmed, "head; the alarm stays open; on other nodes (n4, n5)"},
		{"undecided elsewhere", []string{"n4", "n5"}, paired.Inconclusive, recheck.Unconfirmed, "found; on other nodes"},
		{"too few others", []string{"n4", "n1"}, paired.Pass, recheck.NotConfirmed, "stays open; on n1, as the run: there were too few others"},
		{"elsewhere, of other commits", []string{"n4"}, "", recheck.Unconfirmed, "found; on other nodes (n4)"},
		{"nobody knows", nil, paired.Regression, recheck.Confirmed, "found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "run")
			write(t, dir, found)
			got, _, err := Options{Dir: rundir.Dir(dir), Out: t.Output(), Session: func(_ context.Context, w Result) (int, string) {
				require.Equal(t, []string{"n1", "n2", "n3"}, w.Nodes)
				c := report.CaseReport{ID: "x", Message: "found"}
				c.AB = &ab.Session{Verdict: tt.word, Headline: "head", Nodes: tt.ran, Base: &ab.Build{Commit: w.Good}, Head: &ab.Build{Commit: w.Bad}}
				write(t, w.Dir, c)
				return 4, ""
			}}.Run(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, tt.want, got[0].Outcome)
			require.Contains(t, got[0].Why, tt.where)
			kept, err := Read(rundir.Dir(dir))
			require.NoError(t, err)
			again, holds := kept["x"].Holds(rundir.Dir(dir), "x", found.Suspects)
			require.True(t, holds)
			if tt.want != recheck.Unconfirmed {
				require.Equal(t, got[0].Why, again.Why)
			}
		})
	}
}
