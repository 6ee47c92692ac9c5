package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/joshdk/go-junit"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurmtest"
	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

var (
	cluster    *slurmtest.Cluster
	binary     string // ci-disagg under test
	root       string // of the repository
	containers string // where the stand-in for pyxis keeps its containers and its log
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ci-disagg-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	root, _ = filepath.Abs("../../..")
	binary = filepath.Join(dir, "ci-disagg")
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", binary, "./cmd/ci-disagg")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	if out, err := exec.Command("/usr/bin/python3", "-c", "import pytest, yaml").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "the stand-in workload needs Debian's python3-pytest and python3-yaml (make setup): %v\n%s", err, out)
		return 1
	}
	if err := buildPlugin(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return slurmtest.Main(m, &cluster, slurmtest.Options{Conf: []string{"PlugStackConfig=" + filepath.Join(dir, "plugstack.conf")}})
}

// buildPlugin leaves the stand-in for pyxis in dir, with the plugstack.conf that loads it.
func buildPlugin(dir string) error {
	containers = filepath.Join(dir, "containers")
	so := filepath.Join(dir, "container.so")
	build := exec.Command("gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", so, filepath.Join(root, "testdata/slurm/container.c"))
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("the stand-in for pyxis needs gcc and Debian's libslurm-dev (make setup): %w\n%s", err, out)
	}
	plugins := []byte("required " + so + " state=" + containers + "\n")
	return errors.Join(os.Mkdir(containers, 0o700), os.WriteFile(filepath.Join(dir, "plugstack.conf"), plugins, 0o600))
}

// soon is how long something may take that happens by itself, however busy the machine is.
const soon = 2 * time.Minute

// within is a promised time as it is asserted: kept on an idle machine (CI_DISAGG_FAULTS=all says that this is one), and
// beside other packages' tests three times as long, which is still far below every budget.
func within(d time.Duration) time.Duration {
	if os.Getenv("CI_DISAGG_FAULTS") == "all" {
		return d
	}
	return 3 * d
}

// backend is where a test runs its cases.
type backend string

const (
	local backend = "local"
	slurm backend = "slurm"
)

// The cases of the stand-in. wide has a generation server over two nodes, under the launcher.
const (
	small = "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-tiny_1k1k_con4_ctx1_tp1_gen1_tp2]"
	wide  = "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-tiny_1k1k_con8_ctx1_tp4_gen1_dep8]"
)

// job is one `ci-disagg run`.
type job struct {
	dir    rundir.Dir
	args   []string
	env    []string
	stdout bytes.Buffer
	stderr bytes.Buffer
	cmd    *exec.Cmd
	began  time.Time
	took   time.Duration
}

