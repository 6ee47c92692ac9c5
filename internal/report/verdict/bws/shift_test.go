package bws_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// runsAt are n runs around a level.
func runsAt(r *rand.Rand, n int, level, noise float64) [][]float64 {
	out := make([][]float64, n)
	for k := range out {
		out[k] = []float64{level + noise*r.NormFloat64()}
	}
	return out
}

// TestShiftCovers: at least about nine of ten intervals hold the true difference (more where a single run may be an
// outlier), and none is so wide as to say nothing.
func TestShiftCovers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		a, b, known int
		shift       float64
		widest      float64 // mean width in noises
	}{
		"one run each, known noise": {a: 1, b: 1, known: 40, widest: 6.5},
		"one run against a history": {a: 40, b: 1, known: 40, shift: 0.05, widest: 4.5},
		"two histories":             {a: 20, b: 20, shift: -0.03, widest: 1.4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const noise, sessions = 0.02, 120
			r := rand.New(rand.NewPCG(7, uint64(tt.a)))
			covered, width := 0, 0.0
			for range sessions {
				a, b := runsAt(r, tt.a, 5, noise), runsAt(r, tt.b, 5+tt.shift, noise)
				e := bws.Shift(bws.GroupOf(a, runsAt(r, tt.known, 5, noise)), bws.GroupOf(b, runsAt(r, tt.known, 5, noise)))
				require.LessOrEqual(t, e.Lo, e.Mean)
				require.LessOrEqual(t, e.Mean, e.Hi)
				width += (e.Hi - e.Lo) / noise / sessions
				if e.Lo <= tt.shift && tt.shift <= e.Hi {
					covered++
				}
			}
			require.GreaterOrEqual(t, float64(covered)/sessions, 0.85)
			require.Less(t, width, tt.widest)
		})
	}
}

func TestShiftOfOddGroups(t *testing.T) {
	t.Parallel()
	one := bws.GroupOf([][]float64{{3}}, nil)
	require.Equal(t, 1, one.Known)
	require.InDelta(t, 0, bws.Shift(one, one).Mean, 1e-3)
	far := bws.Shift(one, bws.GroupOf([][]float64{{3.5, 3.51}}, nil))
	require.InDelta(t, 0.5, far.Mean, 0.02)
	require.Greater(t, far.Lo, 0.45)
	// A group is where its newest level is, not the middle of all its levels.
	r := rand.New(rand.NewPCG(1, 2))
	stepped := append(runsAt(r, 15, 3, 0.01), runsAt(r, 15, 3.2, 0.01)...)
	require.InDelta(t, 3.2, bws.GroupOf(stepped, nil).Level.Mean, 0.01)
}

// A single run is where it was measured, and two of them are apart by that, however much a series scatters.
func TestLevelOfOneRun(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	known := runsAt(r, 20, 3, 0.25)
	a, b := bws.GroupOf([][]float64{{3}}, known), bws.GroupOf([][]float64{{3.4, 3.5, 3.8}}, known)
	require.InDelta(t, 3, a.Level.Mean, 1e-12)
	require.InDelta(t, 3.5, b.Level.Mean, 1e-12)
	require.InDelta(t, 0.5, bws.Shift(a, b).Mean, 1e-12)
}

// A step that the newest runs have made is no noise, as it is none for the judge.
func TestNewStepIsNoNoise(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for newest := range 4 {
		known := append(runsAt(r, 8, 3, 0.01), runsAt(r, newest, 3.4, 0.01)...)
		g := bws.GroupOf(known[7:8], known)
		require.Less(t, g.Sigma, 0.02, newest)
		require.Equal(t, len(known), g.Known)
	}
}
