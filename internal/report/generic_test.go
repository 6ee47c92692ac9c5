package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A pipeline that is data: roles without results are one test case each, made of their
// end; who may leave leaves; nothing tested is no pass.
func TestConfiguredPipelines(t *testing.T) {
	t.Parallel()
	// by is a role that owes no results.
	by := func(r results.Role) results.Role {
		r.JUnit, r.Expected = false, nil
		return r
	}
	// tests is one that owes those that match.
	tests := func(r results.Role) results.Role {
		r.Expected, r.Globs = nil, []string{"*.xml"}
		return r
	}
	may := func(r results.Role) results.Role {
		r.Optional = true
		return by(r)
	}
	server := by(stopped("db", rundir.KindServer, 0, 9))
	server.Serves = true
	crashing := server
	crashing.Exit, crashing.Signal = 139, 11
	quoted := by(ended("client", rundir.KindClient, 1, 8, 1))
	quoted.Tail = []string{"ERR unknown command"}
	client := by(ended("client", rundir.KindClient, 1, 8, 0))
	skipped := testCase("a.py::t", 1, `<skipped message="no GPU"/>`)
	clientFailed := &rundir.Finding{Root: "client", Class: "unknown", Kind: "role-crash", Message: "[client] exit 1", Collateral: map[string]string{"db": "stopped by ci-disagg"}}
	for name, tt := range map[string]struct {
		outcome rundir.Outcome
		finding *rundir.Finding
		roles   []results.Role
		bench   bool
		result  string
		exit    int
		reds    []string
		check   func(t *testing.T, r CaseReport)
	}{
		"all end well": {roles: []results.Role{server, client}, result: ResultPassed, check: func(t *testing.T, r CaseReport) {
			require.Contains(t, lifecycleOf(t, r, "db").SystemOut[0], "stopped by ci-disagg after the client was through")
			require.Equal(t, "7s", lifecycleOf(t, r, "client").Time.String())
		}},
		"what was to be measured was not": {roles: []results.Role{server, client}, bench: true, result: ResultNoVerdict, exit: exit.NoVerdict},
		"a server crashed while it was ended": {roles: []results.Role{crashing, client}, result: ResultPassed, check: func(t *testing.T, r CaseReport) {
			require.Equal(t, []string{"db crashed while it was ended: killed by SIGSEGV (exit 139)"}, r.notes.judging)
		}},
		"who may leave left": {roles: []results.Role{server, client, may(ended("monitor", rundir.KindTask, 0, 3, 3))}, result: ResultPassed, check: func(t *testing.T, r CaseReport) {
			left := lifecycleOf(t, r, "monitor")
			require.Equal(t, results.TypeOptional, left.Results[0].Type)
			require.Equal(t, "left, as it may (critical: false): exit 3 (internal error, or os._exit) on gb-n01 after 3.0 s", left.Results[0].Message)
			require.Equal(t, []string{"monitor (critical: false) left: exit 3"}, r.notes.judging)
		}},
		"the client fails": {
			outcome: rundir.OutcomeTestFailed, finding: clientFailed, roles: []results.Role{server, quoted},
			result: ResultTestFailed, exit: exit.TestFailed, reds: []string{"verdict redis[a=1]", "lifecycle client"}, check: func(t *testing.T, r CaseReport) {
				require.Contains(t, lifecycleOf(t, r, "client").Results[0].Text, "ERR unknown command")
			},
		},
		"tests pass":            {roles: []results.Role{server, left(t, tests(client), 0, testCase("a.py::t", 1, ""))}, result: ResultPassed},
		"a test fails":          {roles: []results.Role{server, left(t, tests(client), 0, testCase("a.py::t", 1, failure))}, result: ResultTestFailed, exit: exit.TestFailed, reds: []string{"verdict redis[a=1]", "client t"}},
		"every test is skipped": {roles: []results.Role{server, left(t, tests(client), 0, skipped, skipped)}, result: ResultSkipped, exit: exit.NoVerdict},
		"every test is skipped, and a task that owes none has filled the server": {
			roles:  []results.Role{server, by(ended("fill", rundir.KindTask, 0, 1, 0)), left(t, tests(client), 0, skipped, skipped)},
			result: ResultSkipped, exit: exit.NoVerdict,
		},
		"a test of who may leave fails": {
			roles: []results.Role{server, client, left(t, may(ended("monitor", rundir.KindTask, 0, 3, 1)), 0, testCase("a.py::t", 1, failure))}, result: ResultPassed,
			check: func(t *testing.T, r CaseReport) {
				var shown []junit.Result
				for _, role := range r.Checks.Roles {
					for _, c := range role.Tests {
						shown = append(shown, c.Results...)
					}
				}
				require.Len(t, shown, 1)
				require.Equal(t, junit.Skipped, shown[0].Status)
				require.Equal(t, "of a role that may leave (critical: false): ValueError: x", shown[0].Message)
			},
		},
		"results that are not there": {
			roles: []results.Role{server, tests(withJUnit(client))}, result: ResultTestFailed, exit: exit.TestFailed,
			reds: []string{"verdict redis[a=1]", "lifecycle client"}, check: func(t *testing.T, r CaseReport) {
				require.Contains(t, lifecycleOf(t, r, "client").Results[0].Message, "no file of its output folder matches *.xml")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.outcome == "" {
				tt.outcome = rundir.OutcomePassed
			}
			c := one(tt.outcome, tt.finding, tt.roles...)
			c.Plan.Case = rundir.Case{ID: "redis[a=1]", Slug: "redis", Pipeline: "redis"}
			c.Plan.Drain = rundir.DrainRule{}
			if tt.bench {
				c.Plan.Builds[0].Roles[1].Bench = []rundir.BenchFiles{{Files: []string{"*.csv"}}}
			}
			r := decided(c, Judged{}, Policy{Judged: true})
			require.Equal(t, tt.result, r.Result, r.Message)
			require.Equal(t, tt.exit, r.ExitCode)
			require.Equal(t, tt.reds, reds(r))
			if tt.check != nil {
				tt.check(t, r)
			}
		})
	}
}

