package metric

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Default is the built-in table.
func Default() Table { return defaultTable() }

//nolint:gochecknoglobals // immutable table, built once
var defaultTable = sync.OnceValue(func() Table {
	t := Table{metrics: slices.Concat(rates(), latencies(), deviceStep(), decoding(), others())}
	if err := t.index(); err != nil {
		panic(err) // a test builds the table: unreachable in a released binary
	}
	return t
})

// Default minimum effects. Spreads, extremes and tail percentiles of a few hundred
// requests move by several times what the median does without any change: of 110
// unchanged runs on one GPU, 52 had one that was 2 % "worse".
const (
	minEffect       = 0.02
	minEffectTTFT   = 0.05
	minEffectTail   = 0.10
	minEffectSpread = 0.25
)

// effectOf is the minimum effect of one statistic of a metric.
func effectOf(stat string, of float64) float64 {
	switch {
	case stat == "std", stat == "min", stat == "max":
		return minEffectSpread
	case strings.HasPrefix(stat, "p9"):
		return minEffectTail
	default:
		return of
	}
}

func rates() []Metric {
	return []Metric{
		{Name: "request_throughput", Unit: "req/s", Better: HigherIsBetter, MinEffect: minEffect, Upstream: "seq_throughput", Aliases: []string{"SEQ_THROUGHPUT"}},
		{Name: "request_goodput", Unit: "req/s", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{
			"request_goodput:", // TensorRT-LLM's client really writes the colon into the key
			"goodput",          // AIPerf
		}},
		{Name: "output_token_throughput", Unit: "tok/s", Better: HigherIsBetter, Gate: true, MinEffect: minEffect, Upstream: "token_throughput", Aliases: []string{"output_throughput", "TOKEN_THROUGHPUT"}},
		{Name: "total_token_throughput", Unit: "tok/s", Better: HigherIsBetter, MinEffect: minEffect, Upstream: "total_token_throughput", Aliases: []string{"total_throughput", "TOTAL_TOKEN_THROUGHPUT"}},
		{Name: "input_token_throughput", Unit: "tok/s", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"input_throughput"}},
		{Name: "peak_output_token_throughput", Unit: "tok/s", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"max_output_tokens_per_s"}},
		{Name: "total_token_throughput_per_gpu", Unit: "tok/s/gpu", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"tput_per_gpu"}},
		{Name: "output_token_throughput_per_gpu", Unit: "tok/s/gpu", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"output_tput_per_gpu"}},
		// The sum over users divided by users; per user and second.
		{Name: "user_throughput", Unit: "tok/s/user", Better: HigherIsBetter, MinEffect: minEffect, Upstream: "user_throughput", Aliases: []string{"output_token_throughput_per_user", "USER_THROUGHPUT"}},
	}
}

// family is one latency with its statistics.
type family struct {
	name string // canonical: <name>_<stat>_ms
	// In clients' JSON: <stat>_<key>_ms, where key is one of these.
	keys      []string
	upstream  string // upstream record: <stat>_<upstream>
	minEffect float64
	gated     []string
}

// families are the latencies. AIPerf's inter_token_latency is (latency - TTFT)
// / (tokens - 1) per request, which every other client calls TPOT; its
// inter_chunk_latency is what they call ITL.
func families() []family {
	return []family{
		{name: "ttft", keys: []string{"ttft"}, upstream: "ttft", minEffect: minEffectTTFT, gated: []string{"median"}},
		{name: "tpot", keys: []string{"tpot"}, upstream: "tpot", minEffect: minEffect, gated: []string{"median"}},
		{name: "itl", keys: []string{"itl"}, upstream: "itl", minEffect: minEffect},
		{name: "e2el", keys: []string{"e2el", "e2e_latency"}, upstream: "e2el", minEffect: minEffect},
		{name: "client_queue_time", keys: []string{"client_queue_time"}, minEffect: minEffect},
		{name: "run_time", keys: []string{"run_time"}, minEffect: minEffect}, // of one benchmarked function or operation
	}
}

// stats are the statistics that every latency has; further percentiles exist by
// pattern. The spread and the extremes of a latency are better when smaller, as
// the latency itself.
func stats() []string { return []string{"mean", "median", "std", "min", "max", "p99"} }

func latencies() []Metric {
	var out []Metric
	for _, f := range families() {
		for _, s := range stats() {
			out = append(out, f.metric(s))
		}
	}
	return out
}

