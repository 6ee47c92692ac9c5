package merge

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var t0 = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

const (
	node1 = "perf/test_perf_sanity.py::test_e2e[dsr1-1k1k-c2048]"
	node2 = "perf/test_perf_sanity.py::test_e2e[dsr1-8k1k-c512]"
)

// example is the run that the specification shows: two tests; in the first GEN_0
// is killed without a result, in the second the client passes on its second
// attempt and the throughput got worse.
func example(t *testing.T) Input {
	t.Helper()
	ctx, gen := stoppedRole("CTX_0", rundir.KindServer, 0, 413), role("GEN_0", rundir.KindServer, 0, 411.9, 137)
	srv, client := stoppedRole("DISAGG_SERVER", rundir.KindRouter, 0, 413), role("BENCHMARK", rundir.KindClient, 0, 412.6, 1)
	gen.OOM, gen.Nodes = true, []string{"gb-n07"}
	gen.Tail = []string{"loading weights", "RuntimeError: CUDA out of memory"}
	leave(t, &client, 0, pytestDoc(412.1, testCase(node1, 412.118, `<failure message="RuntimeError: Failed requests: 37">its own traceback</failure>`)))
	first := Run{
		Attempt: 1, Counts: true, JobID: "778123", Outcome: rundir.OutcomeInfra, Started: at(0), Ended: at(413), Roles: []Role{gen, ctx, srv, client},
		Finding: &rundir.Finding{
			Root: "GEN_0", Class: "infra", Kind: "role-crash", Rule: "oom", Message: "[GEN_0] killed by SIGKILL (exit 137, OOM) on gb-n07 after 411.9 s; 3 roles stopped because of it",
			Collateral: map[string]string{"CTX_0": "stopped by ci-disagg", "DISAGG_SERVER": "stopped by ci-disagg", "BENCHMARK": "exit 1 at +412.6 s"},
		},
		Timeline: []rundir.Event{
			{At: *at(0), What: "4 roles started"}, {At: *at(411.9), Role: "GEN_0", What: "exit 137 (cgroup oom_kill)"}, {At: *at(412.6), Role: "BENCHMARK", What: "exit 1"},
		},
	}
	second := Run{Attempt: 1, Counts: true, JobID: "778124", Outcome: rundir.OutcomePassed, Started: at(500), Ended: at(913.402)}
	for _, r := range []Role{role("GEN_0", rundir.KindServer, 500, 801, 0), role("CTX_0", rundir.KindServer, 500, 801, 0), role("DISAGG_SERVER", rundir.KindRouter, 500, 801, 0)} {
		leave(t, &r, 0, pytestDoc(298, testCase(node2, 298, "")))
		second.Roles = append(second.Roles, r)
	}
	client2 := role("BENCHMARK", rundir.KindClient, 500, 799, 0)
	leave(t, &client2, 0, pytestDoc(298.5,
		testCase(node2, 0.1, `<failure type="AssertionError" message="Failed requests: 3">E  AssertionError: Failed requests: 3</failure>`), testCase(node2, 298.441, "")))
	second.Roles = append(second.Roles, client2)
	for _, run := range []*Run{&first, &second} {
		for i := range run.Roles {
			run.Roles[i].Expected = []string{map[*Run]string{&first: node1, &second: node2}[run]}
		}
	}
	notMeasured := func(metric string) verdict.Row {
		return verdict.Row{Metric: metric, Gate: true, Advisory: false, Verdict: verdict.Invalid, Reason: "not measured: root cause GEN_0"}
	}
	return Input{
		Stage:      "gb200-disagg",
		Properties: []junit.Property{{Name: "ci-disagg.version", Value: "0.1.0"}, {Name: "slurm.job_ids", Value: "778123 778124"}},
		Cases: []Case{
			{
				NodeID: node1, Slug: "dsr1-1k1k-c2048", Runs: []Run{first}, Rows: []verdict.Row{notMeasured("output_token_throughput"), notMeasured("ttft_p99_ms")},
				Links: []junit.Property{{Name: "log.GEN_0", Value: "https://ci.example/artifact/gen_server_0.log"}},
			},
			{NodeID: node2, Slug: "dsr1-8k1k-c512", Runs: []Run{second}, Rows: []verdict.Row{
				{
					Metric: "output_token_throughput", Unit: "tok/s", Better: "higher", Gate: true, Verdict: verdict.Regression, Rule: "bws", Reason: "P(regression) 0.99",
					Value: ptr(18211.4), Baseline: ptr(19850.0), Change: ptr(-0.0825), Limit: ptr(18857.5),
				},
				{
					Metric: "ttft_p99_ms", Unit: "ms", Better: "lower", Gate: true, Verdict: verdict.Pass, Rule: "bws", Reason: "within the noise",
					Value: ptr(812.0), Baseline: ptr(805.0), Change: ptr(0.009),
				},
			}},
		},
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	in := example(t)
	sum, out := mergeRun(t, in, Options{})
	golden(t, "example.xml", contents(t, out))
	goJUnitAgrees(t, out, sum.Counts)

	var want struct{ Run map[string]any }
	readJSON(t, testdata+"/expected-jenkins.json", &want)
	got := secondOpinion(t, out)[0]
	for _, s := range []string{"passed", "failed", "skipped"} {
		require.EqualValues(t, want.Run[s], got.Totals[s], s)
	}

	strict, out := mergeRun(t, in, Options{StrictXSD: true})
	validate(t, out)
	require.Equal(t, sum.Counts, strict.Counts)

	// one bug, one red place beside the verdict
	for _, slug := range []string{"dsr1-1k1k-c2048", "dsr1-8k1k-c512"} {
		red := 0
		for _, r := range sum.Red {
			if strings.Contains(r.Classname+r.Name, slug) && r.Suite != "gb200-disagg" {
				red++
			}
		}
		if slug == "dsr1-8k1k-c512" {
			require.Equal(t, 1, red, slug)
		}
	}
	require.Equal(t, []RedCase{
		{"gb200-disagg", "gb200-disagg.perf.test_perf_sanity", "test_e2e[dsr1-1k1k-c2048]", "[GEN_0] killed by SIGKILL (exit 137, OOM) on gb-n07 after 411.9 s; 3 roles stopped because of it"},
		{"gb200-disagg", "gb200-disagg.perf.test_perf_sanity", "test_e2e[dsr1-8k1k-c512]", "[metrics] 18211.4 tok/s is 8.2% below baseline 19850.0 (limit 18857.5)"},
		{"gb200-disagg.lifecycle", "gb200-disagg.lifecycle.dsr1-1k1k-c2048", "GEN_0", "killed by SIGKILL (exit 137, OOM) on gb-n07 after 411.9 s; no results.xml"},
		{"gb200-disagg.metrics", "gb200-disagg.metrics.dsr1-8k1k-c512", "output_token_throughput", "18211.4 tok/s is 8.2% below baseline 19850.0 (limit 18857.5)"},
	}, sum.Red)
}

// TestUnique: no two cases of a report have the same suite, class and name,
// whatever the roles report, and not even for Jenkins' eyes.
func TestUnique(t *testing.T) {
	t.Parallel()
	in := example(t)
	extra := `<testcase classname="" name="perf.test_perf_sanity"><error message="collection failure">x</error></testcase>`
	for ci := range in.Cases {
		r := &in.Cases[ci].Runs[0]
		for i := range r.Roles {
			leave(t, &r.Roles[i], 1, pytestDoc(1, extra))
		}
	}
	in.Cases = append(in.Cases, in.Cases[1])
	in.Cases[2].Slug = "dsr1-8k1k-c512-again"
	_, out := mergeRun(t, in, Options{})
	_, cases := read(t, out)
	seen := make(map[string]bool)
	for _, c := range cases {
		key := c.Suite.Name + "\x00" + c.Classname + "\x00" + c.Name
		require.False(t, seen[key], key)
		seen[key] = true
	}
}

// TestRunOrder: neither the order of roles nor that of files changes a byte.
func TestRunOrder(t *testing.T) {
	t.Parallel()
	in := example(t)
	_, want := mergeRun(t, in, Options{})
	for ci := range in.Cases {
		for ri := range in.Cases[ci].Runs {
			slices.Reverse(in.Cases[ci].Runs[ri].Roles)
			for i := range in.Cases[ci].Runs[ri].Roles {
				slices.Reverse(in.Cases[ci].Runs[ri].Roles[i].Files)
			}
		}
	}
	_, got := mergeRun(t, in, Options{})
	require.Equal(t, contents(t, want), contents(t, got))
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	pass := func(t *testing.T, r *Role) { leave(t, r, 0, pytestDoc(1, testCase(node1, 1, ""))) }
	fail := func(t *testing.T, r *Role) {
		leave(t, r, 0, pytestDoc(1, testCase(node1, 1, `<failure message="ValueError: x">tb</failure>`)))
	}
	tests := map[string]struct {
		exit    int
		change  func(t *testing.T, r *Role)
		status  junit.Status
		message string
	}{
		"ended well":            {0, pass, junit.Passed, ""},
		"failed, and says why":  {1, fail, junit.Passed, ""},
		"failed, but is green":  {1, pass, junit.Errored, "exit 1 on gb-n01 after 9.0 s; results.xml is green with 1 cases"},
		"interrupted, green":    {2, pass, junit.Errored, "exit 2 (interrupted) on gb-n01 after 9.0 s; results.xml is green with 1 cases"},
		"killed":                {139, func(*testing.T, *Role) {}, junit.Errored, "killed by SIGSEGV (exit 139) on gb-n01 after 9.0 s; no results.xml"},
		"killed, file is green": {137, pass, junit.Errored, "killed by SIGKILL (exit 137) on gb-n01 after 9.0 s; results.xml is green with 1 cases"},
		"0 without a file":      {0, func(*testing.T, *Role) {}, junit.Errored, "no results.xml"},
		"0 with half a file": {0, func(t *testing.T, r *Role) {
			leave(t, r, 0, pytestDoc(1, testCase(node1, 1, ""))[:300])
		}, junit.Errored, "results.0.xml truncated at byte 300, 0 cases salvaged"},
		"0 with an empty file": {0, func(t *testing.T, r *Role) { leave(t, r, 0, "") }, junit.Errored, "results.0.xml is empty"},
		"0 with a stale file": {0, func(t *testing.T, r *Role) {
			pass(t, r)
			r.Files[0].Since = time.Now().Add(time.Hour)
		}, junit.Errored, "results.0.xml is stale: last written"},
		"never started": {0, func(_ *testing.T, r *Role) {
			r.State, r.Error = rundir.RoleNeverStarted, "srun: error: no such node"
		}, junit.Errored, "never started: srun: error: no such node"},
		"no end": {0, func(_ *testing.T, r *Role) { r.State = rundir.RoleRunning }, junit.Errored, "no end was recorded; it was last seen running"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, gen := role("BENCHMARK", rundir.KindClient, 0, 9, 0), role("GEN_0", rundir.KindServer, 0, 9, tt.exit)
			pass(t, &client)
			tt.change(t, &gen)
			outcome := rundir.OutcomePassed
			if tt.exit != 0 {
				outcome = rundir.OutcomeTestFailed
			}
			sum, out := mergeRun(t, simple(client, gen, nil, outcome), Options{})
			c := find(t, out, "s.lifecycle", "GEN_0")
			require.Equal(t, tt.status, c.Status())
			if tt.message != "" {
				require.Contains(t, c.Results[0].Message, tt.message)
			}
			verdictRed := tt.status.Red() || tt.exit != 0
			require.Equal(t, verdictRed, sum.Cases[0].Status.Red(), "%v", sum.Cases)
			if verdictRed {
				require.True(t, strings.HasPrefix(sum.Cases[0].Message, "[GEN_0] "), sum.Cases[0].Message)
				require.Equal(t, 2, sum.Counts.Red(), "the verdict and one place that says where")
			}
			if tt.exit == 1 && tt.status == junit.Passed {
				require.Equal(t, junit.Failed, find(t, out, "s.roles.GEN_0", "test_e2e[dsr1-1k1k-c2048]").Status())
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	both := func(t *testing.T) (client, gen Role) {
		client, gen = role("BENCHMARK", rundir.KindClient, 0, 9, 0), role("GEN_0", rundir.KindServer, 0, 9, 0)
		leave(t, &client, 0, pytestDoc(1, testCase(node1, 7, "")))
		leave(t, &gen, 0, pytestDoc(1, testCase(node1, 8, "")))
		return client, gen
	}
	t.Run("passed", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		sum, out := mergeRun(t, simple(client, gen, nil, rundir.OutcomePassed), Options{})
		require.Equal(t, []CaseSummary{{Slug: "slug", Status: junit.Passed}}, sum.Cases)
		require.Equal(t, "7.000", junit.Seconds(find(t, out, "s", "test_e2e[dsr1-1k1k-c2048]").Time), "the client's own time")
	})
	t.Run("skipped", func(t *testing.T) {
		t.Parallel()
		sum, _ := mergeRun(t, Input{Stage: "s", Cases: []Case{{NodeID: node1, Slug: "x", Skip: "waived: #12"}}}, Options{})
		require.Equal(t, junit.Counts{Tests: 1, Skipped: 1}, sum.Counts)
		require.Equal(t, "not launched: waived: #12", sum.Cases[0].Message)
	})
	t.Run("known bug", func(t *testing.T) {
		t.Parallel()
		in := example(t)
		for i := range in.Cases {
			in.Cases[i].KnownBug = "nvbugs/1"
		}
		sum, out := mergeRun(t, in, Options{})
		require.Zero(t, sum.Counts.Red(), "%v", sum.Red)
		require.Contains(t, sum.Cases[0].Message, "known failure nvbugs/1: [GEN_0] killed")
		require.Contains(t, find(t, out, "gb200-disagg.lifecycle", "GEN_0").Results[0].Message, "known failure")
		client, gen := both(t)
		ok := simple(client, gen, nil, rundir.OutcomePassed)
		ok.Cases[0].KnownBug = "nvbugs/1"
		_, out = mergeRun(t, ok, Options{})
		require.Contains(t, find(t, out, "s", "test_e2e[dsr1-1k1k-c2048]").SystemOut[0], "did not happen")
	})
	t.Run("nothing ran", func(t *testing.T) {
		t.Parallel()
		sum, _ := mergeRun(t, Input{Stage: "s", Cases: []Case{{NodeID: node1, Slug: "x", Error: "sbatch: error: invalid partition"}}}, Options{})
		require.Equal(t, "sbatch: error: invalid partition", sum.Cases[0].Message)
		require.Equal(t, junit.Counts{Tests: 2, Errors: 2}, sum.Counts, "the verdict, and the job that says where")
	})
	t.Run("no cases", func(t *testing.T) {
		t.Parallel()
		_, err := Merge(Input{Stage: "s"}, filepath.Join(t.TempDir(), "j.xml"), Options{})
		require.Error(t, err)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		client, gen := stoppedRole("BENCHMARK", rundir.KindClient, 0, 9), stoppedRole("GEN_0", rundir.KindServer, 0, 9)
		f := &rundir.Finding{Kind: "cancelled", Class: "infra", Message: "cancelled by uid 1000", Collateral: map[string]string{"BENCHMARK": "stopped", "GEN_0": "stopped"}}
		sum, out := mergeRun(t, simple(client, gen, f, rundir.OutcomeCancelled), Options{})
		require.Equal(t, 2, sum.Counts.Red())
		require.Equal(t, "ci-disagg.cancelled", sum.Cases[0].Type)
		require.Equal(t, "cancelled by uid 1000", find(t, out, "s.lifecycle", "JOB").Results[0].Message)
		require.Contains(t, find(t, out, "s.lifecycle", "GEN_0").Results[0].Message, "collateral of JOB: stopped by ci-disagg")
	})
	t.Run("the job's fault, and nobody says what it did to the roles", func(t *testing.T) {
		t.Parallel()
		client, gen := role("BENCHMARK", rundir.KindClient, 0, 9, 143), stoppedRole("GEN_0", rundir.KindServer, 0, 9)
		f := &rundir.Finding{Kind: "requeued", Class: "infra", Message: "Slurm put the job back into the queue"}
		in := simple(client, gen, f, rundir.OutcomeInfra)
		for _, name := range []string{"CTX_0", "DISAGG_SERVER"} { // seen running last, and not at all
			in.Cases[0].Runs[0].Roles = append(in.Cases[0].Runs[0].Roles, Role{RoleRecord: rundir.RoleRecord{Name: name, State: rundir.RoleRunning}})
		}
		in.Cases[0].Runs[0].Roles[3].State = rundir.RoleNeverStarted
		unlaunched := role("CTX_1", rundir.KindServer, 0, 1, 213)
		unlaunched.Error, unlaunched.JUnit = "srun ended with 213: Slurm could not run the step", false
		in.Cases[0].Runs[0].Roles = append(in.Cases[0].Runs[0].Roles, unlaunched)
		sum, out := mergeRun(t, in, Options{})
		require.Equal(t, 2, sum.Counts.Red(), "the verdict and the job, nobody else")
		for _, name := range []string{"BENCHMARK", "GEN_0", "CTX_0", "CTX_1", "DISAGG_SERVER"} {
			require.Contains(t, find(t, out, "s.lifecycle", name).Results[0].Message, "collateral of JOB: ", name)
		}
	})
	t.Run("the install step failed: nobody else was started", func(t *testing.T) {
		t.Parallel()
		client, gen := role("BENCHMARK", rundir.KindClient, 0, 9, 0), role("GEN_0", rundir.KindServer, 0, 9, 0)
		client.State, gen.State = rundir.RoleNeverStarted, rundir.RoleNeverStarted
		f := &rundir.Finding{Root: "INSTALL", Kind: "install-failed", Class: "infra", Message: "[INSTALL] exit 7"}
		in := simple(client, gen, f, rundir.OutcomeInfra)
		install := role("INSTALL", "install", 0, 1, 7)
		install.JUnit = false
		in.Cases[0].Runs[0].Roles = append(in.Cases[0].Runs[0].Roles, install)
		sum, out := mergeRun(t, in, Options{})
		require.Equal(t, 2, sum.Counts.Red(), "the verdict and INSTALL")
		require.True(t, find(t, out, "s.lifecycle", "INSTALL").Status().Red())
		require.Contains(t, find(t, out, "s.lifecycle", "GEN_0").Results[0].Message, "collateral of INSTALL: never started")
	})
	t.Run("a role that failed by itself stays red beside the job's fault", func(t *testing.T) {
		t.Parallel()
		client, gen := stoppedRole("BENCHMARK", rundir.KindClient, 0, 9), role("GEN_0", rundir.KindServer, 0, 9, 1)
		f := &rundir.Finding{Kind: "cancelled", Class: "infra", Message: "cancelled"}
		_, out := mergeRun(t, simple(client, gen, f, rundir.OutcomeCancelled), Options{})
		require.True(t, find(t, out, "s.lifecycle", "GEN_0").Status().Red())
	})
	t.Run("a server that had to be ended after the client passed owes no report", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		gen.Files, gen.StoppedBy, gen.Exit, gen.Signal = nil, "agent", 137, 9
		sum, out := mergeRun(t, simple(client, gen, nil, rundir.OutcomePassed), Options{})
		require.Zero(t, sum.Counts.Red())
		require.Equal(t, junit.Passed, sum.Cases[0].Status)
		require.Contains(t, find(t, out, "s.roles.GEN_0", "test_e2e[dsr1-1k1k-c2048]").Results[0].Message, "stopped by ci-disagg after the client was through")
	})
	t.Run("not reported", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		gen.Files = nil
		leave(t, &gen, 0, pytestDoc(1, `<testcase classname="other" name="test_other"/>`))
		sum, out := mergeRun(t, simple(client, gen, nil, rundir.OutcomePassed), Options{})
		require.Equal(t, "ci-disagg.not-reported", sum.Cases[0].Type)
		require.Equal(t, "[GEN_0] "+node1+" was expected and not reported", sum.Cases[0].Message)
		require.Equal(t, junit.Skipped, find(t, out, "s.roles.GEN_0", "test_e2e[dsr1-1k1k-c2048]").Status())
	})
	t.Run("nothing proven", func(t *testing.T) {
		t.Parallel()
		client, gen := role("BENCHMARK", rundir.KindClient, 0, 9, 1), role("GEN_0", rundir.KindServer, 0, 9, 134)
		leave(t, &client, 0, pytestDoc(1, testCase(node1, 1, `<failure message="boom">tb</failure>`)))
		sum, _ := mergeRun(t, simple(client, gen, nil, rundir.OutcomeTestFailed), Options{})
		require.Equal(t, "ci-disagg.unattributed", sum.Cases[0].Type)
		require.Equal(t, 3, sum.Counts.Red(), "what failed stays red")
	})
	t.Run("hang", func(t *testing.T) {
		t.Parallel()
		client, gen := stoppedRole("BENCHMARK", rundir.KindClient, 0, 9), stoppedRole("GEN_0", rundir.KindServer, 0, 9)
		f := &rundir.Finding{Root: "GEN_0", Class: "unknown", Kind: "hang", Message: "[GEN_0] no output for 10m0s", Collateral: map[string]string{"BENCHMARK": "stopped"}}
		sum, out := mergeRun(t, simple(client, gen, f, rundir.TimeoutOf(rundir.PhaseReady)), Options{})
		require.Equal(t, 2, sum.Counts.Red())
		require.Equal(t, junit.Errored, find(t, out, "s.lifecycle", "GEN_0").Status())
		require.Equal(t, "[GEN_0] no output for 10m0s", sum.Cases[0].Message)
	})
	t.Run("invalid measurement", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		in := simple(client, gen, nil, rundir.OutcomePassed)
		in.Cases[0].Problems = []string{"con8: 3 of 80 requests failed", "con8: no tokens"}
		sum, _ := mergeRun(t, in, Options{})
		require.Equal(t, "[metrics] not a measurement: con8: 3 of 80 requests failed (and 1 more)", sum.Cases[0].Message)
		require.Equal(t, 2, sum.Counts.Red())
	})
	t.Run("no verdict", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		in := simple(client, gen, nil, rundir.OutcomePassed)
		in.Cases[0].Rows = []verdict.Row{{Metric: "ttft", Gate: true, Verdict: verdict.Collecting, Reason: "3 of 7 runs", Value: ptr(1.0)}}
		sum, _ := mergeRun(t, in, Options{})
		require.Equal(t, junit.Skipped, sum.Cases[0].Status)
		require.Equal(t, "no verdict: ttft: collecting: 3 of 7 runs", sum.Cases[0].Message)
		sum, _ = mergeRun(t, in, Options{Allow: []verdict.Word{verdict.Collecting}})
		require.Equal(t, junit.Passed, sum.Cases[0].Status)
	})
	t.Run("advisory", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		in := simple(client, gen, nil, rundir.OutcomePassed)
		in.Cases[0].Rows = []verdict.Row{{Metric: "ttft", Gate: true, Advisory: true, Verdict: verdict.Regression, Reason: "slow", Value: ptr(2.0), Baseline: ptr(1.0), Change: ptr(1.0)}}
		sum, out := mergeRun(t, in, Options{})
		require.Zero(t, sum.Counts.Red())
		require.Contains(t, find(t, out, "s.metrics", "ttft").SystemOut[0], "advisory: 2 is 100.0% above baseline 1")
	})
	t.Run("one role", func(t *testing.T) {
		t.Parallel()
		agg := role("AGG", rundir.KindTask, 0, 9, 1)
		leave(t, &agg, 0, pytestDoc(1, testCase(node1, 1, `<failure message="ValueError: x">tb</failure>`)))
		in := Input{Stage: "s", Cases: []Case{{NodeID: node1, Slug: "x", Runs: []Run{{Counts: true, Outcome: rundir.OutcomeTestFailed, Roles: []Role{agg}}}}}}
		sum, _ := mergeRun(t, in, Options{})
		require.Equal(t, []SuiteSummary{{"s", junit.Counts{Tests: 1, Failures: 1}}, {"s.lifecycle", junit.Counts{Tests: 1}}}, sum.Suites)
		require.Equal(t, "[AGG] ValueError: x", sum.Cases[0].Message)
	})
	t.Run("not stored", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		in := simple(client, gen, nil, rundir.OutcomePassed)
		in.NotStored = "store dir:/x: read-only"
		sum, out := mergeRun(t, in, Options{})
		require.Equal(t, 1, sum.Counts.Skipped)
		require.Equal(t, "no verdict: not stored: store dir:/x: read-only", find(t, out, "s.metrics", "history").Results[0].Message)
	})
	t.Run("the last line of a log decides nothing", func(t *testing.T) {
		t.Parallel()
		client, gen := both(t)
		f := &rundir.Finding{Root: "GEN_0", Class: "infra", Kind: "role-crash", Rule: "killed-from-outside", Message: "[GEN_0] killed by SIGKILL", Line: &rundir.LogLine{File: "output.log", Number: 9, Text: "iter = 9", Last: true}}
		_, out := mergeRun(t, simple(client, gen, f, rundir.OutcomeInfra), Options{})
		require.Contains(t, contents(t, out), "decided by rule killed-from-outside; the last line of the log is output.log:9")
	})
	t.Run("verdict only", func(t *testing.T) {
		t.Parallel()
		sum, _ := mergeRun(t, example(t), Options{Verdict: true})
		require.Len(t, sum.Suites, 1)
		require.Equal(t, 2, sum.Counts.Tests)
	})
}

