package points

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Combine makes one result of what one client said more than once: its table in a log and its JSON file, or its own log
// and the role's. Exact numbers (JSON) win over rounded ones (text); problems of both are kept. Results that differ
// beyond rounding stay apart, and those of one format that differ at all: it was measured again, and took as long.
//
// The device step times of the generation servers' logs in one directory become one result, averaged over the servers,
// and part of the point beside them if there is exactly one; which of several clients an iteration belongs to cannot be
// told from the logs alone. The order is that of the first mention.
func Combine(results []bench.Result) []bench.Result {
	var out []bench.Result
	var groups []stepGroup
	for _, r := range results {
		if r.Format == bench.FormatSteps {
			groups = addToGroup(groups, r)
		} else {
			out = append(out, r)
		}
	}
	out = joined(out, func(a, b *bench.Result) bool { return sameRun(a, b) && agrees(a, b) })
	out = joined(out, func(a, b *bench.Result) bool { return a.Format != b.Format && sameRun(a, b) })
	out = complete(out)
	for _, g := range groups {
		out = g.attach(out, len(groups) == 1)
	}
	return out
}

// joined merges the results that are of one run.
func joined(results []bench.Result, one func(a, b *bench.Result) bool) (out []bench.Result) {
	for _, r := range results {
		i := 0
		for i < len(out) && !one(&out[i], &r) {
			i++
		}
		if i < len(out) {
			out[i] = merge(out[i], r)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// loose reports whether a result is what a log says beside any table: a throughput, a device step time.
func loose(r bench.Result) bool {
	return r.Format == bench.FormatServingText && r.DurationS == nil && r.Completed == nil && r.Requested == nil
}

// complete gives each loose result to the one run that was measured in its directory.
func complete(results []bench.Result) []bench.Result {
	out := slices.DeleteFunc(slices.Clone(results), loose)
	runs := len(out)
	for _, r := range results {
		if !loose(r) {
			continue
		}
		beside := func(o bench.Result) bool { return isPoint(o) && filepath.Dir(o.File) == filepath.Dir(r.File) }
		at := slices.IndexFunc(out[:runs], beside)
		if at < 0 || slices.ContainsFunc(out[at+1:runs], beside) {
			out = append(out, r)
			continue
		}
		out[at] = merge(out[at], r)
	}
	return out
}

// sameRun reports whether two results may be of one run of one client: they took as long and did as much.
func sameRun(a, b *bench.Result) bool {
	if a.DurationS == nil || b.DurationS == nil || math.Abs(*a.DurationS-*b.DurationS) > rounded {
		return false
	}
	equal := func(a, b *int64) bool { return a == nil || b == nil || *a == *b }
	return agree(a.Concurrency, b.Concurrency) && agree(a.Rate, b.Rate) &&
		equal(a.Completed, b.Completed) && equal(a.InputTokens, b.InputTokens) && equal(a.OutputTokens, b.OutputTokens) && isPoint(*a) && isPoint(*b)
}

// What the same number may differ by in two outputs of one run: tables round to 0.01 of a unit, and clients compute
// rates from more or less rounded durations.
const (
	rounded = 0.0051
	alike   = 0.001
)

func beyondRounding(v, w float64) bool { return math.Abs(v-w) > rounded+alike*math.Abs(v) }

// agrees reports whether two results say the same of what both measured: to the last digit in one format.
func agrees(a, b *bench.Result) bool {
	return !slices.ContainsFunc(b.Samples, func(s bench.Sample) bool {
		v, ok := a.Value(s.Metric)
		return ok && (beyondRounding(v, s.Value) || a.Format == b.Format && v != s.Value)
	})
}

// merge adds to a what only b says; a is the more exact one afterwards. Where they contradict each other, neither is to
// be trusted.
func merge(a, b bench.Result) bench.Result {
	exact := func(r bench.Result) bool { return strings.HasSuffix(r.Format, "-json") }
	if exact(b) && !exact(a) {
		a, b = b, a
	}
	a.Point = rundir.Point{
		Name: cmp.Or(a.Name, b.Name), Concurrency: cmp.Or(a.Concurrency, b.Concurrency), Rate: cmp.Or(a.Rate, b.Rate),
		InputLen: cmp.Or(a.InputLen, b.InputLen), OutputLen: cmp.Or(a.OutputLen, b.OutputLen),
	}
	a.Counts = bench.Counts{
		Requested: bench.Larger(a.Requested, b.Requested), Completed: cmp.Or(a.Completed, b.Completed), Failed: bench.Larger(a.Failed, b.Failed),
		InputTokens: cmp.Or(a.InputTokens, b.InputTokens), OutputTokens: cmp.Or(a.OutputTokens, b.OutputTokens),
	}
	a.ColdStart = cmp.Or(a.ColdStart, b.ColdStart)
	a.Samples = slices.Clone(a.Samples)
	a.Problems = union(a.Problems, b.Problems)
	for _, s := range b.Samples {
		v, ok := a.Value(s.Metric)
		switch {
		case !ok:
			a.Samples = append(a.Samples, s)
		case beyondRounding(v, s.Value):
			a.Problems = append(a.Problems, bench.Problem{File: b.File, Line: s.Line, Text: fmt.Sprintf("%s is %v here and %v in %s, of the same run", s.Metric, s.Value, v, filepath.Base(a.File))})
		}
	}
	a.Also = slices.Concat(a.Also, []string{b.File}, b.Also)
	return a
}

func union(a, b []bench.Problem) []bench.Problem {
	a = slices.Clone(a)
	for _, p := range b {
		if !slices.ContainsFunc(a, func(o bench.Problem) bool { return o.Text == p.Text }) {
			a = append(a, p)
		}
	}
	return a
}

// stepGroup is the generation servers' logs of one directory.
type stepGroup struct {
	dir  string
	logs []bench.Result
}

func addToGroup(groups []stepGroup, r bench.Result) []stepGroup {
	dir := filepath.Dir(r.File)
	i := slices.IndexFunc(groups, func(g stepGroup) bool { return g.dir == dir })
	if i < 0 {
		i = len(groups)
		groups = append(groups, stepGroup{dir: dir})
	}
	groups[i].logs = append(groups[i].logs, r)
	return groups
}

// attach gives the group's device step time to its point, or adds it as a result of its own.
func (g stepGroup) attach(out []bench.Result, only bool) []bench.Result {
	r, silent := g.result()
	if r.Format == "" {
		return out // iterations are not logged in this mode
	}
	at := -1
	for i, o := range out {
		if isPoint(o) && (only || filepath.Dir(o.File) == g.dir) {
			if at >= 0 {
				return append(out, r)
			}
			at = i
		}
	}
	if at < 0 {
		return append(out, r)
	}
	o := out[at]
	o.Problems = union(o.Problems, silent)
	o.Samples = slices.Clone(o.Samples)
	// What the test itself computed and appended counts, because it knows the
	// window of the client; the log fills in each statistic that it left out.
	for _, s := range r.Samples {
		if _, ok := o.Value(s.Metric); !ok {
			o.Samples = append(o.Samples, s)
		}
	}
	out[at] = o
	return out
}

// numbers are those that tell the logs of several servers apart.
var numbers = regexp.MustCompile("[0-9]+")

// result averages over the servers, each counting alike; its Format is "" if none logged a usable
// iteration. silent are the servers that logged none while others did.
func (g stepGroup) result() (r bench.Result, silent []bench.Problem) {
	var used []bench.Result
	for _, l := range g.logs {
		if l.Steps.Used == 0 {
			silent = append(silent, bench.Problem{File: l.File, Text: "no usable iteration, though other generation servers logged some: the log is incomplete"})
			continue
		}
		used, r = append(used, l), l
	}
	if len(used) == 0 || len(g.logs) == 1 {
		return r, silent
	}
	r = bench.Result{Format: bench.FormatSteps, File: filepath.Join(g.dir, numbers.ReplaceAllString(filepath.Base(r.File), "*")), Problems: silent}
	for i, s := range used[0].Samples {
		s.Value = 0
		for _, l := range used {
			s.Value += l.Samples[i].Value
		}
		s.Value /= float64(len(used))
		r.Samples = append(r.Samples, s)
	}
	return r, silent
}
