package fault

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Who was stopped did not fall.
func TestOthersOfAFailure(t *testing.T) {
	t.Parallel()
	stopped := report.RoleReport{RoleRecord: rundir.RoleRecord{StoppedBy: "agent"}, Status: report.RoleCollateral}
	fell := report.RoleReport{Status: report.RoleCollateral}
	root := report.RoleReport{Status: report.RoleRoot}
	for want, roles := range map[string][]report.RoleReport{
		"":                           {root},
		"; 1 other role was stopped": {root, stopped},
		"; 1 other role fell with it; 2 other roles were stopped": {root, stopped, fell, stopped},
	} {
		f := &rundir.Finding{Class: "test"}
		c := report.CaseReport{Finding: f, Outcome: rundir.OutcomeTestFailed, Attempts: []report.AttemptReport{{Counts: true, Finding: f, Outcome: rundir.OutcomeTestFailed, Roles: roles}}}
		require.Equal(t, want, others(c))
	}
	require.Empty(t, others(report.CaseReport{}))
}

// Programs read whose turn it is in verdict.json, as people do on the pages.
func TestDecideSaysWhoseTurnItIs(t *testing.T) {
	t.Parallel()
	node := report.CaseReport{Decision: report.Ending(3), Outcome: rundir.OutcomeInfra, Attempts: []report.AttemptReport{{}, {Counts: true}}}
	d := Decide(report.Run{}, []report.CaseReport{node})
	require.Equal(t, "Infrastructure, not your change. It was tried 2 times.", d.Cases[0].Fault)
	require.Equal(t, d.Cases[0].Fault, d.Fault, "it is the only one that did not pass")
	red := report.CaseReport{Decision: report.Ending(1), Outcome: rundir.OutcomeTestFailed}
	d = Decide(report.Run{}, []report.CaseReport{node, red})
	require.Equal(t, "A test failed.", d.Cases[1].Fault)
	require.Equal(t, "A test failed. The cases marked INFRASTRUCTURE are not your change.", d.Fault)
}

// What became better did so where no test was run, too, and nobody says that one passed.
func TestBetterWithoutATest(t *testing.T) {
	t.Parallel()
	c := report.CaseReport{Decision: report.Decision{Result: report.ResultImprovement}, Outcome: rundir.OutcomePassed}
	require.Equal(t, "Passed, and something became better.", Of(c))
	c.Outcome = ""
	require.Equal(t, "Something became better.", Of(c))
}

// The one case that did not pass speaks for the run only where the run ended as it did.
func TestRunThatDidNotEndAsItsCase(t *testing.T) {
	t.Parallel()
	ended := func(code int) report.CaseReport {
		return report.CaseReport{Decision: report.Ending(code), Outcome: rundir.OutcomePassed}
	}
	slower := "This run is slower than its baseline: the change under test is the first suspect."
	skipped := ended(5)
	skipped.Result, skipped.Attempts = report.ResultSkipped, []report.AttemptReport{{Counts: true}}
	for name, tt := range map[string]struct {
		run  report.Run
		c    report.CaseReport
		want string
		only bool
	}{
		"as its case":                       {report.Run{}, ended(4), slower, true},
		"as its case, in another word":      {report.Run{}, skipped, "A test was skipped: the case proves nothing.", true},
		"it could not be written":           {report.Run{Unwritten: []string{"junit.xml: no room"}}, ended(4), "A part of the report could not be written, which is not your change. What the cases say holds.", false},
		"it could not be written, all good": {report.Run{Unwritten: []string{"junit.xml: no room"}}, ended(0), "A part of the report could not be written, which is not your change. What the cases say holds.", false},
		"ended by a signal":                 {report.Run{Interrupted: 15}, ended(4), "The run was ended before it was through; its jobs were cancelled.", false},
	} {
		d := Decide(tt.run, []report.CaseReport{tt.c})
		require.Equal(t, tt.want, d.Fault, name)
		require.Equal(t, tt.only, Only(d) != nil, name)
	}
}

// A run that goes on has said nothing against the change only where nothing is slower already.
func TestRunThatGoesOn(t *testing.T) {
	t.Parallel()
	open := report.CaseReport{Decision: report.Decision{Result: report.ResultInterrupted, ExitCode: 3}}
	for code, want := range map[int]string{
		0: "The run is not over, and so far nothing says anything against your change.",
		4: "The run is not over, but something is slower than its baseline already.",
	} {
		d := Decide(report.Run{}, []report.CaseReport{{Decision: report.Ending(code), Outcome: rundir.OutcomePassed}, open, open})
		require.Equal(t, report.ResultInterrupted, d.Result)
		require.Equal(t, want, d.Fault)
	}
}
