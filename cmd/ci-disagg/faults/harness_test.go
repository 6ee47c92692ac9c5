package faults_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/sshtest"
)

var (
	shared *slurmtest.Cluster // of all rows that disturb nobody else
	binary string             // ci-disagg under test
	root   string             // of the repository
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	root, _ = filepath.Abs("../../..")
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "ci-disagg-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary, err = runtest.Build(root, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return slurmtest.Main(m, &shared, slurmtest.Options{Nodes: "16x4", Conf: runtest.Conf()})
}

// stage is the name of the run, and so of its suite in junit.xml.
const stage = "faults"

// grace is between SIGTERM and SIGKILL: longer than the 3 s for which slurmstepd looks whether the processes of an
// ended task have gone, shorter than what a role that ignores SIGTERM would hold on.
const grace = 5 * time.Second

// limit is for one driver: beyond every row's end.
const limit = 20 * time.Minute

// settings change a row's config. The zero value is what most rows use.
type settings struct {
	dir      string // instead of the workload's
	setup    string // more shell text before every role's command
	workload string // more lines of workload:
	cluster  string // more keys of the cluster, each behind a comma
	budgets  string // instead of the usual ones
	retry    string // instead of none
	// pipelines are of the row's own, in the place of the stand-in workload.
	pipelines string
	perf      string // instead of off
}

