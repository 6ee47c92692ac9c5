package formats

import (
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
)

// described are the formats that a description is enough for. What is left out
// on purpose:
//
//   - guidellm's time_per_output_token and llmperf's inter_token_latency are the
//     whole latency over the tokens; ours, TPOT, is without the first token, as
//     is guidellm's inter_token_latency;
//   - InferenceMAX's interactivity is the inverse of TPOT;
//   - MLPerf's scheduled samples per second are what the client sent.
func described() []bench.Described {
	return []bench.Described{
		aiperf(), genAIPerf(), guidellm(), llmperf(), inferenceMAX(), trtllmBench(), trtllmBenchText(), mlperf(),
		pytestBenchmark(), redisBenchmark(), redisText(), redisQuiet(), pgbench(), wrk(), apacheBench(), ncclTests(), ncclSummary(),
	}
}

// one is the description of a metric at a place.
func one(name, at, unit string) bench.GenericMetric {
	return bench.GenericMetric{Metric: name, At: at, Unit: unit, Optional: true}
}

// must is the description of a metric without which the output is cut off.
func must(name, at string) bench.GenericMetric {
	return bench.GenericMetric{Metric: name, At: at}
}

// stats describes the statistics of a family: each of names is a statistic, or
// ours=theirs, and stands at the place with %s filled in.
func stats(family, place, unit string, names ...string) []bench.GenericMetric {
	var out []bench.GenericMetric
	for _, name := range names {
		ours, theirs, ok := strings.Cut(name, "=")
		if !ok {
			theirs = ours
		}
		out = append(out, one(family+"_"+ours+"_ms", fmt.Sprintf(place, theirs), unit))
	}
	return out
}

func concat(lists ...[]bench.GenericMetric) []bench.GenericMetric {
	var out []bench.GenericMetric
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func guidellm() bench.Described {
	names := []string{"mean", "median", "std=std_dev", "min", "max", "p90=percentiles/p90", "p95=percentiles/p95", "p99=percentiles/p99"}
	const strategy = "/config/strategy/%[1]s | /scheduler/strategy/%[1]s | /args/strategy/%[1]s"
	return bench.Described{
		ID: GuideLLM, Marks: []string{"/benchmarks/0/metrics/request_latency"},
		Generic: bench.Generic{
			Name: "guidellm", Items: "benchmarks", Point: fmt.Sprintf(strategy, "type_"),
			Concurrency: fmt.Sprintf(strategy, "streams"), Rate: fmt.Sprintf(strategy, "rate"),
			Duration: "/duration", Completed: "/metrics/request_totals/successful | /request_totals/successful",
			Failed: "/metrics/request_totals/errored | /request_totals/errored",
			Metrics: concat(
				[]bench.GenericMetric{
					one("request_throughput", "/metrics/requests_per_second/successful/mean", ""),
					one("output_token_throughput", "/metrics/output_tokens_per_second/successful/mean", ""),
					one("total_token_throughput", "/metrics/tokens_per_second/successful/mean", ""),
				},
				stats("e2el", "/metrics/request_latency/successful/%s", "s", names...),
				stats("ttft", "/metrics/time_to_first_token_ms/successful/%s", "ms", names...),
				stats("tpot", "/metrics/inter_token_latency_ms/successful/%s", "ms", names...),
			),
		},
	}
}

func llmperf() bench.Described {
	names := []string{"mean", "median=quantiles_p50", "std=stddev", "min", "max", "p90=quantiles_p90", "p95=quantiles_p95", "p99=quantiles_p99"}
	return bench.Described{
		ID: LLMPerf, Marks: []string{"/results_ttft_s_mean", "/results_num_completed_requests"},
		Generic: bench.Generic{
			Name: "llmperf", Concurrency: "/num_concurrent_requests",
			Requested: "/results_num_requests_started", Completed: "/results_num_completed_requests", Failed: "/results_number_errors",
			Metrics: concat(
				[]bench.GenericMetric{
					one("request_throughput", "/results_num_completed_requests_per_min", "req/min"),
					one("output_token_throughput", "/results_mean_output_throughput_token_per_s", ""),
				},
				stats("ttft", "/results_ttft_s_%s", "s", names...), stats("e2el", "/results_end_to_end_latency_s_%s", "s", names...),
			),
		},
	}
}

func inferenceMAX() bench.Described {
	d := bench.Described{
		ID: InferenceMAX, Marks: []string{"/tput_per_gpu", "/conc", "/hw"},
		Generic: bench.Generic{
			Name: "InferenceMAX", Concurrency: "/conc",
			Metrics: []bench.GenericMetric{
				one("total_token_throughput_per_gpu", "/tput_per_gpu", ""), one("output_token_throughput_per_gpu", "/output_tput_per_gpu", ""),
			},
		},
	}
	for _, family := range []string{"ttft", "tpot", "itl", "e2el"} {
		d.Metrics = append(d.Metrics, stats(family, "/%s_"+family, "s", "mean", "median", "std", "p90", "p95", "p99", "p99.9")...)
	}
	return d
}

func trtllmBench() bench.Described {
	names := []string{"mean=average", "median=p50", "min=minimum", "max=maximum", "p90", "p95", "p99"}
	return bench.Described{
		ID: TRTLLMBench, Marks: []string{"/performance/request_throughput_req_s"},
		Generic: bench.Generic{
			Name: "trtllm-bench (JSON)", Completed: "/request_info/num_requests",
			Metrics: concat(
				[]bench.GenericMetric{
					one("request_throughput", "/performance/request_throughput_req_s", ""),
					one("output_token_throughput", "/performance/system_output_throughput_tok_s", ""),
					one("total_token_throughput", "/performance/system_total_throughput_tok_s", ""),
					one("user_throughput", "/performance/output_throughput_per_user_tok_s", ""),
					one("output_token_throughput_per_gpu", "/performance/output_throughput_per_gpu_tok_s", ""),
					one("spec_acceptance_length", "/decoding_stats/acceptance_length_percentiles/average", ""),
				},
				stats("e2el", "/performance/request_latency_percentiles_ms/%s", "ms", names...),
				stats("ttft", "/streaming_metrics/ttft_percentiles/%s", "ms", names...),
				stats("tpot", "/streaming_metrics/tpot_percentiles/%s", "ms", names...),
			),
			Duration: "/performance/total_latency_ms", DurationIn: "ms",
		},
	}
}

func pytestBenchmark() bench.Described {
	return bench.Described{
		ID: PytestBenchmark, Marks: []string{"/benchmarks/0/stats/rounds", "/machine_info"},
		Generic: bench.Generic{
			Name: "pytest-benchmark", Items: "benchmarks", Point: "/fullname", Completed: "/stats/rounds",
			Metrics: stats("run_time", "/stats/%s", "s", "mean", "median", "std=stddev", "min", "max"),
		},
	}
}
