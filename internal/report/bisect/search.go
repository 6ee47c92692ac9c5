package bisect

import (
	"math"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// Trial is one measurement of a commit: how much slower than the good one each of its pairs was, in logs.
type Trial struct {
	Commit int       `json:"commit"` // its place: 0 is the good one, the last the bad one
	Pairs  []float64 `json:"pairs,omitempty"`
	Failed string    `json:"failed,omitempty"` // why it gave no pair
	// Infra says that the infrastructure ended it, which tells nothing of the commit, and Skipped that the commit itself
	// fails, and not by chance: it is not asked again.
	Infra   bool `json:"infra,omitempty"`
	Skipped bool `json:"skipped,omitempty"`
}

// Search is what is known so far.
type Search struct {
	Candidates int     // commits that may be the one: 1 to Candidates, which is the bad one
	MinEffect  float64 // the smallest change that matters, relative
	Noise      float64 // of a pair's difference, in logs; 0 = not known
	Trials     []Trial
}

const (
	// nothing is how likely it is at first that no commit made the case slower.
	nothing = 0.05
	// tries is how often a commit may fail to give a measurement before it is left out.
	tries = 2
	// sizes is how many sizes of the change are tried, growing by growth from least of the smallest effect on.
	sizes  = 26
	least  = 0.6
	growth = 1.15
)

// Posterior is how likely each candidate is to be the first slow commit, at its place from 1 on; at 0 stands how likely
// it is that there is none.
func (s Search) Posterior() []float64 {
	like := paired.Likelihood(s.Noise)
	dmin := math.Log1p(s.MinEffect)
	logs := make([][]float64, s.Candidates+1) // by candidate: one log for each size
	for k := 0; k < sizes; k++ {
		size := least * dmin * math.Pow(growth, float64(k))
		slow, fast := make([]float64, s.Candidates+1), make([]float64, s.Candidates+1)
		for _, t := range s.Trials {
			if t.Commit > 0 && len(t.Pairs) > 0 {
				slow[t.Commit] += like(t.Pairs, size)
				fast[t.Commit] += like(t.Pairs, 0)
			}
		}
		behind := 0.0 // of all that are slow if the first candidate is the one
		for i := 1; i <= s.Candidates; i++ {
			behind += slow[i]
		}
		before := 0.0
		for i := 1; i <= s.Candidates; i++ {
			logs[i] = append(logs[i], before+behind+math.Log((1-nothing)/float64(s.Candidates)))
			before, behind = before+fast[i], behind-slow[i]
		}
		logs[0] = append(logs[0], before+math.Log(nothing))
	}
	return normalised(logs)
}

// normalised are the sums of numbers whose logs are given, as shares of all.
func normalised(logs [][]float64) []float64 {
	top := math.Inf(-1)
	for _, list := range logs {
		for _, v := range list {
			top = max(top, v)
		}
	}
	out, total := make([]float64, len(logs)), 0.0
	for i, list := range logs {
		for _, v := range list {
			out[i] += math.Exp(v - top)
		}
		total += out[i]
	}
	for i := range out {
		out[i] /= total
	}
	return out
}

// out reports whether a commit has given no measurement too often to be tried again.
func (s Search) out(commit int) bool {
	failed := 0
	for _, t := range s.Trials {
		switch {
		case t.Commit != commit || t.Infra:
		case t.Failed == "":
			return false
		case t.Skipped:
			failed += tries
		default:
			failed++
		}
	}
	return failed >= tries
}

// begun reports whether any commit has been measured.
func (s Search) begun() bool {
	return slices.ContainsFunc(s.Trials, func(t Trial) bool { return len(t.Pairs) > 0 })
}

// asked is how many measurements told something of a commit, be it that it cannot be measured.
func (s Search) asked() (n int) {
	for _, t := range s.Trials {
		if !t.Infra {
			n++
		}
	}
	return n
}

// Next is the commit to measure next: the bad one first, so that there is something to be found; then the one of which
// it is least certain whether it is slow. 0 = none can be measured.
func (s Search) Next() int {
	if !s.begun() && !s.out(s.Candidates) {
		return s.Candidates
	}
	p := s.Posterior()
	best, off, slow := 0, math.Inf(1), 0.0
	for i := 1; i <= s.Candidates; i++ {
		slow += p[i]
		if d := math.Abs(slow - 0.5); d < off-1e-12 && !s.out(i) {
			best, off = i, d
		}
	}
	return best
}

// Found is what the search says.
type Found struct {
	// From and To are the candidates among which the first slow commit is: one, where it is known; several where those
	// before the last of them cannot be measured, or it is not settled.
	From, To   int
	Confidence float64 // that it is among them
	Nothing    float64 // how likely it is that no commit made the case slower
	Settled    bool
}

// Found is the likeliest commit with those that cannot be told from it, and whether that is sure enough.
func (s Search) Found(confidence float64) Found {
	p := s.Posterior()
	best := Found{Nothing: p[0]}
	for from := 1; from <= s.Candidates; from++ {
		to, sum := from, p[from]
		for to < s.Candidates && s.out(to) { // what lies behind one that cannot be measured is not told apart from it
			to++
			sum += p[to]
		}
		if sum > best.Confidence {
			best.From, best.To, best.Confidence = from, to, sum
		}
	}
	best.Settled = s.begun() && (best.Confidence >= confidence || best.Nothing >= confidence)
	return best
}
