package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/need"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

var (
	cluster    *slurmtest.Cluster
	binary     string // ci-disagg under test
	root       string // of the repository
	containers string // where the stand-in for pyxis keeps its containers and its log
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	flag.Parse()
	root, _ = filepath.Abs("../../..")
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "ci-disagg-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary, err = runtest.BuildStatic(root, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := buildPlugin(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return slurmtest.Main(m, &cluster, slurmtest.Options{Conf: append(runtest.Conf(), "PlugStackConfig="+filepath.Join(dir, "plugstack.conf"))})
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

// backend is where a test runs its cases.
type backend string

const (
	local backend = "local"
	slurm backend = "slurm"
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
	need.Long(t, "the built binary, pytest and a Slurm cluster")
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
budgets: {queue: 5m, ready: 5m, benchmark: 5m, drain: 2m, job: 15m}
clusters:
  testbed: {gpus_per_node: 4, partition: batch, exclusive: true, export: [PATH, CI_DISAGG_FAULT, CI_DISAGG_SLOW, CI_DISAGG_TOKEN_MS]%s}
retry: {max: 0}
perf: {pins: pins.yaml, reruns: 0}
%s`, b, workload, workload, workload, strings.Join(append([]string{""}, profile...), ", "), more)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	pinned(t, filepath.Join(filepath.Dir(file), "pins.yaml"), true)
	return file
}

// pinned writes the demo's pins to file. Lenient ones are met by a machine of a tenth of the speed: what other tests do
// to it is no change. What is not measured at all meets none.
func pinned(t *testing.T, file string, lenient bool) {
	t.Helper()
	pins, err := os.ReadFile(filepath.Join(root, "testdata/demo/baselines.yaml"))
	require.NoError(t, err)
	if lenient {
		pins = bytes.ReplaceAll(pins, []byte("tolerance: 10%"), []byte("tolerance: 95%"))
		pins = regexp.MustCompile(`(_ms: \{value: [0-9.]+)`).ReplaceAll(pins, []byte("${1}e1"))
	}
	require.NoError(t, os.WriteFile(file, pins, 0o600))
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
	need.Long(t, "the built binary, pytest and a Slurm cluster")
	j := &job{dir: rundir.Dir(filepath.Join(dir, "run")), env: env}
	j.args = append([]string{"run", "--config", configFile, "--run-dir", string(j.dir), "--quiet"}, args...)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	t.Cleanup(cancel)
	j.cmd = exec.CommandContext(ctx, binary, j.args...)
	j.cmd.Env = append(os.Environ(), env...)
	if b == slurm {
		j.cmd.Env = append(cluster.Env(t), env...)
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
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept: %s\n%s\n%s", j.dir, &j.stdout, &j.stderr)
		}
	})
	return runtest.Exit(t, j.cmd, err)
}

// nothingLeft asserts that the run left no process and no Slurm job behind.
func (j *job) nothingLeft(t *testing.T, b backend) {
	t.Helper()
	cluster.Eventually(t, runtest.Soon, "the run's processes to end", func() bool { return len(j.processes()) == 0 })
	if b == slurm {
		require.Len(t, j.glob("job.json"), 1)
		cluster.Eventually(t, runtest.Soon, "the job to leave the queue", func() bool { return j.queued(false) })
	}
}

// processes are the command lines, by pid, of the run's roles whose environment has all of the given items.
func (j *job) processes(with ...string) map[int]string {
	return runtest.Processes(func(env []string) bool {
		ours := slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "CI_DISAGG_ATTEMPT="+string(j.dir)+"/") })
		return ours && !slices.ContainsFunc(with, func(w string) bool { return !slices.Contains(env, w) })
	})
}
