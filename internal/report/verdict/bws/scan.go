package bws

import (
	"math"
	"slices"
)

// The constants of the Bayesian window scan. They were chosen once, on data
// that no test here uses; nothing in this package may be tuned.
const (
	WindowRuns = 6     // a step may have begun in one of the newest runs
	LevelRuns  = 30    // runs that the level is taken from
	priorSigma = 0.01  // prior noise
	priorRuns  = 3     // its weight
	floorSigma = 0.002 // no series is quieter than this
	StepPrior  = 0.1   // h, the prior of a step per run and direction
	bigStep    = 1.0 / (sizeCount - 1)
	sizeCount  = 61
	nodeCount  = 5
	creepSize  = 0.4 // below what matters: takes up the creep that is no regression
	leastSize  = 0.7 // the smallest step that is looked for
	mostSize   = 32  // and the largest
	lateLeast  = 0.7 // of the second channel, in units of dmin
	lateSigmas = 3.3 // the same in units of its uncertainty
)

// stepSizes are the sizes of a step that are tried, in units of dmin: the creep,
// and sixty from the smallest to the largest in equal ratios of 6.7 %. They must
// be that close: in a series of 0.2 % noise, a step between two sizes 40 % apart
// fits none, and any past outlier near by explains it better.
func stepSizes() [sizeCount]float64 {
	var sizes [sizeCount]float64
	sizes[0] = creepSize
	ratio := math.Pow(mostSize/leastSize, 1.0/(sizeCount-2))
	for k, m := 1, leastSize; k < sizeCount; k, m = k+1, m*ratio {
		sizes[k] = m
	}
	return sizes
}

// LargestStep is the largest step that is looked for, in logs.
func LargestStep(dmin float64) float64 { return mostSize * dmin }

// hermite are the nodes and weights of the Gauss-Hermite quadrature over the
// uncertain level.
func hermite() (nodes, weights [nodeCount]float64) {
	return [nodeCount]float64{0, 1.355626179974266, -1.355626179974266, 2.856970013872806, -2.856970013872806},
		[nodeCount]float64{0.5333333333, 0.2220759220, 0.2220759220, 0.0112574113, 0.0112574113}
}

// Data is a series ready for the scan: natural logs, signed so that up is worse.
type Data struct {
	Y      []float64 // per run, the median of its values
	Bounds []int     // runs at which a new level is known to begin, ascending
	z      []float64 // all values, run after run
	off    []int     // run j has z[off[j]:off[j+1]]
}

// NewData takes the values of each run, one for each of its repetitions and at least
// one, which are to be finite.
func NewData(runs [][]float64) *Data {
	d := &Data{Y: make([]float64, 0, len(runs)), off: make([]int, 1, len(runs)+1)}
	buf := make([]float64, 0, 4)
	for _, z := range runs {
		d.z = append(d.z, z...)
		d.off = append(d.off, len(d.z))
		d.Y = append(d.Y, Median(z, buf))
	}
	return d
}

// Values are those of run j.
func (d *Data) Values(j int) []float64 { return d.z[d.off[j]:d.off[j+1]] }

// Remove takes runs from..to-1 out.
func (d *Data) Remove(from, to int) {
	gone := d.off[to] - d.off[from]
	d.z = slices.Delete(d.z, d.off[from], d.off[to])
	d.Y = slices.Delete(d.Y, from, to)
	d.off = slices.Delete(d.off, from, to)
	for k := from; k < len(d.off); k++ {
		d.off[k] -= gone
	}
}

// Bound is the last known begin of a level at or before run i, 0 = none.
func (d *Data) Bound(i int) int {
	for k := len(d.Bounds) - 1; k >= 0; k-- {
		if d.Bounds[k] <= i {
			return d.Bounds[k]
		}
	}
	return 0
}

// Noise is what the history before the window says about level and noise.
type Noise struct {
	First, Window int     // the history is runs First..Window-1, the window begins with run Window
	Start         int     // first run of the last segment
	Starts        []int   // of all segments
	Mu            float64 // level
	Runs          int     // that it was taken from
	Sigma         float64 // noise
	Rho           float64 // autocorrelation of runs
	inliers       int
	outliers      []float64 // residuals beyond 3 sigmas
}

// Result is one judgement, in natural logs.
type Result struct {
	Noise
	Worse  Side
	Better Side
	smu    float64 // uncertainty of Mu
}

