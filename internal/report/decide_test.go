package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const node1 = "perf/test_perf_sanity.py::test_e2e[dsr1-1k1k-c2048]"

// at is so many seconds after the start of the first attempt.
func at(seconds float64) *time.Time {
	t := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
	return &t
}

func ptr[T any](v T) *T { return &v }

// ended is a role that ended by itself.
func ended(name, kind string, from, to float64, exit int) results.Role {
	r := results.Role{JUnit: true, Expected: []string{node1}, Log: "roles/" + name + "/output.log"}
	r.RoleRecord = rundir.RoleRecord{Name: name, Kind: kind, State: rundir.RoleEnded, Started: at(from), Ready: at(from), Ended: at(to), Exit: exit, Nodes: []string{"gb-n01"}}
	if exit > 128 {
		r.Signal = exit - 128
	}
	return r
}

func stopped(name, kind string, from, to float64) results.Role {
	r := ended(name, kind, from, to, 143)
	r.StoppedBy = "agent"
	return r
}

// left gives a role a result file that pytest wrote with these cases.
func left(t *testing.T, r results.Role, rank int, cases ...string) results.Role {
	t.Helper()
	doc := fmt.Sprintf(`<testsuites name="pytest tests"><testsuite name="pytest" tests="1" timestamp="2026-11-21T10:00:00+00:00" hostname="gb-n01">%s</testsuite></testsuites>`, strings.Join(cases, ""))
	f := results.File{Path: fmt.Sprintf("roles/%s/results.%d.xml", r.Name, rank), Name: fmt.Sprintf("results.%d.xml", rank), Rank: rank}
	_, err := junit.Read(strings.NewReader(doc), f.Path, junit.ReadOptions{}, junit.Visitor{
		Case:  func(c *junit.Case) error { f.Cases = append(f.Cases, *c); return nil },
		Suite: func(s *junit.Suite) error { f.Suites = append(f.Suites, s); return nil },
	})
	require.NoError(t, err)
	r.Results = append(slices.Clone(r.Results), f)
	return r
}

func testCase(id string, seconds float64, inner string) string {
	class, name := results.SplitID(id)
	return fmt.Sprintf(`<testcase classname=%q name=%q time="%.3f">%s</testcase>`, class, name, seconds, inner)
}

const failure = `<failure message="ValueError: x">tb</failure>`

// one is a case of one attempt.
func one(outcome rundir.Outcome, f *rundir.Finding, roles ...results.Role) results.Case {
	a := results.Attempt{Counts: true, Roles: roles, Result: &rundir.AttemptOutcome{Outcome: outcome, Finding: f, Started: at(0), Ended: *at(10)}}
	a.Attempt.Attempt = 1
	a.Agent = &rundir.AgentRecord{Started: *at(0), End: &rundir.AgentEnd{Outcome: outcome, Finding: f}}
	c := results.Case{Attempts: []results.Attempt{a}}
	c.Plan.Case = rundir.Case{ID: node1, Slug: "slug"}
	c.Plan.Drain.Role = "BENCHMARK"
	c.Plan.Builds, c.Plan.Runs = []rundir.BuildPlan{{Name: rundir.HeadBuild}}, rundir.OneRun()
	for _, r := range roles {
		c.Plan.Builds[0].Roles = append(c.Plan.Builds[0].Roles, rundir.RolePlan{Name: r.Name, Kind: r.Kind, JUnit: r.JUnit})
	}
	return c
}

func decided(c results.Case, j Judged, p Policy) CaseReport {
	return decidedWith(fold.Pass, c, j, p)
}

func decidedWith(flaky fold.Policy, c results.Case, j Judged, p Policy) CaseReport {
	return DecideCase(c.Plan, results.Conclude(c, flaky, blame.Classes{}), j, p)
}

// verdictOf is the result of the verdict's test, the zero value where it passed.
func verdictOf(r CaseReport) junit.Result {
	if len(r.Checks.Verdict.Results) == 0 {
		return junit.Result{}
	}
	return r.Checks.Verdict.Results[0]
}

