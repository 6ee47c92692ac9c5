package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench/steps"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// readText reads a log, line by line.
func (rd Reader) readText(br *bufio.Reader, file string) (results []Result, err error) {
	formats := slices.DeleteFunc(rd.formats(), func(f Format) bool { return f.Lines == nil })
	readers := make([]LineReader, len(formats))
	for i, f := range formats {
		readers[i] = f.Lines(rd.Metrics, file)
	}
	var iterations steps.Scanner
	fault := eachLine(br, func(text []byte, number int, torn bool) {
		if iterations.Line(text, number) {
			return
		}
		for i, r := range readers {
			if !torn || formats[i].Cuts { // a number at the end of a torn line may be half of one
				r.Line(text, number)
			}
		}
	})
	for _, r := range readers {
		results = added(results, r.End()...)
	}
	slices.SortStableFunc(results, func(a, b Result) int { return cmp.Compare(a.Line, b.Line) })
	log, err := iterations.Log()
	if err == nil && log.Used > 0 && (rd.only == "" || rd.only == genServer) {
		results = append(results, StepResult(log, file))
	}
	return results, cmp.Or(err, fault)
}

// servingTable finds the tables that the serving clients print. All that descend from vLLM's first one print the same
// frame with slightly different labels, so one reader does for TensorRT-LLM, bench_serving, vLLM and SGLang.
type servingTable struct {
	metrics metric.Table
	file    string
	results []Result
	open    bool   // the table of the last one is being read
	next    Result // what is said before its table
}

// Line looks at a line of the log.
func (t *servingTable) Line(text []byte, number int) {
	r := t.latest()
	failed := failure.Find(text)
	switch {
	case bytes.Contains(text, []byte("Serving Benchmark Result")) && bytes.Contains(text, []byte("====")):
		t.cut("another one begins before its end")
		t.begin(number)
	case failed != nil && r != nil:
		r.spoil(number, "the client says %s", failed)
	case t.open:
		t.statement(r, text, number)
	default:
		t.between(text, number)
	}
}

// End is all that was found.
func (t *servingTable) End() []Result {
	t.cut("its closing line is missing")
	return t.results
}

// begin opens a table.
func (t *servingTable) begin(number int) {
	r := t.next
	r.Format, r.File, r.Line = FormatServingText, t.file, number
	if r.Requests > 0 {
		r.Requested, r.Requests = new(int64(r.Requests)), 0
	}
	t.results, t.open, t.next = added(t.results, r), true, Result{}
}

// cut spoils a table that is still open.
func (t *servingTable) cut(why string) {
	if r := t.latest(); t.open {
		r.spoil(r.Line, "the table is cut off: %s", why)
	}
}

// latest is the last client's result, nil = none yet.
func (t *servingTable) latest() *Result {
	if len(t.results) == 0 {
		return nil
	}
	return &t.results[len(t.results)-1]
}

// between looks at a line outside of any table.
func (t *servingTable) between(text []byte, number int) {
	switch {
	case bytes.Contains(text, []byte("Namespace(")):
		t.next.Point = parseNamespace(text)
	case bytes.Contains(text, []byte("aximum request concurrency:")), bytes.Contains(text, []byte("Traffic request rate:")):
		t.statement(&t.next, preamble.Find(text), number)
	case bytes.Contains(text, []byte("Per Iter Device Step Time (ms):")),
		bytes.Contains(text, []byte("User throughput (tok/s):")),
		bytes.Contains(text, []byte("Time Breakdown ")): // the test appends them behind the client's table
		if len(t.results) == 0 {
			t.results = append(t.results, Result{Format: FormatServingText, File: t.file, Line: number})
		}
		if label, value, ok := labelled(text); ok { // of one task: a label of srun's makes it another line
			t.take(t.latest(), label, value, number)
		}
	case bytes.Contains(text, []byte("Benchmark with concurrency ")): // comes after the table
		if g, r := done.FindSubmatch(text), t.latest(); g != nil && r != nil && r.Concurrency == 0 {
			r.Concurrency = small(g[1])
		}
	}
}

// statement takes what a line says of r; the closing line of a table says that it is whole.
func (t *servingTable) statement(r *Result, text []byte, number int) {
	for _, candidate := range starts(text) {
		if len(candidate) >= 20 && bytes.Trim(candidate, "=") == nil {
			t.open = false
			return
		}
		if label, value, ok := labelled(candidate); ok && t.take(r, label, value, number) {
			return
		}
	}
}

// starts are the places where the content of a line may begin: at its start, behind srun's task label, behind time
// stamps and a progress bar.
func starts(text []byte) [][]byte {
	text = bytes.TrimSpace(text)
	out := [][]byte{text}
	if i := bytes.IndexByte(text, ':'); i > 0 && i < 8 && bytes.Trim(text[:i], "0123456789") == nil {
		text = bytes.TrimSpace(text[i+1:])
		out = append(out, text)
	}
	if i := bytes.LastIndexByte(text, ']'); i >= 0 && i < len(text)-1 {
		out = append(out, bytes.TrimSpace(text[i+1:]))
	}
	return out
}

