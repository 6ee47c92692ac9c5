package faults_test

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/testkit/runtest"
)

// servers: what becomes of the server that a role runs, while its pytest looks every 10 s, at the client's status file
// first.
func servers() []fault {
	const ecc = `export CI_DISAGG_FAULT_TEXT="CUDA error: uncorrectable ECC error encountered"`
	serving := func(what string) string { return "GEN_0:" + what + "-while-serving" }
	const silent = "GEN_0:executor-silent-after-benchmark" // which never comes: it is struck before
	// The helpers look once a second, and tell of connections that last after some looks: 4 s on a machine with nothing
	// else to do.
	const seen = "hang: 15s"
	return []fault{
		{
			name: "GEN_0's server is killed", knob: serving("server-kill"), pollS: "10",
			outcome: infra, exit: 3, root: "GEN_0", class: "infra", kind: "server-died", says: "its server was killed by SIGKILL",
		},
		{
			name: "GEN_0's server is killed, and its pytest notices", knob: serving("server-kill"), pollS: "0.1",
			outcome: infra, exit: 3, root: "GEN_0", class: "infra",
		},
		{
			name: "GEN_0's server gets a SIGHUP from outside", tokenMS: long, during: signalServer("GEN_0", syscall.SIGHUP), pollS: "10",
			outcome: testFailed, exit: 1, root: "GEN_0", kind: "server-died", says: "its server was killed by SIGHUP",
		},
		{
			name: "BENCHMARK's results are too bad for its test", knob: "BENCHMARK:assert",
			outcome: testFailed, exit: 1, root: "BENCHMARK", class: "test", says: "assert 0.41 >= 0.6",
		},
		{
			name: "CTX_0's server is killed", knob: "CTX_0:server-kill-while-serving", pollS: "10",
			outcome: infra, exit: 3, root: "CTX_0", class: "infra", kind: "server-died", says: "its server was killed by SIGKILL",
		},
		{
			name: "GEN_0's server crashes", knob: serving("server-crash"), pollS: "10",
			outcome: testFailed, exit: 1, root: "GEN_0", class: "test", says: "CUDA error: an illegal memory access",
		},
		{
			name: "GEN_0's server crashes, and its pytest notices", knob: serving("server-crash"), pollS: "0.1",
			outcome: testFailed, exit: 1, root: "GEN_0", class: "test", says: "CUDA error: an illegal memory access",
		},
		{
			name: "GEN_0's server dies of an ECC error", knob: serving("server-crash"), pollS: "0.1", with: settings{setup: ecc},
			outcome: infra, exit: 3, root: "GEN_0", class: "infra", says: "uncorrectable ECC error",
		},
		{
			name: "GEN_0's server prints a flood of assertions", knob: serving("server-assert"), pollS: "0.1",
			outcome: testFailed, exit: 1, root: "GEN_0", class: "test", says: "device-side assert",
		},
		{
			name: "GEN_0's server dies of SIGSEGV", knob: serving("server-segv"), pollS: "0.1",
			outcome: testFailed, exit: 1, root: "GEN_0", class: "test",
		},
		{
			name: "GEN_0's engine is dead and its server answers 500", knob: serving("executor-500"), pollS: "10",
			outcome: testFailed, exit: 1, root: "GEN_0", says: "its server answers its health check with 500",
		},
		{
			name: "GEN_0's server is killed, and nobody notices", knob: serving("server-kill") + ",BENCHMARK:patient", pollS: "3600",
			outcome: infra, exit: 3, root: "GEN_0", class: "infra", kind: "server-died", says: "its server was killed by SIGKILL", check: endedSoon(killed),
		},
		{
			name: "CTX_0's server crashes, and nobody notices", knob: "CTX_0:server-crash-while-serving,BENCHMARK:patient", pollS: "3600",
			outcome: testFailed, exit: 1, root: "CTX_0", class: "test", says: "CUDA error: an illegal memory access", check: endedSoon(crashed),
		},
		{
			name: "GEN_0's server answers 500, and nobody notices", knob: serving("executor-500") + ",BENCHMARK:patient", pollS: "3600",
			outcome: testFailed, exit: 1, root: "GEN_0", kind: "server-unhealthy", says: "its server answers its health check with 500", check: endedSoon(crashed),
		},
		{
			name: "GEN_0's engine is dead and its server silent", knob: silent, tokenMS: long, during: strike("GEN_0"), pollS: "10", with: settings{workload: seen},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "GEN_0", kind: "hang",
		},
		{
			name: "GEN_0's engine is dead and its server silent, under a client that chats", knob: silent + ",BENCHMARK:chatty", tokenMS: long, during: strike("GEN_0"), pollS: "10",
			with:    settings{workload: seen},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "GEN_0", kind: "hang", says: "it has requests and makes no progress",
		},
		{
			name: "GEN_0's engine dies before its first iteration, under a client that chats", knob: serving("executor-silent") + ",BENCHMARK:chatty", pollS: "10",
			with:    settings{workload: seen},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "GEN_0", kind: "hang", says: "it has requests and makes no progress",
		},
		{
			name: "GEN_0's engine is dead until the benchmark's budget ends", knob: silent + ",BENCHMARK:chatty", tokenMS: long, during: strike("GEN_0"), pollS: "10",
			with:    settings{budgets: "job: 10m, benchmark: 20s"},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, root: "GEN_0", kind: "hang", says: "BENCHMARK was not through within 20s (budgets.benchmark)",
		},
		{
			name: "the benchmark takes longer than its budget", tokenMS: "1000", pollS: "10", with: settings{budgets: "job: 10m, benchmark: 10s"},
			outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 1, says: "benchmark took longer than 10s (budgets.benchmark): BENCHMARK was not through",
		},
		{
			name: "roles that print nothing do not hang", tokenMS: long, pollS: "10", with: settings{workload: "hang: 4s\n  launcher: none"},
			outcome: passed,
		},
	}
}

