package agent

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

// testCluster is the one real cluster of this test binary, brought up by the
// first test that needs it.
var testCluster lazyCluster

type lazyCluster struct {
	once sync.Once
	c    *slurmtest.Cluster
	err  error
}

func (l *lazyCluster) get(t *testing.T) *slurmtest.Cluster {
	t.Helper()
	need.Long(t, "a Slurm cluster")
	// TestSlurmNodeDeath waits for the one, a task that ignores SIGTERM for the other.
	conf := append(slurmtest.Patient(), "SlurmdTimeout=60", "KillWait=30")
	l.once.Do(func() { l.c, l.err = slurmtest.Up(slurmtest.Options{Nodes: "16x4", Conf: conf}) })
	require.NoError(t, l.err)
	return l.c
}

func (l *lazyCluster) down() error {
	if l.c == nil {
		return nil
	}
	return l.c.Down()
}

// childAgent is the agent verb as the batch script of a test's job execs it.
func childAgent() int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
	var rules []blame.Rule
	if err := yaml.Unmarshal([]byte(blame.ClassesYAML), &rules); err != nil {
		panic(err)
	}
	err := Run(context.Background(), Options{
		Dir: rundir.AttemptDir(os.Args[1]), Version: "test", Env: os.Environ(), Host: "batch", PID: os.Getpid(),
		Now: time.Now, Stdout: os.Stdout, Classes: rules, Signals: signals,
		GuardArgv: guardArgv, Ask: soon, Answer: answerTime,
	})
	if err != nil {
		fmt.Println(err)
		return 3
	}
	return 0
}

// job is a submitted attempt.
type job struct {
	t      *testing.T
	c      *slurmtest.Cluster
	id     string
	dir    rundir.AttemptDir
	cookie string
	began  time.Time
}

func submit(t *testing.T, sc scenario, sbatch ...string) *job {
	t.Helper()
	c := testCluster.get(t)
	plan := testPlan()
	plan.LocalAgent = false
	plan.GPUFlag = script.GPUsPerNode
	plan.Grace = dur("30s") // an srun that is stuck after SIGKILL is a fault; only what ignores SIGTERM is to get it
	for i, r := range plan.Roles() {
		if r.Command == "server" && !r.Overlap {
			plan.Builds[0].Roles[i].MPI = "pmix"
		}
	}
	if sc.edit != nil {
		sc.edit(&plan)
	}
	dir := rundir.AttemptDir(t.TempDir())
	writeAttempt(t, dir, plan, sc)
	if sc.prepare != nil {
		sc.prepare(t, dir)
	}
	j := &job{t: t, c: c, dir: dir, cookie: fmt.Sprintf("CI_DISAGG_TEST_RUN=%s-%d", filepath.Base(string(dir)), time.Now().UnixNano())}
	self, err := os.Executable()
	require.NoError(t, err)
	most := 1
	for _, r := range plan.Roles() {
		for _, s := range r.Slice {
			most = max(most, s.Tasks)
		}
	}
	name, value, _ := strings.Cut(j.cookie, "=")
	text := fmt.Sprintf("#!/bin/bash\nexport %s='%s' %s=agent\nexec '%s' '%s'\n", name, value, childEnv, self, dir)
	require.NoError(t, rundir.WriteFile(dir.Script(), []byte(text), rundir.ExecMode))
	args := append([]string{
		"--parsable", "--no-requeue", "--exclusive", "-p", "batch", "-o", dir.SlurmOut(), "-t", "15", fmt.Sprintf("-N%d", plan.Nodes), "--gpus-per-node=4",
		fmt.Sprintf("--ntasks-per-node=%d", most),
	}, sbatch...)
	j.began = time.Now()
	j.id = c.Command(t, "sbatch", append(args, dir.Script())...)
	t.Cleanup(func() {
		_, _ = c.Try("scancel", j.id)
	})
	return j
}

// over reports whether Slurm has done with the job. A squeue that fails says nothing.
func (j *job) over() bool {
	state, err := j.c.Try("squeue", "-h", "-t", "all", "-j", j.id, "-o", "%T")
	return err == nil && !slices.Contains([]string{"PENDING", "CONFIGURING", "RUNNING", "COMPLETING"}, state)
}

// awaitPhase waits until the agent is in a phase.
func (j *job) awaitPhase(p rundir.Phase) {
	j.t.Helper()
	j.await("phase "+string(p), func(rec rundir.AgentRecord) bool { return rec.Phase == p })
}

// await waits until the agent's record is as it should be.
func (j *job) await(what string, ok func(rundir.AgentRecord) bool) {
	j.t.Helper()
	var rec rundir.AgentRecord
	for end := time.Now().Add(3 * soon); !ok(rec); time.Sleep(50 * time.Millisecond) {
		require.Less(j.t, time.Now(), end, "%s never came: %+v\n%s", what, rec, j.out())
		_ = rundir.ReadJSON(j.dir.AgentFile(), &rec)
	}
}