// config writes a config for tests of backend b; more is YAML of further top-level keys, profile of further keys of the
// cluster.
func config(t *testing.T, b backend, more string, profile ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ci-disagg.yaml")
	workload := filepath.Join(root, "testdata/workload")
	text := fmt.Sprintf(`stage: e2e
backend: %s
workload:
  dir: %s
  disagg_configs: %s/configs/disaggregated
  agg_configs: %s/configs/aggregated
  pytest: /usr/bin/python3 -m pytest
  setup: export PATH="$PWD/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
  grace: 3s
budgets: {queue: 5m, ready: 1m, benchmark: 2m, drain: 20s, job: 10m}
clusters:
  testbed: {gpus_per_node: 4, partition: batch, exclusive: true, export: [PATH, CI_DISAGG_FAULT, CI_DISAGG_SLOW]%s}
retry: {max: 0}
perf: {pins: pins.yaml, reruns: 0}
%s`, b, workload, workload, workload, strings.Join(append([]string{""}, profile...), ", "), more)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	pins, err := os.ReadFile(filepath.Join(root, "testdata/demo/baselines.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "pins.yaml"), pins, 0o600))
	return file
}

// start begins `ci-disagg run` with the given arguments after --config and --run-dir.
func start(t *testing.T, b backend, configFile string, env []string, args ...string) *job {
	t.Helper()
	// Not t.TempDir: its name holds characters that no test of quoting belongs into here, and Slurm's nodes must reach it.
	dir, err := os.MkdirTemp("", "e2e-run-") //nolint:usetesting // kept when the test fails
	require.NoError(t, err)
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return startIn(t, dir, b, configFile, env, args...)
}

// startIn is start with the run directory at dir/run.
func startIn(t *testing.T, dir string, b backend, configFile string, env []string, args ...string) *job {
	t.Helper()
	j := &job{dir: rundir.Dir(filepath.Join(dir, "run")), env: env}
	j.args = append([]string{"run", "--config", configFile, "--run-dir", string(j.dir), "--quiet"}, args...)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	j.cmd = exec.CommandContext(ctx, binary, j.args...)
	j.cmd.Env = append(os.Environ(), env...)
	if b == slurm {
		j.cmd.Env = append(cluster.Env(), env...)
	}
	j.cmd.Stdout, j.cmd.Stderr = &j.stdout, &j.stderr
	j.began = time.Now()
	require.NoError(t, j.cmd.Start())
	return j
}

// wait is the exit code of the run.
func (j *job) wait(t *testing.T) int {
	t.Helper()
	err := j.cmd.Wait()
	j.took = time.Since(j.began)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept: %s\n%s\n%s", j.dir, &j.stdout, &j.stderr)
		}
	})
	return j.cmd.ProcessState.ExitCode()
}

// attempt is the directory of the only case's first attempt.
func (j *job) attempt(t *testing.T) rundir.AttemptDir {
	t.Helper()
	dirs, err := filepath.Glob(string(j.dir) + "/cases/*/rep-0/attempt-1")
	require.NoError(t, err)
	require.Len(t, dirs, 1)
	return rundir.AttemptDir(dirs[0])
}

func (j *job) outcome(t *testing.T) rundir.AttemptOutcome {
	t.Helper()
	var o rundir.AttemptOutcome
	require.NoError(t, rundir.ReadJSON(j.attempt(t).OutcomeFile(), &o))
	return o
}

func (j *job) document(t *testing.T) publish.Document {
	t.Helper()
	var d publish.Document
	require.NoError(t, rundir.ReadJSON(filepath.Join(j.dir.Report(), rundir.ReportVerdict), &d))
	return d
}

// cases are the test cases of junit.xml by the name of their suite.
func (j *job) cases(t *testing.T) map[string][]junit.Test {
	t.Helper()
	suites, err := junit.IngestFile(filepath.Join(j.dir.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	out := map[string][]junit.Test{}
	for _, s := range suites {
		out[s.Name] = append(out[s.Name], s.Tests...)
	}
	return out
}

// nothingLeft asserts that the run left no process and no Slurm job behind.
func (j *job) nothingLeft(t *testing.T, b backend) {
	t.Helper()
	cluster.Eventually(t, soon, "the run's processes to end", func() bool { return len(j.processes(t, nil)) == 0 })
	if b == slurm {
		id := j.outcome(t).JobID
		cluster.Eventually(t, soon, "job "+id+" to leave the queue", func() bool { return !slices.Contains(cluster.Running(t), id) })
	}
}

// processes lists the pids of the run's roles whose environment has all of the given items.
func (j *job) processes(t *testing.T, items []string) []int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	var pids []int
	for _, d := range dirs {
		env, err := os.ReadFile(d + "/environ")
		if err != nil || !bytes.Contains(env, []byte("CI_DISAGG_ATTEMPT="+string(j.dir)+"/")) {
			continue
		}
		all := strings.Split(string(env), "\x00")
		if slices.ContainsFunc(items, func(i string) bool { return !slices.Contains(all, i) }) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return pids
}

func cmdline(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.ReplaceAll(string(b), "\x00", " ")
}
