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
func Combine(results []bench.Result) (out []bench.Result) {
	clients := slices.DeleteFunc(slices.Clone(results), isSteps)
	clients = joined(clients, func(a, b *bench.Result) bool { return sameRun(a, b) && agrees(a, b) })
	clients = joined(clients, func(a, b *bench.Result) bool { return a.Format != b.Format && sameRun(a, b) })
	out = slices.DeleteFunc(slices.Clone(clients), loose)
	for _, r := range clients {
		if loose(r) {
			out = beside(out, r, func(o bench.Result) bool { return !loose(o) && dir(o) == dir(r) })
		}
	}
	servers := grouped(slices.DeleteFunc(slices.Clone(results), func(r bench.Result) bool { return !isSteps(r) }), dir)
	for _, logs := range servers {
		for _, r := range average(logs) {
			out = beside(out, r, func(o bench.Result) bool { return len(servers) == 1 || dir(o) == dir(r) })
		}
	}
	return out
}

// dir is the directory in which a result was found.
func dir(r bench.Result) string { return filepath.Dir(r.File) }

// grouped are results with those of one key together, in the order of the first of each.
func grouped[K comparable](results []bench.Result, key func(bench.Result) K) (out [][]bench.Result) {
	index := map[K]int{}
	for _, r := range results {
		i, ok := index[key(r)]
		if !ok {
			i, index[key(r)], out = len(out), len(out), append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

// joined merges the results that are of one run.
func joined(results []bench.Result, one func(a, b *bench.Result) bool) (out []bench.Result) {
	for _, r := range results {
		if i := slices.IndexFunc(out, func(o bench.Result) bool { return one(&o, &r) }); i >= 0 {
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

// beside gives r to the one client's result that it may be of, else it stands for itself.
func beside(out []bench.Result, r bench.Result, may func(bench.Result) bool) []bench.Result {
	of := func(o bench.Result) bool { return isPoint(o) && may(o) }
	i := slices.IndexFunc(out, of)
	if i < 0 || slices.ContainsFunc(out[i+1:], of) {
		return append(out, r)
	}
	out[i] = merge(out[i], r)
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
// be trusted, but what a test itself computed of its servers' iterations counts: it knows the window of the client.
func merge(a, b bench.Result) bench.Result {
	if strings.HasSuffix(b.Format, "-json") && !strings.HasSuffix(a.Format, "-json") {
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
	a.Samples, a.Problems = slices.Clone(a.Samples), slices.Clone(a.Problems)
	for _, p := range b.Problems {
		if !slices.ContainsFunc(a.Problems, func(o bench.Problem) bool { return o.Text == p.Text }) {
			a.Problems = append(a.Problems, p)
		}
	}
	for _, s := range b.Samples {
		v, ok := a.Value(s.Metric)
		switch {
		case !ok:
			a.Samples = append(a.Samples, s)
		case b.Format != bench.FormatSteps && beyondRounding(v, s.Value):
			a.Problems = append(a.Problems, bench.Problem{File: b.File, Line: s.Line, Text: fmt.Sprintf("%s is %v here and %v in %s, of the same run", s.Metric, s.Value, v, filepath.Base(a.File))})
		}
	}
	a.NotFinite = slices.Concat(a.NotFinite, b.NotFinite)
	a.Also = slices.Concat(a.Also, []string{b.File}, b.Also)
	return a
}

// numbers are those that tell the logs of several servers apart.
var numbers = regexp.MustCompile("[0-9]+")

// average is one result of the logs of the generation servers of a directory, each counting alike; none where nobody
// logged a usable iteration: they are not logged in every mode. A server that logged none while others did is told.
func average(logs []bench.Result) []bench.Result {
	silent := func(l bench.Result) bool { return l.Steps.Used == 0 }
	used := slices.DeleteFunc(slices.Clone(logs), silent)
	if len(used) == 0 || len(logs) == 1 {
		return used
	}
	last := used[len(used)-1].File
	r := bench.Result{Format: bench.FormatSteps, File: filepath.Join(filepath.Dir(last), numbers.ReplaceAllString(filepath.Base(last), "*"))}
	for _, l := range logs {
		if silent(l) {
			r.Problems = append(r.Problems, bench.Problem{File: l.File, Text: "no usable iteration, though other generation servers logged some: the log is incomplete"})
		}
	}
	for i, s := range used[0].Samples {
		for _, l := range used[1:] {
			s.Value += l.Samples[i].Value
		}
		s.Value /= float64(len(used))
		r.Samples = append(r.Samples, s)
	}
	return []bench.Result{r}
}
