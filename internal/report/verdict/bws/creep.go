package bws

import (
	"math"
	"slices"
)

const (
	creepRuns   = 30  // the least number of runs in which a creep is looked for
	creepRise   = 15  // runs that it has lasted for at least
	creepLeast  = 2   // what it has made worse at least to be found by itself, in units of dmin
	creepSigmas = 6   // the same in units of its uncertainty
	creepFit    = 0.8 // what it leaves unexplained at most of what the best step leaves
	creepSmooth = 2   // runs on either side that a run's median is taken over: no bad night is a creep
)

// Creep is the third channel: runs that get worse bit by bit, by too little for the
// others, and take the level with them. It fits a level with a straight rise behind it
// to the newest runs; a step fits a step better, and is no creep. known says that
// something is found already, and that the question is only what it is.
func (sc *Scanner) Creep(d *Data, i int, dmin float64, q Noise, known bool) LateStep {
	least, sigmas, better := creepLeast*dmin, float64(creepSigmas), creepFit
	if known {
		least, sigmas, better = lateLeast*dmin, lateSigmas, 1
	}
	from := max(0, i+1-MaxHistory, d.Bound(i))
	n := i + 1 - from
	if n < creepRuns {
		return LateStep{}
	}
	y := sc.smooth(d.Y[from : i+1])
	start, level, slope, left := rise(y)
	length := float64(n - start)
	total := slope * (length - 1)
	stretch := math.Sqrt((1 + q.Rho) / (1 - q.Rho))
	z := total / (q.Sigma * stretch * math.Sqrt(12/length))
	if total < least || z < sigmas || left > better*stepLeft(y) || !steadily(y[start:], total, level) {
		return LateStep{}
	}
	return LateStep{Found: true, Onset: from + start, Mu: level, Size: total, Z: z}
}

// smooth is the median of each run and its neighbours.
func (sc *Scanner) smooth(y []float64) []float64 {
	out := make([]float64, len(y))
	for k := range y {
		out[k] = Median(y[max(0, k-creepSmooth):min(len(y), k+creepSmooth+1)], sc.buf[:])
	}
	return out
}

// rise is the level and the straight rise from run start on that fit best, with the
// squares that are left.
func rise(y []float64) (start int, level, slope, left float64) {
	left = math.Inf(1)
	n := float64(len(y))
	var sy, syy float64
	for _, v := range y {
		v -= y[0]
		sy, syy = sy+v, syy+v*v
	}
	for s := 0; s <= len(y)-creepRise; s++ {
		var sx, sxx, sxy float64
		for k := s; k < len(y); k++ {
			x := float64(k - s)
			sx, sxx, sxy = sx+x, sxx+x*x, sxy+x*(y[k]-y[0])
		}
		b := (sxy - sx*sy/n) / (sxx - sx*sx/n)
		if l := syy - sy*sy/n - b*(sxy-sx*sy/n); l < left {
			start, level, slope, left = s, y[0]+(sy-b*sx)/n, b, l
		}
	}
	return start, level, slope, max(0, left)
}

// stepLeft is the squares that the best single step leaves.
func stepLeft(y []float64) float64 {
	n := float64(len(y))
	var all, before, squares float64
	for _, v := range y {
		all += v - y[0]
		squares += (v - y[0]) * (v - y[0])
	}
	best := math.Inf(1)
	for k := 1; k < len(y); k++ {
		before += y[k-1] - y[0]
		m := float64(k)
		best = min(best, squares-before*before/m-(all-before)*(all-before)/(n-m))
	}
	return max(0, best)
}

// steadily reports whether the runs of a rise rise all along, and have not come back.
func steadily(y []float64, total, level float64) bool {
	third := len(y) / 3
	at := func(k int) float64 { return Median(y[k*third:(k+1)*third], nil) }
	last := Median(slices.Clone(y[len(y)-third:]), nil)
	return at(1)-at(0) > total/6 && last-at(1) > total/6 && last-level > total/2
}
