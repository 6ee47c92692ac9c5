package bench

import (
	"fmt"
	"math"
	"strings"

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
func isAIPerf(d document) bool {
	for _, tag := range []string{"request_throughput", "request_latency", "output_token_throughput"} {
		_, unit := d.leaves["/"+tag+"/unit"]
		if _, avg := d.number("/" + tag + "/avg"); unit && avg {
			return true
		}
	}
	return false
}

// aiperf maps a profile_export_aiperf.json or a *_genai_perf.json.
func (rd Reader) aiperf(d document, file string) Result {
	r := Result{Format: FormatGenAIPerf, File: file, Line: d.line}
	if _, ok := d.leaves["/was_cancelled"]; ok {
		r.Format = FormatAIPerf
	}
	r.Completed = d.count("/request_count/avg")
	r.Failed = d.count("/error_request_count/avg")
	if r.Failed == nil && r.Format == FormatAIPerf && r.Completed != nil {
		r.Failed = new(int64) // AIPerf leaves the count out when nothing failed
	}
	r.InputTokens = firstCount(d, "/total_isl/avg", "/total_input_tokens/avg", "/input_sequence_length/sum")
	r.OutputTokens = firstCount(d, "/total_osl/avg", "/total_output_tokens/avg", "/output_sequence_length/sum")
	for _, p := range []string{"/input_config/loadgen/concurrency", "/input_config/concurrency", "/input_config/perf_analyzer/stimulus/concurrency"} {
		if n := d.small(p); n > 0 {
			r.Concurrency = n
			break
		}
	}
	r.Requested = firstCount(d, "/input_config/loadgen/request_count", "/input_config/request_count")
	for _, pointer := range d.pointers() {
		rd.aiperfLeaf(&r, d, pointer)
	}
	if d.leaves["/was_cancelled"].isTrue() {
		r.Problems = append(r.Problems, Problem{file, d.leaves["/was_cancelled"].line, "the client says that it was cancelled"})
	}
	return r
}

func firstCount(d document, pointers ...string) *int64 {
	for _, p := range pointers {
		if n := d.count(p); n != nil {
			return n
		}
	}
	return nil
}

// aiperfLeaf takes /<tag>/<statistic>.
func (rd Reader) aiperfLeaf(r *Result, d document, pointer string) {
	tag, stat, ok := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	l := d.leaves[pointer]
	if !ok || l.kind != leafNumber || strings.Contains(stat, "/") {
		return
	}
	unit := d.leaves["/"+tag+"/unit"].str
	if tag == "benchmark_duration" && stat == "avg" {
		if v, err := metric.Convert(l.num, unit, "s"); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			r.DurationS = &v
		}
		return
	}
	m, ok := rd.aiperfMetric(tag, stat)
	if !ok {
		return
	}
	v, err := metric.Convert(l.num, unit, m.Unit)
	if err != nil {
		r.Problems = append(r.Problems, Problem{r.File, l.line, fmt.Sprintf("%s: %v", tag, err)})
		return
	}
	r.add(m, v, l.line)
}

func (rd Reader) aiperfMetric(tag, stat string) (metric.Metric, bool) {
	if family, ok := aiperfMetrics(tag); ok {
		stat, ok := metric.NormalStat(stat)
		if !ok {
			return metric.Metric{}, false
		}
		return rd.Metrics.Resolve(stat + "_" + family + "_ms")
	}
	if stat != "avg" {
		return metric.Metric{}, false
	}
	switch tag {
	case "request_throughput", "output_token_throughput", "total_token_throughput", "output_token_throughput_per_user", "goodput", "request_goodput":
		return rd.Metrics.Resolve(tag)
	default:
		return metric.Metric{}, false
	}
}
