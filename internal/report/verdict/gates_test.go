package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// TestGatesIn: the settings stand over what is usual for the kind of case, and functional_only over neither.
func TestGatesIn(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	own := map[string]string{"pipeline": "web"}
	for name, tt := range map[string]struct {
		metric string
		match  map[string]string
		gate   *bool
		only   bool
		want   bool
	}{
		"by default":                {metric: "ttft_median_ms", want: true},
		"not by default":            {metric: "e2el_median_ms"},
		"by its settings":           {metric: "e2el_median_ms", gate: &yes, want: true},
		"not by its settings":       {metric: "ttft_median_ms", gate: &no},
		"of a pipeline":             {metric: "run_time_median_ms", match: own, want: true},
		"of no pipeline":            {metric: "run_time_median_ms"},
		"of a pipeline, switched":   {metric: "run_time_median_ms", match: own, gate: &no},
		"functional, it still is":   {metric: "ttft_median_ms", only: true, want: true},
		"functional, it never was":  {metric: "e2el_median_ms", only: true},
		"functional, by a pipeline": {metric: "run_time_median_ms", match: own, only: true, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := metric.Default()
			m, ok := table.Lookup(tt.metric)
			require.True(t, ok)
			p := verdict.Policy{FunctionalOnly: tt.only, Metrics: map[string]verdict.MetricPolicy{tt.metric: {Gate: tt.gate}}}
			require.Equal(t, tt.want, p.GatesIn(table, tt.match, m))
		})
	}
}
