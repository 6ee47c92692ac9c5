package bench

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
)

// Where a first wave is cold: its very fastest request was this much slower than all but a tenth of the others. A wave
// that only queues has a fast first one.
const (
	coldFactor   = 3
	coldSeconds  = 0.5
	coldEvidence = 8 // requests behind the wave
)

// ttfts is where the serving clients list the time to the first token of each request, in seconds and in the order in
// which they were sent.
const (
	ttfts    = "/ttfts"
	maxTTFTs = 20_000
)

// coldStart compares the requests that a client sent at once in a closed loop, before any was answered, with those
// behind them. It says what shows that they waited for something that ended with them, and what helps; "" = nothing.
func coldStart(d jsondoc.Document, concurrency int) string {
	var times []float64
	for i := range maxTTFTs {
		v, ok := d.Number(ttfts + "/" + strconv.Itoa(i))
		if !ok {
			break
		}
		times = append(times, v)
	}
	if concurrency == 0 || len(times) < concurrency+coldEvidence {
		return ""
	}
	failed := func(v float64) bool { return !(v > 0) } // how a request without an answer is listed
	first := slices.DeleteFunc(slices.Clone(times[:concurrency]), failed)
	others := slices.DeleteFunc(times[concurrency:], failed)
	if len(first) == 0 || len(others) < coldEvidence {
		return ""
	}
	slices.Sort(others)
	fastest, most := slices.Min(first), others[len(others)*9/10]
	if fastest <= coldFactor*most || fastest <= most+coldSeconds {
		return ""
	}
	return fmt.Sprintf("cold start: the fastest of the first %d requests took %.3g s to its first token, nine tenths of the others at most %.3g s; "+
		"warm the servers up before the benchmark, or set perf.cold_start", concurrency, fastest, most)
}
