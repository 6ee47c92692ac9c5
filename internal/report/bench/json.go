package bench

import (
	"bufio"
	"fmt"
	"math"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// readJSON reads the JSON files of all clients: one object, several objects
// after each other, JSON lines, or a list of objects.
func (rd Reader) readJSON(br *bufio.Reader, file string) ([]Result, error) {
	var results []Result
	j := jsonReader{r: br}
	err := j.documents(func(d document) error {
		switch {
		case isLMEval(d):
			results = append(results, rd.lmEval(d, file))
		case isAIPerf(d):
			results = append(results, rd.aiperf(d, file))
		case formatOf(d) != "":
			results = append(results, rd.serving(d, file))
		}
		return nil
	})
	if err != nil && len(results) == 0 && !j.doc.smells() {
		return nil, fmt.Errorf("%w (%w)", named(err, file), ErrUnrecognised)
	}
	return results, named(err, file)
}

// smells reports whether the part of a document before a fault could be that of
// a benchmark. A server's own JSON may well be torn when it is ended; that
// says nothing about the measurement.
func (d document) smells() bool {
	for _, key := range []string{
		"/num_prompts", "/request_rate", "/max_concurrency", "/duration", "/completed", "/total_input_tokens", "/request_throughput",
		"/output_throughput", "/aiperf_version", "/request_throughput/unit", "/request_latency/unit",
	} {
		if _, ok := d.leaves[key]; ok {
			return true
		}
	}
	return d.nodes["/results"]
}

// formatOf recognises a document by the keys that only one client writes; "" =
// not a benchmark.
func formatOf(d document) string {
	has := func(key string) bool { _, ok := d.leaves["/"+key]; return ok }
	switch {
	case !has("output_throughput") || !has("duration") && !has("completed"):
		return ""
	case has("user_throughput"):
		return FormatTRTLLMJSON
	case has("total_output_tokens_retokenized"), has("mean_e2e_latency_ms"):
		return FormatSGLangJSON
	case has("request_goodput:"), has("best_of"):
		return FormatSAJSON
	default:
		return FormatVLLMJSON
	}
}

// serving maps the summary of a serving client. Every client that descends
// from vLLM's uses the same keys where it means the same thing; the metric
// table knows them.
func (rd Reader) serving(d document, file string) Result {
	r := Result{Format: formatOf(d), File: file, Line: d.line}
	r.Name = d.leaves["/label"].str
	r.Requested = d.count("/num_prompts")
	r.Completed = d.count("/completed")
	r.Failed = d.count("/failed")
	r.InputTokens = d.count("/total_input_tokens")
	r.OutputTokens = d.count("/total_output_tokens")
	r.Concurrency = d.small("/max_concurrency")
	if strings.HasPrefix(d.leaves["/dataset_name"].str, "random") {
		r.InputLen, r.OutputLen = d.small("/random_input_len"), d.small("/random_output_len")
	}
	if v, ok := d.number("/duration"); ok && v >= 0 && !math.IsInf(v, 0) {
		r.DurationS = &v
	}
	for _, pointer := range d.pointers() {
		l := d.leaves[pointer]
		if l.kind != leafNumber {
			continue
		}
		m, ok := servingMetric(rd.Metrics, pointer)
		// Zero decoded tokens per iteration is how the client says that it does
		// not know: its table leaves the block out then.
		if !ok || l.num == 0 && strings.HasPrefix(m.Name, "avg_decoded_tokens_per_iter") {
			continue
		}
		r.add(m, l.num, l.line)
	}
	return r
}

// servingMetric finds the metric of a pointer in a client's summary.
func servingMetric(t metric.Table, pointer string) (metric.Metric, bool) {
	key := strings.TrimPrefix(pointer, "/")
	if rest, ok := strings.CutPrefix(key, "energy/"); ok {
		key = rest
	}
	if rest, ok := strings.CutPrefix(key, "avg_decoded_tokens_per_iter/"); ok {
		key = strings.TrimPrefix(rest, "percentiles/") + "_avg_decoded_tokens_per_iter"
	}
	if strings.Contains(key, "/") {
		return metric.Metric{}, false
	}
	return t.Resolve(key)
}
