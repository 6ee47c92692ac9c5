package metric

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Table is a set of metrics. The zero value is empty; Default is the built-in
// one. A Table is a value: With returns a new one and never changes the old.
type Table struct {
	metrics   []Metric
	spellings map[string]int // canonical names, aliases and upstream names → index
}

// All lists the metrics in display order. Percentiles other than p99 and the
// time breakdown exist by pattern and are not listed.
func (t Table) All() []Metric { return slices.Clone(t.metrics) }

// Lookup finds a metric by its canonical name, also one that exists by pattern
// only: any percentile above 0 and below 100 of a latency (ttft_p95_ms,
// tpot_p99.9_ms), accuracy_<dataset>, time_breakdown_<span>_<stat>_ms.
func (t Table) Lookup(name string) (Metric, bool) {
	m, ok := t.Resolve(name)
	if !ok || m.Name != name {
		return Metric{}, false
	}
	return m, true
}

// Resolve finds a metric by any of its names: canonical, a client's JSON key,
// upstream's record field with or without its d_ prefix, or upstream's
// perf_metric word (DISAGG_SERVER_TTFT).
func (t Table) Resolve(spelling string) (Metric, bool) {
	if i, ok := t.spellings[spelling]; ok {
		return t.metrics[i], true
	}
	if rest, ok := strings.CutPrefix(spelling, "d_"); ok {
		if m, ok := t.Upstream(rest); ok {
			return m, true
		}
	}
	if rest, ok := strings.CutPrefix(spelling, "WIDEEP_SERVER_"); ok {
		spelling = strings.ToLower(rest)
	}
	return t.pattern(spelling)
}

// Upstream finds a metric by the field name of upstream's records, with or
// without the d_ prefix (d_median_tpot, al). Names that upstream does not use
// are not found, whatever other client uses them.
func (t Table) Upstream(field string) (Metric, bool) {
	field = strings.TrimPrefix(field, "d_")
	if field == "" {
		return Metric{}, false
	}
	if i, ok := t.spellings[field]; ok && t.metrics[i].Upstream == field {
		return t.metrics[i], true
	}
	m, ok := t.pattern(field)
	return m, ok && m.Upstream == field
}

// With is t with further metrics, or with a metric of the same name replaced.
// All problems are reported at once: a missing or unknown unit or direction, a
// bad name, a minimum effect outside 0..1, a name that two metrics claim.
func (t Table) With(metrics ...Metric) (Table, error) {
	out := Table{metrics: slices.Clone(t.metrics)}
	var problems []error
	for _, m := range metrics {
		if err := m.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		if i := slices.IndexFunc(out.metrics, func(have Metric) bool { return have.Name == m.Name }); i >= 0 {
			out.metrics[i] = m
			continue
		}
		out.metrics = append(out.metrics, m)
	}
	err := out.index()
	return out, errors.Join(append(problems, err)...)
}

// index rebuilds the spellings. Exactly one metric may own a spelling.
func (t *Table) index() error {
	t.spellings = make(map[string]int, 4*len(t.metrics))
	var problems []error
	for i, m := range t.metrics {
		for _, s := range append([]string{m.Name, m.Upstream}, m.Aliases...) {
			if s == "" {
				continue
			}
			if j, taken := t.spellings[s]; taken && j != i {
				problems = append(problems, fmt.Errorf("metric %s: the name %q already belongs to %s", m.Name, s, t.metrics[j].Name))
				continue
			}
			t.spellings[s] = i
		}
	}
	return errors.Join(problems...)
}

func (m Metric) check() error {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("metric %q: "+format, append([]any{m.Name}, args...)...))
	}
	if !goodName(m.Name) {
		bad("a name is made of a-z, 0-9, _ and . and begins with a letter")
	}
	if strings.TrimSpace(m.Unit) == "" {
		bad("unit is missing; say for example ms, tok/s, %% or 1")
	}
	if m.Better != HigherIsBetter && m.Better != LowerIsBetter {
		bad("direction is missing; say higher or lower")
	}
	if math.IsNaN(m.MinEffect) || m.MinEffect < 0 || m.MinEffect >= 1 {
		bad("minimum effect %v is not a share of 0 up to 1", m.MinEffect)
	}
	return errors.Join(problems...)
}

func goodName(s string) bool {
	if s == "" || len(s) > 128 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.") == "" &&
		regexp.MustCompile(`^[a-z0-9_.]+$`).MatchString(s)
}

// GatesIn reports whether a metric is judged by default in cases of the given mode (rundir.Case.Mode). Few are, on
// purpose: the false alarms of each metric add up.
//
//   - e2e, aggregated, anything else: output token throughput, median TTFT,
//     median TPOT;
//   - custom, a pipeline of the user's own: these, request throughput, median run
//     time and bus bandwidth, of which its client measures some;
//   - gen_only, gen_only_no_context: mean and median device step time, as
//     upstream does; the clients' latencies measure the fill of the queue there;
//   - ctx_only: total token throughput and median TTFT; with an output length of
//     one there is no time per output token;
//   - every mode with speculative decoding: the decoded tokens per iteration, as
//     upstream does. Nobody measures them without.
//
// Metrics that the configuration added with Gate set count in every mode.
func GatesIn(mode string, m Metric) bool {
	builtin := []string{"output_token_throughput", "ttft_median_ms", "tpot_median_ms"}
	switch mode {
	case "gen_only", "gen_only_no_context":
		builtin = []string{"gen_device_step_time_mean_ms", "gen_device_step_time_median_ms"}
	case "ctx_only":
		builtin = []string{"total_token_throughput", "ttft_median_ms"}
	case "custom":
		builtin = append(builtin, "request_throughput", "run_time_median_ms", "bus_bandwidth")
	}
	_, known := Default().spellings[m.Name]
	return m.Name == DecodedTokens || slices.Contains(builtin, m.Name) || m.Gate && !known
}

// GatingModes are the modes in which a metric is judged by default. gen_only_no_context is as gen_only.
func GatingModes(m Metric) []string {
	if m.Name == DecodedTokens {
		return []string{"speculative decoding"}
	}
	modes := []string{"e2e", "aggregated", "gen_only", "ctx_only", "custom"}
	return slices.DeleteFunc(modes, func(mode string) bool { return !GatesIn(mode, m) })
}
