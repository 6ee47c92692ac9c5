package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Where people reach a copy of the run's files and not the run directory, they are sent to the copy.
func TestNextNamesTheArtifact(t *testing.T) {
	t.Parallel()
	c := CaseReport{Slug: "c", Decision: Decision{Result: ResultTestFailed}, Finding: &rundir.Finding{Line: &rundir.LogLine{File: "run-0/roles/a b/output.log", Number: 7}}}
	c.Attempts = []AttemptReport{{Attempt: 1, Counts: true, Finding: c.Finding}}
	require.Equal(t, "less +7 '/r/cases/c/rep-0/attempt-1/run-0/roles/a b/output.log'", Advice{RunDir: "/r"}.next(c))
	a := Advice{RunDir: "/r", Pages: "https://ci/job/7/artifact/copy/"}
	require.Equal(t, "# https://ci/job/7/artifact/copy/cases/c/rep-0/attempt-1/run-0/roles/a%20b/output.log +7", a.next(c))
	c.Finding.Line.File = "../../../../../../../../logout" // as a job may have written it
	require.Equal(t, "# https://ci/job/7/artifact/copy/logout +7", a.next(c))
	c.Attempts, c.Finding = nil, nil
	require.Equal(t, "# https://ci/job/7/artifact/copy/report/summary.md", a.next(c))
}

// A run that took too long without anybody's fault is looked at where it did its work, not in the job's own output.
func TestNextOfATimeoutIsTheClient(t *testing.T) {
	t.Parallel()
	c := CaseReport{Slug: "c", Decision: Decision{Result: ResultTestFailed}, Finding: &rundir.Finding{Kind: "phase-timeout"}}
	c.Attempts = []AttemptReport{{Attempt: 1, Counts: true, Finding: c.Finding, Roles: []RoleReport{
		{RoleRecord: rundir.RoleRecord{Kind: rundir.KindServer}, Log: &Link{Path: "server.log"}}, {RoleRecord: rundir.RoleRecord{Kind: rundir.KindClient}, Log: &Link{Path: "client.log"}},
	}}}
	require.Equal(t, "less /r/client.log", Advice{RunDir: "/r"}.next(c))
	c.Attempts[0].Roles = nil
	require.Equal(t, "less /r/cases/c/rep-0/attempt-1/slurm.out", Advice{RunDir: "/r"}.next(c))
}

// After a session that proved nothing another one is no help where it would end in the same way.
func TestNextOfASession(t *testing.T) {
	t.Parallel()
	a, b := Advice{RunDir: "/r", Config: "c.yaml"}, ab.Build{Commit: "aaaaaaa"}
	c := CaseReport{ID: "c", Slug: "c", Decision: Decision{Result: ResultNoVerdict, Colour: Amber}, Measurement: Measurement{AB: &ab.Session{Verdict: paired.Inconclusive}}}
	require.Equal(t, "ci-disagg run --ab -c c.yaml c", a.next(c))
	c.AB.Limit = "30m"
	require.Equal(t, "# ab.time in c.yaml: more than 30m, or shorter runs: the session was not decided within it", a.next(c))
	c.AB = &ab.Session{Verdict: paired.Invalid, Measured: []ab.Pair{{A: ab.Run{Log: "first.log"}}, {A: ab.Run{Log: "base.log"}}, {}}}
	require.Equal(t, "less /r/base.log", a.next(c))

	c.Result = ResultRegression
	require.Equal(t, "less /r/report/summary.md", a.next(c))
	c.AB.Base, c.AB.Head = &b, &ab.Build{Commit: "bbbbbbb"}
	require.Equal(t, "git log --oneline aaaaaaa..bbbbbbb", a.next(c))
	c.AB.Head.Source = "/src/head"
	require.Equal(t, "git -C /src/head log --oneline aaaaaaa..bbbbbbb", a.next(c))
	c.AB.Head.Commit = b.Commit
	require.Equal(t, "less /r/report/summary.md", a.next(c))
}

// What a test that passed has left out is looked for in its client's log, or where nothing was logged, in the summary.
func TestNextOfAMissingResult(t *testing.T) {
	t.Parallel()
	c := CaseReport{Slug: "c", Decision: Decision{Result: ResultNoVerdict, Colour: Amber}}
	c.Attempts = []AttemptReport{{Attempt: 1, Counts: true, Outcome: rundir.OutcomePassed, Roles: []RoleReport{{RoleRecord: rundir.RoleRecord{Kind: rundir.KindClient}, Log: &Link{Path: "client.log"}}}}}
	require.Equal(t, "less /r/client.log", Advice{RunDir: "/r"}.next(c))
	c.Attempts[0].Roles[0].Log = nil
	require.Equal(t, "less /r/report/summary.md", Advice{RunDir: "/r"}.next(c))
}

// What is slower than a pinned value is looked at first. That it may be meant is offered on its page, and not in its
// place.
func TestNextOfARegressionAcceptsNothing(t *testing.T) {
	t.Parallel()
	value := 12.5
	c := CaseReport{ID: "c", Decision: Decision{Result: ResultRegression, Colour: Red}}
	c.Verdict = verdict.Regression
	c.Worst = &MetricRef{Metric: "tpot_median_ms"}
	c.Metrics = []verdict.Row{{Metric: "tpot_median_ms", Verdict: verdict.Regression, Rule: string(verdict.RuleFixed), Value: &value}}
	a := Advice{RunDir: "/r", NoStore: true}
	require.Equal(t, "less /r/report/summary.md", a.next(c))
	require.Equal(t, "ci-disagg baseline pin --case c 'tpot_median_ms=12.5' --reason why", a.accept(c))
	a.NoStore = false
	require.Equal(t, "ci-disagg baseline show --case c", a.next(c))
}

// Whatever a case ended with that is not simply good, with a store or without one, somebody is told what to do next.
func TestEveryEndingHasANext(t *testing.T) {
	t.Parallel()
	for _, a := range []Advice{{RunDir: "/r"}, {RunDir: "/r", NoStore: true}, {RunDir: "/r", NoStore: true, Config: "/c.yaml"}} {
		for _, result := range []string{
			ResultTestFailed, ResultInfra, ResultInterrupted, ResultRegression, ResultNoVerdict, ResultSkipped, ResultKnown, ResultNotRun, "something new",
		} {
			for _, word := range []verdict.Word{
				"", verdict.Regression, verdict.Inconclusive, verdict.Invalid, verdict.NoBaseline, verdict.BaselineUnavailable, verdict.Collecting,
			} {
				c := CaseReport{ID: "c", Slug: "c", Decision: Decision{Result: result, Colour: Amber}}
				c.Verdict = word
				require.NotEmpty(t, a.next(c), "%s %s %+v", result, word, a)
			}
		}
		require.Empty(t, a.next(CaseReport{ID: "c", Decision: Decision{Result: ResultPassed, Colour: Green}}))
		require.Empty(t, a.next(CaseReport{ID: "c", Decision: Decision{Result: ResultSkipped, Colour: Green}}), "it was listed as skipped")
	}
}