// How soon the teardown begins after what the node helper saw of a server that is dead while its role lives on.
const (
	killed  = 5 * time.Second
	crashed = 15 * time.Second
)

// endedSoon asserts that everybody was told to end soon after a helper had first seen that the root's server is dead.
func endedSoon(within time.Duration) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		rec, root := r.agent(), runtest.Outcome(t, r.dir).Finding.Root
		seen := slices.IndexFunc(rec.Timeline, func(e rundir.Event) bool { return e.Role == root && strings.HasPrefix(e.What, "its server") })
		require.GreaterOrEqual(t, seen, 0, "%+v", rec.Timeline)
		for _, role := range rec.Roles {
			require.Equal(t, "agent", role.StoppedBy, role.Name)
			require.Less(t, role.StopSent.Sub(rec.Timeline[seen].At), runtest.Within(within), role.Name)
		}
	}
}

// cancelStep has somebody else cancel the step of one role, and not the job.
func cancelStep(role string) func(testing.TB, *row) {
	return func(t testing.TB, r *row) {
		r.running(t)
		step := ""
		r.until(t, runtest.Soon, "the step of "+role, func() bool {
			text, err := r.c.Try("squeue", "-s", "-h", "-j", r.job().ID, "-o", "%i %j")
			for line := range strings.Lines(text) {
				if id, name, _ := strings.Cut(strings.TrimSpace(line), " "); strings.Contains(name, role) {
					step = id
				}
			}
			return err == nil && step != ""
		})
		r.act()
		r.c.Command(t, "scancel", step)
	}
}

// interruptSteps has somebody else send SIGINT to all steps of the job.
func interruptSteps(t testing.TB, r *row) {
	r.running(t)
	r.act()
	r.c.Command(t, "scancel", "-s", "INT", r.job().ID)
}