func (f family) metric(stat string) Metric {
	m := Metric{
		Name: f.name + "_" + stat + "_ms", Unit: "ms", Better: LowerIsBetter,
		Gate: slices.Contains(f.gated, stat), MinEffect: effectOf(stat, f.minEffect),
	}
	for _, k := range f.keys {
		m.Aliases = append(m.Aliases, stat+"_"+k+"_ms")
	}
	if f.upstream == "" {
		return m
	}
	m.Upstream = stat + "_" + f.upstream
	// perf_metric words of upstream's CSV: the median has no word in the
	// disaggregated set, which has no other statistic.
	word := strings.ToUpper(f.upstream)
	m.Aliases = append(m.Aliases, "WIDEEP_SERVER_"+strings.ToUpper(stat)+"_"+word)
	if stat == "median" {
		m.Aliases = append(m.Aliases, "DISAGG_SERVER_"+word)
	}
	// Words of the older single-node set.
	old := map[string]string{"ttft": "FIRST_TOKEN_TIME", "tpot": "OUTPUT_TOKEN_TIME", "itl": "INTER_TOKEN_TIME"}[f.upstream]
	if old != "" && (stat == "mean" || stat == "median" || stat == "p99") {
		m.Aliases = append(m.Aliases, strings.TrimPrefix(strings.ToUpper(stat)+"_"+old, "MEAN_"))
	}
	return m
}

// deviceStep is the time of one engine iteration on a generation server, read
// from its log.
func deviceStep() []Metric {
	var out []Metric
	for _, s := range []string{"mean", "median", "std", "p75", "p99"} {
		out = append(out, deviceStepMetric(s))
	}
	return out
}

func deviceStepMetric(stat string) Metric {
	return Metric{
		Name: "gen_device_step_time_" + stat + "_ms", Unit: "ms", Better: LowerIsBetter,
		Gate: stat == "mean" || stat == "median", MinEffect: effectOf(stat, minEffect),
		Upstream: stat + "_gen_worker_per_iter_device_step_time",
	}
}

// DecodedTokens is what speculative decoding yields per iteration. Clients
// measure it in no other case.
const DecodedTokens = "avg_decoded_tokens_per_iter"

func decoding() []Metric {
	out := []Metric{{Name: DecodedTokens, Gate: true, Unit: "tok", Better: HigherIsBetter, MinEffect: minEffect, Upstream: "al"}}
	for _, s := range []string{"median", "std", "min", "max", "p99"} {
		out = append(out, decodingMetric(s))
	}
	return append(out,
		Metric{Name: "spec_acceptance_rate", Unit: "%", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"spec_decode_acceptance_rate", "acceptance_rate"}},
		Metric{Name: "spec_acceptance_length", Unit: "tok", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"spec_decode_acceptance_length", "acceptance_length", "accept_length"}},
	)
}

func decodingMetric(stat string) Metric {
	better := HigherIsBetter
	if stat == "std" {
		better = LowerIsBetter
	}
	return Metric{Name: "avg_decoded_tokens_per_iter_" + stat, Unit: "tok", Better: better, MinEffect: effectOf(stat, minEffect)}
}

func others() []Metric {
	return []Metric{
		{Name: "duration_s", Unit: "s", Better: LowerIsBetter, MinEffect: minEffect, Aliases: []string{"benchmark_duration"}},
		{Name: "accuracy", Unit: "%", Better: HigherIsBetter, MinEffect: minEffect},
		{Name: "algorithm_bandwidth", Unit: "GB/s", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"algbw"}},
		{Name: "bus_bandwidth", Unit: "GB/s", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"busbw"}},
		{Name: "bus_bandwidth_in_place", Unit: "GB/s", Better: HigherIsBetter, MinEffect: minEffect},
		{Name: "total_energy_j", Unit: "J", Better: LowerIsBetter, MinEffect: minEffect, Aliases: []string{"total_energy"}},
		{Name: "output_tokens_per_joule", Unit: "tok/J", Better: HigherIsBetter, MinEffect: minEffect, Aliases: []string{"output_tps_per_w", "output_tokens_per_second_per_watt"}},
		{Name: "gpu_power_w", Unit: "W", Better: LowerIsBetter, MinEffect: minEffect, Aliases: []string{"total_gpu_power_w", "total_gpu_power"}},
	}
}