// TestRanksAndRepetitions: the worst rank and the worst repetition count; only
// the last attempt of a repetition does.
func TestRanksAndRepetitions(t *testing.T) {
	t.Parallel()
	run := func(rep, attempt int, counts bool, results ...string) Run {
		gen, client := role("GEN_0", rundir.KindServer, 0, 9, 0), role("BENCHMARK", rundir.KindClient, 0, 9, 0)
		leave(t, &client, 0, pytestDoc(1, testCase(node1, 1, "")))
		outcome := rundir.OutcomePassed
		for rank, inner := range results {
			leave(t, &gen, rank, pytestDoc(1, testCase(node1, 1, inner)))
			if inner != "" {
				outcome, gen.Exit = rundir.OutcomeTestFailed, 1
			}
		}
		return Run{Rep: rep, Attempt: attempt, Counts: counts, Outcome: outcome, Reason: "why", JobID: fmt.Sprint(rep, attempt), Roles: []Role{gen, client}}
	}
	const bad = `<failure message="ValueError: rank 10">tb</failure>`
	many := make([]string, 11)
	many[10] = bad
	in := Input{Stage: "s", Cases: []Case{{NodeID: node1, Slug: "x", Runs: []Run{run(0, 1, false, bad), run(0, 2, true, many...), run(1, 1, true, "")}}}}
	sum, out := mergeRun(t, in, Options{})
	require.Equal(t, junit.Failed, sum.Cases[0].Status)
	c := find(t, out, "s.roles.GEN_0", "test_e2e[dsr1-1k1k-c2048]")
	require.Contains(t, c.Results[0].Text, "[rank 10] is shown; results: rank_0=passed rank_1=passed rank_2=passed")
	require.Contains(t, c.Results[0].Text, "rep_0=failed rep_1=passed")
	v := find(t, out, "s", "test_e2e[dsr1-1k1k-c2048]")
	require.Contains(t, v.Properties, junit.Property{Name: "attempts", Value: "3"})
	require.Contains(t, v.Properties, junit.Property{Name: "rep-0.attempt-1", Value: "test_failed 0 1 why"})

	in.Cases[0].Runs = []Run{run(0, 1, false, bad), run(0, 2, true, "")}
	sum, _ = mergeRun(t, in, Options{})
	require.Equal(t, junit.Passed, sum.Cases[0].Status, "an attempt that was repeated does not count")
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	gen, client := role("GEN_0", rundir.KindServer, 0, 100, 0), role("BENCHMARK", rundir.KindClient, 0, 50, 1)
	gen.Expected, client.Expected = []string{node1}, []string{node1}
	leave(t, &client, 0, pytestDoc(20,
		testCase("a.py::t0", 4, `<failure message="flaky"/>`), testCase("a.py::t0", 5, ""),
		testCase("a.py::t1", 6, `<failure message="AssertionError: assert 0.71 &gt;= 0.75&#10; + where">tb</failure>`),
		testCase(node1, 7, `<failure message="AssertionError: assert 37 &lt;= 0&#10; + where 37 = failed">tb</failure>`)))
	got := Evidence(Run{Roles: []Role{client, gen}}, junit.ReadOptions{})
	require.Equal(t, []blame.Event{
		{Role: "BENCHMARK", Kind: blame.TestFailed, At: *at(15), Node: "gb-n01", Text: "AssertionError: assert 0.71 >= 0.75", Assert: true},
		{Role: "BENCHMARK", Kind: blame.TestFailed, At: *at(22), Node: "gb-n01", Text: "AssertionError: assert 37 <= 0"},
		{Role: "GEN_0", Kind: blame.NoResult, At: *at(100), Node: "gb-n01", Text: "no results.xml"},
	}, got)

	gen.StoppedBy = "agent"
	require.Empty(t, Evidence(Run{Roles: []Role{gen}}, junit.ReadOptions{}), "a role that was stopped owes no result")
	gen.StoppedBy = ""
	leave(t, &gen, 0, pytestDoc(1, testCase("other.py::test_e2e[dsr1-1k1k-c2048]", 1, "")))
	require.Empty(t, Evidence(Run{Roles: []Role{gen}}, junit.ReadOptions{}), "the name is enough where only one test has it")
	gen.Files = nil
	leave(t, &gen, 0, pytestDoc(1, testCase("other.py::x", 1, "")))
	require.Equal(t, "it is of another test, other::x, not of "+node1, Evidence(Run{Roles: []Role{gen}}, junit.ReadOptions{})[0].Text)
}

