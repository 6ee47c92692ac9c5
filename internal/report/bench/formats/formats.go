// Package formats reads what benchmark clients beside the serving clients leave
// behind. Each reader recognises its format by content.
//
// In: a JSON document or the lines of a log. Out: Results, one per benchmark
// point, with canonical metrics. A number that is not there is not in the
// result.
package formats

import "github.com/ci-disagg/ci-disagg/internal/report/bench"

// The formats, as they stand in bench.Result.Format.
const (
	AIPerf    = "aiperf-json"
	GenAIPerf = "genai-perf-json"
)

// All lists the formats of this package, for bench.Reader.
func All() []bench.Format {
	return []bench.Format{
		{
			Name: "AIPerf and GenAI-Perf", JSON: aiperf,
			Marks: []string{"/aiperf_version", "/request_throughput/unit", "/request_latency/unit"},
		},
		{Name: "lm_eval's results", JSON: lmEval, Marks: []string{"/results"}},
		{Name: "lm_eval's table", Lines: newScoreTable},
	}
}