// reds are the red tests of a case, the verdict included.
func reds(r CaseReport) []string {
	var out []string
	add := func(where string, list ...Check) {
		for _, c := range list {
			if c.Status().Red() {
				out = append(out, where+" "+c.Name)
			}
		}
	}
	add("verdict", r.Checks.Verdict)
	add("lifecycle", r.Checks.Lifecycle...)
	for _, role := range r.Checks.Roles {
		add(role.Role, role.Tests...)
	}
	add("metrics", r.Checks.Metrics...)
	return out
}

func lifecycleOf(t *testing.T, r CaseReport, name string) Check {
	t.Helper()
	i := slices.IndexFunc(r.Checks.Lifecycle, func(c Check) bool { return c.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return r.Checks.Lifecycle[i]
}

func testOf(t *testing.T, r CaseReport, role string) Check {
	t.Helper()
	i := slices.IndexFunc(r.Checks.Roles, func(c RoleChecks) bool { return c.Role == role })
	require.GreaterOrEqual(t, i, 0, role)
	return r.Checks.Roles[i].Tests[0]
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	pass := func(t *testing.T, r results.Role) results.Role { return left(t, r, 0, testCase(node1, 1, "")) }
	nothing := func(_ *testing.T, r results.Role) results.Role { return r }
	tests := map[string]struct {
		exit    int
		change  func(t *testing.T, r results.Role) results.Role
		status  junit.Status
		message string
	}{
		"ended well":            {0, pass, junit.Passed, ""},
		"failed, and says why":  {1, func(t *testing.T, r results.Role) results.Role { return left(t, r, 0, testCase(node1, 1, failure)) }, junit.Passed, ""},
		"failed, but is green":  {1, pass, junit.Errored, "exit 1 on gb-n01 after 9.0 s; results.xml is green with 1 cases"},
		"interrupted, green":    {2, pass, junit.Errored, "exit 2 (interrupted) on gb-n01 after 9.0 s; results.xml is green with 1 cases"},
		"killed":                {139, nothing, junit.Errored, "killed by SIGSEGV (exit 139) on gb-n01 after 9.0 s; no results.xml"},
		"killed, file is green": {137, pass, junit.Errored, "killed by SIGKILL (exit 137) on gb-n01 after 9.0 s; results.xml is green with 1 cases"},
		"0 without a file":      {0, nothing, junit.Errored, "no results.xml"},
		"0 with a broken file": {0, func(_ *testing.T, r results.Role) results.Role {
			r.Results = []results.File{{Name: "results.0.xml", Problem: &results.FileProblem{Message: "results.0.xml is empty"}}}
			return r
		}, junit.Errored, "results.0.xml is empty"},
		"never started": {0, func(_ *testing.T, r results.Role) results.Role {
			r.State, r.Error = rundir.RoleNeverStarted, "srun: error: no such node"
			return r
		}, junit.Errored, "never started: srun: error: no such node"},
		"no end": {0, func(_ *testing.T, r results.Role) results.Role { r.State = rundir.RoleRunning; return r }, junit.Errored, "no end was recorded; it was last seen running"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 0), 0, testCase(node1, 1, ""))
			outcome := rundir.OutcomePassed
			if tt.exit != 0 {
				outcome = rundir.OutcomeTestFailed
			}
			r := decided(one(outcome, nil, client, tt.change(t, ended("GEN_0", rundir.KindServer, 0, 9, tt.exit))), Judged{}, Policy{})
			c := lifecycleOf(t, r, "GEN_0")
			require.Equal(t, tt.status, c.Status())
			if tt.message != "" {
				require.Contains(t, c.Results[0].Message, tt.message)
			}
			require.Equal(t, tt.status.Red() || tt.exit != 0, r.Colour == Red)
			if r.Colour == Red {
				require.True(t, strings.HasPrefix(verdictOf(r).Message, "[GEN_0] ") || strings.HasPrefix(verdictOf(r).Message, "GEN_0: "), verdictOf(r).Message)
				require.Len(t, reds(r), 2, "the verdict and one place that says where")
			}
		})
	}
}

