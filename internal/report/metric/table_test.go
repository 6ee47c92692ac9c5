package metric_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// everyMetric is the whole table plus one metric of each pattern.
func everyMetric(t *testing.T) []metric.Metric {
	t.Helper()
	all := metric.Default().All()
	for _, name := range []string{
		"ttft_p95_ms", "tpot_p99.9_ms", "itl_p75_ms", "e2el_p90_ms", "client_queue_time_p50.5_ms",
		"gen_device_step_time_p95_ms", "avg_decoded_tokens_per_iter_p90",
		"accuracy_gsm8k", "time_breakdown_gen_queue_mean_ms",
	} {
		m, ok := metric.Default().Lookup(name)
		require.True(t, ok, name)
		all = append(all, m)
	}
	return all
}

// A worse value is worse and a better one is not, for every metric, in both
// directions. The expected direction comes from the unit and the name, not from
// the table: a rate per second grows for the better, a time shrinks.
func TestEveryMetricHasTheRightDirection(t *testing.T) {
	t.Parallel()
	for _, m := range everyMetric(t) {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			lower := m.Unit == "ms" || m.Unit == "s" || m.Unit == "J" || m.Unit == "W" || strings.HasSuffix(m.Name, "_iter_std")
			worse, better := 90.0, 110.0
			want := metric.HigherIsBetter
			if lower {
				worse, better, want = better, worse, metric.LowerIsBetter
			}
			require.Equal(t, want, m.Better)
			require.True(t, m.Worse(100, worse))
			require.False(t, m.Worse(100, better))
			require.False(t, m.Worse(100, 100))
			require.InDelta(t, 0.1, m.Worsening(100, worse), 1e-12)
			require.InDelta(t, -0.1, m.Worsening(100, better), 1e-12)
			require.Positive(t, m.Sign()*(worse-100))
		})
	}
}

