// Package figures holds what a benchmark client says against what it says elsewhere in the same output.
//
// In: one bench.Result, before it is combined with others. Out: a bench.Problem for each two figures that cannot both
// be true: such a result measures nothing, whichever of them is the wrong one.
package figures

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// What two figures of one output may be apart. In 207 tables that users of SGLang published, in the 153 repetitions of
// the project's own measurements, and in the outputs recorded for the tests, rates differ from counts over the duration
// by less than 0.1 % beyond the rounding of what is printed, which is two decimals or more.
const (
	apart   = 0.02
	rounded = 0.0051
)

const abText = "ab-text"

// coarse are formats that round more.
func coarse(format string) float64 {
	if format == abText { // whole milliseconds
		return 0.51
	}
	return rounded
}

// Check finds the figures of a result that contradict each other.
func Check(r bench.Result) []bench.Problem {
	c := checker{r: r, rounded: coarse(r.Format)}
	c.negative()
	c.counts()
	c.rates()
	c.statistics()
	c.durations()
	c.lists()
	return c.out
}

type checker struct {
	r       bench.Result
	rounded float64
	out     []bench.Problem
}

func (c *checker) add(line int, format string, args ...any) {
	c.out = append(c.out, bench.Problem{File: c.r.File, Line: cmp.Or(line, c.r.Line), Text: fmt.Sprintf(format, args...)})
}

// above reports whether a figure is larger than another beyond tolerance.
func (c *checker) above(a, b float64) bool { return a > b+apart*math.Abs(b)+c.rounded }

// nonNegative reports whether a metric cannot be below zero: one of the built-in table, of one host's clock.
func nonNegative(name string) bool {
	_, ok := metric.Default().Lookup(name)
	return ok && !strings.HasPrefix(name, "time_breakdown_")
}

// notStreamed reports whether a TTFT is TensorRT-LLM's word for a request that was not streamed: -1 s.
func notStreamed(s bench.Sample) bool {
	return strings.HasPrefix(s.Metric, "ttft_") && s.Value == -1000
}

// negative finds what cannot be below zero.
func (c *checker) negative() {
	for _, s := range c.r.Samples {
		if nonNegative(s.Metric) && s.Value < 0 && !notStreamed(s) {
			c.add(s.Line, "%s is %s: below zero", s.Metric, num(s.Value))
		}
	}
	if d := c.r.DurationS; d != nil && *d < 0 {
		c.add(0, "the duration is %s s", num(*d))
		c.r.DurationS = nil
	}
}

// counts holds numbers of requests against each other. None or fewer asked for are all that the data set has.
func (c *checker) counts() {
	for _, n := range []struct {
		name string
		of   *int64
	}{
		{"number of completed requests", c.r.Completed},
		{"number of failed requests", c.r.Failed},
		{"number of input tokens", c.r.InputTokens},
		{"number of output tokens", c.r.OutputTokens},
	} {
		if n.of != nil && *n.of < 0 {
			c.add(0, "the %s is %d: below zero", n.name, *n.of)
		}
	}
	if done, asked := c.r.Completed, c.r.Requested; done != nil && asked != nil && *asked > 0 && *done > *asked {
		c.add(0, "%d requests completed, but only %d were sent", *done, *asked)
	}
}

// rates holds what was done in a second against what was done, over the time that it took.
func (c *checker) rates() {
	total := c.r.OutputTokens
	if total != nil && c.r.InputTokens != nil {
		sum := *total + *c.r.InputTokens
		total = &sum
	} else {
		total = nil
	}
	for _, r := range []struct {
		metric, of, unit string
		n                *int64
	}{
		{"request_throughput", "requests completed", "req/s", c.r.Completed},
		{"output_token_throughput", "output tokens", "tok/s", c.r.OutputTokens},
		{"input_token_throughput", "input tokens", "tok/s", c.r.InputTokens},
		{"total_token_throughput", "input and output tokens", "tok/s", total},
	} {
		v, ok := c.r.Value(r.metric)
		if !ok || r.n == nil || c.r.DurationS == nil {
			continue
		}
		n, d := float64(*r.n), *c.r.DurationS
		most := math.Inf(1)
		if d > rounded {
			most = n / (d - rounded)
		}
		if c.above(v, most) || c.above(n/(d+rounded), v) {
			c.add(c.line(r.metric), "%s is %s %s, but %d %s in %s s are %s", r.metric, num(v), r.unit, *r.n, r.of, num(d), num(n/d))
		}
	}
}

func (c *checker) line(name string) int {
	i := slices.IndexFunc(c.r.Samples, func(s bench.Sample) bool { return s.Metric == name })
	return c.r.Samples[i].Line
}

// ranked is a statistic that has its place among others: 0 is the minimum, 50 the median, 100 the maximum.
type ranked struct {
	bench.Sample

	rank float64
}