func (j *job) out() string {
	b, _ := os.ReadFile(j.dir.SlurmOut())
	return string(b)
}

// wait waits for the end of the job and checks what must hold after every one.
func (j *job) wait() ended {
	j.t.Helper()
	j.c.Eventually(j.t, 3*soon, "the job's end", j.over)
	e := ended{dir: j.dir, stdout: j.out(), took: time.Since(j.began), roles: map[string]rundir.RoleRecord{}}
	require.Eventually(j.t, func() bool { return len(proc.WithCookie(j.cookie)) == 0 }, soon, 50*time.Millisecond, "processes are left")
	require.NoError(j.t, rundir.ReadJSON(j.dir.AgentFile(), &e.rec), e.stdout)
	for _, r := range e.rec.Roles {
		e.roles[r.Name] = r
	}
	return e
}

func TestSlurmHealthyRun(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: map[string]string{"WORK": "until told"}, edit: func(p *rundir.Plan) {
		p.Nodes = 3
		p.Builds[0].Roles[0].Slice = []rundir.NodeShare{{Node: 0, Tasks: 4, GPUs: 4}, {Node: 1, Tasks: 4, GPUs: 4}}
		p.Builds[0].Roles[1].Slice = []rundir.NodeShare{{Node: 2, Tasks: 1, GPUs: 4}}
	}})
	j.await("the steps' ids", func(rec rundir.AgentRecord) bool {
		return rec.Phase == rundir.PhaseBenchmark && !slices.ContainsFunc(rec.Roles, func(r rundir.RoleRecord) bool { return r.Step == "" })
	})
	require.NoError(t, os.WriteFile(filepath.Join(j.dir.Run(0).Output(), "enough"), nil, 0o600))
	e := j.wait()
	require.NotNil(t, e.rec.End, e.stdout)
	require.Equal(t, rundir.OutcomePassed, e.rec.End.Outcome, e.stdout)
	rows := j.c.Sacct(t, j.id, "JobID", "JobName", "State", "NNodes", "ExitCode")
	names := map[string][]string{}
	for _, r := range rows {
		names[r[1]] = r
	}
	for _, r := range e.rec.Roles {
		require.Contains(t, names, r.Name, "%v", rows)
		require.Equal(t, names[r.Name][0], r.Step, r.Name)
	}
	require.Equal(t, "2", names["GEN_0"][3])
	log, err := os.ReadFile(j.dir.Run(0).RoleLog("GEN_0"))
	require.NoError(t, err)
	require.Len(t, regexp.MustCompile(`GEN_0 task \d of 8`).FindAll(log, -1), 8)
}

func TestSlurmCancelledByOthers(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: long()})
	j.awaitPhase(rundir.PhaseBenchmark)
	j.c.Command(t, "scancel", j.id)
	e := j.wait()
	require.NotNil(t, e.rec.End, e.stdout)
	require.Equal(t, rundir.OutcomeCancelled, e.rec.End.Outcome, e.stdout)
	require.Empty(t, e.rec.End.Finding.Root, e.stdout)
}

func TestSlurmPreempted(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: long()})
	j.awaitPhase(rundir.PhaseBenchmark)
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(j.dir.AgentFile(), &rec))
	other := j.c.Command(t, "sbatch", "--parsable", "-p", "urgent", "--exclusive", "-o", "/dev/null", "-w", strings.Join(rec.Nodes, ","), "-N2", "--wrap", "sleep 1")
	defer func() { _, _ = j.c.Try("scancel", other) }()
	e := j.wait()
	require.NotNil(t, e.rec.End, e.stdout)
	require.Equal(t, rundir.OutcomeInfra, e.rec.End.Outcome, e.stdout)
	require.Equal(t, blame.KindPreempted, e.rec.End.Finding.Kind, e.stdout)
}

func TestSlurmNodeDeath(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: long()})
	j.awaitPhase(rundir.PhaseBenchmark)
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(j.dir.AgentFile(), &rec))
	j.c.KillNode(t, rec.Nodes[1])
	defer j.c.StartNode(t, rec.Nodes[1])
	e := j.wait()
	require.NotNil(t, e.rec.End, e.stdout)
	require.Equal(t, rundir.OutcomeInfra, e.rec.End.Outcome, e.stdout)
	f := e.rec.End.Finding
	// Which of the two is known first depends on when Slurm pings the node.
	require.Contains(t, []string{blame.KindNodeFail, blame.KindUnkillable}, f.Kind, e.stdout)
	require.Equal(t, "CTX_0", f.Root, e.stdout)
	require.Equal(t, []string{rec.Nodes[1]}, f.BadNodes)
}