func TestEveryNameLeadsToItsMetric(t *testing.T) {
	t.Parallel()
	table := metric.Default()
	for _, m := range everyMetric(t) {
		got, ok := table.Lookup(m.Name)
		require.True(t, ok, m.Name)
		require.Equal(t, m, got)
		_, err := metric.Convert(1, m.Unit, m.Unit)
		require.NoError(t, err, m.Unit)
		for _, alias := range m.Aliases {
			got, ok = table.Resolve(alias)
			require.True(t, ok, alias)
			require.Equal(t, m.Name, got.Name, alias)
		}
		if m.Upstream == "" {
			continue
		}
		for _, field := range []string{m.Upstream, "d_" + m.Upstream} {
			got, ok = table.Upstream(field)
			require.True(t, ok, field)
			require.Equal(t, m.Name, got.Name, field)
			got, ok = table.Resolve("d_" + m.Upstream)
			require.True(t, ok, field)
			require.Equal(t, m.Name, got.Name, field)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for spelling, want := range map[string]string{
		"request_goodput:":                 "request_goodput",
		"output_throughput":                "output_token_throughput",
		"d_token_throughput":               "output_token_throughput",
		"d_al":                             "avg_decoded_tokens_per_iter",
		"mean_avg_decoded_tokens_per_iter": "avg_decoded_tokens_per_iter",
		"p99_avg_decoded_tokens_per_iter":  "avg_decoded_tokens_per_iter_p99",
		"p99_ttft_ms":                      "ttft_p99_ms",
		"p99.0_ttft_ms":                    "ttft_p99_ms",
		"p99.9_tpot_ms":                    "tpot_p99.9_ms",
		"p50_itl_ms":                       "itl_median_ms",
		"p95_itl_ms":                       "itl_p95_ms",
		"mean_e2e_latency_ms":              "e2el_mean_ms",
		"d_median_tpot":                    "tpot_median_ms",
		"mean_gen_worker_per_iter_device_step_time":   "gen_device_step_time_mean_ms",
		"d_p99_gen_worker_per_iter_device_step_time":  "gen_device_step_time_p99_ms",
		"DISAGG_SERVER_TTFT":                          "ttft_median_ms",
		"WIDEEP_SERVER_P99_E2EL":                      "e2el_p99_ms",
		"tb_ctx_queue_p99":                            "time_breakdown_ctx_queue_p99_ms",
		"accuracy_mmlu":                               "accuracy_mmlu",
		"ttft_p99_ms":                                 "ttft_p99_ms",
		"d_std_gen_worker_per_iter_device_step_time":  "gen_device_step_time_std_ms",
		"p75_gen_worker_per_iter_device_step_time_ms": "gen_device_step_time_p75_ms",
	} {
		m, ok := metric.Default().Resolve(spelling)
		require.True(t, ok, spelling)
		require.Equal(t, want, m.Name, spelling)
	}
	for _, unknown := range []string{"", "d_", "ttft", "p100_ttft_ms", "p0_ttft_ms", "pp_ttft_ms", "mean_", "ttft_p99_s", "throughput", "p99_throughput", "request_rate"} {
		_, ok := metric.Default().Resolve(unknown)
		require.False(t, ok, unknown)
	}
}

func TestPercentileAndMeanAreDifferentMetrics(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, spelling := range []string{"mean_ttft_ms", "median_ttft_ms", "p90_ttft_ms", "p99_ttft_ms", "p99.9_ttft_ms", "std_ttft_ms"} {
		m, ok := metric.Default().Resolve(spelling)
		require.True(t, ok)
		require.False(t, seen[m.Name], m.Name)
		seen[m.Name] = true
	}
}

func TestUpstreamFindsOnlyUpstreamNames(t *testing.T) {
	t.Parallel()
	for _, field := range []string{"d_output_throughput", "output_token_throughput", "d_", "", "d_goodput"} {
		_, ok := metric.Default().Upstream(field)
		require.False(t, ok, field)
	}
}

func TestOwnMetricsStateUnitAndDirection(t *testing.T) {
	t.Parallel()
	table, err := metric.Default().With(metric.Metric{Name: "kv_hit_rate", Unit: "%", Better: metric.HigherIsBetter, MinEffect: 0.01, Gate: true})
	require.NoError(t, err)
	m, ok := table.Lookup("kv_hit_rate")
	require.True(t, ok)
	require.True(t, m.Worse(90, 80))
	_, ok = metric.Default().Lookup("kv_hit_rate")
	require.False(t, ok, "With must not change the table it was called on")

	_, err = table.With(
		metric.Metric{Name: "no_unit", Better: metric.LowerIsBetter},
		metric.Metric{Name: "no_direction", Unit: "ms"},
		metric.Metric{Name: "Bad Name", Unit: "ms", Better: metric.LowerIsBetter},
		metric.Metric{Name: "big_effect", Unit: "ms", Better: metric.LowerIsBetter, MinEffect: 2},
		metric.Metric{Name: "thief", Unit: "ms", Better: metric.LowerIsBetter, Aliases: []string{"mean_ttft_ms"}},
	)
	for _, want := range []string{
		`metric "no_unit": unit is missing`, `metric "no_direction": direction is missing`, `"Bad Name": a name is made of`,
		"minimum effect 2", `the name "mean_ttft_ms" already belongs to ttft_mean_ms`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestWithReplacesByName(t *testing.T) {
	t.Parallel()
	table, err := metric.Default().With(metric.Metric{Name: "ttft_p99_ms", Unit: "ms", Better: metric.LowerIsBetter, MinEffect: 0.2})
	require.NoError(t, err)
	m, ok := table.Lookup("ttft_p99_ms")
	require.True(t, ok)
	require.InDelta(t, 0.2, m.MinEffect, 0)
	require.Len(t, table.All(), len(metric.Default().All()))
}

func TestGatesIn(t *testing.T) {
	t.Parallel()
	own, err := metric.Default().With(metric.Metric{Name: "kv_hit_rate", Unit: "%", Better: metric.HigherIsBetter, Gate: true})
	require.NoError(t, err)
	in := func(mode string) (out []string) {
		for _, m := range own.All() {
			if metric.GatesIn(mode, m) && m.Name != metric.DecodedTokens {
				out = append(out, m.Name)
			}
		}
		decoded, _ := own.Lookup(metric.DecodedTokens)
		require.True(t, metric.GatesIn(mode, decoded), "speculative decoding is in every mode")
		return out
	}
	for _, mode := range []string{"e2e", "aggregated", ""} {
		require.Equal(t, []string{"output_token_throughput", "ttft_median_ms", "tpot_median_ms", "kv_hit_rate"}, in(mode))
	}
	for _, mode := range []string{"gen_only", "gen_only_no_context"} {
		require.Equal(t, []string{"gen_device_step_time_mean_ms", "gen_device_step_time_median_ms", "kv_hit_rate"}, in(mode))
	}
	require.Equal(t, []string{"total_token_throughput", "ttft_median_ms", "kv_hit_rate"}, in("ctx_only"))
	require.Equal(t, []string{
		"request_throughput", "output_token_throughput", "ttft_median_ms", "tpot_median_ms", "run_time_median_ms", "bus_bandwidth", "kv_hit_rate",
	}, in("custom"))
}

func TestMinimumEffects(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]float64{"ttft_median_ms": 0.05, "ttft_p75_ms": 0.05, "ttft_p95_ms": 0.10, "itl_std_ms": 0.25, "tpot_median_ms": 0.02, "output_token_throughput": 0.02} {
		m, ok := metric.Default().Lookup(name)
		require.True(t, ok)
		require.InDelta(t, want, m.MinEffect, 0, name)
	}
}

func TestConvert(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value    float64
		from, to string
		want     float64
	}{
		{0.25, "s", "ms", 250},
		{1234.5, "ms", "s", 1.2345},
		{7, "ms", "ms", 7},
		{12, "us", "ms", 0.012},
		{5e6, "ns", "ms", 5},
		{3, "sec", "s", 3},
		{99, "tokens/sec", "tok/s", 99},
		{4, "requests/sec", "req/s", 4},
		{0.945, "ratio", "%", 94.5},
		{31, "tokens/sec/user", "tok/s/user", 31},
	} {
		got, err := metric.Convert(c.value, c.from, c.to)
		require.NoError(t, err)
		require.InDelta(t, c.want, got, 1e-12*c.want, "%v %s in %s", c.value, c.from, c.to)
	}
	for _, c := range [][2]string{{"ms", "tok/s"}, {"", "ms"}, {"furlong", "ms"}, {"tok/s", "tok/s/user"}} {
		_, err := metric.Convert(1, c[0], c[1])
		require.Error(t, err, c)
	}
}

func TestParseDirection(t *testing.T) {
	t.Parallel()
	for _, d := range []metric.Direction{metric.HigherIsBetter, metric.LowerIsBetter} {
		got, ok := metric.ParseDirection(d.String())
		require.True(t, ok)
		require.Equal(t, d, got)
	}
	for _, s := range []string{"", "max", "Higher", metric.Direction(0).String()} {
		_, ok := metric.ParseDirection(s)
		require.False(t, ok, s)
	}
}
