package paired

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// Shape is what drawn sessions are like.
type Shape struct {
	Series, Moved, Cases int     // gating series, those of them that a step moves, cases with a session
	Within               float64 // noise of a run within its session, relative standard deviation
	Prior                float64 // see Series.Noise
	MinEffect            float64
}

// Generator draws sessions of one shape: per run, noise with heavy tails of which
// half the variance is common to all series, and in 3 % of the runs bad luck that
// all series share. It is another noise than the test assumes.
type Generator struct {
	Shape
	Rand   *rand.Rand
	policy Policy
}

// NewGenerator returns a generator that draws the same sessions for the same seed.
func NewGenerator(seed uint64, s Shape) *Generator {
	g := &Generator{Shape: s, Rand: rand.New(rand.NewPCG(seed, 7)), policy: Policy{Cases: s.Cases}} //nolint:gosec // a simulation is no secret
	for q := range s.Series {
		g.policy.Series = append(g.policy.Series, Series{Key: strconv.Itoa(q), Sign: 1, MinEffect: s.MinEffect, Noise: s.Prior})
	}
	return g
}

// heavy is Student t with eight degrees of freedom and standard deviation 1.
func (g *Generator) heavy() float64 {
	const degrees = 8
	chi := 0.0
	for range degrees {
		x := g.Rand.NormFloat64()
		chi += x * x
	}
	return g.Rand.NormFloat64() / math.Sqrt(chi/degrees) * math.Sqrt((degrees-2.0)/degrees)
}

// Run draws one run: a value per series, of which the first Moved ones are worse by
// a relative step.
func (g *Generator) Run(step float64) Run {
	common := g.heavy() * g.Within / math.Sqrt2
	if g.Rand.Float64() < 0.03 {
		size := max(4*g.Within, 0.03) + 0.05*g.Rand.ExpFloat64()
		if g.Rand.Float64() < 0.2 {
			size = -size
		}
		common += size
	}
	values := make(map[string]float64, g.Series)
	for q := range g.Series {
		z := common + g.heavy()*g.Within/math.Sqrt2
		if q < g.Moved {
			z += math.Log1p(step)
		}
		values[g.policy.Series[q].Key] = math.Exp(z)
	}
	return Run{Values: values}
}

// Session draws a session in which B is worse by a relative step, and plays it to
// its end, or to the end of the pairs that there are to be at most.
func (g *Generator) Session(step float64, most int) Step {
	_, end := g.Pairs(step, most)
	return end
}

// Pairs is a session with its pairs.
func (g *Generator) Pairs(step float64, most int) ([]Pair, Step) {
	var pairs []Pair
	for {
		pairs = append(pairs, Pair{A: g.Run(0), B: g.Run(step)})
		if len(pairs)%2 != 0 || len(pairs) < MinPairs {
			continue // never looked at
		}
		if end := Next(pairs, g.policy); end.Action == Stop || len(pairs) >= most {
			return pairs, end
		}
	}
}

// Found is the share of sessions of at most so many pairs in which a step of the
// smallest effect would have been called a regression. It is drawn, not proven: from
// 200 sessions, so that it is right to about 5 points.
func (s Shape) Found(most int) float64 {
	const sessions = 200
	if most < MinPairs {
		return 0
	}
	g := NewGenerator(1, s)
	found := 0
	for range sessions {
		if g.Session(s.MinEffect, most).Word == Regression {
			found++
		}
	}
	return float64(found) / sessions
}
