package bisect

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// Cost is what a search takes.
type Cost struct {
	Trials float64 // measurements of a commit
	Pairs  float64 // in all of them
}

// Expectation is what a search over so many candidates takes, on the average and in nine of ten cases, and how often it
// ends with the right commit: by drawn searches for a change that is to be found, with the noise of its pairs.
type Expectation struct {
	Mean, Most Cost
	Right      float64
}

// Expect draws searches. step is the size of the change, relative; within the noise of a run in its session.
func Expect(s Search, step, within, confidence float64, draws int) Expectation {
	var trials, pairs []float64
	right := 0
	place := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a simulation is no secret
	for i := range draws {
		planted := 1 + place.IntN(s.Candidates)
		g := paired.NewGenerator(uint64(i), paired.Shape{Series: 1, Moved: 1, Cases: 1, Within: within, MinEffect: s.MinEffect}) //nolint:gosec // likewise
		one, found := s.draw(g, planted, step, confidence)
		trials = append(trials, float64(len(one.Trials)))
		n := 0
		for _, t := range one.Trials {
			n += len(t.Pairs)
		}
		pairs = append(pairs, float64(n))
		if found.Settled && found.From == planted && found.To == planted {
			right++
		}
	}
	return Expectation{
		Mean: Cost{mean(trials), mean(pairs)}, Most: Cost{ninth(trials), ninth(pairs)}, Right: float64(right) / float64(draws),
	}
}

// draw plays one search to its end.
func (s Search) draw(g *paired.Generator, planted int, step, confidence float64) (Search, Found) {
	s.Trials = nil
	for len(s.Trials) < Bound(s.Candidates) {
		at, moved := s.Next(), 0.0
		if at >= planted {
			moved = step
		}
		t := Trial{Commit: at}
		drawn, _ := g.Pairs(moved, paired.MaxPairs)
		for _, p := range drawn {
			t.Pairs = append(t.Pairs, math.Log(p.B.Values["0"]/p.A.Values["0"]))
		}
		s.Trials = append(s.Trials, t)
		if f := s.Found(confidence); f.Settled {
			return s, f
		}
	}
	return s, s.Found(confidence)
}

// Bound is how many measurements a search over so many candidates may take: what does not settle it by then is not told
// by more of the same.
func Bound(candidates int) int { return 8 + 4*int(math.Ceil(math.Log2(float64(candidates+1)))) }

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// ninth is what nine of ten do not exceed.
func ninth(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, len(s)*9/10)]
}
