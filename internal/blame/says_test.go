package blame_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// What gives its cause does not go on with that no rule explains it.
func TestWhatSaysEnough(t *testing.T) {
	t.Parallel()
	b := newBench(t).event(blame.Event{Role: "CTX_0", Kind: blame.NotReady, At: at(60), Text: "8s (budgets.ready)", Lacks: "GET /health answers 404"}).stopped("CTX_0", 60, 143)
	require.Equal(t, "[CTX_0] not ready within 8s (budgets.ready): GET /health answers 404 on n3", blame.Judge(b.ev).Message)
	b = newBench(t).end("CTX_0", 50, 0).stopped("GEN_0", 51, 143)
	require.NotContains(t, blame.Judge(b.ev).Message, "no rule explains it")
}

// What a test says it has found wrong stands above what it had printed before, also where its log does not have it.
func TestAssertionBehindNoise(t *testing.T) {
	t.Parallel()
	for name, noise := range map[string]blame.Line{
		"an error":        {Text: "ERROR: ConnectionResetError: [Errno 104] Connection reset by peer, asked again", First: true},
		"a class":         {Text: "RuntimeError: CUDA error: uncorrectable ECC error encountered"},
		"of the program":  {Text: "RuntimeError: CUDA out of memory. Tried to allocate 20.00 GiB, with less again"},
		"an exception":    {Text: "ValueError: question 7 has no answer, asked again", First: true},
		"nothing but end": {Text: "answers: 40", Last: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t).end("BENCHMARK", 50, 1)
			noise.Role, noise.File, noise.Number = "BENCHMARK", "run-0/roles/BENCHMARK/output.log", 3
			b.ev.Lines = append(b.ev.Lines, noise)
			b.event(blame.Event{Role: "BENCHMARK", Kind: blame.TestFailed, At: at(50), Assert: true, Text: "AssertionError: assert 0.41 >= 0.6"})
			f := blame.Judge(b.ev)
			require.Equal(t, blame.Test, f.Class, f.Message)
			require.Contains(t, f.Message, "assert 0.41 >= 0.6")
			require.NotContains(t, f.Message, noise.Text)
			require.Nil(t, f.Line, "it explains nothing")
		})
	}
}

// A test that has failed ends its server, which may leave in any way: its assertion is what is told.
func TestAssertionBesideItsServersEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t).end("BENCHMARK", 50, 1).
		event(blame.Event{Role: "BENCHMARK", Kind: blame.ServerGone, At: at(49.9), Exit: 1, Node: "n1"}).
		event(blame.Event{Role: "BENCHMARK", Kind: blame.TestFailed, At: at(50), Assert: true, Text: "AssertionError: assert 0.41 >= 0.6"})
	f := blame.Judge(b.ev)
	require.Equal(t, blame.Test, f.Class, f.Message)
	require.Contains(t, f.Message, "assert 0.41 >= 0.6")
}

// A limit of its shell explains a server's end as it does its role's, whoever of them is seen first.
func TestServerOverALimit(t *testing.T) {
	t.Parallel()
	for _, signal := range []int{24, 25} {
		b := newBench(t).end("GEN_0", 50, 128+signal).event(blame.Event{Role: "GEN_0", Kind: blame.ServerGone, At: at(49.9), Exit: 128 + signal, Signal: signal, Node: "n1"})
		f := blame.Judge(b.ev)
		require.Equal(t, "resource-limit", f.Rule, f.Message)
		require.Equal(t, blame.Test, f.Class, f.Message)
	}
}

// A role whose own script gave up ran nothing of the change, whatever the command says that failed.
func TestNotSetUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, rule, shows string
		lines             []string
		class             blame.Class
	}{
		{"no directory", "not-set-up", "ci-disagg: cannot enter the workload's directory /llm", []string{"ci-disagg: cannot enter the workload's directory /llm"}, blame.Infra},
		{
			"a command that is not there", "not-set-up", "role.sh: line 9: module: command not found",
			[]string{"role.sh: line 9: module: command not found", "ci-disagg: workload.setup: exit 127 of: module load cuda"},
			blame.Infra,
		},
		{
			"an infrastructure of its own", "disk-full", "cp: cannot create 'x': No space left on device",
			[]string{"cp: cannot create 'x': No space left on device", "ci-disagg: workload.setup: exit 1 of: cp y x"},
			blame.Infra,
		},
		{"a program's own 78", "nothing-proven", "ERROR: bad configuration", []string{"ERROR: bad configuration"}, blame.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for _, l := range tt.lines {
				b.line("CTX_0", l)
			}
			f := blame.Judge(b.end("CTX_0", 3, 78).stopped("GEN_0", 4, 143).ev)
			require.Equal(t, []any{"CTX_0", tt.class, tt.rule}, []any{f.Root, f.Class, f.Rule}, f.Message)
			require.Equal(t, tt.shows, f.Line.Text)
		})
	}
}
