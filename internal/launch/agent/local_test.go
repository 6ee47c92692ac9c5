package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

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
	router := server("DISAGG_SERVER", rundir.KindServer, 0, 1)
	router.Overlap = true
	return rundir.Plan{
		Schema: 1, Case: rundir.Case{ID: "test_e2e[x]", Slug: "x"}, Nodes: 2, GPUsPerNode: 4, LocalAgent: true,
		Roles: []rundir.RolePlan{
			server("GEN_0", rundir.KindGen, 0, 1), server("CTX_0", rundir.KindCtx, 1, 1), router,
			{Name: "BENCHMARK", Kind: rundir.KindBenchmark, Command: "client", Overlap: true, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}},
		},
		Budgets:     rundir.Budgets{Setup: dur("20s"), Ready: dur("20s"), Benchmark: dur("30s"), Drain: dur("3s"), Job: dur("5m")},
		Grace:       dur("1s"),
		Drain:       rundir.DrainRule{Role: "BENCHMARK", StatusFile: "benchmark_status.0.txt"},
		OutputNames: map[string]string{"GEN_0": "gen_server_0.log", "CTX_0": "ctx_server_0.log"},
		DoneNames:   map[string]string{"GEN_0": "gen_server_0.done"},
	}
}

func dur(s string) rundir.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return rundir.Duration(d)
}

func builtinRules(t *testing.T) []blame.Rule {
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
	self, err := os.Executable()
	require.NoError(t, err)
	began := time.Now()
	runErr := Run(t.Context(), Options{
		Dir: dir, Version: "test", Host: "here", PID: os.Getpid(), Now: time.Now, Stdout: &out, Classes: builtinRules(t), Signals: sc.signals,
		Env: append(os.Environ(), cookie),
		GuardArgv: func(token string) []string {
			return []string{"/usr/bin/env", childEnv + "=guard", self, token}
		},
	})
	e := ended{dir: dir, stdout: out.String(), err: runErr, took: time.Since(began), cookie: cookie, roles: map[string]rundir.RoleRecord{}}
	require.Empty(t, proc.WithCookie(cookie), "processes are left")
	require.NoError(t, rundir.ReadJSON(dir.AgentFile(), &e.rec), e.stdout)
	require.NotNil(t, e.rec.End)
	for _, r := range e.rec.Roles {
		e.roles[r.Name] = r
		var own rundir.RoleRecord
		require.NoError(t, rundir.ReadJSON(dir.RoleStatus(r.Name), &own))
		require.Equal(t, r, own)
	}
	return e
}

func writeAttempt(t *testing.T, dir rundir.AttemptDir, plan rundir.Plan, sc scenario) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	var servers []string
	for _, r := range plan.Roles {
		if r.Command == "server" {
			servers = append(servers, r.Name)
		}
	}
	require.NoError(t, rundir.WriteJSON(dir.PlanFile(), plan))
	for _, r := range append(plan.PreRoles, plan.Roles...) {
		var b strings.Builder
		fmt.Fprintf(&b, "export CI_DISAGG_ATTEMPT='%s' CI_DISAGG_ROLE=%s SERVERS='%s' FAULT='%s' %s=%s\n", dir, r.Name, strings.Join(servers, " "), sc.faults[r.Name], childEnv, r.Command)
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
	require.FileExists(t, filepath.Join(e.dir.Output(), "gen_server_0.done"))
	a, err := os.ReadFile(e.dir.RoleLog("GEN_0"))
	require.NoError(t, err)
	b, err := os.ReadFile(filepath.Join(e.dir.Output(), "gen_server_0.log"))
	require.NoError(t, err)
	require.Equal(t, a, b)
	require.Contains(t, string(a), "GEN_0 task 0 of 1 on local0 gpus 0,1")
	require.Contains(t, e.stdout, "[GEN_0] GEN_0 task 0")
}

func TestFaultsOnTheLocalBackend(t *testing.T) {
	t.Parallel()
	four := []string{"GEN_0", "CTX_0", "DISAGG_SERVER", "BENCHMARK"}
	for _, name := range four {
		for _, when := range []string{"start", "serving"} {
			for _, how := range []string{"KILL", "trace", "7"} {
				t.Run(name+" "+when+" "+how, func(t *testing.T) {
					t.Parallel()
					e := runLocal(t, scenario{faults: map[string]string{name: when + ":" + how}})
					require.NoError(t, e.err)
					f := e.rec.End.Finding
					require.NotNil(t, f, e.stdout)
					require.Equal(t, name, f.Root, e.stdout)
					want := rundir.OutcomeTestFailed
					if how == "KILL" {
						want = rundir.OutcomeInfra
					}
					require.Equal(t, want, e.rec.End.Outcome, e.stdout)
					ended := *e.roles[name].Ended
					for _, other := range four {
						if other == name {
							continue
						}
						r := e.roles[other]
						if r.StopSent != nil {
							require.Less(t, r.StopSent.Sub(ended), 2*time.Second, other)
						}
						require.NotContains(t, f.Roots, other)
					}
					require.Less(t, e.rec.End.At.Sub(ended), 4*time.Second)
				})
			}
		}
	}
}

func TestCancelBySignal(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	time.AfterFunc(1500*time.Millisecond, func() { signals <- syscall.SIGTERM })
	e := runLocal(t, scenario{env: map[string]string{"WORK": "1m"}, signals: signals})
	require.NoError(t, e.err)
	require.Equal(t, rundir.OutcomeCancelled, e.rec.End.Outcome)
	require.Less(t, e.took, 8*time.Second)
}