func (s settings) write(t testing.TB, backend string) string {
	t.Helper()
	workload := filepath.Join(root, "testdata/workload")
	if s.dir == "" {
		s.dir = workload
	}
	if s.budgets == "" {
		s.budgets = "queue: 5m, ready: 5m, benchmark: 5m, drain: 2m, job: 15m"
	}
	if s.retry == "" {
		s.retry = "max: 0"
	}
	pipelines := ""
	if s.pipelines != "" {
		pipelines = "pipelines:" + s.pipelines
	}
	if s.perf == "" {
		s.perf = "off: true"
	}
	text := fmt.Sprintf(`stage: %s
backend: %s
%s
workload:
  dir: %s
  disagg_configs: %s/configs/disaggregated
  agg_configs: %s/configs/aggregated
  pytest: /usr/bin/python3 -m pytest
  setup: |
    export PATH="$PWD/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
    %s
  grace: %v
  %s
budgets: {%s}
clusters:
  testbed: {gpus_per_node: 4, partition: batch, exclusive: true, env: {PATH: %q}, export: [CI_DISAGG_FAULT, CI_DISAGG_TOKEN_MS, CI_DISAGG_POLL_S]%s}
retry: {%s}
perf: {%s}
`, stage, backend, pipelines, s.dir, workload, workload, s.setup, grace, s.workload, s.budgets, os.Getenv("PATH"), s.cluster, s.retry, s.perf)
	file := filepath.Join(t.TempDir(), "ci-disagg.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// row is one row of the matrix while it runs.
type row struct {
	fault
	c      *slurmtest.Cluster
	id     string     // stands in the environment of the driver and of all that it starts
	seen   rundir.Dir // the run directory, as the driver sees it
	dir    rundir.Dir // the same, as this test does
	far    string     // directory behind the login node
	login  *sshtest.Server
	config string
	env    []string

	stdout bytes.Buffer // complete once the driver has ended
	stderr stamped
	cmd    *exec.Cmd
	began  time.Time
	took   time.Duration
	acted  time.Time // when something was done to it from outside
	dead   string    // the node that was killed
}

// start begins `ci-disagg VERB ARGS`; around is a command that execs it.
func (r *row) start(t testing.TB, args []string, around ...string) {
	t.Helper()
	argv := append(append(slices.Clone(around), binary), args...)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	r.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = r.env, &r.stdout, &r.stderr
	r.cmd.WaitDelay = 5 * time.Second
	if r.began.IsZero() {
		r.began = time.Now()
	}
	require.NoError(t, r.cmd.Start())
}

func (r *row) run(t testing.TB, around ...string) {
	t.Helper()
	args := []string{"run", "--config", r.config, "--run-dir", string(r.seen), "--quiet"}
	if r.with.pipelines == "" {
		args = append(args, r.test)
	}
	r.start(t, append(args, r.args...), around...)
}

// wait is the exit code of the driver.
func (r *row) wait(t testing.TB) int {
	t.Helper()
	err := r.cmd.Wait()
	r.took = time.Since(r.began)
	return runtest.Exit(t, r.cmd, err)
}

// agent is the agent's record, the zero value while there is none.
func (r *row) agent() rundir.AgentRecord {
	var rec rundir.AgentRecord
	_ = rundir.ReadJSON(runtest.Attempt(r.dir).AgentFile(), &rec)
	return rec
}

// agent2 is the agent's record of the second attempt.
func (r *row) agent2(t testing.TB) rundir.AgentRecord {
	t.Helper()
	first := string(runtest.Attempt(r.dir))
	var rec rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(rundir.AttemptDir(strings.TrimSuffix(first, "1")+"2").AgentFile(), &rec))
	return rec
}

func (r *row) job() rundir.Job {
	var j rundir.Job
	_ = rundir.ReadJSON(runtest.Attempt(r.dir).JobFile(), &j)
	return j
}

// until polls, or fails the row after d.
func (r *row) until(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(d)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", d, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// phase waits until the agent is in a phase.
func (r *row) phase(t testing.TB, p rundir.Phase) rundir.AgentRecord {
	t.Helper()
	var rec rundir.AgentRecord
	r.until(t, runtest.Soon, "phase "+string(p), func() bool {
		rec = r.agent()
		return rec.Phase == p
	})
	return rec
}

// act notes the time of what is done from outside now.
func (r *row) act() { r.acted = time.Now() }

// names are those of all jobs of the run.
func (r *row) names(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(string(r.dir) + "/cases/*/*/*/job.json")
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		var j rundir.Job
		require.NoError(t, rundir.ReadJSON(f, &j))
		names = append(names, j.Name)
	}
	return names
}

// oneJob asserts that the case was submitted once.
func oneJob(t testing.TB, r *row) {
	names := r.names(t)
	require.Len(t, names, 1, "one attempt")
	var jobs []string
	r.until(t, runtest.Soon, "sacct to know the job", func() bool {
		out, err := r.c.Try("sacct", "-X", "-n", "-P", "-o", "JobID", "--name="+names[0])
		jobs = strings.Fields(out)
		return err == nil && len(jobs) > 0
	})
	require.Len(t, jobs, 1, "one job of this name")
}

// jobsLeft is how many jobs of the run are still in the queue, after they have had time to leave it.
func (r *row) jobsLeft(t testing.TB) int {
	t.Helper()
	if r.local {
		return 0 // what is left are processes
	}
	names := r.names(t)
	left := 0
	for end := time.Now().Add(runtest.Soon); ; time.Sleep(200 * time.Millisecond) {
		left = 0
		out, err := r.c.Try("squeue", "-h", "-o", "%j")
		for _, name := range strings.Fields(out) {
			if slices.Contains(names, name) {
				left++
			}
		}
		if err == nil && left == 0 {
			return 0
		}
		if time.Now().After(end) {
			require.NoError(t, err, "squeue")
			return left
		}
	}
}

// processesLeft is how many processes of the run are still there, after they have had time to go.
func (r *row) processesLeft(t testing.TB) int {
	t.Helper()
	var left map[int]string
	for end := time.Now().Add(runtest.Soon); ; time.Sleep(200 * time.Millisecond) {
		left = r.processes()
		if len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, pid := range slices.Sorted(maps.Keys(left)) {
		t.Logf("left: %d %s", pid, left[pid])
	}
	return len(left)
}

// processes are the run's, by what stands in their environment: of the roles, the agent, the driver, and all that these
// have started.
func (r *row) processes(with ...string) map[int]string {
	local := "" // its agent and helper have no more than the name of their job
	if j := r.job(); r.local && j.Name != "" {
		local = "CI_DISAGG_JOB=" + j.Name
	}
	return runtest.Processes(func(env []string) bool {
		ours := slices.ContainsFunc(env, func(e string) bool {
			return e == "CI_DISAGG_ROW="+r.id || strings.HasPrefix(e, "CI_DISAGG_ATTEMPT="+string(r.seen)+"/") ||
				r.far != "" && strings.HasPrefix(e, "CI_DISAGG_ATTEMPT="+r.far+"/") || local != "" && e == local
		})
		return ours && !slices.ContainsFunc(with, func(w string) bool { return !slices.Contains(env, w) })
	})
}

// pytest is the pid of a role's pytest, 0 if there is none.
func (r *row) pytest(role string) int {
	for pid, line := range r.processes("DISAGG_SERVING_TYPE=" + role) {
		if strings.HasPrefix(line, "/usr/bin/python3 -m pytest ") {
			return pid
		}
	}
	return 0
}

// stamped is the driver's stderr with the time at which each line came.
type stamped struct {
	mu    sync.Mutex
	lines []stampedLine
	part  []byte
}

type stampedLine struct {
	at   time.Time
	text string
}

func (s *stamped) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part = append(s.part, b...)
	for {
		line, rest, ok := bytes.Cut(s.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		s.lines = append(s.lines, stampedLine{time.Now(), string(line)})
		s.part = rest
	}
}

// said is when a line with text first came, zero if none did.
func (s *stamped) said(text string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.Contains(l.text, text) {
			return l.at
		}
	}
	return time.Time{}
}

func (s *stamped) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, l := range s.lines {
		fmt.Fprintf(&b, "%s %s\n", l.at.Format("05.000"), l.text)
	}
	return b.String() + string(s.part)
}
