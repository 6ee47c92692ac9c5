package fold_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
)

// A text that is about as long as the marker that would stand in its place is left alone: nothing would be saved.
func TestAMarkerReplacesNoTextOfItsOwnLength(t *testing.T) {
	t.Parallel()
	k := fold.Cutter{Caps: fold.Caps{}.WithDefaults(), Level: fold.Lean}
	limit := k.Limit(k.Caps.PassOut, false)
	kept := strings.Repeat("deep/", 16) + "results.xml"

	near := strings.Repeat("x", limit+16)
	require.Equal(t, near, k.Text(near, limit, kept))
	require.Zero(t, k.Cut)

	long := k.Text(strings.Repeat("x", 10*limit), limit, kept)
	require.Less(t, len(long), 2*limit)
	require.Contains(t, long, kept)
	require.NotZero(t, k.Cut)

	whole := fold.Cutter{Caps: fold.Caps{}.WithDefaults()}
	require.NotEqual(t, near, whole.Text(near, limit/2, kept), "what a user caps is capped")
}
