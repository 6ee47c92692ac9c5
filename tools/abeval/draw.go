package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

const minEffect = 0.02

// generator draws sessions of one cell: per run, noise with heavy tails of which
// half the variance is common to all series, and in 3 % of the runs bad luck that
// all series share.
type generator struct {
	cell
	rng    *rand.Rand
	policy paired.Policy
}

func newGenerator(seed uint64, c cell) *generator {
	g := &generator{cell: c, rng: rand.New(rand.NewPCG(seed, 7)), policy: paired.Policy{Cases: c.cases}}
	for q := range c.series {
		g.policy.Series = append(g.policy.Series, paired.Series{Key: fmt.Sprint(q), Sign: 1, MinEffect: minEffect})
	}
	return g
}

// heavy is Student t with eight degrees of freedom and standard deviation 1.
func (g *generator) heavy() float64 {
	const degrees = 8
	chi := 0.0
	for range degrees {
		x := g.rng.NormFloat64()
		chi += x * x
	}
	return g.rng.NormFloat64() / math.Sqrt(chi/degrees) * math.Sqrt((degrees-2.0)/degrees)
}

// measure is one run: a value per series, of which the first moved ones are worse
// by a step.
func (g *generator) measure(step float64) paired.Run {
	common := g.heavy() * g.within / math.Sqrt2
	if g.rng.Float64() < 0.03 {
		size := max(4*g.within, 0.03) + 0.05*g.rng.ExpFloat64()
		if g.rng.Float64() < 0.2 {
			size = -size
		}
		common += size
	}
	values := make(map[string]float64, g.series)
	for q := range g.series {
		z := common + g.heavy()*g.within/math.Sqrt2
		if q < g.moved {
			z += math.Log1p(step)
		}
		values[g.policy.Series[q].Key] = math.Exp(z)
	}
	return paired.Run{Values: values}
}

// session plays one session to its end.
func (g *generator) session(step float64) paired.Step {
	var pairs []paired.Pair
	for {
		pairs = append(pairs, paired.Pair{A: g.measure(0), B: g.measure(step)})
		if len(pairs)%2 != 0 || len(pairs) < paired.MinPairs {
			continue // never looked at
		}
		if end := paired.Next(pairs, g.policy); end.Action == paired.Stop {
			return end
		}
	}
}

// opening is the pull-request step's default at one step: how often one unpaired
// run opens a session, what is found, and at which cost.
type opening struct {
	step                float64
	opened, red, passed float64 // percent of all runs
	runs, always        float64 // mean runs per pull request, by the default and with a session always
	redAlways           float64
}

// suspicious plays the default of the pull-request step: one run against the
// level, and a session only if it is worse by more than half of the smallest
// effect. Noise between sessions 2 %, within 0.5 %.
func suspicious(seed uint64, sessions int) []opening {
	const between, openAt, warmUps = 0.02, 0.5, 2
	var out []opening
	for i, step := range [...]float64{0, 0.01, 0.02, 0.03, 0.05, 0.10} {
		g := newGenerator(seed+1000+uint64(i), cell{series: 3, moved: 3, cases: 1, within: 0.005})
		o := opening{step: step}
		for range sessions {
			worst := math.Inf(-1)
			level := between * g.rng.NormFloat64()
			for _, v := range g.measure(step).Values {
				worst = max(worst, math.Log(v)+level)
			}
			end := g.session(step)
			cost := float64(2*end.Pair + warmUps)
			o.always += cost
			o.runs++
			if end.Word == paired.Regression {
				o.redAlways++
			}
			if worst <= openAt*math.Log1p(minEffect) {
				o.passed++
				continue
			}
			o.opened++
			o.runs += cost
			switch end.Word {
			case paired.Regression:
				o.red++
			case paired.Pass, paired.Improvement:
				o.passed++
			default:
			}
		}
		n := float64(sessions)
		o.opened, o.red, o.passed, o.redAlways = 100*o.opened/n, 100*o.red/n, 100*o.passed/n, 100*o.redAlways/n
		o.runs, o.always = o.runs/n, o.always/n
		out = append(out, o)
	}
	return out
}

func printSuspicious(w io.Writer, rows []opening) {
	fmt.Fprint(w, "## Pull requests: a session always, or only after a suspicious run (noise between sessions 2 %, within 0.5 %, 3 series)\n\n")
	fmt.Fprintln(w, "| step | always: red | runs | suspicious: session opened | red | green | runs |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, o := range rows {
		fmt.Fprintf(w, "| %.0f %% | %.1f %% | %.1f | %.1f %% | %.1f %% | %.1f %% | %.1f |\n",
			100*o.step, o.redAlways, o.always, o.opened, o.red, o.passed, o.runs)
	}
	fmt.Fprintln(w)
}
