package paired

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

type vector struct {
	Kind, Name string
	D          json.RawMessage
	MinEffect  float64   `json:"min_effect"`
	S0         float64   `json:"s0"`
	Worse      []float64 `json:"ln_E_worse"`
	Better     []float64 `json:"ln_E_better"`
	Pass       []float64 `json:"ln_E_pass"`
	Effect     float64
	Interval   [2]float64
	K          int
	Verdict    string
	Pairs      int
	Blamed     int
}

func vectors(t *testing.T, kind string) []vector {
	t.Helper()
	raw, err := os.ReadFile("../../../../testdata/perfdata/ab_vectors.jsonl")
	require.NoError(t, err)
	var out []vector
	for line := range bytes.Lines(raw) {
		var v vector
		require.NoError(t, json.Unmarshal(line, &v))
		if v.Kind == kind {
			out = append(out, v)
		}
	}
	require.Len(t, out, 10)
	return out
}

// pairsOf makes pairs of two runs that differ by d, series by series.
func pairsOf(d [][]float64, p Policy) []Pair {
	pairs := make([]Pair, len(d[0]))
	for i := range pairs {
		a, b := map[string]float64{}, map[string]float64{}
		for q, s := range p.Series {
			a[s.Key], b[s.Key] = 1, math.Exp(s.Sign*d[q][i])
		}
		pairs[i] = Pair{A: Run{Values: a}, B: Run{Values: b}}
	}
	return pairs
}

func policyOf(count, cases int, minEffect, noise float64) Policy {
	p := Policy{Cases: cases}
	for q := range count {
		p.Series = append(p.Series, Series{Key: fmt.Sprintf("con8/metric%d", q), Sign: float64(1 - 2*(q%2)), MinEffect: minEffect, Noise: noise})
	}
	return p
}

// TestEvidenceMatchesTheReferenceVectors compares every number after every pair
// with the reference implementation. The vectors carry nine digits.
func TestEvidenceMatchesTheReferenceVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t, "series") {
		var d []float64
		require.NoError(t, json.Unmarshal(v.D, &d))
		l, dmin := newLikelihood(v.S0), math.Log1p(v.MinEffect)
		for n := range d {
			e := l.evidence(d[:n+1], dmin)
			require.InDelta(t, v.Worse[n], e.Worse, 1e-9, "%s, pair %d", v.Name, n+1)
			require.InDelta(t, v.Better[n], e.Better, 1e-9, "%s, pair %d", v.Name, n+1)
			require.InDelta(t, v.Pass[n], e.Pass, 1e-9, "%s, pair %d", v.Name, n+1)
		}
		mean, lo, hi := l.effect(d, dmin)
		require.InDelta(t, v.Effect, mean, 1e-9, v.Name)
		require.InDelta(t, v.Interval[0], lo, 1e-9, v.Name)
		require.InDelta(t, v.Interval[1], hi, 1e-9, v.Name)
	}
}

func TestDecisionMatchesTheReferenceVectors(t *testing.T) {
	t.Parallel()
	words := map[string]Word{"R": Regression, "I": Improvement, "P": Pass, "U": Inconclusive}
	for _, v := range vectors(t, "case") {
		var d [][]float64
		require.NoError(t, json.Unmarshal(v.D, &d))
		p := policyOf(len(d), v.K, v.MinEffect, v.S0)
		step := Next(pairsOf(d, p), p)
		require.Equal(t, Stop, step.Action, v.Name)
		require.Equal(t, words[v.Verdict], step.Word, v.Name)
		require.Equal(t, v.Pairs, step.Pair, v.Name)
		blamed := ""
		if v.Blamed >= 0 {
			blamed = p.Series[v.Blamed].Key
		}
		require.Equal(t, blamed, step.Blamed, v.Name)
	}
}

// draw is the differences of n pairs around a true one, with outliers.
func draw(rng *rand.Rand, n, count int, delta, noise float64) [][]float64 {
	d := make([][]float64, count)
	for q := range d {
		for range n {
			x := delta + noise*rng.NormFloat64()
			if rng.Float64() < 0.05 {
				x += rng.NormFloat64() * 0.2
			}
			d[q] = append(d[q], x)
		}
	}
	return d
}

