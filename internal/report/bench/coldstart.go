package bench

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
)

// FirstWave compares the requests that a client sent at once, before any was answered, with those behind them.
type FirstWave struct {
	Requests int
	Fastest  float64 // the shortest time to the first token among them, in seconds
	Others   float64 // what nine tenths of the others stayed below, in seconds
}

// Where a first wave is cold: its very fastest request was this much slower than all but a tenth of the others. A wave
// that only queues has a fast first one.
const (
	coldFactor   = 3
	coldSeconds  = 0.5
	coldEvidence = 8 // requests behind the wave
)

// Cold reports whether the first wave waited for something that ended with it.
func (w FirstWave) Cold() bool {
	return w.Fastest > coldFactor*w.Others && w.Fastest > w.Others+coldSeconds
}

// String says what was found, and what helps.
func (w FirstWave) String() string {
	return fmt.Sprintf("cold start: the fastest of the first %d requests took %.3g s to its first token, nine tenths of the others at most %.3g s; "+
		"warm the servers up before the benchmark, or set perf.cold_start", w.Requests, w.Fastest, w.Others)
}

// ttfts is where the serving clients list the time to the first token of each request, in seconds and in the order in
// which they were sent.
const (
	ttfts    = "/ttfts"
	maxTTFTs = 20_000
)

// firstWave finds the first wave of a closed loop; nil = the file does not show it.
func firstWave(d jsondoc.Document, concurrency int) *FirstWave {
	if concurrency == 0 || !d.Has(ttfts) {
		return nil
	}
	var times []float64
	for i := range maxTTFTs {
		v, ok := d.Number(ttfts + "/" + strconv.Itoa(i))
		if !ok {
			break
		}
		times = append(times, v)
	}
	if len(times) < concurrency+coldEvidence {
		return nil
	}
	failed := func(v float64) bool { return !(v > 0) } // how a request without an answer is listed
	first := slices.DeleteFunc(slices.Clone(times[:concurrency]), failed)
	others := slices.DeleteFunc(times[concurrency:], failed)
	if len(first) == 0 || len(others) < coldEvidence {
		return nil
	}
	slices.Sort(others)
	return &FirstWave{Requests: concurrency, Fastest: slices.Min(first), Others: others[len(others)*9/10]}
}
