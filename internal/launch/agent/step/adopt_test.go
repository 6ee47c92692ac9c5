package step

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What was left behind is counted, and named once each.
func TestWordsForWhatWasLeft(t *testing.T) {
	t.Parallel()
	require.Empty(t, leftWords(nil))
	require.Equal(t, "processes that had been left behind were ended: 3 (redis-server *:6379, sleep 600)", leftWords([]string{"sleep 600", "redis-server *:6379", "sleep 600"}))
	require.Equal(t, "processes that had been left behind were ended: 5 (a, b, c, …)", leftWords([]string{"e", "d", "c", "b", "a"}))
}

// The value of a secret is masked where a record is written: here it has to be whole, or not there.
func TestNoHalfASecretIsLeft(t *testing.T) {
	t.Parallel()
	words := leftWords([]string{"curl -H " + strings.Repeat("x", 85) + " token-0123456789"})
	require.Equal(t, "processes that had been left behind were ended: 1 (curl …)", words)
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

// What a step has left was ended: that alone makes it no bad one.
func TestEndedWell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  End
		well bool
	}{
		"nothing to say":            {End{}, true},
		"left something":            {End{Left: "a daemon"}, true},
		"failed":                    {End{Exit: 1}, false},
		"failed and left something": {End{Exit: 1, Left: "a daemon"}, false},
		"killed":                    {End{Exit: 137, Signal: 9}, false},
		"a task failed":             {End{First: &rundir.TaskEnd{}}, false},
		"lost":                      {End{Lost: "node1"}, false},
		"stuck":                     {End{Stuck: true}, false},
		"never launched":            {End{Err: "no srun"}, false},
	} {
		require.Equal(t, c.well, c.end.Well(), name)
	}
}
