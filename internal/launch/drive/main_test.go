package drive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/agent"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

// The test binary is also the ci-disagg that jobs exec: "agent" runs the real
// agent, "drive" the driver under test in a process of its own that may be
// killed, "cancel" is the detached helper.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "agent":
			os.Exit(agentMain(os.Args[2:]))
		case "drive":
			os.Exit(driveMain(os.Args[2:]))
		case "cancel":
			os.Exit(cancelMain(os.Args[2:]))
		}
	}
	os.Exit(slurmtest.Main(m, &cluster, slurmtest.Options{Nodes: "8x4", Conf: slurmtest.Patient()}))
}

// ample is for what happens by itself: far longer than it takes on a busy machine, far shorter than the budgets that
// would end it otherwise.
const ample = 3 * time.Minute

func testProfile() script.Profile { return script.Profile{GPUs: script.GPUsNone, Signal: "none"} }

func agentMain(args []string) int {
	if args[0] == "--guard" {
		step.ServeGuard(os.Stdin, args[1])
		return 0
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	self, _ := os.Executable()
	err := agent.Run(context.Background(), agent.Options{
		Dir: rundir.AttemptDir(args[0]), Version: "test", Env: os.Environ(), Host: "here", PID: os.Getpid(),
		Now: time.Now, Stdout: os.Stdout, Signals: signals,
		GuardArgv: func(token string) []string { return []string{self, "agent", "--guard", token} },
	})
	if err != nil {
		fmt.Println(err)
		return 3
	}
	return 0
}

// options of a drive whose jobs run the test binary as agent.
func testOptions(t testing.TB, backend string) Options {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return testOptionsIn(backend, self, newRunDir(t), t.Name())
}

// newRunDir is a run directory that is not removed before all processes that name it have ended: a detached one may
// still write there.
func newRunDir(t testing.TB) rundir.Dir {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		for end := time.Now().Add(ample); !t.Failed() && exec.Command("pgrep", "-f", dir).Run() == nil; time.Sleep(20 * time.Millisecond) {
			require.Less(t, time.Now(), end, "processes of the run are left")
		}
	})
	return rundir.Dir(filepath.Join(dir, "run"))
}

func testOptionsIn(backend, self string, dir rundir.Dir, id string) Options {
	return Options{
		Dir: dir, Backend: backend, Binary: submit.Binary{Path: self}, Access: runs.Access{Environ: os.Environ(), Now: time.Now},
		Run:    rundir.Run{Schema: rundir.Schema, ID: id, Backend: backend, Created: time.Now()},
		Render: testRender(testProfile()),
		Poll:   Polling{First: time.Second, Pending: 2 * time.Second, Running: 2 * time.Second, Agent: 100 * time.Millisecond, Lease: time.Second, Abort: ample},
	}
}

func testRender(prof script.Profile) func(submit.Input) ([]rundir.File, error) {
	return func(in submit.Input) ([]rundir.File, error) {
		return script.Render(in.Plan, prof, script.Attempt{
			Dir: string(in.Attempt), JobName: in.Name, Owner: in.Owner, Exclude: in.Exclude, AgentPath: in.Agent,
		})
	}
}

// addCase adds a case with one GEN role and a client.
func addCase(o *Options, id, gen, client string) {
	p := rundir.Plan{
		Schema:     rundir.Schema,
		Case:       rundir.Case{ID: id, Slug: rundir.Slug(id), Mode: "e2e"},
		LocalAgent: o.Backend == rundir.BackendLocal,
		Runs:       rundir.OneRun(),
		Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: []rundir.RolePlan{
			{Name: "GEN_0", Kind: rundir.KindServer, Slice: []rundir.NodeShare{{Tasks: 1}}, Command: gen},
			{Name: "BENCHMARK", Kind: rundir.KindClient, Slice: []rundir.NodeShare{{Tasks: 1}}, Overlap: true, Command: client},
		}}},
		Allocation:  rundir.Allocation{Nodes: 1},
		Supervision: rundir.Supervision{Grace: rundir.Duration(2 * time.Second), Drain: rundir.DrainRule{Role: "BENCHMARK", StatusFile: "status.txt"}, Budgets: rundir.Budgets{Job: rundir.Duration(15 * time.Minute), Drain: rundir.Duration(time.Minute)}},
	}
	o.Plans = append(o.Plans, p)
	o.Run.Cases = append(o.Run.Cases, rundir.CaseState{ID: id, Slug: p.Case.Slug, State: rundir.CaseWaiting})
}

const (
	goodServer = `trap 'exit 0' TERM; while [ ! -e "$CI_DISAGG_RUN/output/status.txt" ]; do sleep 0.1; done`
	goodClient = `sleep 0.5; echo done > "$CI_DISAGG_RUN/output/status.txt"`
	hangServer = `trap 'exit 0' TERM; sleep 1000 & wait`
	hangClient = `sleep 1000`
)

// clientUntil is a good client that waits for a file first.
func clientUntil(file string) string {
	return `while [ ! -e "` + file + `" ]; do sleep 0.1; done; ` + goodClient
}

// touch makes a file that something waits for.
func touch(t *testing.T, file string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, nil, 0o600))
}

// agentEnded waits for the agent's last record.
func agentEnded(t *testing.T, file string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var r rundir.AgentRecord
		return rundir.ReadJSON(file, &r) == nil && r.End != nil
	}, ample, 50*time.Millisecond, "the agent does not end")
}

// updates collects what a drive tells.
type updates struct {
	mu   sync.Mutex
	list []Update
}

func (u *updates) add(x Update) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list = append(u.list, x)
}

func (u *updates) has(kind UpdateKind, text string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, x := range u.list {
		if x.Kind == kind && strings.Contains(x.Text, text) {
			return true
		}
	}
	return false
}

func (u *updates) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var b strings.Builder
	for _, x := range u.list {
		fmt.Fprintf(&b, "%s %s %s %s: %s\n", x.At.Format("05.000"), x.Slug, x.Kind, x.JobID, x.Text)
	}
	return b.String()
}

func outcomeOf(t *testing.T, dir rundir.Dir, slug string, rep, n int) rundir.AttemptOutcome {
	t.Helper()
	var o rundir.AttemptOutcome
	require.NoError(t, rundir.ReadJSON(dir.CaseDir(slug).Attempt(rep, n).OutcomeFile(), &o))
	return o
}

func jobOf(t *testing.T, dir rundir.Dir, slug string, rep, n int) rundir.Job {
	t.Helper()
	var j rundir.Job
	require.NoError(t, rundir.ReadJSON(dir.CaseDir(slug).Attempt(rep, n).JobFile(), &j))
	return j
}

// noProcesses asserts that nothing of the run's attempts is alive.
func noProcesses(t *testing.T, dir rundir.Dir) {
	t.Helper()
	files, err := filepath.Glob(string(dir) + "/cases/*/*/*/job.json")
	require.NoError(t, err)
	for _, f := range files {
		var j rundir.Job
		require.NoError(t, rundir.ReadJSON(f, &j))
		require.Eventually(t, func() bool { return len(proc.WithCookie(jobs.Cookie(j))) == 0 }, ample, 50*time.Millisecond, "processes of %s live", j.Name)
	}
}

func isInterrupted(err error) bool {
	var i *Interrupted
	return errors.As(err, &i)
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// resume is Run with run and plans read from the run directory.
func resume(ctx context.Context, o Options) (rundir.Run, error) {
	run, plans, err := runs.Load(o.Dir)
	if err != nil {
		return run, err
	}
	o.Run, o.Plans = run, plans
	return Run(ctx, o)
}
