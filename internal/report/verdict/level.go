package verdict

import (
	"math"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// Standing is where a series stands: what its next run is compared with.
type Standing struct {
	Level float64 // in the metric's unit
	Runs  int     // that it was taken from
	Noise float64 // relative sd per run, 0 = not known
	Since string  // run that raised the regression that is open; Level is then the one before it
}

// LevelOf is the level of a series, as the judge has it for the next run: the
// pinned value under the rule fixed, the level before a regression that is open,
// the percentile of upstream's rule, else that of the runs since the last accepted or found step. The newest five runs
// are in it only where they are all there is of the level: a step may have begun
// among them. Fewer than seven runs have their median. A series that goes back and forth
// between two levels stands on the worse one.
func LevelOf(s Series, p Policy) (Standing, bool) {
	c := p.settings(s)
	if c.rule == RuleFixed {
		if s.Pinned == nil || badValue(s.Pinned.Value) != "" {
			return Standing{}, false
		}
		return Standing{Level: s.Pinned.Value}, true
	}
	runs, _ := past(s)
	if len(runs) == 0 {
		return Standing{}, false
	}
	sign := s.Metric.Sign()
	if c.rule == RuleUpstream {
		of := subject{settings: c, series: s, past: runs, sign: sign}
		base, days := of.upstreamBaseline()
		return Standing{Level: base, Runs: days}, badValue(base) == ""
	}
	if len(runs) < c.minHistory {
		return Standing{Level: medianOf(runs), Runs: len(runs)}, true
	}
	d, _ := load(runs, runs[len(runs)-1], sign) // the next run is not part of its level
	toUnit := func(x float64) float64 { return min(math.Exp(sign*x), math.MaxFloat64) }
	d, modes := steady(d, len(runs), c.dmin)
	sc := &bws.Scanner{}
	f := folder{sc: sc, past: runs, d: d, sign: sign, dmin: c.dmin, advisory: c.advisory || !c.gate, modes: modes}
	if !c.forgetOpen {
		f.fold()
	}
	d.Bounds = f.bounds
	q := sc.Learn(d, len(f.past)-bws.WindowOf(d, len(f.past))+1)
	out := Standing{Level: toUnit(q.Mu), Runs: q.Runs, Noise: math.Expm1(q.Sigma)}
	if f.open != nil {
		out.Level, out.Since = toUnit(f.open.level), runName(f.past[f.open.since])
	}
	return out, true
}

// medianOf is the level of fewer runs than a verdict needs.
func medianOf(runs []Run) float64 {
	values := make([]float64, len(runs))
	for k, r := range runs {
		values[k] = r.Value()
	}
	return bws.Median(values, nil)
}