func TestDecideCase(t *testing.T) {
	t.Parallel()
	client := left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 0), 0, testCase(node1, 7, ""))
	gen := left(t, ended("GEN_0", rundir.KindServer, 0, 9, 0), 0, testCase(node1, 8, ""))
	both := func(outcome rundir.Outcome, f *rundir.Finding) results.Case { return one(outcome, f, client, gen) }
	crash := &rundir.Finding{Root: "GEN_0", Class: "test", Kind: "role-crash", Message: "[GEN_0] exit 1", Collateral: map[string]string{"BENCHMARK": "exit 1"}}

	t.Run("passed", func(t *testing.T) {
		t.Parallel()
		r := decided(both(rundir.OutcomePassed, nil), Judged{}, Policy{})
		require.Equal(t, ResultPassed, r.Result)
		require.Equal(t, 7*time.Second, r.Checks.Verdict.Time, "the client's own time")
		require.Empty(t, reds(r))
	})
	t.Run("listed as skipped", func(t *testing.T) {
		t.Parallel()
		c := results.Case{}
		c.Plan.Case = rundir.Case{ID: node1, SkipReason: "waived: #12"}
		r := decided(c, Judged{}, Policy{})
		require.Equal(t, "not launched: waived: #12", verdictOf(r).Message)
		require.Equal(t, []any{ResultSkipped, Green}, []any{r.Result, r.Colour})
	})
	t.Run("known failure", func(t *testing.T) {
		t.Parallel()
		c := one(rundir.OutcomeTestFailed, crash, left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 1), 0, testCase(node1, 1, failure)), ended("GEN_0", rundir.KindServer, 0, 8, 1))
		c.Plan.Case.KnownBug = "nvbugs/1"
		r := decided(c, Judged{}, Policy{Judged: true})
		require.Equal(t, []any{ResultKnown, exit.Passed, Green}, []any{r.Result, r.ExitCode, r.Colour})
		require.Empty(t, reds(r))
		require.Equal(t, junit.Result{Status: junit.Skipped, Type: typeKnown, Message: "known failure nvbugs/1: [GEN_0] exit 1"}, withoutText(verdictOf(r)))
		require.Contains(t, lifecycleOf(t, r, "GEN_0").Results[0].Message, "known failure nvbugs/1: ")
	})
	t.Run("infrastructure is no known failure", func(t *testing.T) {
		t.Parallel()
		f := &rundir.Finding{Root: "GEN_0", Class: "infra", Kind: "role-crash", Message: "[GEN_0] killed by SIGKILL"}
		c := one(rundir.OutcomeInfra, f, stopped("BENCHMARK", rundir.KindClient, 0, 9), ended("GEN_0", rundir.KindServer, 0, 8, 137))
		c.Plan.Case.KnownBug = "nvbugs/1"
		r := decided(c, Judged{}, Policy{})
		require.Equal(t, []any{ResultInfra, exit.Infra}, []any{r.Result, r.ExitCode})
		require.Contains(t, reds(r), "lifecycle GEN_0")
		require.True(t, verdictOf(r).Status.Red())
	})
	t.Run("a known failure that does not happen", func(t *testing.T) {
		t.Parallel()
		c := both(rundir.OutcomePassed, nil)
		c.Plan.Case.KnownBug = "nvbugs/1"
		r := decided(c, Judged{}, Policy{})
		require.Equal(t, ResultPassed, r.Result)
		require.Contains(t, r.Checks.Verdict.SystemOut[0], "did not happen")
	})
	t.Run("never launched", func(t *testing.T) {
		t.Parallel()
		c := results.Case{}
		c.Plan.Case = rundir.Case{ID: node1}
		r := decided(c, Judged{}, Policy{})
		require.Equal(t, "never launched", verdictOf(r).Message)
		require.Equal(t, []string{"verdict test_e2e[dsr1-1k1k-c2048]", "lifecycle JOB"}, reds(r))
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		f := &rundir.Finding{Kind: "cancelled", Class: "infra", Message: "cancelled by uid 1000", Collateral: map[string]string{"BENCHMARK": "stopped", "GEN_0": "stopped"}}
		c := one(rundir.OutcomeCancelled, f, stopped("BENCHMARK", rundir.KindClient, 0, 9), stopped("GEN_0", rundir.KindServer, 0, 9))
		r := decided(c, Judged{}, Policy{})
		require.Equal(t, "ci-disagg.cancelled", verdictOf(r).Type)
		require.Equal(t, "cancelled by uid 1000", lifecycleOf(t, r, "JOB").Results[0].Message)
		require.Contains(t, lifecycleOf(t, r, "GEN_0").Results[0].Message, "collateral of JOB: stopped by ci-disagg")
		require.Len(t, reds(r), 2)
		r = decided(c, Judged{}, Policy{Interrupted: 15})
		require.Equal(t, []any{ResultInterrupted, 143}, []any{r.Result, r.ExitCode})
		require.Equal(t, "ci-disagg.interrupted", verdictOf(r).Type)
	})
	t.Run("the job's fault, and nobody says what it did to the roles", func(t *testing.T) {
		t.Parallel()
		f := &rundir.Finding{Kind: "requeued", Class: "infra", Message: "Slurm put the job back into the queue"}
		running, never := results.Role{RoleRecord: rundir.RoleRecord{Name: "CTX_0", State: rundir.RoleRunning}}, results.Role{RoleRecord: rundir.RoleRecord{Name: "DISAGG_SERVER", State: rundir.RoleNeverStarted}}
		unlaunched := ended("CTX_1", rundir.KindServer, 0, 1, 213)
		unlaunched.Error, unlaunched.JUnit = "srun ended with 213: Slurm could not run the step", false
		r := decided(one(rundir.OutcomeInfra, f, ended("BENCHMARK", rundir.KindClient, 0, 9, 143), stopped("GEN_0", rundir.KindServer, 0, 9), running, never, unlaunched), Judged{}, Policy{})
		require.Len(t, reds(r), 2, "the verdict and the job, nobody else")
		for _, name := range []string{"BENCHMARK", "GEN_0", "CTX_0", "CTX_1", "DISAGG_SERVER"} {
			require.Contains(t, lifecycleOf(t, r, name).Results[0].Message, "collateral of JOB: ", name)
		}
	})
	t.Run("the node died, and the agent with it", func(t *testing.T) {
		t.Parallel()
		f := &rundir.Finding{Kind: "node-fail", Class: "infra", Message: "a node of the job failed: gpu0"}
		c := one(rundir.OutcomeInfra, f, ended("BENCHMARK", rundir.KindClient, 0, 9, 141), ended("GEN_0", rundir.KindServer, 0, 2, 1))
		c.Attempts[0].Agent = &rundir.AgentRecord{Heartbeat: c.Attempts[0].Roles[0].Ended.Add(time.Second)}
		r := decided(c, Judged{}, Policy{})
		require.Contains(t, lifecycleOf(t, r, "BENCHMARK").Results[0].Message, "collateral of JOB: killed by SIGPIPE")
		require.Equal(t, junit.Errored, lifecycleOf(t, r, "GEN_0").Results[0].Status, "it had failed long before")
	})
	t.Run("the job was cancelled, and the agent killed with it", func(t *testing.T) {
		t.Parallel()
		f := &rundir.Finding{Kind: "cancelled", Class: "infra", Message: "interrupted: terminated"}
		c := one(rundir.OutcomeCancelled, f, ended("BENCHMARK", rundir.KindClient, 0, 9, 2), ended("GEN_0", rundir.KindServer, 0, 2, 1))
		c.Attempts[0].Agent = &rundir.AgentRecord{Heartbeat: c.Attempts[0].Roles[0].Ended.Add(time.Second)}
		r := decided(c, Judged{}, Policy{Interrupted: 15})
		require.Contains(t, lifecycleOf(t, r, "BENCHMARK").Results[0].Message, "collateral of JOB: exit 2 ")
		require.Equal(t, junit.Errored, lifecycleOf(t, r, "GEN_0").Results[0].Status, "it had failed long before")
		c.Attempts[0].Roles[1] = ended("GEN_0", rundir.KindServer, 0, 2, 137)
		c.Attempts[0].Agent.End = &rundir.AgentEnd{Finding: &rundir.Finding{Root: "GEN_0", Kind: "role-crash"}}
		r = decided(c, Judged{}, Policy{Interrupted: 15})
		require.Equal(t, junit.Errored, lifecycleOf(t, r, "GEN_0").Results[0].Status, "it had been killed long before, says the agent")
	})
	t.Run("the install step failed: nobody else was started", func(t *testing.T) {
		t.Parallel()
		a, b, install := ended("BENCHMARK", rundir.KindClient, 0, 9, 0), ended("GEN_0", rundir.KindServer, 0, 9, 0), ended("INSTALL", "install", 0, 1, 7)
		a.State, b.State, install.JUnit = rundir.RoleNeverStarted, rundir.RoleNeverStarted, false
		r := decided(one(rundir.OutcomeInfra, &rundir.Finding{Root: "INSTALL", Kind: "install-failed", Class: "infra", Message: "[INSTALL] exit 7"}, a, b, install), Judged{}, Policy{})
		require.Equal(t, []string{"verdict test_e2e[dsr1-1k1k-c2048]", "lifecycle INSTALL"}, reds(r))
		require.Contains(t, lifecycleOf(t, r, "GEN_0").Results[0].Message, "collateral of INSTALL: never started")
	})
	t.Run("a server that had to be ended after the client passed owes no report", func(t *testing.T) {
		t.Parallel()
		server := ended("GEN_0", rundir.KindServer, 0, 9, 137)
		server.StoppedBy = "agent"
		r := decided(one(rundir.OutcomePassed, nil, client, server), Judged{}, Policy{})
		require.Empty(t, reds(r))
		require.Equal(t, ResultPassed, r.Result)
		require.Contains(t, testOf(t, r, "GEN_0").Results[0].Message, "stopped by ci-disagg after the client was through")
	})
	t.Run("of another test", func(t *testing.T) {
		t.Parallel()
		server := left(t, ended("GEN_0", rundir.KindServer, 0, 9, 0), 0, `<testcase classname="other" name="test_other"/>`)
		r := decided(one(rundir.OutcomePassed, nil, client, server), Judged{}, Policy{})
		require.Equal(t, ResultTestFailed, r.Result)
		require.Contains(t, r.Message, "it is of another test, other::test_other, not of "+node1)
	})
	t.Run("nothing proven", func(t *testing.T) {
		t.Parallel()
		bad := left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 1), 0, testCase(node1, 1, failure))
		r := decided(one(rundir.OutcomeTestFailed, nil, bad, ended("GEN_0", rundir.KindServer, 0, 9, 134)), Judged{}, Policy{})
		require.Equal(t, "ci-disagg.unattributed", verdictOf(r).Type)
		require.Len(t, reds(r), 3, "what failed stays red")
	})
	t.Run("invalid measurement", func(t *testing.T) {
		t.Parallel()
		r := decided(both(rundir.OutcomePassed, nil), Judged{Problems: []string{"con8: 3 of 80 requests failed", "con8: no tokens"}}, Policy{Judged: true})
		require.Equal(t, "no verdict: not a valid measurement: con8: 3 of 80 requests failed; con8: no tokens", verdictOf(r).Message)
		require.Equal(t, []any{ResultNoVerdict, Amber}, []any{r.Result, r.Colour})
		require.Empty(t, reds(r))
	})
	t.Run("no verdict", func(t *testing.T) {
		t.Parallel()
		j := Judged{Rows: []verdict.Row{{Metric: "ttft", Point: "con8", Gate: true, Verdict: verdict.Collecting, Reason: "3 of 7 runs", Value: ptr(1.0)}}}
		r := decided(both(rundir.OutcomePassed, nil), j, Policy{Judged: true})
		require.Equal(t, "no verdict: ttft at con8: collecting: 3 of 7 runs", verdictOf(r).Message)
		r = decided(both(rundir.OutcomePassed, nil), j, Policy{Judged: true, Exit: ExitPolicy{AllowCollecting: true}})
		require.Equal(t, junit.Passed, r.Checks.Verdict.Status())
	})
	t.Run("the worst metric first", func(t *testing.T) {
		t.Parallel()
		row := func(name string, worse float64) verdict.Row {
			return verdict.Row{Metric: name, Point: "con8", Unit: "ms", Gate: true, Verdict: verdict.Regression, Reason: "slow", Value: ptr(1 + worse), Baseline: ptr(1.0), Change: ptr(worse), Worse: ptr(worse)}
		}
		r := decided(both(rundir.OutcomePassed, nil), Judged{Rows: []verdict.Row{row("tpot", 0.1), row("ttft", 0.5)}}, Policy{Judged: true})
		require.Equal(t, ResultRegression, r.Result)
		require.Equal(t, &MetricRef{"con8", "ttft"}, r.Worst)
		require.Equal(t, "ttft at con8: slow", r.Message)
		require.Equal(t, "[metrics] ttft at con8: 1.5 ms is 50.0% above baseline 1 (and 1 more)", verdictOf(r).Message)
	})
	t.Run("advisory", func(t *testing.T) {
		t.Parallel()
		j := Judged{Rows: []verdict.Row{
			{Metric: "ttft", Gate: true, Advisory: true, Verdict: verdict.Regression, Reason: "slow", Value: ptr(2.0), Baseline: ptr(1.0), Change: ptr(1.0)},
			{Metric: "tpot", Gate: true, Advisory: true, Verdict: verdict.Invalid, Reason: "not measured"},
		}}
		r := decided(both(rundir.OutcomePassed, nil), j, Policy{})
		require.Empty(t, reds(r))
		require.Equal(t, ResultPassed, r.Result)
		require.Contains(t, r.Checks.Metrics[1].SystemOut[0], "advisory: 2 is 100.0% above baseline 1")
		require.Equal(t, junit.Skipped, r.Checks.Metrics[2].Status(), "what nobody measured is not green")
	})
	t.Run("the client skipped its test", func(t *testing.T) {
		t.Parallel()
		skips := left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 0), 0, testCase(node1, 1, `<skipped message="needs 8 GPUs"/>`))
		c := one(rundir.OutcomePassed, nil, skips, gen)
		r := decided(c, Judged{}, Policy{})
		require.Equal(t, []any{ResultSkipped, Amber, "the test was skipped: [BENCHMARK] needs 8 GPUs"}, []any{r.Result, r.Colour, r.Message})
		require.Equal(t, "ci-disagg.skipped", verdictOf(r).Type)
		r = decided(c, Judged{}, Policy{Exit: ExitPolicy{AllowSkipped: true}})
		require.Equal(t, []any{ResultSkipped, Green}, []any{r.Result, r.Colour})
		r = decided(c, Judged{Rows: []verdict.Row{{Metric: "ttft", Gate: true, Verdict: verdict.Pass, Value: ptr(1.0)}}}, Policy{Judged: true})
		require.Equal(t, ResultPassed, r.Result, "something was measured")
	})
	t.Run("the client failed as it was expected to", func(t *testing.T) {
		t.Parallel()
		xfails := left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 0), 0, testCase(node1, 1, `<skipped type="pytest.xfail" message="nvbugs/1"/>`))
		measured := Judged{Rows: []verdict.Row{{Metric: "ttft", Gate: true, Verdict: verdict.Pass, Value: ptr(1.0)}}}
		for _, j := range []Judged{{}, measured} {
			r := decided(one(rundir.OutcomePassed, nil, xfails, gen), j, Policy{Judged: true})
			require.Equal(t, []any{ResultSkipped, Amber, "the test was skipped: [BENCHMARK] expected to fail: nvbugs/1"}, []any{r.Result, r.Colour, r.Message})
		}
	})
	t.Run("the client left before any server was ready", func(t *testing.T) {
		t.Parallel()
		server := gen
		server.Ready = nil
		c := one(rundir.OutcomePassed, nil, client, server)
		c.Attempts[0].Agent.Phases = []rundir.PhaseSpan{{Phase: rundir.PhaseReady}}
		r := decided(c, Judged{}, Policy{})
		require.Equal(t, []any{ResultTestFailed, "BENCHMARK"}, []any{r.Result, r.Finding.Root})
		c.Attempts[0].Agent.Phases = nil // nobody watched
		require.Equal(t, ResultPassed, decided(c, Judged{}, Policy{}).Result)
	})
	t.Run("flaky", func(t *testing.T) {
		t.Parallel()
		twice := left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 0), 0, testCase(node1, 1, ""), testCase(node1, 2, ""))
		for flaky, want := range map[fold.Policy]string{"": ResultPassed, fold.Pass: ResultPassed, fold.Fail: ResultTestFailed, fold.Skip: ResultSkipped} {
			r := decidedWith(flaky, one(rundir.OutcomePassed, nil, twice, gen), Judged{}, Policy{})
			require.Equal(t, want, r.Result, flaky)
		}
		slow := Judged{Rows: []verdict.Row{{Metric: "ttft", Gate: true, Verdict: verdict.Regression, Value: ptr(1.0)}}}
		r := decidedWith(fold.Skip, one(rundir.OutcomePassed, nil, twice, gen), slow, Policy{Judged: true, Exit: ExitPolicy{AllowSkipped: true}})
		require.Equal(t, []any{ResultRegression, exit.Regression}, []any{r.Result, r.ExitCode}, "a skip stands for a pass, for nothing else")
	})
	t.Run("the last line of a log decides nothing", func(t *testing.T) {
		t.Parallel()
		f := &rundir.Finding{Root: "GEN_0", Class: "infra", Kind: "role-crash", Rule: "killed-from-outside", Message: "[GEN_0] killed by SIGKILL", Line: &rundir.LogLine{File: "output.log", Number: 9, Text: "iter = 9", Last: true}}
		require.Contains(t, verdictOf(decided(both(rundir.OutcomeInfra, f), Judged{}, Policy{})).Text, "decided by rule killed-from-outside; the last line of the log is output.log:9")
	})
}