// Side is the evidence for a step in one direction.
type Side struct {
	P      float64 // that there is one of relevant size
	Own    float64 // that it began with the newest run
	Effect float64 // mean size if there is one, > 0
	Onset  int     // run at which it most probably began
	// Factors are, per run of the window, the log Bayes factors of a step of
	// relevant size that begins with it, against no change.
	Factors [WindowRuns]float64
	Before  Earlier // the same for a step that began before the newest run
}

// Earlier is a step that began before the newest run.
type Earlier struct {
	P      float64
	Effect float64
	Onset  int
}

// Scanner holds the scratch space of judgements, so that one costs no
// allocation. The zero value is ready; it is not for concurrent use.
type Scanner struct {
	seg    segmenter
	resid  [MaxHistory]float64
	buf    [MaxHistory]float64
	starts [MaxHistory]int
	outs   [MaxHistory]float64
}

// Scan judges run i against the runs before it. It needs i >= 1. The slices of the result are valid until the next
// call.
func (sc *Scanner) Scan(d *Data, i int, dmin float64) Result {
	r := Result{Noise: sc.Learn(d, i-WindowOf(d, i)+1)}
	stretch := math.Sqrt((1 + r.Rho) / (1 - r.Rho))
	r.smu = 1.15 * r.Sigma / math.Sqrt(float64(r.Runs)) * stretch
	weigh(d, i, dmin, &r)
	return r
}

// WindowOf is how many of the newest runs, up to i, a step may have begun in.
func WindowOf(d *Data, i int) int {
	window := min(WindowRuns, max(1, i-6))
	// A known begin of a level is no step: the window ends behind it.
	if b := d.Bound(i - 1); b > 0 {
		window = min(window, i-b)
	}
	return window
}

// Learn takes level and noise from the runs before e.
func (sc *Scanner) Learn(d *Data, e int) Noise {
	a := max(0, e-MaxHistory)
	y := d.Y[a:e]
	n := float64(len(y))
	s0 := sc.roughSigma(y)
	q := Noise{First: a, Window: e, Starts: sc.segments(d, a, e, s0)}
	q.Start = q.Starts[len(q.Starts)-1]
	r := sc.Residuals(d, q)

	own := r[q.Start-a:]
	nc := float64(len(own))
	pooled := max(madToSigma*medianAbs(r, sc.buf[:]), winsorisedSigma(r, sc.buf[:])) * (1 + 1/n)
	local := max(madToSigma*medianAbs(own, sc.buf[:]), winsorisedSigma(own, sc.buf[:])) * (1 + 2/nc)
	pooled = withPrior(pooled, n)
	q.Sigma = max(floorSigma, math.Sqrt((nc*local*local+15*pooled*pooled)/(nc+15)))

	level := d.Y[max(q.Start, e-LevelRuns):e]
	q.Mu, q.Runs = Huber(level, q.Sigma, sc.buf[:]), len(level)
	q.Rho = autocorrelation(r, q.Sigma)
	q.outliers = sc.outs[:0]
	for _, x := range r {
		if math.Abs(x) > 3*q.Sigma {
			q.outliers = append(q.outliers, x)
		}
	}
	q.inliers = len(r) - len(q.outliers)
	return q
}

// withPrior draws the sigma of n runs towards the prior.
func withPrior(s, n float64) float64 {
	return math.Sqrt((n*s*s + priorRuns*priorSigma*priorSigma) / (n + priorRuns))
}

// roughSigma is the noise as the differences of neighbours show it: a step
// spoils only one of them.
func (sc *Scanner) roughSigma(y []float64) float64 {
	s := 0.0
	if len(y) > 1 {
		diffs := sc.resid[:0]
		for k := range len(y) - 1 {
			diffs = append(diffs, y[k+1]-y[k])
		}
		s = madToSigma * medianAbs(diffs, sc.buf[:]) / 1.4142
	}
	return max(floorSigma, withPrior(s, float64(len(y))))
}

// segments are the starts of the segments of runs a..e-1: those of known
// begin, and between them those that the search finds.
func (sc *Scanner) segments(d *Data, a, e int, s0 float64) []int {
	starts := sc.starts[:0]
	from := a
	for _, b := range d.Bounds {
		if b > from && b < e {
			starts = sc.seg.split(d.Y[from:b], s0, from, starts)
			from = b
		}
	}
	return sc.seg.split(d.Y[from:e], s0, from, starts)
}

