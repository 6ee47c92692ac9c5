package bws

import (
	"math"
	"slices"
)

const (
	modeRuns   = 10   // the least number of past runs
	modeVisits = 3    // times that a series must have been on the rarer level and left it again
	modeShare  = 0.15 // the least share of the runs on the rarer level: fewer are bad nights
	modeGap    = 5    // how far apart the levels are at least, in sigmas of the runs on one of them
	modeLeast  = 1.25 // the same in units of dmin: what is less, the step test stands
	modeMiddle = 0.05 // the largest share of the runs in the middle between the levels
	modeStray  = 0.15 // the largest share of the runs that are on neither
)

// Modes are the two levels between which a series goes back and forth by itself, in
// logs.
type Modes struct {
	Lower, Upper float64
	Share        float64 // of the runs on the upper level
	sigma        float64 // of the runs around their level
}

// FindModes looks for two levels in a history, oldest run first. A step goes one way,
// a repaired regression there and back: it takes three visits that were ended
// to be a habit. What the newest runs show ends nothing yet, and is no evidence.
func FindModes(y []float64, dmin float64) (Modes, bool) {
	y = y[max(0, len(y)-MaxHistory):]
	if len(y) < modeRuns {
		return Modes{}, false
	}
	low, high := splitModes(y)
	if len(high) == 0 {
		return Modes{}, false
	}
	m := Modes{Lower: Median(low, nil), Upper: Median(high, nil), Share: float64(len(high)) / float64(len(y))}
	m.sigma = m.spread(y)
	if gap := m.Upper - m.Lower; gap < modeGap*m.sigma || gap < modeLeast*dmin {
		return Modes{}, false
	}
	n := float64(len(y))
	return m, m.middle(y) <= math.Floor(modeMiddle*n) && m.strays(y) <= modeStray*n && m.visits(y, len(high) <= len(low)) >= modeVisits
}

// splitModes is the split in two at which the distances to both medians are least.
func splitModes(y []float64) (low, high []float64) {
	sorted := slices.Sorted(slices.Values(y))
	n := len(sorted)
	sums := make([]float64, n+1) // of the first runs
	for k, v := range sorted {
		sums[k+1] = sums[k] + (v - sorted[0])
	}
	cost := func(a, b int) float64 {
		mid := a + (b-a)/2
		v := sorted[mid] - sorted[0]
		return v*float64(mid-a) - (sums[mid] - sums[a]) + (sums[b] - sums[mid]) - v*float64(b-mid)
	}
	least := max(modeVisits, int(math.Ceil(modeShare*float64(n))))
	best := math.Inf(1)
	for k := least; k <= n-least; k++ {
		if c := cost(0, k) + cost(k, n); c < best {
			best, low, high = c, sorted[:k], sorted[k:]
		}
	}
	return low, high
}

// isUpper reports whether a run is nearer to the upper level.
func (m Modes) isUpper(v float64) bool { return v > (m.Lower+m.Upper)/2 }

// distance is that of a run to its level.
func (m Modes) distance(v float64) float64 {
	if m.isUpper(v) {
		return v - m.Upper
	}
	return v - m.Lower
}

// spread is the noise of the runs around their level.
func (m Modes) spread(y []float64) float64 {
	r := make([]float64, len(y))
	for k, v := range y {
		r[k] = m.distance(v)
	}
	return max(floorSigma, withPrior(madToSigma*medianAbs(r, nil), float64(len(y))))
}

// near reports whether a run is on its level.
func (m Modes) near(v float64) bool {
	return math.Abs(m.distance(v)) <= max(3*m.sigma, 0.15*(m.Upper-m.Lower))
}

// strays are the runs that are on no level.
func (m Modes) strays(y []float64) float64 {
	n := 0.0
	for _, v := range y {
		if !m.near(v) {
			n++
		}
	}
	return n
}

// middle are the runs that lie between the levels, far from both.
func (m Modes) middle(y []float64) float64 {
	n := 0.0
	for _, v := range y {
		if math.Abs(v-(m.Lower+m.Upper)/2) < (m.Upper-m.Lower)/4 {
			n++
		}
	}
	return n
}

// visits is how many times the series was on the rarer level and came back from it.
func (m Modes) visits(y []float64, rareIsUpper bool) int {
	n, on := 0, false
	for _, v := range y {
		if !m.near(v) {
			continue
		}
		rare := m.isUpper(v) == rareIsUpper
		if on && !rare {
			n++
		}
		on = rare
	}
	return n
}

// Onto is a value as it would be if the series were always on the upper level: what
// lies between the levels is no news.
func (m Modes) Onto(v float64) float64 {
	switch {
	case v >= m.Upper-3*m.sigma:
		return v
	case v <= m.Lower+3*m.sigma:
		return m.Upper + v - m.Lower
	default:
		return m.Upper
	}
}

// Fold is the data with every value brought onto the upper level.
func (d *Data) Fold(m Modes) *Data {
	runs := make([][]float64, len(d.Y))
	for j := range runs {
		for _, z := range d.Values(j) {
			runs[j] = append(runs[j], m.Onto(z))
		}
	}
	out := NewData(runs)
	out.Bounds = d.Bounds
	return out
}
