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
	AIPerf          = "aiperf-json"
	GenAIPerf       = "genai-perf-json"
	GuideLLM        = "guidellm-json"
	LLMPerf         = "llmperf-json"
	InferenceMAX    = "inferencemax-json"
	TRTLLMBench     = "trtllm-bench-json"
	TRTLLMBenchText = "trtllm-bench-text"
	MLPerf          = "mlperf-text"
	PytestBenchmark = "pytest-benchmark-json"
	RedisBenchmark  = "redis-benchmark-csv"
	RedisText       = "redis-benchmark-text"
	RedisQuiet      = "redis-benchmark-quiet"
	ApacheBench     = "ab-text"
	PGBench         = "pgbench-text"
	WRK             = "wrk-text"
	NCCLTests       = "nccl-tests-text"
	NCCLSummary     = "nccl-tests-summary"
)

// All lists the formats of this package, for bench.Reader.
func All() []bench.Format {
	all := []bench.Format{
		{Name: "lm_eval (JSON)", JSON: lmEval, Marks: []string{"/results"}},
		{Name: "lm_eval (table)", Lines: newScoreTable},
	}
	for _, d := range described() {
		all = append(all, d.Format())
	}
	return all
}
