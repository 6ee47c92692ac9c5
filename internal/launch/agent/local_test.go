package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// soon is for what happens by itself: far longer than it takes on a busy machine, far shorter than the budgets and the
// benchmark that a test would wait for otherwise. How long it takes on the agent's clock is for the tests of next, and
// for the fault matrix.
const soon = 2 * time.Minute

// answerTime is what a healthy server may take to answer on a busy machine; a test of one that hangs waits for it.
const answerTime = 20 * time.Second

// long is a benchmark that goes on until something ends it.
func long() map[string]string { return map[string]string{"WORK": "1h"} }

// scenario is one attempt on the local backend.
type scenario struct {
	faults   map[string]string // role → FAULT
	env      map[string]string // for every role
	edit     func(*rundir.Plan)
	signals  chan os.Signal
	prepare  func(t *testing.T, dir rundir.AttemptDir)
	children map[string]string // role → child, when it is not the usual one
}

// ended is what an attempt left behind.
type ended struct {
	rec    rundir.AgentRecord
	roles  map[string]rundir.RoleRecord
	dir    rundir.AttemptDir
	stdout string
	err    error
	took   time.Duration
	cookie string
}

func testPlan() rundir.Plan {
	server := func(name, kind string, node, tasks int) rundir.RolePlan {
		return rundir.RolePlan{
			Name: name, Kind: kind, Command: "server", Slice: []rundir.NodeShare{{Node: node, Tasks: tasks, GPUs: 2}},
			Ready: rundir.Ready{AddressFile: "hostnames/" + name + ".txt", HTTPPath: "/health"},
		}
	}
	gen, ctx := server("GEN_0", rundir.KindServer, 0, 1), server("CTX_0", rundir.KindServer, 1, 1)
	gen.Output, gen.Done, ctx.Output = "gen_server_0.log", "gen_server_0.done", "ctx_server_0.log"
	router := server("DISAGG_SERVER", rundir.KindRouter, 0, 1)
	router.Overlap = true
	return rundir.Plan{
		Schema:     rundir.Schema,
		Case:       rundir.Case{ID: "test_e2e[x]", Slug: "x"},
		LocalAgent: true,
		Runs:       rundir.OneRun(),
		Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: []rundir.RolePlan{
			gen, ctx, router,
			{Name: "BENCHMARK", Kind: rundir.KindClient, Command: "client", Logs: []string{"client-began"}, Overlap: true, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}},
		}}},
		Allocation:  rundir.Allocation{Nodes: 2, GPUsPerNode: 4},
		Supervision: rundir.Supervision{Served: []string{"client-began"}, Budgets: rundir.Budgets{Setup: dur("5m"), Ready: dur("5m"), Benchmark: dur("10m"), Drain: dur("5m"), Job: dur("15m")}, Grace: dur("1s"), Drain: rundir.DrainRule{Role: "BENCHMARK", StatusFile: "benchmark_status.0.txt"}},
	}
}

func dur(s string) rundir.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return rundir.Duration(d)
}

func builtinRules(t testing.TB) []blame.Rule {
	t.Helper()
	var rules []blame.Rule
	require.NoError(t, yaml.Unmarshal([]byte(blame.ClassesYAML), &rules))
	return rules
}

// runLocal runs a scenario and checks what must hold after every one: no process
// is left, and the record is closed.
func runLocal(t *testing.T, sc scenario) ended {
	t.Helper()
	plan := testPlan()
	if sc.edit != nil {
		sc.edit(&plan)
	}
	dir := rundir.AttemptDir(t.TempDir())
	writeAttempt(t, dir, plan, sc)
	if sc.prepare != nil {
		sc.prepare(t, dir)
	}
	cookie := fmt.Sprintf("CI_DISAGG_TEST_RUN=%s-%d", t.Name(), time.Now().UnixNano())
	var out syncBuffer
	began := time.Now()
	runErr := Run(t.Context(), Options{
		Dir: dir, Version: "test", Host: "here", PID: os.Getpid(), Now: time.Now, Stdout: &out, Classes: builtinRules(t), Signals: sc.signals,
		Env:       append(os.Environ(), cookie),
		GuardArgv: guardArgv, Answer: answerTime,
	})
	e := ended{dir: dir, stdout: out.String(), err: runErr, took: time.Since(began), cookie: cookie, roles: map[string]rundir.RoleRecord{}}
	require.Empty(t, proc.WithCookie(cookie), "processes are left")
	require.NoError(t, rundir.ReadJSON(dir.AgentFile(), &e.rec), e.stdout)
	require.NotNil(t, e.rec.End)
	for _, r := range e.rec.Roles {
		e.roles[r.Name] = r
		var own rundir.RoleRecord
		require.NoError(t, rundir.ReadJSON(dir.Run(e.rec.Run.Index).RoleStatus(r.Name), &own))
		require.Equal(t, r, own)
	}
	return e
}

