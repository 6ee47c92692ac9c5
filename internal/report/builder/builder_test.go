package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/accuracy"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

const caseID = "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-tiny]"

var start = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)

// attemptSpec is one attempt of the made-up run.
type attemptSpec struct {
	outcome rundir.Outcome
	finding *rundir.Finding
	tput    float64 // 0 = the client wrote nothing
	noXML   bool    // GEN_0 left no results
	red     bool    // BENCHMARK's own test failed
	exit    int     // of GEN_0
}

// runDir writes a run of one case as the launch side would leave it.
func runDir(t *testing.T, edit func(*rundir.Plan), attempts ...attemptSpec) rundir.Dir {
	t.Helper()
	dir := rundir.Dir(t.TempDir())
	plan := rundir.Plan{
		Schema: rundir.Schema,
		Stage:  "nightly",
		Case:   rundir.Case{ID: caseID, Slug: "tiny", Mode: "e2e"},
		Runs:   rundir.OneRun(),
		Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: []rundir.RolePlan{
			{Name: "GEN_0", Kind: rundir.KindServer, JUnit: true, Slice: []rundir.NodeShare{{Node: 0, Tasks: 4, GPUs: 4}}},
			{Name: "BENCHMARK", Kind: rundir.KindClient, JUnit: true, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}},
		}}},
		Expected:    rundir.Expected{NodeIDs: []string{caseID}, Points: []rundir.Point{{Name: "con8", Concurrency: 8, Requests: 16}}},
		Match:       map[string]string{"gpu_type": "GB200"},
		Allocation:  rundir.Allocation{Nodes: 2, GPUsPerNode: 4, AllocatedGPUs: 8, UsedGPUs: 4},
		Supervision: rundir.Supervision{Drain: rundir.DrainRule{Role: "BENCHMARK"}},
	}
	if edit != nil {
		edit(&plan)
	}
	run := rundir.Run{Schema: rundir.Schema, ID: "r1", Stage: "nightly", Backend: "slurm", Created: start, Build: rundir.Build{Mode: "nightly", Commit: "c0ffee1"}}
	state := rundir.CaseState{ID: caseID, Slug: "tiny", State: rundir.CaseDone}
	for i, spec := range attempts {
		a := rundir.Attempt{Rep: 0, Attempt: i + 1, Outcome: spec.outcome}
		state.Attempts = append(state.Attempts, a)
		writeAttempt(t, dir.CaseDir("tiny").Attempt(0, i+1), spec)
	}
	run.Cases = []rundir.CaseState{state}
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), run))
	require.NoError(t, rundir.WriteJSON(dir.CaseDir("tiny").PlanFile(), plan))
	return dir
}

func writeAttempt(t *testing.T, dir rundir.AttemptDir, spec attemptSpec) {
	t.Helper()
	ended := start.Add(time.Minute)
	roles := []rundir.RoleRecord{
		{Name: "GEN_0", Kind: rundir.KindServer, State: rundir.RoleEnded, Started: &start, Ready: &start, Ended: &ended, Exit: spec.exit, Nodes: []string{"gpu0"}},
		{Name: "BENCHMARK", Kind: rundir.KindClient, State: rundir.RoleEnded, Started: &start, Ended: &ended, Nodes: []string{"gpu0"}},
	}
	drain := start.Add(50 * time.Second)
	evidence, err := json.Marshal(blame.Evidence{
		Roles: []blame.Role{{Name: "GEN_0", Kind: "server"}, {Name: "BENCHMARK", Kind: "client"}},
		Events: []blame.Event{
			{Role: "GEN_0", Kind: blame.RoleEnd, At: ended, Exit: spec.exit, Expected: spec.exit == 0, Drained: true},
			{Role: "BENCHMARK", Kind: blame.RoleEnd, At: ended, Expected: true, Drained: true},
		},
	})
	require.NoError(t, err)
	require.NoError(t, rundir.WriteJSON(dir.AgentFile(), rundir.AgentRecord{
		Schema: rundir.Schema, Nodes: []string{"gpu0", "gpu1"}, Started: start,
		RunAccount: rundir.RunAccount{Phase: rundir.PhaseDone, Roles: roles, Phases: []rundir.PhaseSpan{{Phase: rundir.PhaseDrain, Start: drain}}},
		End:        &rundir.AgentEnd{At: ended, Outcome: spec.outcome, Finding: spec.finding, Evidence: evidence},
	}))
	require.NoError(t, rundir.WriteJSON(dir.OutcomeFile(), rundir.AttemptOutcome{
		Schema: rundir.Schema, Outcome: spec.outcome, Finding: spec.finding, Reason: "as the agent said", JobID: "77", Started: &start, Ended: ended,
	}))
	if !spec.noXML {
		writeText(t, dir.Run(0).RoleDir("GEN_0")+"/results.0.xml", xmlReport(""))
	}
	failure := ""
	if spec.red {
		failure = `<failure message="AssertionError: Failed requests: 3">assert</failure>`
	}
	writeText(t, dir.Run(0).RoleDir("BENCHMARK")+"/results.0.xml", xmlReport(failure))
	if spec.tput > 0 {
		writeText(t, dir.Run(0).Output()+"/trtllm-benchmark.0.0.log", table(spec.tput))
	}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.Chtimes(path, start.Add(time.Minute), start.Add(time.Minute)))
}