func withoutText(r junit.Result) junit.Result { r.Text = ""; return r }

// The worst rank and the worst repetition count; only the last attempt of a repetition
// does.
func TestRanksAndRepetitions(t *testing.T) {
	t.Parallel()
	attempt := func(rep, number int, counts bool, xmls ...string) results.Attempt {
		gen := ended("GEN_0", rundir.KindServer, 0, 9, 0)
		outcome := rundir.OutcomePassed
		for rank, inner := range xmls {
			gen = left(t, gen, rank, testCase(node1, 1, inner))
			if inner != "" {
				outcome, gen.Exit = rundir.OutcomeTestFailed, 1
			}
		}
		a := one(outcome, nil, gen, left(t, ended("BENCHMARK", rundir.KindClient, 0, 9, 0), 0, testCase(node1, 1, ""))).Attempts[0]
		a.Rep, a.Attempt.Attempt, a.Counts, a.Result.Reason, a.Result.JobID = rep, number, counts, "why", fmt.Sprint(rep, number)
		return a
	}
	const bad = `<failure message="ValueError: rank 10">tb</failure>`
	many := make([]string, 11)
	many[10] = bad
	c := one(rundir.OutcomePassed, nil)
	c.Attempts = []results.Attempt{attempt(0, 1, false, bad), attempt(0, 2, true, many...), attempt(1, 1, true, "")}
	r := decided(c, Judged{}, Policy{})
	require.Equal(t, ResultTestFailed, r.Result)
	text := testOf(t, r, "GEN_0").Results[0].Text
	require.Contains(t, text, "[rank 10] is shown; results: rank_0=passed rank_1=passed rank_2=passed")
	require.Contains(t, text, "rep_1=failed rep_2=passed")
	require.Contains(t, r.Checks.Verdict.Properties, junit.Property{Name: "attempts", Value: "3"})
	require.Contains(t, r.Checks.Verdict.Properties, junit.Property{Name: "rep-0.attempt-1", Value: "test_failed 0 1 why"})

	c.Attempts = []results.Attempt{attempt(0, 1, false, bad), attempt(0, 2, true, "")}
	require.Equal(t, ResultPassed, decided(c, Judged{}, Policy{}).Result, "an attempt that was repeated does not count")
}