func TestNodeID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string][2]string{
		"perf/test_a.py::test_b[x/y::z]":  {"perf.test_a", "test_b[x/y::z]"},
		"test_a.py::TestC::TestD::test_b": {"test_a.TestC.TestD", "test_b"},
		"perf/test_a.py":                  {"perf.test_a", "perf/test_a.py"},
	} {
		class, name := split(id)
		require.Equal(t, want, [2]string{class, name})
	}
	ids := []string{"perf/a.py::t[1]", "perf/b.py::t[1]", "perf/b.py::u"}
	require.Equal(t, 1, match(ids, "b", "t[1]"))
	require.Equal(t, 0, match(ids, "tests.perf.a", "t[1]"))
	require.Equal(t, -1, match(ids, "elsewhere", "t[1]"), "two tests have that name")
	require.Equal(t, 2, match(ids, "elsewhere", "u"))
	require.Equal(t, -1, match(ids, "elsewhere", "v"))
}

func TestNatural(t *testing.T) {
	t.Parallel()
	names := []string{"BENCHMARK", "GEN_10", "GEN_2", "CTX_0", "DISAGG_SERVER", "AGG", "GEN_0_PRECHECK", "GEN_02"}
	slices.SortFunc(names, roleOrder)
	require.Equal(t, []string{"GEN_0_PRECHECK", "CTX_0", "GEN_02", "GEN_2", "GEN_10", "DISAGG_SERVER", "BENCHMARK", "AGG"}, names)
}