// A test that passed only when repeated is skipped where the policy says so, whatever else passed or was measured. It
// did not skip itself, so nothing allows that. What the client failed, as expected, did not measure the change.
func TestSkippedPipelines(t *testing.T) {
	t.Parallel()
	role := func(name, kind string, cases ...string) results.Role {
		r := ended(name, kind, 1, 8, 0)
		r.Expected, r.Globs = nil, []string{"*.xml"}
		return left(t, r, 0, cases...)
	}
	may := func(r results.Role) results.Role {
		r.Optional, r.JUnit = true, false
		return r
	}
	ok, skipped, expected := testCase("a.py::ok", 1, ""), testCase("a.py::skip", 1, `<skipped message="no GPU"/>`), testCase("a.py::xfail", 1, `<skipped type="pytest.xfail" message="bug 7"/>`)
	twice := testCase("a.py::t", 1, `<flakyFailure message="boom">x</flakyFailure>`)
	measured := Judged{Rows: []verdict.Row{{Metric: "ttft", Gate: true, Verdict: verdict.Pass, Value: ptr(1.0)}}}
	for name, tt := range map[string]struct {
		flaky   fold.Policy
		roles   []results.Role
		judged  Judged
		result  string
		allowed string // with perf.allow_skipped
		message string
	}{
		"one passed only when repeated":       {fold.Skip, []results.Role{role("c", rundir.KindClient, ok, twice)}, Judged{}, ResultSkipped, Amber, "the test was skipped: [c] ci-disagg: passed only when repeated"},
		"and something was measured":          {fold.Skip, []results.Role{role("c", rundir.KindClient, ok, twice)}, measured, ResultSkipped, Amber, "the test was skipped: [c] ci-disagg: passed only when repeated"},
		"a task's":                            {fold.Skip, []results.Role{role("c", rundir.KindClient, ok), role("t", rundir.KindTask, twice)}, measured, ResultSkipped, Amber, "the test was skipped: [t] ci-disagg: passed only when repeated"},
		"of one that may leave":               {fold.Skip, []results.Role{role("c", rundir.KindClient, ok), may(role("t", rundir.KindTask, twice))}, measured, ResultPassed, Green, ""},
		"the policy lets it pass":             {fold.Pass, []results.Role{role("c", rundir.KindClient, ok, twice)}, measured, ResultPassed, Green, ""},
		"the client failed as expected":       {fold.Pass, []results.Role{role("c", rundir.KindClient, skipped, expected)}, measured, ResultSkipped, Green, "the test was skipped: [c] expected to fail: bug 7"},
		"while a task's passed":               {fold.Pass, []results.Role{role("t", rundir.KindTask, ok), role("c", rundir.KindClient, expected)}, measured, ResultSkipped, Green, "the test was skipped: [c] expected to fail: bug 7"},
		"one of the client's tests did":       {fold.Pass, []results.Role{role("c", rundir.KindClient, ok, expected)}, measured, ResultPassed, Green, ""},
		"every test is skipped, and measured": {fold.Skip, []results.Role{role("c", rundir.KindClient, skipped)}, measured, ResultPassed, Green, ""},
		"every test is skipped":               {fold.Skip, []results.Role{role("c", rundir.KindClient, skipped)}, Judged{}, ResultSkipped, Green, "the test was skipped: [c] no GPU"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := one(rundir.OutcomePassed, nil, tt.roles...)
			c.Plan.Case = rundir.Case{ID: "redis[a=1]", Slug: "redis", Pipeline: "redis"}
			c.Plan.Drain = rundir.DrainRule{}
			r := decidedWith(tt.flaky, c, tt.judged, Policy{Judged: len(tt.judged.Rows) > 0})
			require.Equal(t, []any{tt.result, tt.message}, []any{r.Result, r.Message})
			r = decidedWith(tt.flaky, c, tt.judged, Policy{Judged: len(tt.judged.Rows) > 0, Exit: ExitPolicy{AllowSkipped: true}})
			require.Equal(t, []any{tt.result, tt.allowed}, []any{r.Result, r.Colour})
		})
	}
}

func withJUnit(r results.Role) results.Role {
	r.JUnit = true
	return r
}
