package paired

import "math"

// Result is what a session that has ended says.
type Result struct {
	Word   Word     `json:"verdict"`
	Reason string   `json:"reason"`
	Blamed string   `json:"blamed,omitempty"`
	Pairs  int      `json:"pairs"` // that decided
	Series []Effect `json:"series"`
}

// Effect is what a session says about one series. Effect and Interval are
// relative, signed by direction: above 0 is worse.
type Effect struct {
	Key         string     `json:"key"`
	Effect      float64    `json:"effect"`
	Interval    [2]float64 `json:"interval"`    // 5..95 %
	Noise       float64    `json:"noise"`       // spread of the differences of this session, in logs
	Prior       float64    `json:"prior"`       // spread that the test began with: that of earlier sessions, or of an unknown series
	Differences []float64  `json:"differences"` // per pair that decided, in logs: above 0 is worse
	Evidence    []Evidence `json:"evidence"`    // after each of these pairs
}

// Conclude replays a session that measures no further pair. One that Next would
// have gone on with was cut short, and is inconclusive with what it has.
func Conclude(pairs []Pair, p Policy) Result {
	step := Next(pairs, p)
	out := Result{Word: step.Word, Reason: step.Reason, Blamed: step.Blamed, Pairs: step.Pair}
	if step.Action != Stop {
		out.Word, out.Pairs = Inconclusive, step.Pair-1
		out.Reason = "the session was cut short: " + step.Reason
	}
	s := newSession(p)
	for _, pair := range pairs {
		if s.n < out.Pairs && p.Invalid(pair.A) == "" && p.Invalid(pair.B) == "" {
			s.add(pair)
		}
	}
	for q, series := range p.Series {
		if s.n > 0 {
			out.Series = append(out.Series, s.effect(q, series))
		}
	}
	return out
}

func (s *session) effect(q int, series Series) Effect {
	d, dmin := s.d[q], series.dmin()
	relative := func(x float64) float64 { return series.Sign * math.Expm1(series.Sign*x) }
	mean, lo, hi := s.like[q].effect(d, dmin)
	e := Effect{
		Key: series.Key, Effect: relative(mean), Interval: [2]float64{relative(lo), relative(hi)},
		Noise: spread(d), Prior: series.noise(), Differences: d,
	}
	for n := range d {
		e.Evidence = append(e.Evidence, s.like[q].evidence(d[:n+1], dmin))
	}
	return e
}
