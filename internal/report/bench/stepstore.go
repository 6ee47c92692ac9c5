package bench

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// stepStore keeps the rows of one worker by num_generation_tokens.
//
// Up to maxExact rows (three hours at 10 ms a step) all values are kept and
// every statistic is exact. Beyond, the largest bucket becomes a histogram whose
// classes are 2^-14 wide, relative to the value: mean and standard deviation
// stay exact, percentiles are then right to 0.004 %, and memory no longer grows
// with the log. (Upstream instead drops the rows behind the first 500 000.)
type stepStore struct {
	rows    int64
	buckets map[int64]*stepBucket
	last    *stepBucket // of the row before: nearly always of this one too
	lastKey int64
	kept    int // values in all buckets
	pages   int // in all histograms
}

// Bounds of a stepStore.
const (
	maxExact   = 1 << 20
	maxBuckets = 1 << 14
	classShift = 52 - 14

	classPerPage = 1 << 10
	maxPages     = 1 << 9
)

// stepBucket holds the rows of one token count.
type stepBucket struct {
	n        int64
	mean, m2 float64 // Welford's running mean and sum of squared deviations
	sum      float64
	values   []float64
	pages    map[uint64]*classPage
	page     *classPage // of the value before
	pageKey  uint64
}

// classPage counts neighbouring classes: a twentieth of the value wide, so that
// steady iterations stay on one page.
type classPage [classPerPage]int64

func (s *stepStore) add(tokens int64, v float64) error {
	b := s.last
	if b == nil || s.lastKey != tokens {
		if s.buckets == nil {
			s.buckets = make(map[int64]*stepBucket)
		}
		if b = s.buckets[tokens]; b == nil {
			if len(s.buckets) >= maxBuckets {
				return fmt.Errorf("more than %d different num_generation_tokens in one log", maxBuckets)
			}
			b = &stepBucket{}
			s.buckets[tokens] = b
		}
		s.last, s.lastKey = b, tokens
	}
	s.rows++
	b.n++
	b.sum += v
	d := v - b.mean
	b.mean += d / float64(b.n)
	b.m2 += d * (v - b.mean)
	if b.pages != nil {
		s.classify(b, v)
	} else {
		b.values = append(b.values, v)
		if s.kept++; s.kept > maxExact {
			s.fold()
		}
	}
	if s.pages > maxPages {
		return fmt.Errorf("device step times of too many different sizes: more than %d classes", maxPages*classPerPage)
	}
	return nil
}

// fold turns the largest bucket that is still kept into a histogram.
func (s *stepStore) fold() {
	var largest *stepBucket
	for _, b := range s.buckets {
		if largest == nil || len(b.values) > len(largest.values) {
			largest = b
		}
	}
	for _, v := range largest.values {
		s.classify(largest, v)
	}
	s.kept -= len(largest.values)
	largest.values = nil
}

func (s *stepStore) classify(b *stepBucket, v float64) {
	class := math.Float64bits(v) >> classShift
	key := class / classPerPage
	if b.pages == nil {
		b.pages = make(map[uint64]*classPage)
	}
	if b.page == nil || b.pageKey != key {
		if b.page = b.pages[key]; b.page == nil {
			if s.pages++; s.pages > maxPages {
				return // the caller says so
			}
			b.page = &classPage{}
			b.pages[key] = b.page
		}
		b.pageKey = key
	}
	b.page[class%classPerPage]++
}

// mode is the most frequent token count with its rows, the larger one of two
// equally frequent. Rows without a token count (-1) only count when there are
// no others.
func (s *stepStore) mode() (int64, *stepBucket) {
	tokens, best := int64(-1), s.buckets[-1]
	for t, b := range s.buckets {
		if t < 0 {
			continue
		}
		if tokens < 0 || b.n > best.n || b.n == best.n && t > tokens {
			tokens, best = t, b
		}
	}
	return tokens, best
}

func (b *stepBucket) stats() StepStats {
	out := StepStats{Mean: b.sum / float64(b.n)}
	if b.n > 1 {
		out.Std = math.Sqrt(b.m2 / float64(b.n-1))
	}
	rank := b.ranked()
	out.Median, out.P75, out.P99 = interpolate(rank, b.n, 0.50), interpolate(rank, b.n, 0.75), interpolate(rank, b.n, 0.99)
	return out
}

// ranked yields the k-th smallest value, k from 0.
func (b *stepBucket) ranked() func(k int64) float64 {
	if b.pages == nil {
		sorted := slices.Sorted(slices.Values(b.values))
		return func(k int64) float64 { return sorted[k] }
	}
	keys := slices.Sorted(maps.Keys(b.pages))
	return func(k int64) float64 {
		for _, key := range keys {
			for i, n := range b.pages[key] {
				if k -= n; k < 0 {
					class := key*classPerPage + uint64(i)
					return math.Float64frombits(class<<classShift | 1<<(classShift-1)) // its middle
				}
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
