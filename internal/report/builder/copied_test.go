package builder

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
)

// TestOutputsOfARepeatedClient: each time that a client has run is held against all times before, of its own run and of
// earlier ones.
func TestOutputsOfARepeatedClient(t *testing.T) {
	t.Parallel()
	parts := []results.Attempt{{Part: "repeat-1"}, {Part: "repeat-2"}}
	run := func(name string, first, second float64) outputs {
		var measured []baseline.Measurement
		for i, metric := range []string{"a", "b", "c", "d", "e"} {
			measured = append(measured, baseline.Measurement{Metric: metric, Values: []float64{first + 0.0123*float64(i), second + 0.0123*float64(i)}})
		}
		measured = append(measured, baseline.Measurement{Metric: "f", Values: []float64{first}, Reps: []int{0}}) // the second time it said less
		return outputsOf(name, parts, measured)
	}
	var known outputs
	require.Empty(t, known.add(run("run-2", 1000, 1001)))
	require.Empty(t, known.add(run("run-3", 1002, 1003)))
	require.Equal(t, []string{"the same numbers to the last digit as run-4/repeat-1: its output, not a new measurement"}, known.add(run("run-4", 1004, 1004)))
	require.Equal(t, []string{"the same numbers to the last digit as run-2/repeat-1: its output, not a new measurement"}, known.add(run("run-5", 1000, 1005)))
}
