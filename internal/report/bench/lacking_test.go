package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// TestLackingOfRoles: one name stands for several formats of a client, and its command says which it will write.
func TestLackingOfRoles(t *testing.T) {
	t.Parallel()
	const uncounted = " does not say how many requests succeeded, so that no result would count: leave requests out of expect, or "
	const metrics = "; there are e2el_max_ms, e2el_mean_ms, e2el_median_ms, e2el_min_ms, e2el_p95_ms, e2el_p99_ms, request_throughput"
	own := []Generic{{Name: "own", Completed: "n", Metrics: []GenericMetric{{Metric: "median_ttft_ms"}, {Metric: "new"}}}}
	for name, tt := range map[string]struct {
		command, reader string
		requests        int
		metrics         []string
		want            []string
	}{
		"csv":                  {"set -e\nredis-benchmark -p 1 --csv > x", "redis-benchmark", 9, nil, []string{"redis-benchmark --csv" + uncounted + "--csv out of the command"}},
		"csv, by its content":  {"exec redis-benchmark --csv", "", 9, nil, []string{"redis-benchmark --csv" + uncounted + "--csv out of the command"}},
		"quiet, on two lines":  {"/usr/bin/redis-benchmark \\\n  -q", "redis-benchmark", 9, nil, []string{"redis-benchmark -q" + uncounted + "-q out of the command"}},
		"nothing is asked":     {"redis-benchmark --csv", "redis-benchmark", 0, nil, nil},
		"with counts":          {"redis-benchmark -t set", "redis-benchmark", 9, nil, nil},
		"another's option":     {"redis-benchmark -t set | grep -q x", "redis-benchmark", 9, nil, nil},
		"a metric of no other": {"redis-benchmark", "redis-benchmark", 0, []string{"ttft_median_ms", "e2el_p99_ms"}, []string{"expect.metrics: no result of redis-benchmark has ttft_median_ms, so that none would count" + metrics}},
		"one it leaves out":    {"redis-benchmark -q", "redis-benchmark", 0, []string{"e2el_p99_ms"}, []string{"expect.metrics: no result of redis-benchmark has e2el_p99_ms, so that none would count; there are e2el_median_ms, request_throughput"}},
		"any may be":           {"x", "", 0, []string{"ttft_median_ms"}, nil},
		"not all is known":     {"x", "vllm", 0, []string{"nothing_like_it"}, nil},
		"an own reader":        {"x", "own", 9, []string{"ttft_median_ms", "new", "other"}, []string{"expect.metrics: no result of own has other, so that none would count; there are new, ttft_median_ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role := rundir.RolePlan{Command: tt.command, Leaves: rundir.Leaves{Bench: []rundir.BenchFiles{{Reader: tt.reader, Files: []string{"x"}}}}}
			require.Equal(t, tt.want, Lacking(rundir.Plan{
				Builds:   []rundir.BuildPlan{{Roles: []rundir.RolePlan{role, {Command: "true"}}}},
				Expected: rundir.Expected{Points: []rundir.Point{{Requests: tt.requests}}, Metrics: tt.metrics},
			}, own))
		})
	}
}