// statistics holds the statistics of each family against each other.
func (c *checker) statistics() {
	families, means := map[string][]ranked{}, map[string]bench.Sample{}
	var order []string
	for _, s := range c.r.Samples {
		family, stat, ok := statistic(s.Metric)
		if !ok {
			continue
		}
		if !slices.Contains(order, family) {
			order = append(order, family)
		}
		if stat == "mean" {
			if c.r.Format != abText { // concurrency times duration by requests: of connections, not of requests
				means[family] = s
			}
		} else if at, ok := rank(stat); ok {
			families[family] = append(families[family], ranked{s, at})
		}
	}
	for _, family := range order {
		all := families[family]
		c.order(all)
		if mean, ok := means[family]; ok {
			c.mean(mean, all)
		}
	}
}

// order sorts statistics by rank, and holds each against the one before.
func (c *checker) order(all []ranked) {
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	for i := 1; i < len(all); i++ {
		if low, high := all[i-1], all[i]; c.above(low.Value, high.Value) {
			c.add(high.Line, "%s is %s, but %s is %s: it cannot be less", high.Metric, num(high.Value), low.Metric, num(low.Value))
		}
	}
}

// mean holds a mean against the other statistics. What a share of all is at least, the mean of what is never negative
// cannot be below that share of: half of the median, a hundredth of the 99th percentile.
func (c *checker) mean(mean bench.Sample, all []ranked) {
	for _, s := range all {
		least := s.Value * (1 - s.rank/100)
		switch {
		case s.rank == 0 && c.above(s.Value, mean.Value), s.rank > 0 && nonNegative(mean.Metric) && all[0].Value >= 0 && c.above(least, mean.Value):
			c.add(mean.Line, "%s is %s, but %s is %s: the mean cannot be less than %s", mean.Metric, num(mean.Value), s.Metric, num(s.Value), num(least))
		case s.rank == 100 && c.above(mean.Value, s.Value):
			c.add(mean.Line, "%s is %s, but %s is %s: the mean cannot be more", mean.Metric, num(mean.Value), s.Metric, num(s.Value))
		default:
			continue
		}
		return
	}
}

// statistic is what a metric is a statistic of, and which: ttft and p99 of ttft_p99_ms.
func statistic(name string) (family, stat string, ok bool) {
	if name == metric.DecodedTokens {
		return name, "mean", true
	}
	base := strings.TrimSuffix(name, "_ms")
	at := strings.LastIndexByte(base, '_')
	if at < 0 {
		return "", "", false
	}
	stat, ok = metric.NormalStat(base[at+1:])
	return base[:at], stat, ok
}

// rank is the place of a statistic among others, false where it has none.
func rank(stat string) (float64, bool) {
	switch stat {
	case "min":
		return 0, true
	case "median":
		return 50, true
	case "max":
		return 100, true
	}
	v, err := strconv.ParseFloat(strings.TrimPrefix(stat, "p"), 64)
	return v, err == nil
}

// durations holds the times of single requests against that of all.
func (c *checker) durations() {
	if c.r.DurationS == nil {
		return
	}
	ms := *c.r.DurationS * 1000
	for _, s := range c.r.Samples {
		family, stat, _ := statistic(s.Metric)
		if (family == "e2el" || family == "ttft") && stat != "std" && (stat != "mean" || c.r.Format != abText) && c.above(s.Value, ms+1000*rounded) {
			c.add(s.Line, "%s is %s, longer than the whole benchmark of %s s", s.Metric, num(s.Value), num(*c.r.DurationS))
			return
		}
	}
	mean, ok := c.r.Value("e2el_mean_ms")
	closed := c.r.Format == bench.FormatServingJSON || c.r.Format == bench.FormatServingText
	if !ok || !closed || c.r.Completed == nil || c.r.Concurrency == 0 {
		return // wrk corrects its latencies for what it did not send meanwhile
	}
	if least := float64(*c.r.Completed) * mean / float64(c.r.Concurrency); c.above(least, ms+1000*rounded) {
		c.add(c.line("e2el_mean_ms"), "e2el_mean_ms is %s: %d requests of that, at most %d at a time, take %s s, but the duration is %s s",
			num(mean), *c.r.Completed, c.r.Concurrency, num(least/1000), num(*c.r.DurationS))
	}
}

// lists holds what is listed of each request against the sums. Clients list requests that failed in ways of their own.
func (c *checker) lists() {
	done := c.r.Completed
	if done == nil || c.r.Failed != nil && *c.r.Failed > 0 || c.r.Requested != nil && *c.r.Requested > 0 && *c.r.Requested != *done {
		return
	}
	for _, name := range []string{"ttfts", "input_lens", "output_lens"} {
		if l, ok := c.r.Lists[name]; ok && l.Count != int(*done) {
			c.add(0, "%s lists %d requests, but %d completed", name, l.Count, *done)
		}
	}
	l, ok := c.r.Lists["output_lens"]
	if tokens := c.r.OutputTokens; ok && tokens != nil && (c.above(l.Sum, float64(*tokens)) || c.above(float64(*tokens), l.Sum)) {
		c.add(0, "output_lens lists %s output tokens, but the client counted %d", num(l.Sum), *tokens)
	}
}

// num is a figure with as many digits as tell it apart.
func num(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