func xmlReport(child string) string {
	return `<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="1"><testcase classname="perf.test_perf_sanity" name="test_e2e[disagg_upload-e2e-tiny]" time="50.1">` +
		child + `</testcase></testsuite></testsuites>`
}

// table is what the benchmark client prints at the given output throughput.
func table(tput float64) string {
	row := func(label string, v float64) string { return fmt.Sprintf("%-40s %-10.2f\n", label, v) }
	count := func(label string, v int) string { return fmt.Sprintf("%-40s %-10d\n", label, v) }
	var b strings.Builder
	b.WriteString("Namespace(backend='openai', num_prompts=16, max_concurrency=8)\n============ Serving Benchmark Result ============\n")
	b.WriteString(count("Total requests:", 16) + count("Successful requests:", 16) + count("Failed requests:", 0))
	b.WriteString(row("Benchmark duration (s):", 1024/tput) + count("Total input tokens:", 16384) + count("Total generated tokens:", 1024))
	b.WriteString(row("Request throughput (req/s):", tput/64) + row("Output token throughput (tok/s):", tput))
	b.WriteString(row("Total Token throughput (tok/s):", tput*17) + row("User throughput (tok/s):", tput/8))
	for _, m := range []string{"TTFT", "TPOT", "ITL", "E2EL"} {
		for _, s := range []string{"Mean", "Median", "P99"} {
			b.WriteString(row(s+" "+m+" (ms):", 8000/tput))
		}
	}
	b.WriteString("==================================================\n")
	return b.String()
}

// builder has a directory store with n earlier runs around 1000 tok/s.
func builder(t *testing.T, n int) Options {
	t.Helper()
	store, err := baseline.Create(context.Background(), "dir:"+t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	b := Options{
		Tool: "test", Reader: points.Reader{},
		Setup: judging.Setup{Store: store, Metrics: metric.Default(), Policy: verdict.Policy{RerunsUnavailable: true}},
	}
	for i := range n {
		dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000 + float64(i%3) + 0.01*float64(i+1)})
		edit(t, dir, func(r *rundir.Run) { r.ID = fmt.Sprint("past", i) })
		built := build(t, b, dir, 0)
		require.Len(t, built.Records, 1)
		rec := built.Records[0]
		require.Positive(t, rec.GPUHours[cost.Useful]+rec.GPUHours[cost.Idle], "what it held, by cause")
		rec.Time = start.AddDate(0, 0, i-n)
		_, err = store.Save(t.Context(), rec.Normal())
		require.NoError(t, err)
	}
	return b
}

// edit changes the record of a run.
func edit(t *testing.T, dir rundir.Dir, change func(*rundir.Run)) {
	t.Helper()
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
	change(&run)
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), run))
}

// built is a report with what is to be stored of it.
type built struct {
	Document report.Report
	Records  []baseline.Record
}