// Residuals are the runs a..e-1 without the median of their segment.
func (sc *Scanner) Residuals(d *Data, q Noise) []float64 {
	r := sc.resid[:0]
	for k, from := range q.Starts {
		to := q.Window
		if k+1 < len(q.Starts) {
			to = q.Starts[k+1]
		}
		m := Median(d.Y[from:to], sc.buf[:])
		for _, v := range d.Y[from:to] {
			r = append(r, v-m)
		}
	}
	return r
}

// autocorrelation of neighbouring residuals, robust and shrunk.
func autocorrelation(r []float64, s float64) float64 {
	var num, den, last float64
	for k, x := range r {
		u := min(max(x/s, -2.5), 2.5)
		den += u * u
		if k > 0 {
			num += u * last
		}
		last = u
	}
	if den == 0 {
		return 0
	}
	n := float64(len(r))
	return min(max(num/den*n/(n+10), 0), 0.6)
}

// density is the distribution of a residual: the bulk, a kernel on every past
// outlier, and a heavy tail that is heavier on the worse side.
type density struct {
	bulk, bulkScale  float64
	tailUp, tailDown float64
	tailScale        float64
	outliers         []float64
	s, norm          float64
}

func newDensity(q Noise) density {
	const student5 = 0.37960668982249451 // Γ(3)/(√(5π)·Γ(5/2))
	scale := 0.93 * q.Sigma
	b := max(0.06, 5*q.Sigma)
	return density{
		bulk: float64(q.inliers) * student5 / scale, bulkScale: 1 / (scale * scale * 5),
		tailUp: 0.75 / b, tailDown: 0.25 / b, tailScale: 1 / b,
		outliers: q.outliers, s: q.Sigma,
		norm: 1 / float64(q.inliers+len(q.outliers)+1),
	}
}

// log is the log density at x.
func (f *density) log(x float64) float64 {
	c := 1 / (1 + x*x*f.bulkScale)
	p := f.bulk * c * c * c
	for _, o := range f.outliers {
		w := 0.8*f.s + 0.08*math.Abs(o)
		d := (x - o) / w
		p += 1 / (math.Pi * w * (1 + d*d))
	}
	if x > 0 {
		p += f.tailUp * math.Exp(-x*f.tailScale)
	} else {
		p += f.tailDown * math.Exp(x*f.tailScale)
	}
	// Far out everything underflows; a floor keeps the logs finite.
	return math.Log(max(p*f.norm, math.SmallestNonzeroFloat64))
}

// likelihood holds, for one value of the level, the log likelihood of each run
// of the window under no shift [0] and under a shift of either sign and any size.
type likelihood [WindowRuns][1 + 2*sizeCount]float64

func (l *likelihood) fill(d *Data, i int, q *Result, f *density, level, dmin float64) {
	sizes := stepSizes()
	// Beyond the largest step all sizes would be as bad an explanation as none, and a
	// collapse an outlier: to the steps it counts as one of that size.
	far := LargestStep(dmin)
	for j := q.Window; j <= i; j++ {
		row := &l[j-q.Window]
		*row = [1 + 2*sizeCount]float64{}
		for _, z := range d.Values(j) {
			x := z - level
			row[0] += f.log(x)
			x = min(max(x, -far), far)
			for k, m := range sizes {
				row[1+k] += f.log(x - m*dmin)
				row[1+sizeCount+k] += f.log(x + m*dmin)
			}
		}
	}
}

