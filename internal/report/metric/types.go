package metric

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

// Metric is a named number with a unit and a direction.
type Metric struct {
	Name      string // canonical: output_token_throughput, ttft_p99_ms, …
	Unit      string // tok/s, req/s, ms, s, %, 1
	Better    Direction
	Gate      bool     // judged by default; others are shown
	MinEffect float64  // smallest relative change worth a verdict (dmin), e.g. 0.02
	Upstream  string   // field name in upstream's records without the d_ prefix, "" = none
	Aliases   []string // spellings in clients' JSON files
}