// TestReplayGivesTheSameDecision: whatever was measured after the session ended,
// and however far it is read, the answer is the one of its own moment.
func TestReplayGivesTheSameDecision(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	words := map[Word]int{}
	for range 500 {
		p := policyOf(1+rng.IntN(4), 1+rng.IntN(50), 0.02, 0)
		pairs := pairsOf(draw(rng, MaxPairs, len(p.Series), []float64{-0.03, 0, 0.01, 0.03}[rng.IntN(4)], 0.008*rng.Float64()), p)
		end := Next(pairs, p)
		require.Equal(t, Stop, end.Action)
		words[end.Word]++
		for n := range pairs {
			step := Next(pairs[:n], p)
			if n < end.Pair {
				require.Equal(t, Go, step.Action, "after %d of %d pairs", n, end.Pair)
				require.Equal(t, n+1, step.Pair)
				require.Equal(t, Inconclusive, Conclude(pairs[:n], p).Word)
				continue
			}
			require.Equal(t, end, step)
		}
		require.Equal(t, Conclude(pairs, p), Conclude(pairs[:end.Pair], p))
	}
	for _, w := range []Word{Pass, Regression, Improvement, Inconclusive} {
		require.NotZero(t, words[w], w)
	}
}

// TestOrderOfThePairsDecidesTheMomentOnly: the evidence after a number of pairs
// does not depend on the order in which they came.
func TestOrderOfThePairsDecidesTheMomentOnly(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		d := draw(rng, 8, 1, 0.01, 0.01)[0]
		l := newLikelihood(priorNoise)
		want := l.evidence(d, 0.02)
		rng.Shuffle(len(d), func(i, k int) { d[i], d[k] = d[k], d[i] })
		got := l.evidence(d, 0.02)
		require.InDelta(t, want.Worse, got.Worse, 1e-9)
		require.InDelta(t, want.Pass, got.Pass, 1e-9)
	}
}

// TestAWorseCandidateIsNeverBetterOff: without noise, the verdict only gets worse
// as the candidate does.
func TestAWorseCandidateIsNeverBetterOff(t *testing.T) {
	t.Parallel()
	rank := map[Word]int{Improvement: 0, Pass: 1, Inconclusive: 2, Regression: 3}
	p := policyOf(1, 1, 0.02, 0)
	last := Improvement
	for x := -0.2; x < 2; x += 0.002 {
		d := make([]float64, MaxPairs)
		for i := range d {
			d[i] = x
		}
		step := Next(pairsOf([][]float64{d}, p), p)
		require.GreaterOrEqual(t, rank[step.Word], rank[last], "%.3f: %s after %s", x, step.Word, last)
		last = step.Word
	}
	require.Equal(t, Regression, last)
}

// TestSwappedBuildsSwapTheEvidence: what is worse one way round is better the other.
func TestSwappedBuildsSwapTheEvidence(t *testing.T) {
	t.Parallel()
	d := []float64{0.03, 0.028, 0.031, -0.01}
	swapped := []float64{-0.03, -0.028, -0.031, 0.01}
	l := newLikelihood(priorNoise)
	require.InDelta(t, l.evidence(d, 0.02).Worse, l.evidence(swapped, 0.02).Better, 1e-9)
}

func TestFailedRuns(t *testing.T) {
	t.Parallel()
	p := policyOf(2, 1, 0.02, 0)
	good := pairsOf([][]float64{{0, 0, 0, 0}, {0, 0, 0, 0}}, p)
	failA, failB := good[0], good[0]
	failA.A, failB.B = Run{Failed: true}, Run{Failed: true}
	both := Pair{A: Run{Failed: true}, B: Run{Failed: true}}
	infraB := Pair{A: good[0].A, B: Run{Failed: true, Infra: true}}
	half := Pair{A: good[0].A, B: Run{Values: map[string]float64{"con8/metric0": 1}}}
	zero := Pair{A: good[0].A, B: Run{Values: map[string]float64{"con8/metric0": 1, "con8/metric1": 0}}}
	for _, c := range []struct {
		name   string
		pairs  []Pair
		action Action
		pair   int
		word   Word
	}{
		{"none", nil, Go, 1, ""},
		{"first fails", []Pair{failB}, Again, 1, ""},
		{"a metric is missing", []Pair{good[0], half}, Again, 2, ""},
		{"a metric is zero", []Pair{zero}, Again, 1, ""},
		{"measured again", []Pair{failA, good[0]}, Go, 2, ""},
		{"B fails three times", []Pair{good[0], failB, failB, failB}, Stop, 1, Failed},
		{"A fails three times", []Pair{failA, failA, failA}, Stop, 0, Invalid},
		{"both fail three times", []Pair{both, both, both}, Stop, 0, Invalid},
		{"A shares one of three", []Pair{failB, both, failB}, Stop, 0, Invalid},
		{"B fails in three pairs", []Pair{failB, good[0], failB, good[0], failB}, Stop, 2, Failed},
		{"B fails in two pairs, and A never", []Pair{good[0], failB, good[0], failB, good[0], good[0]}, Stop, 4, Failed},
		{"the infrastructure fails B in two pairs", []Pair{good[0], infraB, good[0], infraB, good[0], good[0]}, Stop, 4, Pass},
		{"B fails in one pair", []Pair{good[0], failB, good[0], good[0], good[0]}, Stop, 4, Pass},
		{"B measures too little three times", []Pair{half, zero, half}, Stop, 0, Failed},
		{"B measures too little in three pairs", []Pair{half, good[0], half, good[0], half}, Stop, 2, Invalid},
		{"two pairs again, then decided", []Pair{failB, good[0], good[0], failA, good[0], good[0]}, Stop, 4, Pass},
	} {
		step := Next(c.pairs, p)
		require.Equal(t, c.action, step.Action, c.name)
		require.Equal(t, c.pair, step.Pair, c.name)
		require.Equal(t, c.word, step.Word, c.name)
		require.Equal(t, step.Action != Stop, Conclude(c.pairs, p).Word == Inconclusive, c.name)
	}
	require.Equal(t, Invalid, Next(good, Policy{}).Word, "nothing to compare is no pass")
	require.Equal(t, Again, Next([]Pair{both}, Policy{}).Action, "of runs that failed nobody knows what they would have measured")
	require.Contains(t, Next([]Pair{both, both, both}, Policy{}).Reason, "both: the run failed")
	require.Equal(t, "B: con8/metric1 is 0, which cannot be compared", Next([]Pair{zero}, p).Reason)
}

