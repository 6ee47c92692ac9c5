package step

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What was left behind is counted, and named once each.
func TestWordsForWhatWasLeft(t *testing.T) {
	t.Parallel()
	require.Empty(t, leftWords(nil))
	require.Equal(t, "processes that had been left behind were ended: 3 (redis-server *:6379, sleep 600)", leftWords([]string{"sleep 600", "redis-server *:6379", "sleep 600"}))
	require.Equal(t, "processes that had been left behind were ended: 5 (a, b, c, …)", leftWords([]string{"e", "d", "c", "b", "a"}))
}

// Only the last step's end ends what all of them have left, and only where it was adopted.
func TestStepsThatRun(t *testing.T) {
	t.Parallel()
	kills := 0
	for _, a := range []*adoption{{}, {kill: func() []string { kills++; return []string{"sleep 600"} }}} {
		for run := range 2 {
			a.started()
			a.started()
			require.Empty(t, a.ended(), "the other one runs")
			a.started()
			require.Empty(t, a.ended(), "the other one runs")
			if left := a.ended(); a.kill == nil {
				require.Empty(t, left, "nobody's processes are adopted")
				require.Zero(t, kills)
			} else {
				require.Equal(t, leftWords([]string{"sleep 600"}), left)
				require.Equal(t, run+1, kills)
			}
		}
	}
}
