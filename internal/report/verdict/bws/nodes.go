package bws

import (
	"cmp"
	"math"
	"slices"
)

const (
	// nodePrior is how far node groups of one GPU type are apart, as a standard
	// deviation in logs. A wider gap is rather a change.
	nodePrior = 0.03
	// NodeRuns is the number of runs from which a group's offset is known.
	NodeRuns = 3
	// nodeGroups bounds how many groups are fitted: the most used ones.
	nodeGroups = 8
	// nodeRounds bounds the turns of levels and offsets around each other.
	nodeRounds = 3
)

// nodeFit fits levels and node offsets to a history together: of all offsets that
// suggest themselves, those with which the fewest changes of level and the least
// noise remain. Offsets from the runs around would follow a group that the runs
// keep to for nights, and leave nothing of it.
type nodeFit struct {
	nodes   []string // group of each run, "" = unknown
	y       []float64
	s       float64
	offsets map[string]float64
	seg     segmenter
	buf     [MaxHistory]float64
	shifted [MaxHistory]float64
	starts  []int
}

// NodeOffsets is how much worse each node group is than the most used one, in
// logs, drawn towards 0 where the runs say little. Runs on unknown nodes do not
// count.
func NodeOffsets(nodes []string, y []float64) map[string]float64 {
	from := max(0, len(nodes)-MaxHistory)
	nodes, y = nodes[from:], y[from:]
	groups := CountNodes(nodes)
	if len(groups) < 2 {
		return nil
	}
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(groups[b]-groups[a], cmp.Compare(a, b)) })
	base := names[0]
	f := nodeFit{nodes: nodes, y: y, offsets: map[string]float64{}}
	f.s = f.noise()
	for range 2 { // later groups change what fits the earlier ones
		for _, name := range names[1:min(len(names), nodeGroups)] {
			if groups[name] >= NodeRuns {
				f.fit(name)
			}
		}
	}
	for name := range f.offsets {
		n := 1/float64(groups[name]) + 1/float64(groups[base])
		f.offsets[name] *= nodePrior * nodePrior / (nodePrior*nodePrior + 1.57*f.s*f.s*n)
	}
	return f.offsets
}

// CountNodes counts the runs on each known node group.
func CountNodes(nodes []string) map[string]int {
	groups := map[string]int{}
	for _, node := range nodes {
		if node != "" {
			groups[node]++
		}
	}
	return groups
}

// noise is that of neighbours on the same nodes.
func (f *nodeFit) noise() float64 {
	var diffs []float64
	for k := 1; k < len(f.y); k++ {
		if f.nodes[k] == f.nodes[k-1] {
			diffs = append(diffs, f.y[k]-f.y[k-1])
		}
	}
	s := priorSigma
	if len(diffs) > 0 {
		s = madToSigma * medianAbs(diffs, nil) / 1.4142
	}
	return max(floorSigma, withPrior(s, float64(len(diffs))))
}

// fit finds the offset of one group, given those of the others.
func (f *nodeFit) fit(name string) {
	best, bestCost := 0.0, math.Inf(1)
	for _, start := range f.suggestions(name) {
		for range nodeRounds {
			f.offsets[name] = start
			cost := f.cost() + (start/nodePrior)*(start/nodePrior)
			if cost < bestCost {
				best, bestCost = start, cost
			}
			next := f.residual(name)
			if math.Abs(next-start) < 0.05*f.s {
				break
			}
			start = next
		}
	}
	f.offsets[name] = best
}

// suggestions are offsets to begin with: none, and what the nearest runs of other
// groups before, behind and around say.
func (f *nodeFit) suggestions(name string) []float64 {
	const nearest = 3
	var before, behind, around []float64
	for j, node := range f.nodes {
		if node != name {
			continue
		}
		var lo, hi []float64
		for k := j - 1; k >= 0 && len(lo) < nearest; k-- {
			lo = f.appendOther(lo, k, name)
		}
		for k := j + 1; k < len(f.y) && len(hi) < nearest; k++ {
			hi = f.appendOther(hi, k, name)
		}
		if len(lo) > 0 {
			before = append(before, f.y[j]-Median(lo, nil))
		}
		if len(hi) > 0 {
			behind = append(behind, f.y[j]-Median(hi, nil))
		}
		if len(lo) > 0 && len(hi) > 0 {
			around = append(around, f.y[j]-(Median(lo, nil)+Median(hi, nil))/2)
		}
	}
	out := []float64{0}
	for _, v := range [][]float64{before, behind, around} {
		if len(v) > 0 {
			out = append(out, Median(v, nil))
		}
	}
	return out
}

func (f *nodeFit) appendOther(v []float64, k int, name string) []float64 {
	if node := f.nodes[k]; node != "" && node != name {
		return append(v, f.y[k]-f.offsets[node])
	}
	return v
}

// cost is that of the best segmentation without the offsets, in squared sigmas.
func (f *nodeFit) cost() float64 {
	y := f.shifted[:len(f.y)]
	for k, node := range f.nodes {
		y[k] = f.y[k] - f.offsets[node]
	}
	f.starts = f.seg.split(y, f.s, 0, f.starts[:0])
	if len(y) >= segmentNeeds {
		return f.seg.best[len(y)]
	}
	mid, sum := Median(y, f.buf[:]), 0.0
	for _, v := range y {
		x := (v - mid) / f.s
		sum += min(x*x, segmentCap)
	}
	return sum
}

// residual is the group's median distance to the levels of the other groups in
// the segments that cost has found; where a segment is the group's alone, to its
// present offset.
func (f *nodeFit) residual(name string) float64 {
	var own []float64
	for k, from := range f.starts {
		to := len(f.y)
		if k+1 < len(f.starts) {
			to = f.starts[k+1]
		}
		others := f.buf[:0]
		for j := from; j < to; j++ {
			if f.nodes[j] != name {
				others = append(others, f.shifted[j])
			}
		}
		if len(others) == 0 {
			continue
		}
		mid := Median(others, nil)
		for j := from; j < to; j++ {
			if f.nodes[j] == name {
				own = append(own, f.y[j]-mid)
			}
		}
	}
	if len(own) == 0 {
		return f.offsets[name]
	}
	return Median(own, nil)
}