// One attempt decides: colour, finding and every word of a case are of the repetition that ended worst.
func TestRepetitionsThatFailOfDifferentKinds(t *testing.T) {
	t.Parallel()
	lost := &rundir.Finding{Class: "infra", Kind: "node-fail", Message: "node gb-n01 died", Rule: "node-fail"}
	failed := &rundir.Finding{Class: "test", Root: "GEN_0", Kind: "role-crash", Message: "[GEN_0] out of memory", Rule: "oom"}
	c := one(rundir.OutcomeInfra, lost, stopped("GEN_0", rundir.KindServer, 0, 9))
	second := one(rundir.OutcomeTestFailed, failed, ended("GEN_0", rundir.KindServer, 0, 9, 1)).Attempts[0]
	second.Rep = 1
	c.Attempts = append(c.Attempts, second)
	r := decided(c, Judged{}, Policy{})
	require.Equal(t, ResultTestFailed, r.Result)
	require.Equal(t, "GEN_0", r.Finding.Root)
	require.Equal(t, "[GEN_0] out of memory", r.Message)
	require.Equal(t, "[GEN_0] out of memory", verdictOf(r).Message)
	require.Equal(t, 1, FailedAttempt(r).Rep)
	require.Contains(t, r.Checks.Verdict.Properties, junit.Property{Name: "outcome", Value: "test_failed"})
	require.Equal(t, "not measured: root cause GEN_0", NotMeasured(results.Conclude(c, fold.Pass, blame.Classes{})))
}

