package formats

import (
	"fmt"
	"math"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// aiperfMetrics maps AIPerf's and GenAI-Perf's distributions to our families.
// Their inter_token_latency is (latency - TTFT) / (tokens - 1) of a request,
// which all other clients call TPOT; inter_chunk_latency is what those call ITL.
func aiperfMetrics(tag string) (family string, ok bool) {
	switch tag {
	case "time_to_first_token":
		return "ttft", true
	case "inter_token_latency":
		return "tpot", true
	case "inter_chunk_latency":
		return "itl", true
	case "request_latency":
		return "e2el", true
	default:
		return "", false
	}
}

// isAIPerf recognises the shape: metrics that are objects with a unit.
func isAIPerf(d jsondoc.Document) bool {
	for _, tag := range []string{"request_throughput", "request_latency", "output_token_throughput"} {
		if _, avg := d.Number("/" + tag + "/avg"); avg && d.Has("/"+tag+"/unit") {
			return true
		}
	}
	return false
}

// aiperf maps a profile_export_aiperf.json or a *_genai_perf.json.
func aiperf(t metric.Table, d jsondoc.Document, file string) []bench.Result {
	if !isAIPerf(d) {
		return nil
	}
	r := bench.Result{
		Format: GenAIPerf, File: file, Line: d.Line(""),
		Counts: bench.Counts{
			Completed: d.Count("/request_count/avg"), Failed: d.Count("/error_request_count/avg"),
			Requested:    d.Count("/input_config/loadgen/request_count", "/input_config/request_count"),
			InputTokens:  d.Count("/total_isl/avg", "/total_input_tokens/avg", "/input_sequence_length/sum"),
			OutputTokens: d.Count("/total_osl/avg", "/total_output_tokens/avg", "/output_sequence_length/sum"),
		},
	}
	r.Concurrency = d.Small("/input_config/loadgen/concurrency", "/input_config/concurrency", "/input_config/perf_analyzer/stimulus/concurrency")
	for _, pointer := range []string{"/input_config/loadgen/request_rate", "/input_config/perf_analyzer/stimulus/request_rate"} {
		if v, ok := d.Number(pointer); ok && v > 0 && !math.IsInf(v, 0) {
			r.Rate = v
		}
	}
	if d.Has("/was_cancelled") {
		r.Format = AIPerf
	}
	if r.Failed == nil && r.Format == AIPerf && r.Completed != nil {
		r.Failed = new(int64) // AIPerf leaves the count out when nothing failed
	}
	for _, pointer := range d.Pointers() {
		aiperfValue(t, &r, d, pointer)
	}
	if d.True("/was_cancelled") {
		r.Problems = append(r.Problems, bench.Problem{File: file, Line: d.Line("/was_cancelled"), Text: "the client says that it was cancelled"})
	}
	return []bench.Result{r}
}

// aiperfValue takes /<tag>/<statistic>.
func aiperfValue(t metric.Table, r *bench.Result, d jsondoc.Document, pointer string) {
	tag, stat, ok := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	v, isNumber := d.Number(pointer)
	if !ok || !isNumber || strings.Contains(stat, "/") {
		return
	}
	unit := d.Text("/" + tag + "/unit")
	if tag == "benchmark_duration" && stat == "avg" {
		if v, err := metric.Convert(v, unit, "s"); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			r.DurationS = &v
		}
		return
	}
	m, ok := aiperfMetric(t, tag, stat)
	if !ok {
		return
	}
	converted, err := metric.Convert(v, unit, m.Unit)
	if err != nil {
		r.Problems = append(r.Problems, bench.Problem{File: r.File, Line: d.Line(pointer), Text: fmt.Sprintf("%s: %v", tag, err)})
		return
	}
	r.Add(m, converted, d.Line(pointer))
}

func aiperfMetric(t metric.Table, tag, stat string) (metric.Metric, bool) {
	if family, ok := aiperfMetrics(tag); ok {
		stat, ok := metric.NormalStat(stat)
		if !ok {
			return metric.Metric{}, false
		}
		return t.Resolve(stat + "_" + family + "_ms")
	}
	if stat != "avg" {
		return metric.Metric{}, false
	}
	switch tag {
	case "request_throughput", "output_token_throughput", "total_token_throughput", "output_token_throughput_per_user", "goodput", "request_goodput":
		return t.Resolve(tag)
	default:
		return metric.Metric{}, false
	}
}