// build makes and writes the report of a run: whatever happened, there is one.
func build(t *testing.T, o Options, dir rundir.Dir, sig syscall.Signal) built {
	t.Helper()
	s := New(dir, o)
	d, err := s.Decide(t.Context(), int(sig))
	require.NoError(t, err)
	rep, err := s.Write(&d)
	require.NoError(t, err)
	return built{rep, d.Records}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	ok := attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}
	infra := attemptSpec{outcome: rundir.OutcomeInfra, exit: 137, finding: &rundir.Finding{Root: "GEN_0", Class: "infra", Kind: "role-crash", Message: "[GEN_0] killed by SIGKILL"}}
	crash := attemptSpec{outcome: rundir.OutcomeTestFailed, exit: 1, finding: &rundir.Finding{Root: "GEN_0", Class: "test", Kind: "role-crash", Message: "[GEN_0] exit 1"}}
	tests := []struct {
		name     string
		history  int
		plan     func(*rundir.Plan)
		attempts []attemptSpec
		builder  func(*Options)
		exit     int
		result   string
		message  string
	}{
		{name: "pass", history: 10, attempts: []attemptSpec{ok}, exit: 0, result: "passed"},
		{name: "too little history", history: 3, attempts: []attemptSpec{ok}, exit: 5, result: "no_verdict", message: "past runs"},
		{name: "regression", history: 12, attempts: []attemptSpec{{outcome: rundir.OutcomePassed, tput: 750}}, builder: func(b *Options) { b.Setup.Policy.Rule = verdict.RuleUpstream }, exit: 4, result: "regression", message: "ttft_median_ms at con8"},
		{name: "functional only", history: 12, attempts: []attemptSpec{{outcome: rundir.OutcomePassed, tput: 750}}, builder: func(b *Options) { b.PerfOff = true }, exit: 0, result: "passed"},
		{name: "functional only by policy", history: 12, attempts: []attemptSpec{{outcome: rundir.OutcomePassed, tput: 750}}, builder: func(b *Options) { b.Setup.Policy.FunctionalOnly = true }, exit: 0, result: "passed"},
		{name: "accuracy without a reference", history: 10, plan: func(p *rundir.Plan) { p.Expected.Accuracy = true }, attempts: []attemptSpec{ok}, exit: 5, result: "no_verdict", message: "no accuracy result was found"},
		{name: "accuracy not measured, functional only", plan: func(p *rundir.Plan) { p.Expected.Accuracy = true }, attempts: []attemptSpec{ok}, builder: func(b *Options) { gsm8k(b); b.PerfOff = true }, exit: 5, result: "no_verdict", message: "no accuracy result was found"},
		{name: "accuracy not measured", history: 10, plan: func(p *rundir.Plan) { p.Expected.Accuracy = true }, attempts: []attemptSpec{ok}, builder: gsm8k, exit: 5, result: "no_verdict", message: "no accuracy result was found"},
		{name: "crash", history: 10, attempts: []attemptSpec{crash}, exit: 1, result: "test_failed", message: "[GEN_0]"},
		{name: "infra", history: 10, attempts: []attemptSpec{infra}, exit: 3, result: "infra", message: "SIGKILL"},
		{name: "infra, then a retry that passed", history: 10, attempts: []attemptSpec{infra, ok}, exit: 0, result: "passed"},
		{name: "results missing though all exited 0", history: 10, attempts: []attemptSpec{{outcome: rundir.OutcomePassed, tput: 1000, noXML: true}}, exit: 1, result: "test_failed", message: "GEN_0"},
		{name: "failing test though all exited 0", history: 10, attempts: []attemptSpec{{outcome: rundir.OutcomePassed, tput: 1000, red: true}}, exit: 1, result: "test_failed", message: "Failed requests: 3"},
		{name: "nothing measured though all passed", history: 10, attempts: []attemptSpec{{outcome: rundir.OutcomePassed}}, exit: 5, result: "no_verdict"},
		{name: "never launched", history: 0, exit: 3, result: "infra", message: "never launched"},
		{name: "skipped", plan: func(p *rundir.Plan) { p.Case.SkipReason = "nvbugs/1" }, exit: 5, result: "skipped", message: "nvbugs/1"},
		{name: "skipped, allowed", plan: func(p *rundir.Plan) { p.Case.SkipReason = "nvbugs/1" }, builder: func(b *Options) { b.Policy.Exit.AllowSkipped = true }, exit: 0, result: "skipped", message: "nvbugs/1"},
		{name: "known failure", plan: func(p *rundir.Plan) { p.Case.KnownBug = "nvbugs/2" }, attempts: []attemptSpec{crash}, exit: 5, result: "known_failure", message: "nvbugs/2"},
		{name: "known failure that passes and is slow", history: 12, plan: func(p *rundir.Plan) { p.Case.KnownBug = "nvbugs/2" }, attempts: []attemptSpec{{outcome: rundir.OutcomePassed, tput: 750}}, builder: func(b *Options) { b.Setup.Policy.Rule = verdict.RuleUpstream }, exit: 4, result: "regression"},
		{name: "unreachable store", attempts: []attemptSpec{ok}, builder: func(b *Options) {
			b.Setup.Store = nil
			b.Setup.StoreErr = &baseline.UnavailableError{Store: "postgres://db", Err: context.DeadlineExceeded}
		}, exit: 5, result: "no_verdict"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := builder(t, tt.history)
			if tt.builder != nil {
				tt.builder(&b)
			}
			built := build(t, b, runDir(t, tt.plan, tt.attempts...), 0)
			require.Len(t, built.Document.Cases, 1)
			c := built.Document.Cases[0]
			require.Equal(t, tt.exit, built.Document.ExitCode, "%s: %s %+v", c.Result, c.Message, c.Problems)
			require.Equal(t, tt.result, c.Result)
			require.Contains(t, c.Message, tt.message)
		})
	}
}