func writeAttempt(t *testing.T, dir rundir.AttemptDir, plan rundir.Plan, sc scenario) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	var servers []string
	for _, r := range plan.Roles() {
		if r.Command == "server" {
			servers = append(servers, r.Name)
		}
	}
	require.NoError(t, rundir.WriteJSON(dir.PlanFile(), plan))
	for _, run := range plan.Runs {
		writeScripts(t, dir.Run(run.Index), plan, sc, self, servers)
	}
}

func writeScripts(t *testing.T, dir rundir.RunDir, plan rundir.Plan, sc scenario, self string, servers []string) {
	t.Helper()
	for _, r := range plan.Roles() {
		var b strings.Builder
		fmt.Fprintf(&b, "export CI_DISAGG_RUN='%s' CI_DISAGG_ROLE=%s SERVERS='%s' FAULT='%s' %s=%s\n", dir, r.Name, strings.Join(servers, " "), sc.faults[r.Name], childEnv, r.Command)
		for k, v := range sc.env {
			fmt.Fprintf(&b, "export %s='%s'\n", k, v)
		}
		if script := sc.children[r.Name]; script != "" {
			b.WriteString(script)
		} else {
			fmt.Fprintf(&b, "exec '%s'\n", self)
		}
		require.NoError(t, rundir.WriteFile(dir.RoleScript(r.Name), []byte(b.String()), rundir.ExecMode))
	}
}

func guardArgv(mark string) []string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return []string{"/usr/bin/env", childEnv + "=guard", self, mark}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestHealthyRunPasses(t *testing.T) {
	t.Parallel()
	e := runLocal(t, scenario{})
	require.NoError(t, e.err)
	require.Equal(t, rundir.OutcomePassed, e.rec.End.Outcome, e.stdout)
	require.Nil(t, e.rec.End.Finding)
	for name, r := range e.roles {
		require.Equal(t, rundir.RoleEnded, r.State, name)
		require.Zero(t, r.Exit, name)
		require.Empty(t, r.StoppedBy, name)
		require.Positive(t, r.LogBytes)
	}
	var phases []rundir.Phase
	for _, p := range e.rec.Phases {
		phases = append(phases, p.Phase)
		require.NotNil(t, p.End, p.Phase)
	}
	require.Equal(t, []rundir.Phase{rundir.PhaseSetup, rundir.PhaseReady, rundir.PhaseBenchmark, rundir.PhaseDrain, rundir.PhaseCollect}, phases)
	require.Equal(t, rundir.PhaseDone, e.rec.Phase)
	require.FileExists(t, filepath.Join(e.dir.Run(0).Output(), "gen_server_0.done"))
	a, err := os.ReadFile(e.dir.Run(0).RoleLog("GEN_0"))
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(e.dir.Run(0).Output(), "gen_server_0.log"))
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Contains(t, string(a), "GEN_0 task 0 of 1 on local0 gpus 0,1")
	require.Contains(t, e.stdout, "[GEN_0] GEN_0 task 0")
}

// faultRow is one row of the fault matrix.
type faultRow struct {
	name    string
	faults  map[string]string
	edit    func(*rundir.Plan)
	env     map[string]string
	outcome rundir.Outcome
	root    string
}

func one(role, fault string) map[string]string { return map[string]string{role: fault} }

