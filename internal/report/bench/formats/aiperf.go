package formats

import (
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
)

// aiperf and genAIPerf describe profile_export_aiperf.json and *_genai_perf.json. Their
// inter_token_latency is (latency - TTFT) / (tokens - 1) of a request, which all other
// clients call TPOT; inter_chunk_latency is what those call ITL.
func aiperf() bench.Described {
	d := genAIPerf()
	d.ID, d.Name, d.Marks = AIPerf, "AIPerf", []string{"/was_cancelled", "/request_latency/avg"}
	d.Problem, d.NoneFailed = "/was_cancelled", true
	return d
}

func genAIPerf() bench.Described {
	d := bench.Described{
		ID: GenAIPerf, Marks: []string{"/request_latency/avg", "/request_latency/unit"},
		Hints: []string{"/aiperf_version", "/request_throughput/unit", "/output_token_throughput/unit"},
		Generic: bench.Generic{
			Name:        "GenAI-Perf",
			Concurrency: "/input_config/loadgen/concurrency | /input_config/concurrency | /input_config/perf_analyzer/stimulus/concurrency",
			Rate:        "/input_config/loadgen/request_rate | /input_config/perf_analyzer/stimulus/request_rate",
			Requested:   "/input_config/loadgen/request_count | /input_config/request_count",
			Completed:   "/request_count/avg", Failed: "/error_request_count/avg", Duration: "/benchmark_duration/avg",
			InputTok:  "/total_isl/avg | /total_input_tokens/avg | /input_sequence_length/sum",
			OutputTok: "/total_osl/avg | /total_output_tokens/avg | /output_sequence_length/sum",
		},
	}
	add := func(metric, tag, stat string) {
		m := one(metric, "/"+tag+"/"+stat, "")
		m.UnitAt = "/" + tag + "/unit"
		d.Metrics = append(d.Metrics, m)
	}
	for _, tag := range []string{
		"request_throughput", "output_token_throughput", "total_token_throughput", "output_token_throughput_per_user", "goodput", "request_goodput",
	} {
		add(tag, tag, "avg")
	}
	for _, f := range [][2]string{
		{"ttft", "time_to_first_token"}, {"tpot", "inter_token_latency"}, {"itl", "inter_chunk_latency"}, {"e2el", "request_latency"},
	} {
		for _, stat := range []string{"p1", "p5", "p10", "p25", "p75", "p90", "p95", "p99", "min", "max", "std"} {
			add(f[0]+"_"+stat+"_ms", f[1], stat)
		}
		add(f[0]+"_mean_ms", f[1], "avg")
		add(f[0]+"_median_ms", f[1], "p50")
	}
	return d
}