// weigh compares no change with a step of every sign, size and begin in the
// window, over the uncertain level.
func weigh(d *Data, i int, dmin float64, r *Result) {
	f := newDensity(r.Noise)
	g := (1 - r.Rho) / (1 + r.Rho)
	nodes, weights := hermite()
	window := i - r.Window + 1

	var like likelihood
	var null [nodeCount]float64
	var logs [nodeCount][WindowRuns][2 * sizeCount]float64
	top := math.Inf(-1)
	smallPrior, bigPrior := math.Log(StepPrior), math.Log(StepPrior*bigStep)
	for t := range nodes {
		like.fill(d, i, r, &f, r.Mu+nodes[t]*r.smu, dmin)
		lw := math.Log(weights[t])
		var same [WindowRuns + 1]float64 // log likelihood of the first runs of the window without a shift
		for c := range window {
			same[c+1] = same[c] + like[c][0]
		}
		null[t] = same[window]*g + lw + math.Log(1-4*StepPrior)
		top = max(top, null[t])
		for k := range 2 * sizeCount {
			prior := bigPrior
			if k%sizeCount == 0 {
				prior = smallPrior
			}
			tail := 0.0
			for c := window - 1; c >= 0; c-- {
				tail += like[c][1+k]
				v := g*(same[c]+tail) + lw + prior
				logs[t][c][k] = v
				top = max(top, v)
			}
		}
	}
	total := 0.0
	for t := range nodes {
		total += math.Exp(null[t] - top)
	}
	var mass [WindowRuns][2 * sizeCount]float64
	for t := range nodes {
		for c := range window {
			for k, v := range logs[t][c] {
				w := math.Exp(v - top)
				mass[c][k] += w
				total += w
			}
		}
	}
	r.Worse = summarise(&mass, 0, window, r.Window, total, dmin)
	r.Better = summarise(&mass, sizeCount, window, r.Window, total, dmin)
	r.Worse.Factors = factors(&logs, null, 0, window)
	r.Better.Factors = factors(&logs, null, sizeCount, window)
}

// factors are the log Bayes factors of one direction.
func factors(logs *[nodeCount][WindowRuns][2 * sizeCount]float64, null [nodeCount]float64, at, window int) (out [WindowRuns]float64) {
	unchanged := sumOfLogs(null[:]) - math.Log(1-4*StepPrior)
	for c := range window {
		var terms [nodeCount * (sizeCount - 1)]float64
		for t := range nodeCount {
			copy(terms[t*(sizeCount-1):], logs[t][c][at+1:at+sizeCount])
		}
		out[c] = sumOfLogs(terms[:]) - math.Log(StepPrior) - unchanged
	}
	return out
}

// sumOfLogs is the log of the sum of the numbers whose logs are given.
func sumOfLogs(logs []float64) float64 {
	top := slices.Max(logs)
	sum := 0.0
	for _, v := range logs {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}

// summarise reads one direction off the posterior.
func summarise(mass *[WindowRuns][2 * sizeCount]float64, at, window, e int, total, dmin float64) Side {
	sizes := stepSizes()
	out := Side{Onset: e, Before: Earlier{Onset: e}}
	var sum, mean, top float64
	for c := range window {
		atC := 0.0
		for k := 1; k < sizeCount; k++ { // Size 0 is too small to matter
			w := mass[c][at+k]
			atC += w
			mean += w * sizes[k] * dmin
		}
		sum += atC
		if atC > top {
			top, out.Onset = atC, e+c
		}
		if c == window-1 {
			out.Own = atC / total
		} else {
			out.Before = Earlier{P: sum, Effect: mean, Onset: out.Onset}
		}
	}
	out.P = sum / total
	if out.Before.P > 0 {
		out.Before.Effect /= out.Before.P
		out.Before.P /= total
	}
	if sum <= 0 { // underflow: there is no evidence at all
		return out
	}
	out.Effect = mean / sum
	return out
}

// LateStep is what the second channel has found: a step from the level mu by size
// that began with run onset, z times its uncertainty.
type LateStep struct {
	Found       bool
	Onset       int
	Mu, Size, Z float64
}

// Late is the second channel, for a step too small for the window or one that
// came in slices: the newest 8 or 12 runs against those before.
func (sc *Scanner) Late(d *Data, i int, dmin float64, q Noise) LateStep {
	stretch := math.Sqrt((1 + q.Rho) / (1 - q.Rho))
	bound := d.Bound(i)
	for _, m := range [...]int{8, 12} {
		c := i - m + 1
		b0 := max(0, c-LevelRuns, bound)
		if q.Start > b0 && c-q.Start >= 10 {
			b0 = q.Start
		}
		if c-b0 < 10 {
			continue
		}
		before := Huber(d.Y[b0:c], q.Sigma, sc.buf[:])
		diff := Huber(d.Y[c:i+1], q.Sigma, sc.buf[:]) - before
		z := diff / (q.Sigma * stretch * math.Sqrt(1.05/float64(m)+1.05/float64(c-b0)))
		if diff > lateLeast*dmin && z > lateSigmas {
			return LateStep{Found: true, Onset: c, Mu: before, Size: diff, Z: z}
		}
	}
	return LateStep{}
}
