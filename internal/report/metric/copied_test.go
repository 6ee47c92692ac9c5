package metric_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

func TestCopied(t *testing.T) {
	t.Parallel()
	table := map[string]float64{"tput": 533.95, "ttft": 61.53, "tpot": 7.51, "itl": 7.49, "e2el": 1983.2}
	with := func(of map[string]float64, name string, v float64) map[string]float64 {
		out := map[string]float64{name: v}
		for k, w := range of {
			if k != name {
				out[k] = w
			}
		}
		return out
	}
	require.True(t, metric.Copied(table, table))
	require.True(t, metric.Copied(table, with(table, "p99", 3)), "the other one has more")
	require.False(t, metric.Copied(with(table, "p99", 3), table))
	require.False(t, metric.Copied(table, with(table, "ttft", 61.54)), "one digit is another")
	few := map[string]float64{"accepted": 3, "rejected": 1, "requests": 1000, "accept_length": 2.5, "tput": 990}
	require.False(t, metric.Copied(few, few), "counts and round numbers agree by chance")
	require.False(t, metric.Copied(map[string]float64{"tput": 1234.567890123}, map[string]float64{"tput": 1234.567890123}), "one number may come of a rounded duration")
	units := map[string]float64{"a": 5.7 * 1.1, "b": 64 * 0.1, "c": 100 * 1.1, "d": 0.57 * 100, "e": 0.7 * 0.1}
	require.False(t, metric.Copied(units, units), "digits that come of a change of unit")
}
