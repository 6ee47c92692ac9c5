// Package runtest is what the tests of whole runs share: the binary under test, the stand-in workload's cases, the
// times that are promised, and what a run leaves behind.
package runtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/joshdk/go-junit"
	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/slurmtest"
)

// The cases of the stand-in: Small has a context and a generation server of one node each; Wide has a generation server
// over two nodes, under the launcher.
const (
	Small = "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-tiny_1k1k_con4_ctx1_tp1_gen1_tp2]"
	Wide  = "perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-tiny_1k1k_con8_ctx1_tp4_gen1_dep8]"
)

// Soon is how long something may take that happens by itself, however busy the machine is.
const Soon = 3 * time.Minute

// All reports whether every test runs, the slow ones too, on a machine that does nothing else (CI_DISAGG_FAULTS=all).
func All() bool { return os.Getenv("CI_DISAGG_FAULTS") == "all" }

// Within is a promised time as it is asserted. Only a machine that does nothing else can hold us to it (make faults);
// beside other packages' tests it is as long as anything may take that happens by itself, far below every budget.
func Within(d time.Duration) time.Duration {
	if All() {
		return d
	}
	return max(d, Soon)
}

// Conf are slurm.conf lines for whole runs. Beside other packages' tests none of Slurm's own bounds is to pass;
// KillWait still ends a task that ignores SIGTERM, before a driver that was told to end gives the job up.
func Conf() []string {
	if All() {
		return nil
	}
	return append(slurmtest.Patient(), "KillWait=30")
}

// Build builds ci-disagg of the repository at root in dir, to watch for races when the tests do, and looks whether the
// stand-in workload can run.
func Build(root, dir string) (binary string, err error) {
	return build(root, dir, os.Environ(), buildFlags()...)
}

// BuildStatic is Build of the binary that users get.
func BuildStatic(root, dir string) (binary string, err error) {
	return build(root, dir, append(os.Environ(), "CGO_ENABLED=0"), "-trimpath")
}

func build(root, dir string, env []string, flags ...string) (binary string, err error) {
	binary = filepath.Join(dir, "ci-disagg")
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", binary, "./cmd/ci-disagg")...) //nolint:gosec // no one else's words
	build.Dir, build.Env = root, env
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	if out, err := exec.Command("/usr/bin/python3", "-c", "import pytest, yaml").CombinedOutput(); err != nil {
		return "", fmt.Errorf("the stand-in workload needs Debian's python3-pytest and python3-yaml (make setup): %w\n%s", err, out)
	}
	return binary, nil
}

// Exit is the exit code of a program that Wait has returned err for.
func Exit(t testing.TB, cmd *exec.Cmd, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode()
}

// Attempt is the directory of the first attempt of the run's only case, "" while there is none.
func Attempt(run rundir.Dir) rundir.AttemptDir {
	dirs, _ := filepath.Glob(string(run) + "/cases/*/rep-0/attempt-1")
	if len(dirs) != 1 {
		return ""
	}
	return rundir.AttemptDir(dirs[0])
}

// Outcome is how that attempt ended.
func Outcome(t testing.TB, run rundir.Dir) rundir.AttemptOutcome {
	t.Helper()
	var o rundir.AttemptOutcome
	require.NoError(t, rundir.ReadJSON(Attempt(run).OutcomeFile(), &o))
	return o
}

// Document is the run's verdict.json.
func Document(t testing.TB, run rundir.Dir) report.Report {
	t.Helper()
	var d report.Report
	require.NoError(t, rundir.ReadJSON(filepath.Join(run.Report(), rundir.ReportVerdict), &d))
	return d
}

// Cases are the test cases of the run's junit.xml by the name of their suite, without the stage.
func Cases(t testing.TB, run rundir.Dir, stage string) map[string][]junit.Test {
	t.Helper()
	suites, err := junit.IngestFile(filepath.Join(run.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	out := map[string][]junit.Test{}
	for _, s := range suites {
		name := strings.TrimPrefix(strings.TrimPrefix(s.Name, stage), ".")
		out[name] = append(out[name], s.Tests...)
	}
	return out
}

// Processes are the command lines, by pid, of the processes of this machine whose environment is like this.
func Processes(like func(env []string) bool) map[int]string {
	found := map[int]string{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		env, err := os.ReadFile(filepath.Join(d, "environ"))
		if err != nil || !like(strings.Split(string(env), "\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(d))
		line, _ := os.ReadFile(filepath.Join(d, "cmdline"))
		if err == nil && len(line) > 0 { // a zombie has none
			found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
