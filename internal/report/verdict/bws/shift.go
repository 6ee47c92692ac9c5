package bws

import "math"

// The grid on which the levels of two groups of runs are weighed.
const (
	shiftReach = 8   // noises beyond the outermost values
	shiftSteps = 400 // points of the grid
	quantile   = 0.05
)

// Group is the newest level of some runs, and how they scatter around it.
type Group struct {
	Level Estimate // in logs: its mean and 5..95 %
	Runs  int      // that it was taken from: the newest of the level, at most LevelRuns
	Sigma float64  // noise of a run
	Known int      // runs that the noise was learned from

	values [][]float64 // of the runs of the level
	noise  Noise
}

// GroupOf takes level and noise of runs, oldest first and at least one, in signed logs. The
// noise is learned from known, runs of the same series, or where these are fewer from the
// runs themselves: as for a verdict of the newest one, so that a step that the last runs have
// made is no noise.
func GroupOf(runs, known [][]float64) Group {
	start := new(Scanner).Learn(NewData(runs), len(runs)).Start
	if len(known) < len(runs) {
		known = runs
	}
	d, newest := NewData(known), len(known)-1
	g := Group{noise: new(Scanner).Learn(d, max(1, newest+1-WindowOf(d, newest))), Known: len(known)}
	from := max(start, len(runs)-LevelRuns)
	g.values, g.Runs, g.Sigma = runs[from:], len(runs)-from, g.noise.Sigma
	g.Level = g.posterior(g.grid()).estimate()
	if g.Runs == 1 { // it may be an outlier, and is shown as what was measured
		g.Level.Mean = g.centre()
	}
	return g
}

// Shift is how much b lies above a, in logs: from level to level, and 5..95 % under flat
// priors of both.
func Shift(a, b Group) Estimate {
	step := math.Min(a.step(), b.step())
	x, y := a.posterior(a.gridOf(step)), b.posterior(b.gridOf(step))
	out := distribution{from: y.from - x.to(), step: step, weights: make([]float64, len(x.weights)+len(y.weights)-1)}
	n := len(x.weights)
	for i, p := range x.weights {
		if p < 1e-9 {
			continue
		}
		for j, q := range y.weights {
			out.weights[n-1-i+j] += p * q
		}
	}
	e := out.estimate()
	e.Mean = b.Level.Mean - a.Level.Mean
	return e
}

// distribution is one on a grid of equal steps; its weights add up to 1.
type distribution struct {
	from, step float64
	weights    []float64
}

func (d distribution) to() float64 { return d.from + float64(len(d.weights)-1)*d.step }

func (d distribution) estimate() Estimate {
	out := Estimate{Lo: math.NaN(), Hi: math.NaN()}
	cum := 0.0
	for k, w := range d.weights {
		x := d.from + float64(k)*d.step
		out.Mean += w * x
		if cum += w; math.IsNaN(out.Lo) && cum >= quantile {
			out.Lo = x
		}
		if math.IsNaN(out.Hi) && cum >= 1-quantile {
			out.Hi = x
		}
	}
	return out
}

// span is where the level of the group may be.
func (g Group) span() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, run := range g.values {
		for _, z := range run {
			lo, hi = math.Min(lo, z), math.Max(hi, z)
		}
	}
	return lo - shiftReach*g.Sigma, hi + shiftReach*g.Sigma
}

// step is that of the grid: fine where many runs leave little doubt.
func (g Group) step() float64 {
	lo, hi := g.span()
	return math.Min((hi-lo)/shiftSteps, g.Sigma/math.Sqrt(float64(g.Runs))/6)
}

func (g Group) grid() distribution { return g.gridOf(g.step()) }

// gridOf is the grid of that step, its points on multiples of it, around where the level may be.
func (g Group) gridOf(step float64) distribution {
	lo, hi := g.span()
	if width := 24 * g.Sigma * math.Sqrt(1/float64(g.Runs)); hi-lo > width && g.Runs > 5 {
		lo, hi = g.centre()-width/2, g.centre()+width/2
	}
	from := math.Floor(lo/step) * step
	return distribution{from: from, step: step, weights: make([]float64, int((hi-from)/step)+2)}
}

// centre is the robust mean of the runs.
func (g Group) centre() float64 {
	y := make([]float64, len(g.values))
	for k, run := range g.values {
		y[k] = Median(run, nil)
	}
	return Huber(y, g.Sigma, nil)
}

// posterior weighs the points of a grid as the group's level.
func (g Group) posterior(d distribution) distribution {
	f := newDensity(g.noise)
	tempered := (1 - g.noise.Rho) / (1 + g.noise.Rho) // neighbours are alike: they say less than as many strangers
	top := math.Inf(-1)
	for k := range d.weights {
		level, sum := d.from+float64(k)*d.step, 0.0
		for _, run := range g.values {
			for _, z := range run {
				sum += f.log(z - level)
			}
		}
		if len(g.values) > 1 {
			sum *= tempered
		}
		d.weights[k] = sum
		top = math.Max(top, sum)
	}
	total := 0.0
	for k, v := range d.weights {
		d.weights[k] = math.Exp(v - top)
		total += d.weights[k]
	}
	for k := range d.weights {
		d.weights[k] /= total
	}
	return d
}
