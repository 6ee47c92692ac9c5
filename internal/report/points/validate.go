package points

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// tooFewTokens is the share of the planned output tokens below which a run did not do the planned work. A client that
// draws its lengths at random between nothing and the length asked for yields half of it.
const tooFewTokens = 0.4

// Validate holds what was measured against what was planned. No problem means that the results may be judged. results
// are those of one attempt, through Combine; a plan without points accepts any, as long as there is one.
func Validate(results []bench.Result, want rundir.Expected) []bench.Problem {
	v := validator{want: want}
	points := slices.DeleteFunc(slices.Clone(results), func(r bench.Result) bool { return !isPoint(r) })
	scored := slices.ContainsFunc(results, func(r bench.Result) bool { return len(r.Accuracy) > 0 })
	if len(points) == 0 && len(want.Points) == 0 && !scored && (!want.Accuracy || len(results) == 0) {
		v.add(bench.Result{}, "no benchmark result was found")
	}
	v.match(points)
	for _, r := range results {
		if !isPoint(r) {
			v.out = append(v.out, r.Problems...)
		}
	}
	if want.Accuracy && !scored {
		v.add(bench.Result{}, "no accuracy result was found")
	}
	return v.out
}

// isPoint tells a client's measurement from server logs and accuracy runs.
func isPoint(r bench.Result) bool {
	return !slices.Contains([]string{bench.FormatSteps, bench.FormatLMEvalJSON, bench.FormatLMEvalText}, r.Format)
}

type validator struct {
	want rundir.Expected
	out  []bench.Problem
}

func (v *validator) add(r bench.Result, format string, args ...any) {
	v.out = append(v.out, bench.Problem{File: r.File, Line: r.Line, Text: fmt.Sprintf(format, args...)})
}

// match gives every planned point its result, in order.
func (v *validator) match(points []bench.Result) {
	for _, p := range v.want.Points {
		i := slices.IndexFunc(points, func(r bench.Result) bool { return fits(r, p) })
		if i < 0 {
			v.add(bench.Result{}, "%s was planned but there is no result", pointName(p))
			continue
		}
		v.point(points[i], p)
		points = slices.Delete(points, i, i+1)
	}
	for _, r := range points {
		if len(v.want.Points) == 0 {
			v.point(r, r.Point)
		} else {
			v.add(r, "%s was measured but not planned, or once too often", pointName(r.Point))
		}
	}
}

// fits reports whether a result can be that of a planned point: nothing that both state contradicts. A file with
// upstream's numbers of server and client has to be the planned one.
func fits(r bench.Result, p rundir.Point) bool {
	numbered := func(file string) bool {
		ok, err := filepath.Match("trtllm-benchmark.*.*.log", file)
		return err == nil && ok
	}
	if files := r.Sources(); p.File != "" && !slices.Contains(files, p.File) && slices.ContainsFunc(files, numbered) {
		return false
	}
	return agree(r.Rate, p.Rate) && agree(r.Concurrency, p.Concurrency) && agree(r.InputLen, p.InputLen) && agree(r.OutputLen, p.OutputLen)
}

// agree reports whether two statements do not contradict each other; the zero value states nothing.
func agree[T comparable](a, b T) bool {
	var nothing T
	return a == nothing || b == nothing || a == b
}

func pointName(p rundir.Point) string {
	return cmp.Or(p.Name, p.Load(), "the benchmark")
}

// point checks one measurement against its plan: each of its runs by itself.
func (v *validator) point(r bench.Result, p rundir.Point) {
	v.out = append(v.out, r.Problems...)
	name := pointName(p)
	for i, run := range r.Runs() {
		if p.Name = name; r.Kept != nil {
			p.Name = fmt.Sprintf("%s, repetition %d", name, i+2) // the first was the warm-up
		}
		v.requests(run, p)
		v.tokens(run, p)
		for _, metric := range v.want.Metrics {
			if value, ok := run.Value(metric); !ok {
				v.add(run, "%s: %s is missing", p.Name, metric)
			} else if value <= 0 {
				v.add(run, "%s: %s is %v", p.Name, metric, value)
			}
		}
	}
	if v.want.DeviceStep {
		for _, metric := range []string{"gen_device_step_time_mean_ms", "gen_device_step_time_median_ms"} {
			if value, ok := r.Value(metric); !ok || value <= 0 {
				v.add(r, "%s: %s is missing: no usable iteration in the generation servers' logs", name, metric)
			}
		}
	}
}

func (v *validator) requests(r bench.Result, p rundir.Point) {
	name, asked := p.Name, int64(p.Requests)
	if r.Requested != nil {
		if *r.Requested < asked {
			v.add(r, "%s: the client was to send %d requests but sent %d", name, asked, *r.Requested)
		}
		asked = max(asked, *r.Requested)
	}
	if r.Failed != nil && *r.Failed > 0 {
		v.add(r, "%s: %d requests failed", name, *r.Failed)
	}
	switch {
	case r.Completed == nil && asked > 0 && r.Format != bench.FormatPerfCSV:
		v.add(r, "%s: the client does not say how many requests succeeded", name)
	case r.Completed == nil:
	case *r.Completed == 0:
		v.add(r, "%s: no request succeeded", name)
	case *r.Completed < asked:
		v.add(r, "%s: %d of %d requests succeeded", name, *r.Completed, asked)
	}
}

func (v *validator) tokens(r bench.Result, p rundir.Point) {
	if r.InputTokens != nil && *r.InputTokens == 0 {
		v.add(r, "%s: no input token was counted", p.Name)
	}
	if r.OutputTokens == nil {
		return
	}
	tokens, length := *r.OutputTokens, max(p.OutputLen, r.OutputLen)
	switch {
	case tokens == 0:
		v.add(r, "%s: no token was generated", p.Name)
	case r.Completed == nil:
	case tokens < *r.Completed:
		v.add(r, "%s: %d tokens for %d requests: less than one each", p.Name, tokens, *r.Completed)
	case float64(tokens) < tooFewTokens*float64(*r.Completed)*float64(length):
		v.add(r, "%s: %d tokens for %d requests of up to %d: too few", p.Name, tokens, *r.Completed, length)
	}
}
