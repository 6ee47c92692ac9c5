package faults_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// aggregatedCase is a case of one step, under the launcher: its test starts a server and runs its clients against it.
const aggregatedCase = "perf/test_perf_sanity.py::test_e2e[aggr_upload-tiny_grace_blackwell-tiny_tp4_1k1k]"

// aggregated: the server and the test of an aggregated case.
func aggregated() []fault {
	const oom = `export CI_DISAGG_FAULT_TEXT="CUDA out of memory. Tried to allocate 20.00 GiB"`
	const ecc = `export CI_DISAGG_FAULT_TEXT="CUDA error: uncorrectable ECC error encountered"`
	const outside = "its server was killed by SIGKILL"
	serving := func(what string) string { return "AGG:" + what + "-while-serving" }
	rows := []fault{
		{name: "AGG is well", outcome: passed},
		{
			name: "AGG's server is killed while it loads", with: settings{setup: "export CI_DISAGG_LOAD_S=100"}, during: killLoading,
			outcome: infra, exit: 3, root: "AGG", class: "infra", says: "ended with -9",
		},
		{
			name: "AGG's server is killed from outside", tokenMS: long, during: signalServer("AGG", syscall.SIGKILL),
			outcome: infra, exit: 3, root: "AGG", class: "infra", kind: "server-died", says: outside,
		},
		{
			name: "AGG's server is killed from outside, and its test asks at once how it ended", prepare: reaped, tokenMS: long, during: signalServer("AGG", syscall.SIGKILL),
			outcome: infra, exit: 3, root: "AGG", class: "infra", kind: "server-died", says: outside,
		},
		{
			name: "AGG's server gets a SIGHUP from outside", tokenMS: long, during: signalServer("AGG", syscall.SIGHUP),
			outcome: testFailed, exit: 1, root: "AGG", says: "its server was killed by SIGHUP",
		},
		{
			name: "AGG's server is killed by its GPU's driver", knob: serving("server-kill"),
			outcome: infra, exit: 3, root: "AGG", class: "infra", kind: "server-died", says: outside,
		},
		{
			name: "AGG's server dies of SIGSEGV", knob: serving("server-segv"),
			outcome: testFailed, exit: 1, root: "AGG", class: "test", says: "SIGSEGV",
		},
		{
			name: "AGG's server dies of SIGSEGV, and its test asks at once how it ended", prepare: reaped, tokenMS: long, knob: "AGG:server-segv-after-benchmark", during: strike("AGG"), // which never comes
			outcome: testFailed, exit: 1, root: "AGG", class: "test", says: "its server was killed by SIGSEGV",
		},
		{
			name: "AGG's server crashes", knob: serving("server-crash"),
			outcome: testFailed, exit: 1, root: "AGG", class: "test", says: "CUDA error: an illegal memory access",
		},
		{
			name: "AGG's server runs out of GPU memory", knob: serving("server-crash"), with: settings{setup: oom},
			outcome: testFailed, exit: 1, root: "AGG", class: "test", says: "CUDA out of memory",
		},
		{
			name: "AGG's server dies of an ECC error", knob: serving("server-crash"), with: settings{setup: ecc},
			outcome: infra, exit: 3, root: "AGG", class: "infra", says: "uncorrectable ECC error",
		},
		{
			name: "AGG's server leaves with 1 and says nothing", knob: serving("server-exit"),
			outcome: testFailed, exit: 1, root: "AGG", says: "its server ended with exit 1",
		},
		{
			name: "AGG's server answers 500", knob: serving("executor-500"),
			outcome: testFailed, exit: 1, root: "AGG",
		},
		{
			name: "AGG's engine is dead and its server silent", knob: serving("executor-silent"), with: settings{workload: "hang: 15s"},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "AGG", kind: "hang",
		},
		{
			name: "AGG's server cannot load its model", knob: "AGG:load-crash", with: settings{setup: oom},
			outcome: testFailed, exit: 1, root: "AGG", class: "test", says: "CUDA out of memory",
		},
		{
			name: "AGG's GPU fails while its server loads", knob: "AGG:load-crash", with: settings{setup: ecc},
			outcome: infra, exit: 3, root: "AGG", class: "infra", says: "uncorrectable ECC error",
		},
		{
			name: "AGG's results are too bad for its test", knob: "AGG:assert",
			outcome: testFailed, exit: 1, root: "AGG", class: "test", says: "assert 0.41 >= 0.6",
		},
		{name: "AGG skips its test", knob: "AGG:skip", outcome: passed, exit: 5},
		{
			name: "SIGTERM while AGG measures", tokenMS: long, fakes: map[string]string{"scancel": logged}, during: interruptServing,
			outcome: cancelled, exit: 143,
		},
		{
			name: "scancel by somebody else while AGG measures", tokenMS: long, during: scancel,
			outcome: cancelled, exit: 3, says: "cancelled", state: "CANCELLED",
		},
	}
	for i := range rows {
		rows[i].test = aggregatedCase
	}
	return rows
}