// An output from before the attempt is another one's, whoever brought it here.
func TestOldBenchmarkOutput(t *testing.T) {
	t.Parallel()
	b := builder(t, 9)
	dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
	require.Equal(t, exit.Passed, build(t, b, dir, 0).Document.ExitCode)
	old := filepath.Join(dir.CaseDir("tiny").Attempt(0, 1).Run(0).Output(), "trtllm-benchmark.0.0.log")
	require.NoError(t, os.Chtimes(old, start.Add(-time.Minute), start.Add(-time.Minute)))
	d := build(t, b, dir, 0).Document
	require.Equal(t, exit.NoVerdict, d.ExitCode)
	require.Contains(t, d.Cases[0].Message, "run-0/output/trtllm-benchmark.0.0.log: last written 2026-11-20T02:59:00Z, before the attempt began at 2026-11-20T03:00:00Z")
}

// Nothing is relaxed silently: what passes only because the policy lets it is told.
func TestAllowedIsNotJudged(t *testing.T) {
	t.Parallel()
	b := builder(t, 2)
	b.Policy.Exit.AllowCollecting = true
	b.Setup.Policy.AllowCollecting = true
	d := build(t, b, runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}), 0).Document
	require.Equal(t, exit.Passed, d.ExitCode)
	require.Equal(t, "1 case: 1 not judged (allowed)", d.Headline)
}

// What was found comes before what the plan said: reports show the first ones.
func TestWarningsOfThePlanComeLast(t *testing.T) {
	t.Parallel()
	planned := func(p *rundir.Plan) {
		p.Warnings = []string{"1 of 8 GPUs idle"}
		p.Expected.GPUType = "GB200"
	}
	d := build(t, builder(t, 10), runDir(t, planned, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}), 0).Document
	require.Len(t, d.Warnings, 2)
	require.Contains(t, d.Warnings[0], "is not verified")
	require.Equal(t, "1 of 8 GPUs idle", d.Warnings[1])
}

func TestInterruptedRunKeepsItsSignal(t *testing.T) {
	t.Parallel()
	built := build(t, builder(t, 0), runDir(t, nil), syscall.SIGTERM)
	require.Equal(t, 143, built.Document.ExitCode)
	require.Equal(t, "interrupted", built.Document.Result)
}

// The report of an aborted run that is made again ends as the run itself did.
func TestReportOfAnAbortedRunSaysInterrupted(t *testing.T) {
	t.Parallel()
	dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomeCancelled, exit: 143})
	edit(t, dir, func(r *rundir.Run) { r.Interrupted = &rundir.Interruption{Signal: int(syscall.SIGTERM)} })
	d := build(t, builder(t, 10), dir, 0).Document
	require.Equal(t, 143, d.ExitCode)
	require.Equal(t, "interrupted", d.Result)
	require.Equal(t, "interrupted", d.Cases[0].Result)
}

