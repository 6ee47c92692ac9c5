package bws

import "math"

// The grid on which the size of a step is estimated, in units of dmin: fine where
// the likelihood is, coarse elsewhere.
const (
	fineStep   = 0.02
	coarseStep = 0.32
	fineCount  = mostSize*50 + 1 // points from 0 to mostSize
	coarseRate = 16              // fine points per coarse one
	outOfReach = 30              // in logs below the best: no part of the estimate
)

// Estimate is the size of a step: its mean and 5..95 %, in logs.
type Estimate struct{ Mean, Lo, Hi float64 }

// Size estimates the step that begins at run onset, of either direction: the
// posterior under a flat prior over sizes, from the density and the uncertain level
// that P was computed with. P compares hypotheses a few percent apart; a size
// that people read has to lie between them, too.
func (r *Result) Size(d *Data, i, onset int, dmin, direction float64) Estimate {
	f := newDensity(r.Noise)
	g := (1 - r.Rho) / (1 + r.Rho)
	nodes, weights := hermite()
	far := LargestStep(dmin)
	at := func(k int) float64 { return float64(k) * fineStep * dmin }
	var before, weight [nodeCount]float64 // log likelihood of the runs before the step, and log weight, of each level
	for t := range nodes {
		for j := r.Window; j < min(onset, i+1); j++ {
			for _, z := range d.Values(j) {
				before[t] += f.log(z - (r.Mu + nodes[t]*r.smu))
			}
		}
		weight[t] = math.Log(weights[t])
	}
	logOf := func(k int) float64 {
		var terms [nodeCount]float64
		top := math.Inf(-1)
		for t := range nodes {
			level := r.Mu + nodes[t]*r.smu
			sum := before[t]
			for j := max(r.Window, onset); j <= i; j++ {
				for _, z := range d.Values(j) {
					sum += f.log(min(max(z-level, -far), far) - direction*at(k))
				}
			}
			terms[t] = g*sum + weight[t]
			top = max(top, terms[t])
		}
		sum := 0.0
		for _, v := range terms {
			sum += math.Exp(v - top)
		}
		return top + math.Log(sum)
	}
	logs := onGrid(logOf)
	return summary(logs[:], at)
}

// onGrid are the logs of a density: everywhere on a coarse grid, on the fine one where that may be within reach of the
// greatest.
func onGrid(logOf func(int) float64) (logs [fineCount]float64) {
	best := math.Inf(-1)
	for k := 0; k < fineCount; k += coarseRate {
		logs[k] = logOf(k)
		best = max(best, logs[k])
	}
	near := func(k int) bool { return k < fineCount && logs[k] > best-outOfReach }
	for from := 0; from < fineCount; from += coarseRate {
		inside := near(from) || near(from+coarseRate)
		for k := from + 1; k < min(from+coarseRate, fineCount); k++ {
			logs[k] = math.Inf(-1)
			if inside {
				logs[k] = logOf(k)
			}
		}
	}
	return logs
}

// summary reads mean and quantiles off the logs of a density on a grid.
func summary(logs []float64, at func(int) float64) Estimate {
	top, total := math.Inf(-1), 0.0
	for _, v := range logs {
		top = max(top, v)
	}
	for _, v := range logs {
		total += math.Exp(v - top)
	}
	out := Estimate{Lo: -1, Hi: -1}
	cum := 0.0
	for k, v := range logs {
		w := math.Exp(v-top) / total
		out.Mean += w * at(k)
		cum += w
		if out.Lo < 0 && cum >= 0.05 {
			out.Lo = at(k)
		}
		if out.Hi < 0 && cum >= 0.95 {
			out.Hi = at(k)
		}
	}
	return out
}