// faultRows are the rows that a local backend can play.
func faultRows() []faultRow {
	var rows []faultRow
	for _, name := range []string{"GEN_0", "CTX_0", "DISAGG_SERVER", "BENCHMARK"} {
		rows = append(rows,
			faultRow{name: name + " is killed before it is ready", faults: one(name, "start:KILL"), outcome: rundir.OutcomeInfra, root: name},
			faultRow{name: name + " raises before it is ready", faults: one(name, "start:trace"), outcome: rundir.OutcomeTestFailed, root: name},
			faultRow{name: name + " is killed while serving", faults: one(name, "serving:KILL"), env: long(), outcome: rundir.OutcomeInfra, root: name},
			faultRow{name: name + " raises while serving", faults: one(name, "serving:trace"), env: long(), outcome: rundir.OutcomeTestFailed, root: name},
			faultRow{name: name + " exits 3 while serving", faults: one(name, "serving:3"), env: long(), outcome: rundir.OutcomeTestFailed, root: name},
			faultRow{name: name + " raises after the benchmark", faults: one(name, "after:trace"), outcome: rundir.OutcomeTestFailed, root: name},
			faultRow{name: name + " is killed after the benchmark", faults: one(name, "after:KILL"), outcome: rundir.OutcomeInfra, root: name},
		)
		if name != "BENCHMARK" {
			rows = append(rows,
				faultRow{name: name + " exits 0 before it is ready", faults: one(name, "start:0"), outcome: rundir.OutcomeTestFailed, root: name},
				faultRow{name: name + " exits 0 while serving", faults: one(name, "serving:0"), env: long(), outcome: rundir.OutcomeTestFailed, root: name},
			)
		}
	}
	ranks := func(p *rundir.Plan) {
		p.Nodes = 3
		p.Builds[0].Roles[0].Slice = []rundir.NodeShare{{Node: 0, Tasks: 2, GPUs: 2}, {Node: 1, Tasks: 2, GPUs: 2}}
		p.Builds[0].Roles[1].Slice[0].Node = 2
	}
	deaf := map[string]string{"CTX_0": "start:deaf", "GEN_0": "serving:3"}
	return append(rows,
		faultRow{name: "a rank other than 0 is killed", env: long(), faults: one("GEN_0", "serving:KILL@2"), edit: ranks, outcome: rundir.OutcomeInfra, root: "GEN_0"},
		faultRow{name: "a rank other than 0 fails", env: long(), faults: one("GEN_0", "serving:3@1"), edit: ranks, outcome: rundir.OutcomeTestFailed, root: "GEN_0"},
		faultRow{name: "a server ignores SIGTERM", env: long(), faults: deaf, outcome: rundir.OutcomeTestFailed, root: "GEN_0"},
		faultRow{
			name: "two workers die within 100 ms", env: long(), faults: map[string]string{"GEN_0": "serving:3", "CTX_0": "serving:3"},
			outcome: rundir.OutcomeTestFailed, root: "either",
		},
		faultRow{name: "the client passes without its status file", env: map[string]string{"NO_STATUS": "1"}, outcome: rundir.OutcomeTestFailed, root: "BENCHMARK", edit: func(p *rundir.Plan) { p.Budgets.Drain = dur("10s") }},
		faultRow{
			name: "a server hangs", faults: one("GEN_0", "serving:stop"), env: long(), outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), root: "GEN_0",
			edit: func(p *rundir.Plan) { p.Hang = dur("15s") },
		},
		faultRow{
			name: "the client hangs", faults: one("BENCHMARK", "serving:forever"), outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), root: "BENCHMARK",
			edit: func(p *rundir.Plan) { p.Hang = dur("15s") },
		},
		faultRow{
			name: "a server is not ready in time", faults: one("CTX_0", "start:forever"), outcome: rundir.TimeoutOf(rundir.PhaseReady), root: "CTX_0",
			edit: func(p *rundir.Plan) { p.Budgets.Ready = dur("40s") }, // long enough for all the others
		},
		faultRow{
			name: "the benchmark takes too long", env: long(), outcome: rundir.TimeoutOf(rundir.PhaseBenchmark),
			edit: func(p *rundir.Plan) { p.Budgets.Benchmark = dur("2s") },
		},
		faultRow{name: "a precheck fails", faults: one("GEN_0_PRECHECK", "start:3"), outcome: rundir.OutcomeInfra, root: "GEN_0_PRECHECK", edit: withPrecheck},
	)
}

func withPrecheck(p *rundir.Plan) {
	pre := rundir.RolePlan{Name: "GEN_0_PRECHECK", Kind: rundir.KindPrecheck, Command: "precheck", Slice: p.Roles()[0].Slice}
	p.Builds[0].Roles = append([]rundir.RolePlan{pre}, p.Builds[0].Roles...)
}

func TestFaultsOnTheLocalBackend(t *testing.T) {
	t.Parallel()
	for _, row := range faultRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e := runLocal(t, scenario{faults: row.faults, edit: row.edit, env: row.env})
			require.NoError(t, e.err)
			row.check(t, e)
		})
	}
}

// check holds an attempt's end against the row.
func (row faultRow) check(t *testing.T, e ended) {
	t.Helper()
	require.Equal(t, row.outcome, e.rec.End.Outcome, e.stdout)
	f := e.rec.End.Finding
	require.NotNil(t, f, e.stdout)
	if row.root == "either" {
		row.checkBoth(t, e)
		return
	}
	require.Equal(t, row.root, f.Root, e.stdout)
	require.Empty(t, f.Roots, e.stdout)
	root, ok := e.roles[row.root]
	if !ok || root.Ended == nil || root.StopSent != nil {
		return
	}
	require.Less(t, e.rec.End.At.Sub(*root.Ended), soon, e.stdout)
}

