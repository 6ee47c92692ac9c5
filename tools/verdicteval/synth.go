package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// The shape of a generated history: 90 nights, of which the first ten are only
// history and 80 are judged. A step comes with 30 to 69 nights behind it and at
// least 20 before the end.
const (
	nights    = 90
	stepFirst = 30
	stepLast  = 69
)

// shape is one generated series' truth in numbers.
type shape struct {
	family  string
	cv      float64
	step    float64 // relative worsening from night at on; negative = improvement
	at      int
	outlier float64 // share of outliers
	drift   float64 // over all nights, in logs
	nodes   bool    // 35 % of the runs on nodes that are 2 % worse
	ar      float64 // correlation of neighbouring nights
}

// generate makes n series, a fixed mix: five families, five noise levels, and of
// every 84 series 24 without a change, 12 with each step for the worse and 12
// with an improvement. Series k depends on the seed and k only.
func generate(seed uint64, n int) []history {
	out := make([]history, n)
	for k := range out {
		out[k] = generateOne(seed, k)
	}
	return out
}

func generateOne(seed uint64, k int) history {
	families := [...]string{"clean", "outlier", "node", "drift", "mixed"}
	cvs := [...]float64{0.005, 0.01, 0.02, 0.03, 0.05}
	steps := [...]float64{0, 0, 0.02, 0.03, 0.05, 0.10, -0.05}
	rng := rand.New(rand.NewPCG(seed, uint64(k)))
	s := shape{family: families[k%5], cv: cvs[k/5%5], step: steps[k/25%7], at: nights}
	if s.step != 0 {
		s.at = stepFirst + rng.IntN(stepLast-stepFirst+1)
	}
	mixed := s.family == "mixed"
	if mixed || s.family == "outlier" {
		s.outlier = 0.01 + 0.02*rng.Float64()
	}
	if mixed || s.family == "drift" {
		s.drift = 0.02
		if rng.IntN(2) == 0 {
			s.drift = -0.02
		}
	}
	s.nodes = mixed || s.family == "node"
	if mixed {
		s.ar = 0.3
	}
	return s.history(k, rng)
}

// history draws the nights, and lets repetitions be drawn: the same night again,
// with its own noise, nodes and bad luck.
func (s shape) history(k int, rng *rand.Rand) history {
	m := metric.Metric{Name: "generated", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02}
	if k%2 == 1 {
		m.Unit, m.Better = "tok/s", metric.HigherIsBetter
	}
	h := history{
		name: fmt.Sprintf("%s/cv%g/step%g/%d", s.family, s.cv, s.step, k), family: s.family, cv: s.cv,
		metric: m, quiet: make([]bool, nights),
	}
	const base = 100
	start := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	before := make([]float64, nights) // the noise of the night before each
	noise := 0.0
	for i := range nights {
		before[i] = noise
		var z float64
		var node string
		z, noise, node = s.draw(i, noise, rng)
		h.runs = append(h.runs, verdict.Run{
			ID: fmt.Sprint(i), Time: start.AddDate(0, 0, i), NodeSet: node,
			Values: []float64{fromLog(m, base, z)},
		})
		h.quiet[i] = i < s.at || s.step <= 0
	}
	if s.step > 0 {
		h.changes = []change{{at: s.at, size: s.step}}
	}
	// Repetition q of a night is the same whichever rule asks for it.
	again := rng.Uint64()
	h.repeat = func(i, q int) (float64, string) {
		z, _, node := s.draw(i, before[i], rand.New(rand.NewPCG(again, uint64(i*16+q))))
		return fromLog(m, base, z), node
	}
	return h
}

// draw is one run on night i: its value as a signed log, its noise and its nodes.
func (s shape) draw(i int, last float64, rng *rand.Rand) (z, noise float64, node string) {
	noise = s.ar*last + s.cv*sqrt(1-s.ar*s.ar)*rng.NormFloat64()
	z = noise + s.drift*float64(i)/nights
	if i >= s.at {
		z += log1p(s.step)
	}
	if rng.Float64() < s.outlier {
		size := 0.05 + 0.20*rng.Float64()
		if rng.Float64() < 0.2 {
			size = -size // one in five is for the better
		}
		z += size
	}
	if s.nodes {
		node = "a"
		if rng.Float64() < 0.35 {
			node = "b"
			z += 0.02
		}
	}
	return z, noise, node
}
