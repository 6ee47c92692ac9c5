package bench

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/report/bench/steps"
	"github.com/ci-disagg/ci-disagg/internal/report/jsondoc"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Result is one benchmark point as one client measured it.
type Result struct {
	Format       string // generic-json, -csv or -text of a user's own one
	File         string
	Also         []string // other files that told of the same run
	Line         int      // where it begins, 1-based
	Date         string   // when it was written, as the file says it
	rundir.Point          // load and lengths, as far as the file says
	Counts
	DurationS *float64
	Samples   []Sample
	NotFinite []Problem               // values that are no measurement: they matter where their metric gates
	Accuracy  []Score                 // of an accuracy run
	Steps     *steps.Log              // of a generation server's log
	ColdStart string                  // what shows that it had one, where the times of single requests are listed
	Lists     map[string]jsondoc.List // of single requests, by their names in the file
	Problems  []Problem               // what makes the point invalid: failure markers, truncated table, …
	Kept      []Result                // the repetitions that it is the median of; nil = it is of one run
}

// Counts are what a client says that it did; nil = the file does not say.
type Counts struct {
	Requested, Completed, Failed *int64 // requests
	InputTokens, OutputTokens    *int64
}

// Sources are the base names of the files that told of this run.
func (r Result) Sources() []string {
	out := []string{filepath.Base(r.File)}
	for _, f := range r.Also {
		out = append(out, filepath.Base(f))
	}
	return out
}

// The formats that are known beside the described ones, as they stand in Result.Format.
const (
	FormatServingText = "serving-text" // of every client that descends from vLLM's
	FormatServingJSON = "serving-json"
	FormatPerfCSV     = "perf-csv"     // perf_script_test_results.csv
	FormatSteps       = "trtllm-steps" // gen_server_<i>.log
	FormatLMEvalJSON  = "lm-eval-json"
	FormatLMEvalText  = "lm-eval-text"
)

// Sample is one value of one metric.
type Sample struct {
	Metric string  // canonical name, see package metric
	Value  float64 // in the metric's unit; always finite
	Line   int     // 1-based; 0 = not a line format
}

// Score is what an accuracy run measured on one task with one filter.
type Score struct {
	Task    string  // gsm8k, …
	Filter  string  // flexible-extract, strict-match, none, …
	Metric  string  // exact_match, acc, …
	Value   float64 // in Unit
	Unit    string  // % for shares, 1 for anything else (perplexity)
	Samples int     // that the run evaluated; 0 = not given
	Limited string  // what a text says of a limit of samples: None, a part of all; "" = nothing
	LowerIs bool    // a lower value is better
	Line    int
}

// Runs are the repetitions that it is the median of, else it alone.
func (r Result) Runs() []Result {
	if r.Kept == nil {
		return []Result{r}
	}
	return r.Kept
}

// Value finds the sample of a metric by its canonical name.
func (r Result) Value(name string) (float64, bool) {
	for _, s := range r.Samples {
		if s.Metric == name {
			return s.Value, true
		}
	}
	return 0, false
}

// Bounds of what is kept: of a file, and of what spoils one result, of which little tells all.
const (
	maxResults  = 10_000 // also of scores
	maxProblems = 100
)

// added is a list with more, up to one more than may be.
func added[T any](list []T, more ...T) []T {
	return append(list, more[:min(len(more), maxResults+1-len(list))]...)
}

// spoil says what makes the point invalid.
func (r *Result) spoil(line int, format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, Problem{File: r.File, Line: line, Text: fmt.Sprintf(format, args...)})
	}
}

// Problem is something in a file that forbids to trust the point.
type Problem struct {
	File   string
	Line   int
	Text   string
	Metric string // whose value it is, of one that is not finite
}

// String is file:line: text, without what is unknown.
func (p Problem) String() string {
	switch {
	case p.File == "":
		return p.Text
	case p.Line == 0:
		return p.File + ": " + p.Text
	default:
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
	}
}

// ProblemOf is what a file could not be read for.
func ProblemOf(file string, err error) Problem {
	p := Problem{File: file, Text: err.Error()}
	if f, ok := errors.AsType[*jsondoc.Fault](err); ok {
		p.Line = f.Line
	}
	return p
}

// StepResult is the log of one server as a result.
func StepResult(log steps.Log, file string) Result {
	return Result{Format: FormatSteps, File: file, Line: log.Line, Steps: &log, Samples: []Sample{
		{Metric: "gen_device_step_time_mean_ms", Value: log.Mean},
		{Metric: "gen_device_step_time_median_ms", Value: log.Median},
		{Metric: "gen_device_step_time_std_ms", Value: log.Std},
		{Metric: "gen_device_step_time_p75_ms", Value: log.P75},
		{Metric: "gen_device_step_time_p99_ms", Value: log.P99},
	}}
}

// Larger is the larger of two counts, of which either may not be known.
func Larger(a, b *int64) *int64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}