// checkBoth: both workers are to blame. When the machine was so slow that the second one's end was seen only after the
// teardown had begun, it may as well have been ended by that.
func (row faultRow) checkBoth(t *testing.T, e ended) {
	t.Helper()
	f := e.rec.End.Finding
	both := []string{"GEN_0", "CTX_0"}
	if e.roles["GEN_0"].StopSent == nil && e.roles["CTX_0"].StopSent == nil {
		require.ElementsMatch(t, both, append(f.Roots, f.Root), e.stdout)
		return
	}
	require.Contains(t, both, f.Root, e.stdout)
}

func TestPrecheckRunsFirstOnTheSameNodes(t *testing.T) {
	t.Parallel()
	e := runLocal(t, scenario{edit: withPrecheck})
	require.Equal(t, rundir.OutcomePassed, e.rec.End.Outcome, e.stdout)
	pre, gen := e.roles["GEN_0_PRECHECK"], e.roles["GEN_0"]
	require.Equal(t, gen.Nodes, pre.Nodes)
	require.False(t, gen.Started.Before(*pre.Ended))
}

func TestInstallFailure(t *testing.T) {
	t.Parallel()
	e := runLocal(t, scenario{
		edit: func(p *rundir.Plan) { p.Builds[0].Install = "exit 4" },
		prepare: func(t *testing.T, dir rundir.AttemptDir) {
			t.Helper()
			require.NoError(t, rundir.WriteFile(filepath.Join(string(dir), "install.sh"), []byte("echo pip: no such wheel\nexit 4\n"), rundir.ExecMode))
		},
	})
	require.NoError(t, e.err)
	require.Equal(t, rundir.OutcomeInfra, e.rec.End.Outcome)
	require.Equal(t, "INSTALL", e.rec.End.Finding.Root)
	require.Equal(t, rundir.RoleNeverStarted, e.roles["GEN_0"].State)
	require.Contains(t, e.stdout, "[INSTALL] pip: no such wheel")
}

// A server that is deaf to SIGTERM in drain is ended after the budget; that is
// stated and no failure.
func TestDeafServerInDrain(t *testing.T) {
	t.Parallel()
	e := runLocal(t, scenario{faults: one("CTX_0", "after:forever"), edit: func(p *rundir.Plan) { p.Budgets.Drain = dur("20s") }})
	require.Equal(t, rundir.OutcomePassed, e.rec.End.Outcome, e.stdout)
	require.Equal(t, "agent", e.roles["CTX_0"].StoppedBy)
	require.Contains(t, e.rec.End.Reason, "1 servers did not leave by themselves")
}

