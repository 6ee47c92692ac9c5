package main

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two metrics of a point are nearly one number, the points of a case share half of
// their noise, and cases next to nothing.
func TestFleet(t *testing.T) {
	t.Parallel()
	var same, near, far float64
	const cases = 40
	for k := range uint64(cases) {
		a, b := fleetCase(1, k, 0), fleetCase(1, k, 4) // of the same noise
		require.Len(t, a.series, 8)
		require.Len(t, a.nights, nights)
		same += correlation(a.series[0], a.series[1]) / cases
		near += correlation(a.series[0], a.series[2]) / cases
		far += correlation(a.series[0], b.series[0]) / cases
	}
	require.InDelta(t, 0.9, same, 0.05)
	require.InDelta(t, 0.5, near, 0.08)
	require.InDelta(t, 0.1, far, 0.06)
}

// correlation of the runs of two series that are no bad luck.
func correlation(a, b history) float64 {
	var ab, aa, bb float64
	for i := range a.runs {
		x, y := a.metric.Sign()*math.Log(a.runs[i].Values[0]/100), b.metric.Sign()*math.Log(b.runs[i].Values[0]/100)
		if max(math.Abs(x), math.Abs(y)) < 0.03 {
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
	}
	return ab / math.Sqrt(aa*bb)
}