func TestSlurmRankDies(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: long(), faults: one("GEN_0", "serving:3@2"), edit: func(p *rundir.Plan) {
		p.Nodes = 3
		p.Builds[0].Roles[0].Slice = []rundir.NodeShare{{Node: 0, Tasks: 2, GPUs: 4}, {Node: 1, Tasks: 2, GPUs: 4}}
		p.Builds[0].Roles[1].Slice = []rundir.NodeShare{{Node: 2, Tasks: 1, GPUs: 4}}
	}})
	e := j.wait()
	require.Equal(t, "GEN_0", e.rec.End.Finding.Root)
	require.Equal(t, 3, e.roles["GEN_0"].Exit)
	require.Equal(t, 2, e.roles["GEN_0"].FirstTask.Task)
}

// The rows of the fault matrix that take a few seconds, on the real thing.
func TestSlurmFaults(t *testing.T) {
	t.Parallel()
	// Of the others only how a process ends differs, and that is the local
	// backend's matter as well.
	rows := regexp.MustCompile(`(GEN_0|CTX_0|DISAGG_SERVER|BENCHMARK) (is killed while serving|exits 0 while serving|is killed before it is ready)|` +
		`(GEN_0|BENCHMARK) (raises while serving|raises after)|rank other than 0|SIGTERM|two workers|server hangs|precheck|status file`)
	for _, row := range faultRows() {
		if !rows.MatchString(row.name) {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			e := submit(t, scenario{faults: row.faults, env: row.env, edit: row.edit}).wait()
			require.NotNil(t, e.rec.End, e.stdout)
			row.check(t, e)
		})
	}
}

// Somebody ends one step: that is no end of the job, and nobody's test is to
// blame for it.
func TestSlurmStepIsKilledByOthers(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: long()})
	j.awaitPhase(rundir.PhaseBenchmark)
	step := ""
	j.await("the step's id", func(rec rundir.AgentRecord) bool {
		for _, r := range rec.Roles {
			if r.Name == "CTX_0" {
				step = r.Step
			}
		}
		return step != ""
	})
	j.c.Command(t, "scancel", "-s", "KILL", step)
	e := j.wait()
	require.Equal(t, rundir.OutcomeInfra, e.rec.End.Outcome, e.stdout)
	require.Equal(t, "CTX_0", e.rec.End.Finding.Root, e.stdout)
	require.Equal(t, 9, e.roles["CTX_0"].Signal)
}

// The agent itself is killed: the batch script is gone, Slurm ends the steps, and
// the record stays open.
func TestSlurmAgentIsKilled(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: long()})
	j.awaitPhase(rundir.PhaseBenchmark)
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(j.dir.AgentFile(), &rec))
	require.NoError(t, syscall.Kill(rec.PID, syscall.SIGKILL))
	e := j.wait()
	require.Nil(t, e.rec.End)
	require.Equal(t, rundir.PhaseBenchmark, e.rec.Phase)
}

// The warning signal ahead of the time limit: Slurm says that the job runs, and
// that its time is nearly up. slurmctld looks every 30 s and sends it up to 30 s early. The limit comes near when the
// agent has taken the batch shell's place.
func TestSlurmTimeLimitIsAnnounced(t *testing.T) {
	t.Parallel()
	j := submit(t, scenario{env: long()}, "--signal=B:TERM@150")
	j.awaitPhase(rundir.PhaseBenchmark)
	j.c.Command(t, "scontrol", "update", "JobId="+j.id, fmt.Sprintf("TimeLimit=%d", int(time.Since(j.began).Minutes())+3))
	e := j.wait()
	require.NotNil(t, e.rec.End, e.stdout)
	require.Equal(t, blame.KindTimeLimit, e.rec.End.Finding.Kind, e.stdout)
	require.Contains(t, string(e.rec.End.Outcome), "timeout:", e.stdout)
}

func TestSlurmInstallFailsOnOneNode(t *testing.T) {
	t.Parallel()
	e := submit(t, scenario{
		edit: func(p *rundir.Plan) { p.Builds[0].Install = "x" },
		prepare: func(t *testing.T, dir rundir.AttemptDir) {
			t.Helper()
			require.NoError(t, rundir.WriteFile(filepath.Join(string(dir), "install.sh"), []byte("[ $SLURM_NODEID = 0 ] || exit 4\n"), rundir.ExecMode))
		},
	}).wait()
	require.Equal(t, rundir.OutcomeInfra, e.rec.End.Outcome, e.stdout)
	f := e.rec.End.Finding
	require.Equal(t, "INSTALL", f.Root)
	require.Equal(t, []string{e.rec.Nodes[1]}, f.BadNodes, e.stdout)
}

// A step that Slurm cannot run is Slurm's trouble and not a program's exit code.
func TestSlurmRefusesAStep(t *testing.T) {
	t.Parallel()
	e := submit(t, scenario{edit: func(p *rundir.Plan) { p.Builds[0].Roles[1].Srun = []string{"--gpus-per-node=9"} }}).wait()
	require.NotNil(t, e.rec.End, e.stdout)
	require.Equal(t, blame.KindNeverStarted, e.rec.End.Finding.Kind, e.stdout)
	require.Equal(t, "CTX_0", e.rec.End.Finding.Root)
	require.NotEmpty(t, e.roles["CTX_0"].Error)
}
