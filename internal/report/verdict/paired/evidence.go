package paired

import (
	"math"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// The constants of the test. They were chosen once, on simulations; nothing in
// this package may be tuned.
const (
	degrees      = 4  // of freedom of a pair's difference
	scaleCount   = 16 // scales of the noise that are tried
	finestScale  = 0.0005
	scaleSpread  = 0.8   // of the prior of the scale, in logs
	priorNoise   = 0.007 // of a series without sessions
	effectReach  = 16    // the effect is looked for up to so many smallest effects
	effectSteps  = 20    // grid points per smallest effect
	effectMargin = 4     // smallest effects beyond a difference that the effect is looked for as well
	effectLimit  = 1000  // and no further than that
)

// worsenings are the sizes of a change that are tried, in smallest effects.
func worsenings() [10]float64 { return [10]float64{0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11, 16} }

// Evidence is what the differences of one series say so far, as natural logs of
// likelihood ratios.
type Evidence struct {
	Worse  float64 `json:"ln_e_worse"`  // a worsening of any size, against no change
	Better float64 `json:"ln_e_better"` // an improvement, against no change
	Pass   float64 `json:"ln_e_pass"`   // no change, against one of the smallest effect
}

// likelihood is that of the differences of one series under one true difference
// after another.
type likelihood struct {
	scales  [scaleCount]float64
	weights [scaleCount]float64 // logs
}

// newLikelihood returns the likelihood for a series whose differences had the
// scale noise in earlier sessions.
func newLikelihood(noise float64) likelihood {
	var l likelihood
	total := 0.0
	for k := range l.scales {
		l.scales[k] = finestScale * math.Pow(2, float64(k)/2)
		x := (math.Log(l.scales[k]) - math.Log(noise)) / scaleSpread
		l.weights[k] = -x * x / 2
		total += math.Exp(l.weights[k])
	}
	for k := range l.weights {
		l.weights[k] -= math.Log(total)
	}
	return l
}

// Likelihood is the log likelihood of the differences of a session if the true one is
// delta, for a series whose pairs differ by noise (0 = not known).
func Likelihood(noise float64) func(differences []float64, delta float64) float64 {
	l := newLikelihood(Series{Noise: noise}.noise())
	return l.log
}

// log is the log likelihood of the differences if the true one is delta, but for
// a constant that depends on their number only.
func (l *likelihood) log(d []float64, delta float64) float64 {
	var logs [scaleCount]float64
	for k, s := range l.scales {
		// One log per scale: ten factors, each below 1e14, do not overflow.
		product, inverse := 1.0, 1/(degrees*s*s)
		for _, x := range d {
			product *= 1 + (x-delta)*(x-delta)*inverse
		}
		logs[k] = l.weights[k] - (degrees+1)/2.0*math.Log(product) - float64(len(d))*math.Log(s)
	}
	return sumOfLogs(logs[:])
}

// evidence weighs the differences of one series. A change beyond the largest that is
// tried, by the median, counts as one of that size: the evidence is not weaker for it.
func (l *likelihood) evidence(d []float64, dmin float64) Evidence {
	if most := effectReach * dmin; math.Abs(bws.Median(d, nil)) > most {
		d = slices.Clone(d)
		for i := range d {
			d[i] = max(-most, min(most, d[i]))
		}
	}
	null := l.log(d, 0)
	sizes := worsenings()
	worse, better := sizes, sizes
	for k, f := range sizes {
		worse[k] = l.log(d, f*dmin) - null
		better[k] = l.log(d, -f*dmin) - null
	}
	return Evidence{
		Worse:  meanOfLogs(worse[:]),
		Better: meanOfLogs(better[:]),
		Pass:   null - l.log(d, dmin),
	}
}

// effect is the posterior mean of the true difference under a flat prior, and
// its 5..95 % interval, in logs. It is looked for up to effectReach smallest effects,
// further where their median lies near that or beyond.
func (l *likelihood) effect(d []float64, dmin float64) (mean, lo, hi float64) {
	reach := effectReach
	if far := 1.2*math.Abs(bws.Median(d, nil))/dmin + effectMargin; far > 1.2*effectReach {
		reach = int(math.Ceil(min(far, effectLimit)))
	}
	logs := make([]float64, 2*reach*effectSteps+1)
	at := func(k int) float64 { return float64(k-reach*effectSteps) / effectSteps * dmin }
	for k := range logs {
		logs[k] = l.log(d, at(k))
	}
	total := sumOfLogs(logs)
	lo, hi = math.NaN(), math.NaN()
	cum := 0.0
	for k, v := range logs {
		w := math.Exp(v - total)
		mean += w * at(k)
		if cum += w; math.IsNaN(lo) && cum >= 0.05 {
			lo = at(k)
		}
		if math.IsNaN(hi) && cum >= 0.95 {
			hi = at(k)
		}
	}
	return mean, lo, hi
}

// Noise returns the scale of a series' differences, from those of its earlier
// sessions, oldest first: the median over the last ten of their median absolute
// deviations; a prior where there are fewer than three.
func Noise(sessions [][]float64) float64 {
	const newest, fewest = 10, 3
	var scales []float64
	for _, d := range sessions[max(0, len(sessions)-newest):] {
		if len(d) > 0 {
			scales = append(scales, spread(d))
		}
	}
	if len(scales) < fewest {
		return priorNoise
	}
	return max(finestScale, bws.Median(scales, nil))
}

// spread is the median absolute deviation of a non-empty slice, as the standard
// deviation of a normal distribution with the same one.
func spread(d []float64) float64 {
	mid := bws.Median(d, nil)
	off := make([]float64, len(d))
	for i, x := range d {
		off[i] = math.Abs(x - mid)
	}
	return 1.4826 * bws.Median(off, nil)
}

// meanOfLogs is the log of the mean of the numbers whose logs are given.
func meanOfLogs(logs []float64) float64 { return sumOfLogs(logs) - math.Log(float64(len(logs))) }

// sumOfLogs is the log of the sum of the numbers whose logs are given.
func sumOfLogs(logs []float64) float64 {
	top := slices.Max(logs)
	sum := 0.0
	for _, v := range logs {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}
