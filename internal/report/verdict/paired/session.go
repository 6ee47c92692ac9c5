package paired

import (
	"fmt"
	"math"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// The bounds of a session, in pairs, and the evidence that ends it.
const (
	MinPairs    = 4
	MaxPairs    = 10
	MaxAgain    = 2    // pairs that may be measured again
	alpha       = 0.01 // false alarms of one case
	runAlpha    = 0.05 // of all cases of a run together
	beta        = 0.05 // passes of something worse by the smallest effect
	ownFailures = 3    // in a row, not shared by A: B's own
	ownCrashes  = 2    // at all, where A has none: B's own, whatever the others measured
)

// Word is how a session ended.
type Word string

// The words. Everything but Pass and Improvement is red or no verdict.
const (
	Regression   Word = "regression"
	Improvement  Word = "improvement"
	Pass         Word = "pass"
	Inconclusive Word = "inconclusive" // ten pairs, or the time, did not settle it
	Invalid      Word = "invalid"      // too many pairs gave no measurement
	Failed       Word = "failed"       // B fails by itself, A does not
)

// Series is one gating series of the case.
type Series struct {
	Key       string  `json:"key"`  // point/metric: the key of Run.Values
	Sign      float64 `json:"sign"` // 1 if less is better, -1 if more is
	MinEffect float64 `json:"min_effect"`
	Noise     float64 `json:"noise"` // see Noise; 0 = not known
}

// Policy is what a session is decided by. It is fixed before the first run.
type Policy struct {
	Series []Series `json:"series"`
	Cases  int      `json:"cases"` // of this run that have a session
}

// Run is what one run of one build gave.
type Run struct {
	Values map[string]float64 `json:"values,omitempty"` // by Series.Key, in the metric's unit
	Failed bool               `json:"failed,omitempty"`
	Infra  bool               `json:"infra,omitempty"` // the infrastructure failed it, not the build
}

// Pair is one measured pair, whatever the order of its runs. A pair that was
// measured again stands behind the one that failed.
type Pair struct {
	A Run `json:"a"`
	B Run `json:"b"`
}

// Action is what the session does next.
type Action string

// The actions.
const (
	Go    Action = "go"    // measure the next pair
	Again Action = "again" // measure the last pair again, in the same order
	Stop  Action = "stop"
)

// Step is the answer to the pairs measured so far.
type Step struct {
	Action Action `json:"action"`
	Pair   int    `json:"pair"`             // to measure, counted from 1; of a stop, the pairs that decided
	Word   Word   `json:"word,omitempty"`   // of a stop
	Blamed string `json:"blamed,omitempty"` // key of the series that a regression is told of
	Reason string `json:"reason"`
}

// Next decides what a session does after the pairs measured so far. It is the only
// decider: a pair beyond the one that ended the session is not looked at, so that
// replaying the pairs later gives the same answer.
func Next(pairs []Pair, p Policy) Step {
	s := newSession(p)
	if len(p.Series) == 0 && slices.ContainsFunc(pairs, func(x Pair) bool { return len(x.A.Values)+len(x.B.Values) > 0 }) {
		return Step{Action: Stop, Word: Invalid, Reason: "no metric gates that could be compared: perf.metrics.NAME.gate: true makes one gate"}
	}
	again, own := 0, 0
	for i, pair := range pairs {
		failedA, failedB := p.Invalid(pair.A), p.Invalid(pair.B)
		if failedA == "" && failedB == "" {
			own = 0
			s.add(pair)
			if step, done := s.decide(); done {
				return owned(step, pairs[:i+1])
			}
			continue
		}
		if own++; failedA != "" {
			own = 0
		}
		switch {
		case own == ownFailures:
			return Step{Action: Stop, Pair: s.n, Word: Failed, Reason: fmt.Sprintf("B failed %d times in a row and A did not: %s", own, failedB)}
		case again == MaxAgain:
			return owned(Step{Action: Stop, Pair: s.n, Word: Invalid, Reason: fmt.Sprintf("%d pairs had to be measured again, and one more gave no measurement: %s", again, whose(failedA, failedB))}, pairs[:i+1])
		}
		again++
		if i == len(pairs)-1 {
			return Step{Action: Again, Pair: s.n + 1, Reason: whose(failedA, failedB)}
		}
	}
	return Step{Action: Go, Pair: s.n + 1, Reason: s.state}
}

// owned is the end of a session in which B may have crashed more than once and A never: what the other runs measured
// does not make that good. A slowdown that is proven stays one.
func owned(end Step, pairs []Pair) Step {
	a, b := 0, 0
	for _, p := range pairs {
		if p.A.Failed && !p.A.Infra {
			a++
		}
		if p.B.Failed && !p.B.Infra {
			b++
		}
	}
	if end.Word == Regression || a > 0 || b < ownCrashes {
		return end
	}
	end.Word, end.Reason = Failed, fmt.Sprintf("B failed in %d of its %d runs, and A in none", b, len(pairs))
	return end
}

// whose says which of two runs failed, and why.
func whose(a, b string) string {
	switch {
	case a == b:
		return "both: " + a
	case a == "":
		return "B: " + b
	case b == "":
		return "A: " + a
	default:
		return "A: " + a + "; B: " + b
	}
}

// Invalid is why a run is no measurement, "" if it is one.
func (p Policy) Invalid(r Run) string {
	if r.Failed {
		return "the run failed"
	}
	if len(p.Series) == 0 && len(r.Values) == 0 {
		return "nothing was measured"
	}
	for _, s := range p.Series {
		v, ok := r.Values[s.Key]
		switch {
		case !ok:
			return s.Key + " was not measured"
		case !(v > 0) || math.IsInf(v, 0):
			return fmt.Sprintf("%s is %g, which cannot be compared", s.Key, v)
		}
	}
	return ""
}

// session is the state of a session while its pairs are replayed.
type session struct {
	policy Policy
	like   []likelihood
	d      [][]float64 // by series and pair
	passed []bool      // latched
	n      int
	state  string
}

func newSession(p Policy) *session {
	s := &session{policy: p, passed: make([]bool, len(p.Series)), d: make([][]float64, len(p.Series)), state: "no pair is measured yet"}
	for _, series := range p.Series {
		s.like = append(s.like, newLikelihood(series.noise()))
	}
	return s
}

func (s Series) noise() float64 {
	if s.Noise > 0 && !math.IsInf(s.Noise, 0) {
		return max(finestScale, s.Noise)
	}
	return priorNoise
}

// dmin is the smallest effect as a log.
func (s Series) dmin() float64 { return math.Log1p(s.MinEffect) }

func (s *session) add(p Pair) {
	for q, series := range s.policy.Series {
		d := series.Sign * (math.Log(p.B.Values[series.Key]) - math.Log(p.A.Values[series.Key]))
		s.d[q] = append(s.d[q], d)
	}
	s.n++
}

// threshold is the log of the e-value that ends a session.
func (p Policy) threshold() float64 { return math.Log(max(1/alpha, float64(p.Cases)/runAlpha)) }

// decide looks at the evidence after every even number of pairs, so that a linear
// drift of the machine cancels.
func (s *session) decide() (Step, bool) {
	if s.n < MinPairs || s.n%2 != 0 {
		s.state = fmt.Sprintf("%s: the evidence is weighed after every second pair from the %dth on", plain.Count(s.n, "pair"), MinPairs)
		return Step{}, false
	}
	worse, better := make([]float64, len(s.d)), make([]float64, len(s.d))
	all, none := true, true // every series has passed, none looks worse
	for q, series := range s.policy.Series {
		e := s.like[q].evidence(s.d[q], series.dmin())
		worse[q], better[q] = e.Worse, e.Better
		s.passed[q] = s.passed[q] || e.Pass >= -math.Log(beta)
		all, none = all && s.passed[q], none && e.Worse <= 0
	}
	w, b := largest(worse), largest(better)
	limit := s.policy.threshold()
	end := func(word Word, format string, args ...any) (Step, bool) {
		return Step{Action: Stop, Pair: s.n, Word: word, Reason: fmt.Sprintf("%d pairs: ", s.n) + fmt.Sprintf(format, args...)}, true
	}
	switch {
	case meanOfLogs(worse) >= limit && bws.Median(s.d[w], nil) >= 0.7*s.policy.Series[w].dmin():
		step, done := end(Regression, "%s is worse", s.policy.Series[w].Key)
		step.Blamed = s.policy.Series[w].Key
		return step, done
	case meanOfLogs(better) >= limit && bws.Median(s.d[b], nil) <= -0.7*s.policy.Series[b].dmin() && none:
		return end(Improvement, "%s is better, and nothing is worse", s.policy.Series[b].Key)
	case all:
		return end(Pass, "nothing is worse by its smallest effect")
	case s.n >= MaxPairs:
		return end(Inconclusive, "neither a change nor its absence is certain enough")
	}
	s.state = fmt.Sprintf("%d pairs: undecided", s.n)
	return Step{}, false
}

// largest is the index of the first of the largest numbers.
func largest(v []float64) int {
	at := 0
	for i := range v {
		if v[i] > v[at] {
			at = i
		}
	}
	return at
}
