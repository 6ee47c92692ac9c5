package metric

import "math"

// Direction says which way is better.
type Direction int

// The directions. The zero value is invalid on purpose.
const (
	HigherIsBetter Direction = iota + 1
	LowerIsBetter
)

// String is "higher" or "lower".
func (d Direction) String() string {
	switch d {
	case HigherIsBetter:
		return "higher"
	case LowerIsBetter:
		return "lower"
	default:
		return "invalid direction"
	}
}

// ParseDirection reads "higher" or "lower"; anything else, the empty string
// included, is not a direction.
func ParseDirection(s string) (Direction, bool) {
	switch s {
	case "higher":
		return HigherIsBetter, true
	case "lower":
		return LowerIsBetter, true
	default:
		return 0, false
	}
}

// Metric is a named number with a unit and a direction.
type Metric struct {
	Name      string // canonical: output_token_throughput, ttft_p99_ms, …
	Unit      string // tok/s, req/s, ms, s, %, 1
	Better    Direction
	Gate      bool     // judged by default in some mode, others are shown: GatesIn says in which
	MinEffect float64  // smallest relative change worth a verdict (dmin), e.g. 0.02
	Upstream  string   // field name in upstream's records without the d_ prefix, "" = none
	Aliases   []string // spellings in clients' JSON files
}

// Sign is +1 where a larger value is worse and -1 where it is better, so that
// Sign()*ln(value) grows as things get worse.
func (m Metric) Sign() float64 {
	if m.Better == LowerIsBetter {
		return 1
	}
	return -1
}

// Worse reports whether after is worse than before. A NaN is never worse: it
// is not a measurement, and readers do not let it through.
func (m Metric) Worse(before, after float64) bool {
	return m.Sign()*(after-before) > 0
}

// Worsening is the relative change from before to after, above zero where it
// is worse. It is NaN if before is zero or either value is not finite.
func (m Metric) Worsening(before, after float64) float64 {
	if before == 0 || math.IsInf(before, 0) || math.IsInf(after, 0) {
		return math.NaN()
	}
	return m.Sign() * (after - before) / math.Abs(before)
}