// What became of a role is the same on its page and in junit.xml.
func TestRolesEndAlikeEverywhere(t *testing.T) {
	t.Parallel()
	root := &rundir.Finding{Class: "test", Root: "GEN_0", Kind: "role-crash", Message: "[GEN_0] exit 1", Collateral: map[string]string{"CTX_0": "fell"}}
	never := results.Role{RoleRecord: rundir.RoleRecord{Name: "BENCHMARK", Kind: rundir.KindClient, State: rundir.RoleNeverStarted}}
	red := left(t, ended("GEN_1", rundir.KindServer, 0, 9, 0), 0, testCase(node1, 1, failure))
	empty := ended("GEN_2", rundir.KindServer, 0, 9, 0)
	empty.JUnit = false
	r := decided(one(rundir.OutcomeTestFailed, root, ended("CTX_0", rundir.KindServer, 0, 9, 1), ended("GEN_0", rundir.KindServer, 0, 9, 1), red, empty, never), Judged{}, Policy{})
	said := map[string]string{}
	for _, role := range r.Attempts[0].Roles {
		said[role.Name] = role.Status
	}
	require.Equal(t, map[string]string{"CTX_0": "collateral", "GEN_0": "root", "GEN_1": "failed", "GEN_2": "passed", "BENCHMARK": "not_started"}, said)
	require.Contains(t, r.Checks.Verdict.Properties, junit.Property{Name: "roles", Value: "CTX_0=collateral GEN_0=crash GEN_1=failed GEN_2=passed BENCHMARK=not_started"})
}

