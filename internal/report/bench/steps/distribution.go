package steps

import (
	"errors"
	"maps"
	"math"
	"slices"
)

// Bounds of what a log can make us remember.
const (
	maxExact   = 1 << 20 // values that are kept as they are
	maxClasses = 1 << 18
	classShift = 52 - 14
)

// distribution holds the values of one token count.
//
// Up to maxExact values are kept and every statistic is exact. Beyond, they are
// counted in classes 2^-14 wide, relative to the value: mean and standard
// deviation stay exact, percentiles are then right to 0.004 %, and memory no
// longer grows with the log.
type distribution struct {
	n        int64
	sum      float64
	mean, m2 float64 // Welford's running mean and sum of squared deviations
	values   []float64
	classes  map[uint64]int64
}

var errTooManyClasses = errors.New("device step times of too many different sizes")

func (d *distribution) add(v float64) error {
	d.n++
	d.sum += v
	delta := v - d.mean
	d.mean += delta / float64(d.n)
	d.m2 += delta * (v - d.mean)
	if d.classes == nil {
		d.values = append(d.values, v)
		return nil
	}
	d.classes[math.Float64bits(v)>>classShift]++
	if len(d.classes) > maxClasses {
		return errTooManyClasses
	}
	return nil
}

// fold gives up the values for their classes.
func (d *distribution) fold() {
	d.classes = make(map[uint64]int64)
	for _, v := range d.values {
		d.classes[math.Float64bits(v)>>classShift]++
	}
	d.values = nil
}

func (d *distribution) stats() Stats {
	out := Stats{Mean: d.sum / float64(d.n)}
	if d.n > 1 {
		out.Std = math.Sqrt(d.m2 / float64(d.n-1))
	}
	rank := d.ranked()
	out.Median, out.P75, out.P99 = interpolate(rank, d.n, 0.50), interpolate(rank, d.n, 0.75), interpolate(rank, d.n, 0.99)
	return out
}

// ranked yields the k-th smallest value, k from 0.
func (d *distribution) ranked() func(k int64) float64 {
	if d.classes == nil {
		sorted := slices.Sorted(slices.Values(d.values))
		return func(k int64) float64 { return sorted[k] }
	}
	classes := slices.Sorted(maps.Keys(d.classes))
	return func(k int64) float64 {
		for _, class := range classes {
			if k -= d.classes[class]; k < 0 {
				return math.Float64frombits(class<<classShift | 1<<(classShift-1)) // its middle
			}
		}
		return math.NaN()
	}
}

// interpolate is the percentile by linear interpolation between the ranks, as
// numpy's default.
func interpolate(rank func(int64) float64, n int64, p float64) float64 {
	at := p * float64(n-1)
	low := int64(at)
	v := rank(low)
	if frac := at - float64(low); frac > 0 {
		v += frac * (rank(low+1) - v)
	}
	return v
}