func TestStaleFilesAreRemoved(t *testing.T) {
	t.Parallel()
	e := runLocal(t, scenario{prepare: func(t *testing.T, dir rundir.AttemptDir) {
		t.Helper()
		for _, f := range []string{"benchmark_status.0.txt", "hostnames/GEN_0.txt", "gen_server_0.done", "gen_server_0.log"} {
			require.NoError(t, rundir.WriteFile(filepath.Join(dir.Run(0).Output(), f), []byte("127.0.0.1:1"), rundir.FileMode))
		}
	}})
	require.Equal(t, rundir.OutcomePassed, e.rec.End.Outcome, e.stdout)
	log, err := os.ReadFile(filepath.Join(e.dir.Run(0).Output(), "gen_server_0.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "GEN_0 task 0")
}

// A noisy role is complete in its file and bounded on the console, which says
// how much it left out.
func TestNoise(t *testing.T) {
	t.Parallel()
	const lines = 3000
	e := runLocal(t, scenario{
		env: map[string]string{"NOISE": strconv.Itoa(lines)},
		edit: func(p *rundir.Plan) {
			b := &p.Builds[0]
			b.Roles = b.Roles[3:]
			b.Roles[0].Command = "noise"
			b.Roles[0].Slice[0].Tasks = 3
		},
	})
	require.Equal(t, rundir.OutcomePassed, e.rec.End.Outcome)
	log, err := os.ReadFile(e.dir.Run(0).RoleLog("BENCHMARK"))
	require.NoError(t, err)
	require.Equal(t, 3*lines+3, bytes.Count(log, []byte("\n")))
	for line := range bytes.Lines(log) {
		require.Regexp(t, `^(noise line \d+ of task \d|BENCHMARK task \d of 3 on \S+ gpus \S+)\n$`, string(line), "lines of two tasks are mixed")
	}
	require.LessOrEqual(t, strings.Count(e.stdout, "noise line"), consoleBurst+int(e.took.Seconds()*consoleRate)+1)
	require.Regexp(t, `\[BENCHMARK\] … \d+ lines not shown here \(complete in its output.log\)`, e.stdout)
	require.EqualValues(t, len(log), e.roles["BENCHMARK"].LogBytes)
}

// Runs of one job follow each other in directories of their own, on the same GPUs,
// and the job ended as the first that did not pass.
func TestRunsOfOneJob(t *testing.T) {
	t.Parallel()
	e := runLocal(t, scenario{edit: func(p *rundir.Plan) {
		base := p.Builds[0]
		base.Name = "base"
		p.Builds = append(p.Builds, base)
		p.Runs = []rundir.RunRef{{Index: 0, Build: "base", Warmup: true}, {Index: 1, Build: rundir.HeadBuild}}
	}})
	require.NoError(t, e.err, e.stdout)
	require.Equal(t, rundir.OutcomePassed, e.rec.End.Outcome, e.stdout)
	require.Equal(t, rundir.RunRef{Index: 1, Build: rundir.HeadBuild}, e.rec.Run)
	require.Len(t, e.rec.Runs, 2)
	var gpus [2]string
	for k := range gpus {
		var rec rundir.RunRecord
		require.NoError(t, rundir.ReadJSON(e.dir.Run(k).RecordFile(), &rec))
		require.Equal(t, k, rec.Run.Index)
		require.Equal(t, rundir.OutcomePassed, rec.End.Outcome)
		require.Len(t, rec.Roles, 4)
		log, err := os.ReadFile(e.dir.Run(k).RoleLog("GEN_0"))
		require.NoError(t, err)
		_, after, _ := strings.Cut(string(log), "gpus ")
		gpus[k], _, _ = strings.Cut(after, "\n")
	}
	require.NotEmpty(t, gpus[0])
	require.Equal(t, gpus[0], gpus[1])
}

// What a crash ends is its run; the job goes on, and has failed.
func TestACrashEndsItsRunAlone(t *testing.T) {
	t.Parallel()
	e := runLocal(t, scenario{faults: one("GEN_0", "start:3"), edit: func(p *rundir.Plan) {
		p.Runs = []rundir.RunRef{{Index: 0, Build: rundir.HeadBuild}, {Index: 1, Build: rundir.HeadBuild}}
	}})
	require.Equal(t, rundir.OutcomeTestFailed, e.rec.End.Outcome, e.stdout)
	require.Equal(t, "GEN_0", e.rec.End.Finding.Root)
	require.Len(t, e.rec.Runs, 2, "the second run was tried")
}

func TestRecordThatCannotBeWrittenIsSaid(t *testing.T) {
	t.Parallel()
	dir := rundir.AttemptDir(t.TempDir())
	writeAttempt(t, dir, testPlan(), scenario{})
	require.NoError(t, os.MkdirAll(filepath.Join(dir.AgentFile(), "in the way"), 0o700))
	var out syncBuffer
	err := Run(t.Context(), Options{Dir: dir, PID: os.Getpid(), Now: time.Now, Stdout: &out, Env: os.Environ(), BrokenAfter: time.Hour})
	require.ErrorContains(t, err, "agent.json")
	require.Contains(t, out.String(), "the run directory is incomplete")
	require.Contains(t, out.String(), "outcome passed")
}

func TestWhatCannotBegin(t *testing.T) {
	t.Parallel()
	o := Options{Dir: rundir.AttemptDir(t.TempDir()), PID: 1, Now: time.Now, Stdout: &syncBuffer{}}
	require.ErrorContains(t, Run(t.Context(), o), "plan.json")
	require.NoError(t, rundir.WriteJSON(o.Dir.PlanFile(), rundir.Plan{Schema: rundir.Schema}))
	require.ErrorContains(t, Run(t.Context(), o), "no roles")
	plan := testPlan()
	plan.LocalAgent = false
	require.NoError(t, rundir.WriteJSON(o.Dir.PlanFile(), plan))
	require.ErrorContains(t, Run(t.Context(), o), "SLURM_JOB_ID is not set")
	o.Backend = "kubernetes"
	require.ErrorContains(t, Run(t.Context(), o), `backend "kubernetes"`)
	o.Backend, o.Classes = "local", []blame.Rule{{Name: "x", Class: "infra", Pattern: "("}}
	require.ErrorContains(t, Run(t.Context(), o), "class x: pattern")
}