// The message of junit.xml and that of the case name runs as people know them, and the
// one onset of the case.
func TestOnsetInMessages(t *testing.T) {
	t.Parallel()
	row := verdict.Row{Metric: "tpot_median_ms", Point: "con8", Unit: "ms", Gate: true, Verdict: verdict.Regression, Value: ptr(12.0), Reason: "slower since id-1"}
	row.Alarm, row.Onset = true, "id-1"
	row.Series = []verdict.Run{{ID: "id-1", Time: *at(0), Commit: "badc0ffee0ddf00d"}, {ID: "id-2", Time: *at(9)}}
	j := Judged{Rows: []verdict.Row{row}, Together: &verdict.Case{Alarm: true, Onset: &verdict.Onset{Run: "id-1", Time: *at(0), Commit: "badc0ffee0ddf00d", Good: "900dc0ffee0ddf00"}}}
	j.Suspects = &Suspects{Good: "900dc0ffee0ddf00", Bad: "badc0ffee0ddf00d", Commits: []string{"badc0ff slow kernel"}}
	gen := left(t, ended("GEN_0", rundir.KindServer, 0, 9, 0), 0, testCase(node1, 1, ""))
	r := decided(one(rundir.OutcomePassed, nil, gen), j, Policy{Judged: true})
	const began = "probably began with the run of 21 Nov 10:00 (commit badc0ffee0); the run before was of 900dc0ffee"
	require.Equal(t, "tpot_median_ms at con8: slower since the run of 21 Nov 10:00 (commit badc0ffee0)", r.Message)
	require.Equal(t, "[metrics] tpot_median_ms at con8: 12.0 ms; "+began, verdictOf(r).Message)
	require.Contains(t, verdictOf(r).Text, "  badc0ff slow kernel\n")
	j.Machine = "The machine, probably: GPU 3 of node07 was slowed down for its heat."
	r = decided(one(rundir.OutcomePassed, nil, gen), j, Policy{Judged: true})
	require.Contains(t, verdictOf(r).Text, j.Machine+"\n")
}