// NormalStat is the canonical spelling of a statistic: avg and average are
// mean, stdev is std, p50 is median, p99.0 is p99. Not a statistic yields false.
func NormalStat(s string) (string, bool) {
	s = strings.ToLower(s)
	switch s {
	case "mean", "avg", "average":
		return "mean", true
	case "median", "p50", "p50.0":
		return "median", true
	case "std", "stdev", "std dev":
		return "std", true
	case "min", "max":
		return s, true
	}
	digits, ok := strings.CutPrefix(s, "p")
	if !ok || len(digits) > 8 || strings.Trim(digits, "0123456789.") != "" {
		return "", false
	}
	p, err := strconv.ParseFloat(digits, 64)
	if err != nil || p <= 0 || p >= 100 {
		return "", false
	}
	if p == 50 {
		return "median", true
	}
	return "p" + strconv.FormatFloat(p, 'f', -1, 64), true
}

//nolint:gochecknoglobals // immutable, compiled once
var patterns = sync.OnceValue(func() struct{ first, last, breakdown, accuracy *regexp.Regexp } {
	const stat = `(mean|median|std|min|max|p[0-9.]+)`
	return struct{ first, last, breakdown, accuracy *regexp.Regexp }{
		first:     regexp.MustCompile(`^` + stat + `_([a-z0-9_]+?)(_ms)?$`),
		last:      regexp.MustCompile(`^([a-z0-9_]+)_` + stat + `(_ms)?$`),
		breakdown: regexp.MustCompile(`^(?:tb|time_breakdown)_([a-z0-9_]+)_(mean|median|std|min|max|p[0-9.]+)(_ms)?$`),
		accuracy:  regexp.MustCompile(`^accuracy_[a-z0-9][a-z0-9_.]*$`),
	}
})

// Accuracy is the name of the metric that a task of lm_eval scores.
func Accuracy(task string) string {
	return "accuracy_" + strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, strings.ToLower(task))
}

// IsAccuracy reports whether a metric is a score of the answers.
func IsAccuracy(name string) bool { return strings.HasPrefix(name, "accuracy_") }

// pattern finds the metrics that are not listed.
func (t Table) pattern(s string) (Metric, bool) {
	re := patterns()
	if re.accuracy.MatchString(s) {
		return Metric{Name: s, Unit: "%", Better: HigherIsBetter, MinEffect: minEffect}, true
	}
	if g := re.breakdown.FindStringSubmatch(s); g != nil {
		return breakdownMetric(g[1], g[2])
	}
	var base, stat, unit string
	if g := re.first.FindStringSubmatch(s); g != nil {
		stat, base, unit = g[1], g[2], g[3]
	} else if g := re.last.FindStringSubmatch(s); g != nil {
		base, stat, unit = g[1], g[2], g[3]
	} else {
		return Metric{}, false
	}
	stat, ok := NormalStat(stat)
	if !ok {
		return Metric{}, false
	}
	return t.ofStat(base, stat, unit)
}

// ofStat is the metric of a percentile: listed ones are returned as listed.
func (t Table) ofStat(base, stat, unit string) (Metric, bool) {
	var m Metric
	switch base {
	case "avg_decoded_tokens_per_iter":
		if unit != "" {
			return Metric{}, false
		}
		if m = decodingMetric(stat); stat == "mean" {
			m.Name = base
		}
	case "gen_device_step_time", "gen_worker_per_iter_device_step_time":
		m = deviceStepMetric(stat)
	default:
		i := slices.IndexFunc(families(), func(f family) bool { return f.name == base || slices.Contains(f.keys, base) })
		if i < 0 {
			return Metric{}, false
		}
		m = families()[i].metric(stat)
	}
	if j, ok := t.spellings[m.Name]; ok {
		return t.metrics[j], true
	}
	return m, true
}

// breakdownMetric is one span of upstream's time breakdown: diagnostic only.
func breakdownMetric(span, stat string) (Metric, bool) {
	stat, ok := NormalStat(stat)
	if !ok {
		return Metric{}, false
	}
	return Metric{
		Name: "time_breakdown_" + span + "_" + stat + "_ms", Unit: "ms", Better: LowerIsBetter,
		MinEffect: minEffect, Upstream: "tb_" + span + "_" + stat,
	}, true
}