func TestNoiseOfASeries(t *testing.T) {
	t.Parallel()
	quiet, loud := []float64{0, 0.001, -0.001}, []float64{0, 0.1, -0.1}
	require.InDelta(t, 0.007, Noise(nil), 0)
	require.InDelta(t, 0.007, Noise([][]float64{quiet, quiet, {}}), 0)
	require.InDelta(t, 1.4826e-3, Noise([][]float64{quiet, loud, quiet}), 1e-12)
	require.InDelta(t, 0.0005, Noise([][]float64{{0}, {0, 0}, {1, 1}}), 0)
	many := [][]float64{loud, loud, loud, loud, loud, loud, loud, loud, loud, loud, loud}
	for range 10 {
		many = append(many, quiet)
	}
	require.InDelta(t, 1.4826e-3, Noise(many), 1e-12, "only the newest ten count")
}

// FuzzNext: whatever was measured, there is an answer, it is the same when it is
// replayed, and nothing that failed passes.
func FuzzNext(f *testing.F) {
	f.Add(uint64(1), 0.0, 0.0, 0.0, uint8(0))
	f.Add(uint64(2), 0.03, math.Inf(1), 1e300, uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, delta, a, b float64, fail uint8) {
		rng := rand.New(rand.NewPCG(seed, 0))
		p := policyOf(1+rng.IntN(3), rng.IntN(100), 0.02, a)
		pairs := pairsOf(draw(rng, 12, len(p.Series), delta, 0.01), p)
		at := rng.IntN(len(pairs))
		pairs[at].A.Values[p.Series[0].Key], pairs[at].B.Values[p.Series[0].Key] = a, b
		for i := range pairs {
			pairs[i].B.Failed = fail>>(i%8)&1 == 1
		}
		end := Next(pairs, p)
		for n := range pairs {
			if step := Next(pairs[:n], p); step.Action == Stop {
				require.Equal(t, end, step)
			}
		}
		if end.Word == Pass {
			require.GreaterOrEqual(t, end.Pair, MinPairs)
		}
		_, err := json.Marshal(Conclude(pairs, p))
		require.NoError(t, err, "no number is none")
	})
}

// TestLargeChangesAreNoWeaker: a change beyond the largest that is tried is a regression
// all the same, as early, and is told by its own size.
func TestLargeChangesAreNoWeaker(t *testing.T) {
	t.Parallel()
	p := policyOf(1, 1, 0.02, 0)
	for _, slower := range []float64{1.3, 1.55, 2, 3, 8, 20, 1000} {
		x := math.Log(slower)
		d := [][]float64{{x - 0.01, x + 0.02, x, x + 0.005}}
		end := Conclude(pairsOf(d, p), p)
		require.Equal(t, Regression, end.Word, "%g times slower", slower)
		require.Equal(t, MinPairs, end.Pairs)
		require.InDelta(t, slower-1, end.Series[0].Effect, 0.03*slower, "%g times slower", slower)
		require.Less(t, end.Series[0].Interval[0], slower-1)
		require.Greater(t, end.Series[0].Interval[1], slower-1)
		for i := range d[0] {
			d[0][i] = -d[0][i]
		}
		require.Equal(t, Improvement, Next(pairsOf(d, p), p).Word, "%g times faster", slower)
	}
	outlier := [][]float64{{3, 0.001, -0.001, 0.002}}
	require.Equal(t, Go, Next(pairsOf(outlier, p), p).Action, "one wild pair decides nothing")
}
