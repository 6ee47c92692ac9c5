package blame_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// What somebody else has ended is not the change's fault, and what a role has done to itself is no fault of the machine.
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
	server := func(b *bench, role, text string) *bench {
		b.line(role, text)
		b.ev.Lines[len(b.ev.Lines)-1].Server = true
		return b
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
		"so does another's crash": {func(b *bench) *bench {
			return b.event(outside("GEN_0", 7, 143, 15)).event(ended("CTX_0", 7.5, 139, 11))
		}, "CTX_0", blame.Test, "crash-signal", []string{"GEN_0"}},
		"its own time limit": {func(b *bench) *bench {
			return b.event(inside("BENCHMARK", blame.OwnTimeout)).stopped("GEN_0", 9.5, 143)
		}, "BENCHMARK", blame.Test, "own-timeout", nil},
		"its own exit code": {func(b *bench) *bench { return b.event(inside("BENCHMARK", blame.OwnExit)).stopped("GEN_0", 9.5, 143) }, "BENCHMARK", blame.Unknown, "nothing-proven", nil},
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
