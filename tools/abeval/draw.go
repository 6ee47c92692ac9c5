package main

import (
	"fmt"
	"io"
	"math"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

const minEffect = 0.02

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
func suspicious(seed uint64, sessions, workers int) []opening {
	steps := [...]float64{0, 0.01, 0.02, 0.03, 0.05, 0.10}
	out := make([]opening, len(steps))
	each(len(steps), workers, func(i int) {
		g := paired.NewGenerator(seed+1000+uint64(i), paired.Shape{Series: 3, Moved: 3, Cases: 1, Within: 0.005, MinEffect: minEffect})
		out[i] = opening{step: steps[i]}
		out[i].draw(g, sessions)
	})
	return out
}

func (o *opening) draw(g *paired.Generator, sessions int) {
	const between, openAt, warmUps = 0.02, 0.5, 2
	for range sessions {
		worst := math.Inf(-1)
		level := between * g.Rand.NormFloat64()
		for _, v := range g.Run(o.step).Values {
			worst = max(worst, math.Log(v)+level)
		}
		end := g.Session(o.step, paired.MaxPairs)
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