// TestInterruptionIsNoInfrastructure: whoever ended the run knows whose fault that is.
func TestInterruptionIsNoInfrastructure(t *testing.T) {
	t.Parallel()
	cancelled := attemptSpec{outcome: rundir.OutcomeCancelled, exit: 143}
	lost := attemptSpec{outcome: rundir.OutcomeLost}
	for _, tt := range []struct {
		attempts []attemptSpec
		headline string
		exit     int
	}{
		{nil, "interrupted; 1 case: 1 not begun", 143},
		{[]attemptSpec{cancelled}, "interrupted; 1 case: 1 not finished", 143},
		{[]attemptSpec{lost}, "interrupted; 1 case: 1 stopped by the infrastructure (not your change)", 3},
		{[]attemptSpec{{outcome: rundir.OutcomePassed, tput: 1000}}, "interrupted; 1 case: 1 passed", 0},
	} {
		d := build(t, builder(t, 10), runDir(t, nil, tt.attempts...), syscall.SIGTERM).Document
		require.Equal(t, tt.headline, d.Headline)
		require.Equal(t, tt.exit, d.Cases[0].ExitCode)
		require.Equal(t, report.ResultOf(tt.exit), d.Cases[0].Result)
	}
}

func TestPassNeedsTheAgentsRecord(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{true, false} {
		dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
		record := dir.CaseDir("tiny").Attempt(0, 1).AgentFile()
		if broken {
			writeText(t, record, `{"schema":1,"outco`)
		} else {
			require.NoError(t, os.Remove(record))
		}
		built := build(t, builder(t, 10), dir, 0)
		require.Equal(t, exit.Infra, built.Document.ExitCode)
		require.Contains(t, built.Document.Cases[0].Message, "nothing proves that every role ended well")
		require.Empty(t, built.Records)
	}
}

// What was judged becomes history, also where it could turn nothing red.
func TestFunctionalOnlyIsStored(t *testing.T) {
	t.Parallel()
	b := builder(t, 8)
	b.Setup.Policy.FunctionalOnly = true
	built := build(t, b, runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}), 0)
	require.Len(t, built.Records, 1)
	b.PerfOff = true
	require.Empty(t, build(t, b, runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}), 0).Records, "it was not judged")
}

func TestCrashIsNotMeasured(t *testing.T) {
	t.Parallel()
	crash := attemptSpec{outcome: rundir.OutcomeTestFailed, exit: 1, tput: 1000, finding: &rundir.Finding{Root: "GEN_0", Class: "test", Message: "[GEN_0] exit 1"}}
	built := build(t, builder(t, 10), runDir(t, nil, crash), 0)
	require.Empty(t, built.Records, "what a failed attempt measured never becomes history")
	require.NotEmpty(t, built.Document.Cases[0].Metrics)
	for _, row := range built.Document.Cases[0].Metrics {
		require.Nil(t, row.Value)
		require.Contains(t, row.Reason, "not measured: root cause GEN_0")
	}
}

func TestCollateralIsSkippedWithItsOwnText(t *testing.T) {
	t.Parallel()
	crash := attemptSpec{outcome: rundir.OutcomeTestFailed, exit: 1, red: true, finding: &rundir.Finding{Root: "GEN_0", Class: "test"}}
	dir := runDir(t, nil, crash)
	built := build(t, builder(t, 0), dir, 0)
	require.Contains(t, built.Document.Cases[0].Finding.Collateral, "BENCHMARK")
	text, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	require.Contains(t, string(text), `<skipped message="collateral of GEN_0: AssertionError: Failed requests: 3" type="ci-disagg.collateral">`)
}

func TestInstallStepHasItsCase(t *testing.T) {
	t.Parallel()
	spec := attemptSpec{outcome: rundir.OutcomeInfra, exit: 0, finding: &rundir.Finding{Root: "INSTALL", Class: "infra", Kind: "install-failed", Rule: "install-failed", Message: "[INSTALL] exit 7 on gpu1"}}
	dir := runDir(t, nil, spec)
	path := dir.CaseDir("tiny").Attempt(0, 1).AgentFile()
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(path, &rec))
	rec.Roles = append([]rundir.RoleRecord{{Name: "INSTALL", Kind: "install", State: rundir.RoleEnded, Exit: 7, Nodes: []string{"gpu1"}}}, rec.Roles...)
	require.NoError(t, rundir.WriteJSON(path, rec))
	build(t, builder(t, 0), dir, 0)
	text, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	require.Regexp(t, `<testcase [^>]*name="INSTALL"[^>]*><error message="exit 7 on gpu1`, string(text))
}