// labelled splits "Mean TTFT (ms):    12.34" into a lower-case label with single spaces and the first word of the
// value.
func labelled(text []byte) (label, value string, ok bool) {
	i := bytes.IndexByte(text, ':')
	if i <= 0 || i > 80 || len(bytes.TrimSpace(text[i+1:])) == 0 {
		return "", "", false
	}
	fields := bytes.Fields(text[i+1:])
	return strings.ToLower(string(bytes.Join(bytes.Fields(text[:i]), []byte(" ")))), string(fields[0]), true
}

// take adds what is said under a label, and reports whether that is known.
func (t *servingTable) take(r *Result, label, value string, line int) bool {
	counter := map[string]**int64{
		"total requests": &r.Requested, "successful requests": &r.Completed, "failed requests": &r.Failed, "total failed requests": &r.Failed,
		"total input tokens": &r.InputTokens, "total generated tokens": &r.OutputTokens,
	}[label]
	duration := label == "benchmark duration (s)"
	m, known := t.metricOf(label)
	v, number := parseNumber(value)
	switch {
	case label == "traffic request rate", label == "request rate configured (rps)":
		r.Rate = rate(v)
	case label == "maximum request concurrency", label == "max request concurrency":
		r.Concurrency = cmp.Or(small([]byte(value)), r.Concurrency)
	case counter == nil && !duration && !known:
		return false
	case !number, (counter != nil || duration) && !finite(v):
		r.spoil(line, "%s is %q, not a number", label, value)
	case duration:
		r.DurationS = &v
	case counter != nil:
		// The larger of two statements about the number of requests is the one that a shortfall must not hide behind.
		*counter = Larger(*counter, new(int64(v)))
	default:
		r.Add(m, v, line) // it knows what is to be made of nan
	}
	return true
}

// metricOf finds the metric of a label: "std dev ttft (ms)" is std_ttft_ms.
func (t *servingTable) metricOf(label string) (metric.Metric, bool) {
	name, unit, _ := strings.Cut(label, " (")
	name = strings.Replace(strings.Replace(name, "std dev ", "std ", 1), " per iter device step time", " gen device step time", 1)
	first, rest, _ := strings.Cut(name, " ")
	if stat, ok := metric.NormalStat(first); ok {
		name = stat + " " + rest
	}
	name = strings.ReplaceAll(name, " ", "_")
	if unit == "ms)" {
		name += "_ms"
	}
	return t.metrics.Resolve(name)
}

// What is looked for in what a client prints: its arguments, before and behind its table, and where requests failed.
var (
	argument = regexp.MustCompile(`\b(num_prompts|max_concurrency|random_input_len|random_output_len|dataset_name)=(?:'([^']*)'|([0-9]+)\b)`)
	failure  = regexp.MustCompile(`!FAILED REQUESTS!|!CHECK LOG FOR ERRORS!`)
	preamble = regexp.MustCompile(`[Mm]aximum request concurrency:.*|Traffic request rate:.*`) // wherever in a line
	done     = regexp.MustCompile(`Benchmark with concurrency ([0-9]{1,9}) done`)
)

// parseNamespace reads the argparse Namespace that the clients print first. The lengths and the number of requests are
// printed whether they are used or not.
func parseNamespace(text []byte) (p rundir.Point) {
	numbers := map[string]*int{
		"num_prompts": &p.Requests, "max_concurrency": &p.Concurrency, "random_input_len": &p.InputLen, "random_output_len": &p.OutputLen,
	}
	var data string
	for _, g := range argument.FindAllSubmatch(text, -1) {
		if n := numbers[string(g[1])]; n != nil {
			*n = small(g[3])
		} else {
			data = string(g[2])
		}
	}
	if !strings.HasPrefix(data, "random") {
		p.InputLen, p.OutputLen = 0, 0
	}
	if data == "generated-shared-prefix" { // SGLang's: as many requests as its groups have
		p.Requests = 0
	}
	return p
}

// small is a whole number above zero that fits any integer; 0 = none.
func small(text []byte) int {
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return 0
	}
	return int(max(n, 0))
}

// parseNumber reads a number as Python prints it: 12.34, 1e-05, nan, -Infinity, 12.3%, 1,234.5. None is NaN, not ok.
func parseNumber(s string) (v float64, ok bool) {
	s = strings.ReplaceAll(strings.TrimSuffix(s, "%"), ",", "")
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(v, 0) || strings.ContainsAny(s, "_xXpP") { // Go's own spellings
		return math.NaN(), false
	}
	return v, true
}

// finite reports whether a number is a measurement.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Add takes a sample. A value that is not finite is no measurement and kept apart, the first one of each metric. A
// second, different value of the same metric spoils the point.
func (r *Result) Add(m metric.Metric, v float64, line int) {
	have, twice := r.Value(m.Name)
	switch told := func(p Problem) bool { return p.Metric == m.Name }; {
	case !finite(v) && !slices.ContainsFunc(r.NotFinite, told):
		r.NotFinite = append(r.NotFinite, Problem{File: r.File, Line: line, Text: m.Name + " is " + strconv.FormatFloat(v, 'g', -1, 64), Metric: m.Name})
	case !finite(v):
	case !twice:
		r.Samples = append(r.Samples, Sample{Metric: m.Name, Value: v, Line: line})
	case have != v:
		r.spoil(line, "%s is given twice: %v and %v", m.Name, have, v)
	}
}
