package bws

import (
	"math"
	"math/bits"
	"slices"
)

// The segmentation: runs per segment, price of one more segment, and the number
// of runs below which there is only one.
const (
	SegmentMin     = 5
	segmentPenalty = 18
	segmentCap     = 9 // an outlier costs at most this, in squared sigmas
	segmentNeeds   = 10
)

// MaxHistory is how many past runs count.
const MaxHistory = 80

// segmenter splits a history into stretches of constant level: an exact search
// over all splits, with a cost that outliers cannot dominate.
type segmenter struct {
	best   [MaxHistory + 1]float64
	from   [MaxHistory + 1]int
	value  [MaxHistory]float64 // of each run, in units of the noise
	order  [MaxHistory]int     // runs by value
	rank   [MaxHistory]int     // of each run
	sorted [MaxHistory]float64 // Values by rank
}

// split appends the starts of the segments of y, shifted by base, to starts.
// y has at most MaxHistory runs. s is the noise.
func (g *segmenter) split(y []float64, s float64, base int, starts []int) []int {
	n := len(y)
	if n < segmentNeeds {
		return append(starts, base)
	}
	g.sort(y, 1/s)
	for b := 1; b <= n; b++ {
		g.best[b] = math.Inf(1)
	}
	g.best[0] = -segmentPenalty // the first segment is free
	for a := 0; a+SegmentMin <= n; a++ {
		if !math.IsInf(g.best[a], 1) {
			g.extend(n, a)
		}
	}
	mark := len(starts)
	for b := n; b > 0; b = g.from[b] {
		starts = append(starts, base+g.from[b])
	}
	slices.Reverse(starts[mark:])
	return starts
}

// sort fills in value, order, rank and sorted.
func (g *segmenter) sort(y []float64, inverse float64) {
	order := g.order[:len(y)]
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case y[a] < y[b]:
			return -1
		case y[a] > y[b]:
			return 1
		default:
			return 0
		}
	})
	for r, k := range order {
		g.rank[k], g.value[k], g.sorted[r] = r, y[k]*inverse, y[k]*inverse
	}
}

// extend tries every segment that begins at a. Values are in units of the noise.
func (g *segmenter) extend(n, a int) {
	var m runningMedian
	for b := a + 1; b <= n; b++ {
		m.add(g.rank[b-1])
		if b-a < SegmentMin {
			continue
		}
		total := cappedSquares(g.value[a:b], m.Median(&g.sorted), g.best[a]+segmentPenalty, g.best[b])
		if total < g.best[b] {
			g.best[b], g.from[b] = total, a
		}
	}
}

// cappedSquares adds the squared distances to mid, each capped, to total, and
// stops as soon as limit is reached. This is where the time of a judgement goes.
func cappedSquares(values []float64, mid, total, limit float64) float64 {
	for _, x := range values {
		d := x - mid
		if d *= d; d > segmentCap {
			d = segmentCap
		}
		if total += d; total >= limit {
			break
		}
	}
	return total
}

// runningMedian is the median of a growing set of ranks below 128: a bit per
// rank, and a finger on the lower median that moves by one neighbour at most.
type runningMedian struct {
	set   [2]uint64
	size  int
	lower int
}

func (m *runningMedian) add(r int) {
	m.set[r>>6] |= 1 << (r & 63)
	m.size++
	switch {
	case m.size == 1:
		m.lower = r
	case r < m.lower && m.size%2 == 0:
		m.lower = m.before(m.lower)
	case r > m.lower && m.size%2 == 1:
		m.lower = m.after(m.lower)
	}
}

// Median is the median of the values of the ranks.
func (m *runningMedian) Median(sorted *[MaxHistory]float64) float64 {
	lower := sorted[m.lower]
	if m.size%2 == 1 {
		return lower
	}
	return lower/2 + sorted[m.after(m.lower)]/2
}

// after is the next rank in the set; there must be one.
func (m *runningMedian) after(r int) int {
	r++
	if r < 64 {
		if rest := m.set[0] >> r; rest != 0 {
			return r + bits.TrailingZeros64(rest)
		}
		r = 64
	}
	return r + bits.TrailingZeros64(m.set[1]>>(r&63))
}

// before is the rank before r in the set; there must be one.
func (m *runningMedian) before(r int) int {
	r--
	if r >= 64 {
		if rest := m.set[1] << (127 - r); rest != 0 {
			return r - bits.LeadingZeros64(rest)
		}
		r = 63
	}
	return r - bits.LeadingZeros64(m.set[0]<<(63-r))
}
