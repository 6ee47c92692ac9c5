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