// server is the pid of a role's server, 0 = it has none. An aggregated case has one only.
func (r *row) server(role string) int {
	var with []string
	if role != "AGG" {
		with = []string{"DISAGG_SERVING_TYPE=" + role}
	}
	for pid, line := range r.processes(with...) {
		if strings.Contains(line, "/bin/trtllm-serve ") {
			return pid
		}
	}
	return 0
}

// signalServer has somebody else send a signal to a server that works.
func signalServer(role string, sig syscall.Signal) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.running(t)
		r.until(t, runtest.Soon, "a helper that watches the server of "+role, func() bool { return r.watched(role) })
		pid := r.server(role)
		require.Positive(t, pid, "%s has no server", role)
		require.NoError(t, syscall.Kill(pid, sig))
	}
}

// strike lets the fault of a role's server happen in the middle of the benchmark: at the first request its engine may
// have said nothing yet of what it works on, and nobody may watch it yet.
func strike(role string) func(testing.TB, *row) { return signalServer(role, syscall.SIGUSR1) }

// watched reports whether a helper has found a role's server: how one ended that none holds, only its parent knows.
func (r *row) watched(role string) bool {
	files, _ := filepath.Glob(runtest.Attempt(r.dir).Run(0).NodeFile("*"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			var e rundir.NodeEvent
			if json.Unmarshal([]byte(line), &e) == nil && e.Role == role && e.What == rundir.NodeServer {
				return true
			}
		}
	}
	return false
}

// killLoading kills the server of an aggregated case that does not listen yet.
func killLoading(t testing.TB, r *row) {
	r.until(t, runtest.Soon, "a server", func() bool { return r.server("AGG") != 0 })
	require.NoError(t, syscall.Kill(r.server("AGG"), syscall.SIGKILL))
}

// daemons: what only this machine's agent has to end. On a node Slurm does so, by the job's control group.
func daemons() []fault {
	return []fault{{
		name: "without Slurm, a daemon of GEN_0 with a clean environment outlives it", local: true,
		with:    settings{setup: `if [ "$DISAGG_SERVING_TYPE$SLURM_PROCID" = GEN_00 ]; then setsid env -i sleep 86399.$SLURM_JOB_ID </dev/null >/dev/null 2>&1 & fi`},
		outcome: passed, check: endsDaemon,
	}}
}

// endsDaemon asserts that the daemon was ended, and that the record tells of it.
func endsDaemon(t testing.TB, r *row) {
	command := "sleep 86399." + r.agent().JobID
	require.True(t, slices.ContainsFunc(r.agent().Timeline, func(e rundir.Event) bool {
		return strings.HasSuffix(e.What, "left behind were ended: 1 ("+command+")")
	}), "%+v", r.agent().Timeline)
	left, err := exec.Command("pgrep", "-f", "^"+command+"$").Output()
	var none *exec.ExitError
	require.ErrorAs(t, err, &none, "it lives on: %s", left)
	require.Equal(t, 1, none.ExitCode(), "pgrep says that there is none")
}

// reaped has the server's test ask at once how it ended. Before Linux 6.15 that is a race, which nobody has to win.
func reaped(t testing.TB, r *row) {
	var name unix.Utsname
	require.NoError(t, unix.Uname(&name))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	require.NoError(t, err)
	if major > 6 || major == 6 && minor >= 15 {
		for i, e := range r.env {
			if fault, ok := strings.CutPrefix(e, "CI_DISAGG_FAULT="); ok {
				r.env[i] = "CI_DISAGG_FAULT=" + strings.TrimSuffix("AGG:reaps,"+fault, ",")
			}
		}
	}
}

// interruptServing tells the driver to end while the server works.
func interruptServing(t testing.TB, r *row) {
	r.running(t)
	r.act()
	require.NoError(t, r.cmd.Process.Signal(syscall.SIGTERM))
}

// serverLog is the log of the server that the test waits for.
func (r *row) serverLog() string {
	name := "trtllm-serve.0.GEN_0.log"
	if r.test == aggregatedCase {
		name = "trtllm-serve.0.log"
	}
	return filepath.Join(runtest.Attempt(r.dir).Run(0).Output(), name)
}

// serves reports whether a server has said that it works on requests.
func (r *row) serves() bool {
	text, err := os.ReadFile(r.serverLog())
	return err == nil && strings.Contains(string(text), "iter = ")
}
