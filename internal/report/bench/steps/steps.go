// Package steps reads the device step time from the iteration log of a generation server.
//
// In: the lines of one log. Out: a Log, with the statistics of the rows that count, or an error where a log has more of
// them than any run writes.
package steps

import (
	"fmt"
	"math"
	"slices"
)

// Stats are the statistics of the device step time, in ms. Std has one degree of freedom less than rows; percentiles
// are interpolated linearly.
type Stats struct {
	Mean, Median, Std, P75, P99 float64
}

// Log is what the log of one generation server yielded.
type Log struct {
	Stats
	Tokens int64 // num_generation_tokens of the rows that count; -1 = no row gives it, so all count
	Used   int64 // rows that count
	Rows   int64 // usable rows
	Idle   int64 // rows left out because the iteration they time had nothing to do
	Line   int   // of the first usable row, 1-based; 0 = there is none
}

// Scanner decides which iteration lines of a log count. The zero value is ready.
//
// Rows are the lines of iteration 5 and later with a numeric prev_device_step_time. A row is left out if the line
// before it of the same rank is the iteration before and scheduled no request, because the value belongs to that idle
// iteration (docs/facts/trtllm.md#iteration-log). Of the rows only those with the most frequent num_generation_tokens
// count, the larger one where two are equally frequent, and all rows if none gives it.
type Scanner struct {
	ranks    map[int64]row // the line of a rank that came before
	byTokens map[int64][]float64
	log      Log
	err      error
}

// firstStep is the first iteration that counts: 0 and 1 wait for the KV cache, 2 to 4 warm up.
const firstStep = 5

// Bounds on what a log can make us remember. So many rows are a log of 5 GB, a day of one engine.
const (
	maxRows  = 1 << 24
	maxKinds = 1 << 14 // ranks, token counts
)

// Line takes the next line of the log, number counted from 1, and reports whether it is an iteration line.
func (s *Scanner) Line(text []byte, number int) bool {
	r, ok := parse(text)
	if !ok || s.err != nil {
		return ok
	}
	if s.ranks == nil {
		s.ranks, s.byTokens = map[int64]row{}, map[int64][]float64{}
	}
	before := s.ranks[r.rank]
	s.ranks[r.rank] = r
	switch {
	case r.iter < firstStep || r.value < 0:
	case before.scheduled == 0 && before.iter == r.iter-1:
		s.log.Idle++
	default:
		if s.log.Rows++; s.log.Rows == 1 {
			s.log.Line = number
		}
		s.byTokens[r.tokens] = append(s.byTokens[r.tokens], r.value)
	}
	if s.log.Rows > maxRows || len(s.ranks) > maxKinds || len(s.byTokens) > maxKinds {
		s.err = fmt.Errorf("more than %d iterations, or %d ranks or num_generation_tokens, in one log", maxRows, maxKinds)
		s.byTokens = nil
	}
	return true
}

// Log is the outcome; its Used is 0 if no row was usable.
func (s *Scanner) Log() (Log, error) {
	out, best := s.log, s.byTokens[-1] // rows without a token count only count when there are no others
	out.Tokens = -1
	for tokens, values := range s.byTokens {
		if tokens >= 0 && (out.Tokens < 0 || len(values) > len(best) || len(values) == len(best) && tokens > out.Tokens) {
			out.Tokens, best = tokens, values
		}
	}
	if len(best) > 0 {
		out.Used, out.Stats = int64(len(best)), statsOf(best)
	}
	return out, s.err
}

// statsOf are the statistics of the values, which it sorts. There is one at least.
func statsOf(values []float64) Stats {
	var sum, mean, m2 float64 // Welford's running mean and sum of squared deviations
	for i, v := range values {
		sum += v
		delta := v - mean
		mean += delta / float64(i+1)
		m2 += delta * (v - mean)
	}
	n := float64(len(values))
	slices.Sort(values)
	std := math.Sqrt(m2 / max(n-1, 1)) // 0 of a single one
	return Stats{Mean: sum / n, Median: interpolate(values, 0.50), Std: std, P75: interpolate(values, 0.75), P99: interpolate(values, 0.99)}
}

// interpolate is the percentile by linear interpolation between the ranks, as numpy's default.
func interpolate(sorted []float64, p float64) float64 {
	whole, frac := math.Modf(p * float64(len(sorted)-1))
	low := int(whole)
	v, next := sorted[low], sorted[min(low+1, len(sorted)-1)]
	return v + frac*(next-v)
}
