package blame_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// What somebody else has ended is not the change's fault, and what a role has done to itself is no fault of the
// machine.
func TestEndedFromOutside(t *testing.T) {
	t.Parallel()
	ended := func(role string, sec float64, exit, signal int) blame.Event {
		return blame.Event{Role: role, Kind: blame.RoleEnd, At: at(sec), Exit: exit, Signal: signal, Expected: role == "BENCHMARK"}
	}
	outside := func(role string, sec float64, exit, signal int) blame.Event {
		e := ended(role, sec, exit, signal)
		e.Outside = true
		return e
	}
	inside := func(role string, how blame.Inside) blame.Event {
		e := ended(role, 9, 137, 9)
		e.Inside = how
		return e
	}
	const interrupt, closed = "KeyboardInterrupt", "RuntimeError: Event loop is closed"
	const mpiAbort = "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD"
	server := func(b *bench, role, text string) *bench {
		b.line(role, text)
		b.ev.Lines[len(b.ev.Lines)-1].Server = true
		return b
	}
	died := func(b *bench, text string) *bench { // GEN_0's server
		server(server(b, "GEN_0", "Traceback (most recent call last):"), "GEN_0", text)
		b.ev.Lines[len(b.ev.Lines)-1].Died = true
		return b
	}
	agg := func(b *bench, says string) *bench { // whose server was killed, and then its test failed
		b.ev.Roles = append(b.ev.Roles, blame.Role{Name: "AGG", Kind: "task", Started: start})
		b.line("AGG", says)
		b.ev.Lines[len(b.ev.Lines)-1].Died = true
		return b.event(blame.Event{Role: "AGG", Kind: blame.ServerGone, At: at(7), Exit: 137, Signal: 9}).event(ended("AGG", 9, 1, 0))
	}
	for name, tt := range map[string]struct {
		b     func(*bench) *bench
		root  string
		class blame.Class
		rule  string
		more  []string
	}{
		"SIGINT to all steps": {func(b *bench) *bench {
			server(b, "CTX_0", interrupt).line("GEN_0", interrupt).line("DISAGG_SERVER", interrupt).line("BENCHMARK", interrupt)
			return b.event(ended("DISAGG_SERVER", 7, 2, 0)).event(ended("CTX_0", 7.1, 2, 0)).event(ended("GEN_0", 7.4, 130, 2)).event(ended("BENCHMARK", 7.7, 2, 0))
		}, "CTX_0", blame.Infra, "signalled-from-outside", nil},
		"a server that goes with its role is no other failure": {func(b *bench) *bench {
			b.event(blame.Event{Role: "GEN_0", Kind: blame.ServerGone, At: at(7), Exit: 1}).line("BENCHMARK", interrupt)
			return b.event(ended("BENCHMARK", 7.1, 2, 0)).event(ended("GEN_0", 7.4, 130, 2))
		}, "GEN_0", blame.Infra, "signalled-from-outside", nil},
		"a server that crashes before is": {func(b *bench) *bench {
			return b.event(blame.Event{Role: "GEN_0", Kind: blame.ServerGone, At: at(7), Exit: 139, Signal: 11}).event(outside("BENCHMARK", 7.1, 143, 15))
		}, "GEN_0", blame.Test, "crash-signal", nil},
		"a test that had failed": {func(b *bench) *bench {
			return b.event(outside("BENCHMARK", 7, 143, 15)).event(blame.Event{Role: "BENCHMARK", Kind: blame.TestFailed, At: at(6)})
		}, "BENCHMARK", blame.Test, "own-test-failed", nil},
		"where a server had no time to say so": {func(b *bench) *bench {
			said := ended("CTX_0", 7, 2, 0)
			said.Interrupted = true
			return server(b, "CTX_0", "Traceback (most recent call last):").event(said).event(ended("GEN_0", 7.4, 130, 2))
		}, "CTX_0", blame.Infra, "signalled-from-outside", nil},
		"a test that interrupts itself": {func(b *bench) *bench { return b.line("BENCHMARK", interrupt).event(ended("BENCHMARK", 7, 2, 0)) }, "BENCHMARK", blame.Unknown, "nothing-proven", nil},
		"two servers that raise SIGINT in themselves": {func(b *bench) *bench {
			return b.event(ended("GEN_0", 7, 130, 2)).event(ended("CTX_0", 7.1, 130, 2))
		}, "GEN_0", blame.Unknown, "nothing-proven", []string{"CTX_0"}},
		"an error of collection is no interruption": {func(b *bench) *bench {
			return b.event(ended("GEN_0", 7, 2, 0)).event(ended("CTX_0", 7.1, 2, 0))
		}, "GEN_0", blame.Unknown, "nothing-proven", []string{"CTX_0"}},
		"SIGTERM to all steps": {func(b *bench) *bench {
			server(b, "DISAGG_SERVER", closed)
			return b.event(outside("DISAGG_SERVER", 7, 143, 15)).event(outside("GEN_0", 7.2, 143, 15)).stopped("CTX_0", 7.7, 143)
		}, "GEN_0", blame.Infra, "signalled-from-outside", nil},
		"SIGTERM to one step": {func(b *bench) *bench {
			return server(b, "DISAGG_SERVER", closed).event(outside("DISAGG_SERVER", 7, 143, 15)).stopped("GEN_0", 7.7, 143)
		}, "DISAGG_SERVER", blame.Infra, "signalled-from-outside", nil},
		"a step that is cancelled, and srun says that it ends it": {func(b *bench) *bench {
			e := outside("BENCHMARK", 7, 137, 9)
			e.Forced = true
			return b.event(e).stopped("GEN_0", 7.7, 143)
		}, "BENCHMARK", blame.Infra, "signalled-from-outside", nil},
		"its own cause goes before": {func(b *bench) *bench {
			return server(b, "GEN_0", "CUDA error: an illegal memory access was encountered").event(outside("GEN_0", 7, 143, 15))
		}, "GEN_0", blame.Test, "cuda-illegal-access", nil},
		"a step of MPI that aborts itself": {func(b *bench) *bench {
			return died(b, "KeyError: 'x'").line("GEN_0", mpiAbort).event(outside("GEN_0", 7, 1, 0)).stopped("CTX_0", 7.7, 143)
		}, "GEN_0", blame.Test, "python-exception", nil},
		"by srun's code for the tasks that it killed": {func(b *bench) *bench {
			e := outside("GEN_0", 7, 137, 9)
			e.Forced = true
			return died(b, "ValueError: head_dim 96 is not supported").line("GEN_0", mpiAbort).event(e).stopped("CTX_0", 7.7, 143)
		}, "GEN_0", blame.Test, "python-exception", nil},
		"and says no more": {func(b *bench) *bench {
			return b.line("GEN_0", mpiAbort).event(outside("GEN_0", 7, 1, 0)).stopped("CTX_0", 7.7, 143)
		}, "GEN_0", blame.Unknown, "nothing-proven", nil},
		"a program's own mistake is no answer to SIGTERM": {func(b *bench) *bench {
			return died(b, "KeyError: 'x'").event(outside("GEN_0", 7, 143, 15))
		}, "GEN_0", blame.Test, "python-exception", nil},
		"so does another's crash": {func(b *bench) *bench {
			return b.event(outside("GEN_0", 7, 143, 15)).event(ended("CTX_0", 7.5, 139, 11))
		}, "CTX_0", blame.Test, "crash-signal", []string{"GEN_0"}},
		"its own time limit": {func(b *bench) *bench {
			return b.event(inside("BENCHMARK", blame.OwnTimeout)).stopped("GEN_0", 9.5, 143)
		}, "BENCHMARK", blame.Test, "own-timeout", nil},
		"a test measures that its dead server's answers are wrong": {func(b *bench) *bench {
			return agg(b, "E       assert 0.41 >= 0.6").event(blame.Event{Role: "AGG", Kind: blame.TestFailed, At: at(9), Assert: true})
		}, "AGG", blame.Test, "own-test-failed", nil},
		"or says so before there is a results.xml": {func(b *bench) *bench {
			return agg(b, "E       AssertionError: accuracy too low")
		}, "AGG", blame.Test, "python-exception", nil},
		"or by an exception of its own": {func(b *bench) *bench {
			return agg(b, "E       ValueError: 3 of 40 answers were wrong")
		}, "AGG", blame.Test, "python-exception", nil},
		"a test that waited too long for its server may have killed it": {func(b *bench) *bench {
			died(b, "RuntimeError: Event loop is closed")
			for i := range b.ev.Lines {
				b.ev.Lines[i].Role = "AGG"
			}
			return agg(b, "E       RuntimeError: the server did not become ready within 1800 s")
		}, "AGG", blame.Test, "python-exception", nil},
		"by subprocess, which kills what it waited for": {func(b *bench) *bench {
			return agg(b, "E       subprocess.TimeoutExpired: Command '['trtllm-serve']' timed out after 1800 seconds")
		}, "AGG", blame.Unknown, "nothing-proven", nil},
		"whatever raised it": {func(b *bench) *bench {
			return agg(b, "E       Failed: Timeout (>1800.0s) from pytest-timeout.")
		}, "AGG", blame.Unknown, "nothing-proven", nil},
		"a test that misses its killed server": {func(b *bench) *bench {
			return agg(b, "E       RuntimeError: requests failed:")
		}, "AGG", blame.Infra, "killed-from-outside", nil},
		"slurmstepd has gone": {func(b *bench) *bench {
			server(b, "GEN_0", "BrokenPipeError: [Errno 32] Broken pipe")
			e := ended("GEN_0", 60, 137, 9)
			e.ByUs, e.Stopped = true, at(30)
			return b.event(e).event(blame.Event{Role: "GEN_0", Kind: blame.Unkillable, At: at(60)})
		}, "GEN_0", blame.Infra, "unkillable", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := blame.Judge(tt.b(newBench(t)).ev)
			require.Equal(t, tt.root, f.Root, f)
			require.Equal(t, tt.class, f.Class, f)
			require.Equal(t, tt.rule, f.Rule, f)
			require.Equal(t, tt.more, f.MoreRoots, f)
		})
	}
}
