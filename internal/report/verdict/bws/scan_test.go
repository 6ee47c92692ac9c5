package bws

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunningMedian(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	var values [MaxHistory]float64
	for k := range values {
		values[k] = float64(k)
	}
	for range 200 {
		var m runningMedian
		var seen []float64
		for _, r := range rng.Perm(MaxHistory) {
			m.add(r)
			seen = append(seen, float64(r))
			require.Equal(t, Median(seen, nil), m.Median(&values), "%v", seen)
		}
	}
}

// segmentCost is the cost of the segmentation with these starts, by its definition.
func segmentCost(y []float64, s float64, starts []int) float64 {
	cost := segmentPenalty * float64(len(starts)-1)
	for k, from := range starts {
		to := len(y)
		if k+1 < len(starts) {
			to = starts[k+1]
		}
		m := Median(y[from:to], nil)
		for _, x := range y[from:to] {
			cost += math.Min((x-m)/s*(x-m)/s, 9)
		}
	}
	return cost
}

// bestCost tries every segmentation of at most three segments.
func bestCost(y []float64, s float64) float64 {
	n := len(y)
	best := segmentCost(y, s, []int{0})
	for a := 5; a <= n-5; a++ {
		best = min(best, segmentCost(y, s, []int{0, a}))
		for b := a + 5; b <= n-5; b++ {
			best = min(best, segmentCost(y, s, []int{0, a, b}))
		}
	}
	return best
}

func TestSegmentationIsTheBest(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 2))
	var g segmenter
	several := 0
	for range 150 {
		y := make([]float64, 10+rng.IntN(30))
		level := 0.0
		for k := range y {
			if rng.IntN(14) == 0 {
				level += 0.1 * rng.NormFloat64()
			}
			y[k] = level + 0.01*rng.NormFloat64()
		}
		starts := g.split(y, 0.01, 0, nil)
		require.Zero(t, starts[0])
		for k := 1; k < len(starts); k++ {
			require.GreaterOrEqual(t, starts[k]-starts[k-1], SegmentMin)
		}
		require.GreaterOrEqual(t, len(y)-starts[len(starts)-1], SegmentMin)
		got, want := segmentCost(y, 0.01, starts), bestCost(y, 0.01)
		if len(starts) > 3 {
			require.LessOrEqual(t, got, want+1e-9)
		} else {
			require.InDelta(t, want, got, 1e-9)
		}
		if len(starts) > 1 {
			several++
		}
	}
	require.Greater(t, several, 50)
}

func TestDensityIsOne(t *testing.T) {
	t.Parallel()
	f := newDensity(Noise{Sigma: 0.02, inliers: 40, outliers: []float64{0.1, -0.2, 0.3}})
	sum, last := 0.0, 0.0
	for u := -math.Pi / 2; u < math.Pi/2; u += 1e-5 { // x = tan u covers the line
		x := math.Tan(u)
		v := math.Exp(f.log(x)) * (1 + x*x)
		if u > -math.Pi/2 {
			sum += (v + last) / 2 * 1e-5
		}
		last = v
	}
	require.InDelta(t, 1, sum, 1e-3)
}

func TestAutocorrelation(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	r := make([]float64, 80)
	for k := 1; k < len(r); k++ {
		r[k] = 0.5*r[k-1] + rng.NormFloat64()
	}
	require.InDelta(t, 0.45, autocorrelation(r, 1.15), 0.2)
	require.Zero(t, autocorrelation(make([]float64, 20), 1))
	for k := range r {
		r[k] = float64(1 - 2*(k%2))
	}
	require.Zero(t, autocorrelation(r, 1), "alternating runs do not count twice")
}

func TestHuberIgnoresAnOutlier(t *testing.T) {
	t.Parallel()
	v := []float64{1, 2, 3, 2, 1, 2, 3, 1000}
	require.InDelta(t, 2, Huber(v, 0.5, nil), 0.3)
	require.True(t, slices.Equal(v, []float64{1, 2, 3, 2, 1, 2, 3, 1000}), "the input stays as it was")
}

// A level that is known to begin somewhere is no step, and nothing before it
// enters the level.
func TestKnownBeginOfALevel(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(4, 4))
	var runs [][]float64
	for k := range 30 {
		z := 0.005 * rng.NormFloat64()
		if k >= 27 {
			z += 0.3
		}
		runs = append(runs, []float64{z})
	}
	d := NewData(runs)
	var sc Scanner
	require.Greater(t, sc.Scan(d, 29, 0.02).Worse.P, 0.9)
	d.Bounds = []int{27}
	r := sc.Scan(d, 29, 0.02)
	require.Less(t, r.Worse.P, 0.1)
	require.Equal(t, 27, r.Start)
	require.InDelta(t, 0.3, r.Mu, 0.02)
	require.Equal(t, 28, r.Window)
}

func TestOneJudgementAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var runs [][]float64
	for range 90 {
		runs = append(runs, []float64{0.01 * rng.NormFloat64()})
	}
	d := NewData(runs)
	sc := &Scanner{}
	require.Zero(t, testing.AllocsPerRun(20, func() { sc.Scan(d, 89, 0.02) }))
}
