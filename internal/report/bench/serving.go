package bench

import (
	"math"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Names of readers that have a way of their own.
const (
	perfCSV   = "perf-csv"
	genServer = "gen-server"
)

// Builtin lists the formats that every Reader knows.
func Builtin() []Format {
	clients := []string{"benchmark_serving", "bench_serving", "vllm", "sglang", "trtllm"}
	all := []string{"concurrency", "rate", "requested", "completed", "failed"}
	lmEvalClient := []string{"lm-eval"}
	return append([]Format{
		{
			Name: "benchmark_serving, bench_serving, vLLM, SGLang (JSON)", Readers: clients, Gives: all, JSON: serving,
			Marks: []string{"/num_prompts", "/request_rate", "/max_concurrency", "/duration", "/completed", "/total_input_tokens", "/request_throughput", "/output_throughput"},
		},
		{Name: "their table", Readers: clients, Gives: all, Cuts: true, Lines: func(t metric.Table, file string) LineReader { return &servingTable{metrics: t, file: file} }},
		{Name: "perf_script_test_results.csv", Readers: []string{perfCSV}, Gives: []string{"name", "concurrency"}},
		{Name: "iteration logs", Readers: []string{genServer}},
		{Name: "lm_eval (JSON)", Readers: lmEvalClient, JSON: lmEval, Marks: []string{"/results"}},
		{Name: "lm_eval (table)", Readers: lmEvalClient, Lines: func(t metric.Table, file string) LineReader { return &scoreTable{metrics: t, file: file} }},
	}, describedFormats()...)
}

// serving maps the summary of a serving client. Every client that descends from vLLM's uses the same keys where it
// means the same thing; the metric table knows them.
func serving(t metric.Table, d jsondoc.Document, file string) []Result {
	if !d.Has("/output_throughput") || !d.Has("/duration") && !d.Has("/completed") {
		return nil
	}
	r := Result{
		Format: FormatServingJSON, File: file, Line: d.Line(""), Point: rundir.Point{Name: d.Text("/label"), Concurrency: d.Small("/max_concurrency")},
		Lists: d.Lists(), Date: scalar(d, "/date").text,
	}
	count := func(key string) *int64 { return r.count(unquoted(d, "/"+key), key) }
	r.Requested, r.Completed, r.Failed = Larger(count("total_requests"), count("num_prompts")), count("completed"), count("failed")
	r.InputTokens, r.OutputTokens = count("total_input_tokens"), count("total_output_tokens")
	if strings.HasPrefix(d.Text("/dataset_name"), "random") {
		r.InputLen, r.OutputLen = d.Small("/random_input_len"), d.Small("/random_output_len")
	}
	r.lasted(unquoted(d, "/duration"), "s")
	v, _ := d.Number("/request_rate")
	if r.Rate = rate(v); r.Rate == 0 {
		r.ColdStart = coldStart(d, r.Concurrency)
	}
	for _, pointer := range d.Pointers() {
		f := unquoted(d, pointer)
		switch m, known := servingMetric(t, pointer); {
		// Zero decoded tokens per iteration is how the client says that it does not know: its table leaves the block out.
		case !known, f.v == 0 && strings.HasPrefix(m.Name, "avg_decoded_tokens_per_iter"):
		case f.odd != "":
			r.not(f, m.Name, "number")
		case f.ok:
			r.Add(m, f.v, f.line)
		}
	}
	return []Result{r}
}

// unquoted is scalar, where a number in quotes is none.
func unquoted(d jsondoc.Document, pointer string) found {
	f := scalar(d, pointer)
	if _, ok := d.Number(pointer); !ok {
		f.v = math.NaN()
	}
	return f
}

// servingMetric finds the metric of a pointer in a client's summary.
func servingMetric(t metric.Table, pointer string) (metric.Metric, bool) {
	key := strings.TrimPrefix(strings.TrimPrefix(pointer, "/"), "energy/")
	if rest, ok := strings.CutPrefix(key, "avg_decoded_tokens_per_iter/"); ok {
		key = strings.TrimPrefix(rest, "percentiles/") + "_avg_decoded_tokens_per_iter"
	}
	if strings.Contains(key, "/") {
		return metric.Metric{}, false
	}
	return t.Resolve(key)
}
