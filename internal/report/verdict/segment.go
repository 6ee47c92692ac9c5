package verdict

import (
	"math"
	"slices"
)

// The segmentation: runs per segment, price of one more segment, and the number
// of runs below which there is only one.
const (
	segmentMin     = 5
	segmentPenalty = 18
	segmentCap     = 9 // an outlier costs at most this, in squared sigmas
	segmentNeeds   = 10
)

// maxHistory is how many past runs count.
const maxHistory = 80

// segmenter splits a history into stretches of constant level: an exact search
// over all splits, with a cost that outliers cannot dominate.
type segmenter struct {
	best   [maxHistory + 1]float64
	from   [maxHistory + 1]int
	sorted [maxHistory]float64
}

// split appends the starts of the segments of y, shifted by base, to starts.
// y has at most maxHistory runs. s is the noise.
func (g *segmenter) split(y []float64, s float64, base int, starts []int) []int {
	n := len(y)
	if n < segmentNeeds {
		return append(starts, base)
	}
	for b := 1; b <= n; b++ {
		g.best[b] = math.Inf(1)
	}
	g.best[0] = -segmentPenalty // the first segment is free
	for a := 0; a+segmentMin <= n; a++ {
		if math.IsInf(g.best[a], 1) {
			continue
		}
		g.extend(y, s, a)
	}
	mark := len(starts)
	for b := n; b > 0; b = g.from[b] {
		starts = append(starts, base+g.from[b])
	}
	slices.Reverse(starts[mark:])
	return starts
}

// extend tries every segment that begins at a.
func (g *segmenter) extend(y []float64, s float64, a int) {
	sorted := g.sorted[:0]
	for b := a + 1; b <= len(y); b++ {
		v := y[b-1]
		at, _ := slices.BinarySearch(sorted, v)
		sorted = slices.Insert(sorted, at, v) // never grows beyond the array
		if b-a < segmentMin {
			continue
		}
		total := g.best[a] + segmentPenalty
		limit := g.best[b]
		m := sortedMedian(sorted)
		for _, x := range y[a:b] {
			if total >= limit {
				break // cannot become the best any more
			}
			d := (x - m) / s
			total += min(d*d, segmentCap)
		}
		if total < limit {
			g.best[b], g.from[b] = total, a
		}
	}
}
