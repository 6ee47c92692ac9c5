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