func TestSlurmsWordStandsAboveTheResultFiles(t *testing.T) {
	t.Parallel()
	spec := attemptSpec{outcome: rundir.OutcomeInfra, exit: 1, red: true, finding: &rundir.Finding{Class: "infra", Kind: "node-fail", Rule: "slurm-node-fail", Message: "node gpu0 died"}}
	dir := runDir(t, nil, spec)
	path := dir.CaseDir("tiny").Attempt(0, 1).AgentFile()
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(path, &rec))
	rec.End.Finding = &rundir.Finding{Root: "BENCHMARK", Class: "test", Rule: "python-exception"}
	require.NoError(t, rundir.WriteJSON(path, rec))
	built := build(t, builder(t, 0), dir, 0)
	require.Equal(t, exit.Infra, built.Document.ExitCode)
	require.Contains(t, built.Document.Cases[0].Message, "node gpu0 died")
}

func TestDraftIsJudgedByItsResultFiles(t *testing.T) {
	t.Parallel()
	draft := func(p *rundir.Plan) { p.Draft = true }
	for _, tt := range []struct {
		spec attemptSpec
		mute bool // the client has left no results either
		exit int
	}{
		{attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}, false, exit.Passed},
		// Slurm ends the servers with the job, often before they have written their results.
		{attemptSpec{outcome: rundir.OutcomePassed, tput: 1000, noXML: true}, false, exit.Passed},
		{attemptSpec{outcome: rundir.OutcomePassed, tput: 1000}, true, exit.TestFailed},
		{attemptSpec{outcome: rundir.OutcomePassed, tput: 1000, noXML: true}, true, exit.TestFailed},
		{attemptSpec{outcome: rundir.OutcomePassed, tput: 1000, red: true}, false, exit.TestFailed},
	} {
		dir := runDir(t, draft, tt.spec)
		attempt := dir.CaseDir("tiny").Attempt(0, 1)
		require.NoError(t, os.Remove(attempt.AgentFile()))
		if tt.mute {
			require.NoError(t, os.Remove(attempt.Run(0).RoleDir("BENCHMARK")+"/results.0.xml"))
		}
		built := build(t, builder(t, 10), dir, 0)
		require.Equal(t, tt.exit, built.Document.ExitCode, "%+v: %s", tt.spec, built.Document.Cases[0].Message)
	}
}

func gsm8k(b *Options) { b.Accuracy = []accuracy.Gate{{Dataset: "gsm8k", Expected: 94.5}} }

func TestAdvisoryMeasurementIsNeverRed(t *testing.T) {
	t.Parallel()
	b := builder(t, 0)
	b.PerfOff = true
	twoPoints := func(p *rundir.Plan) {
		p.Expected.Points = append(p.Expected.Points, rundir.Point{Name: "con16", Concurrency: 16})
	}
	dir := runDir(t, twoPoints, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
	built := build(t, b, dir, 0)
	require.NotEmpty(t, built.Document.Cases[0].Problems, "one planned point is missing")
	require.Equal(t, exit.Passed, built.Document.ExitCode)
	require.Empty(t, built.Records, "what nobody judged is no history")
	f, err := os.Open(filepath.Join(dir.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	sum, err := junit.Read(f, "junit.xml", junit.ReadOptions{}, junit.Visitor{})
	require.NoError(t, err)
	require.Zero(t, sum.Counts.Errors+sum.Counts.Failures)
}

func TestSuspectsOfARegression(t *testing.T) {
	t.Parallel()
	s := New("dir", Options{CompareURL: "https://git.example.com/compare/{good}...{bad}", Log: func(good, bad string) []string { return []string{good + ".." + bad} }})
	require.Nil(t, s.suspects(nil))
	require.Nil(t, s.suspects(&verdict.Onset{Commit: "b"}), "nobody knows the run before")
	require.Nil(t, s.suspects(&verdict.Onset{Commit: "b", Good: "b"}), "the same commit")
	require.Equal(t, &report.Suspects{Good: "a/?", Bad: "b", URL: "https://git.example.com/compare/a%2F%3F...b", Commits: []string{"a/?..b"}}, s.suspects(&verdict.Onset{Commit: "b", Good: "a/?"}))
}
