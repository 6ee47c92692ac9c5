package judging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// What speculative decoding yields gates where it was measured until now, and is missed where it is not any more.
func TestDecodedTokensAreMissed(t *testing.T) {
	t.Parallel()
	s := open(t, "dir:"+t.TempDir()+"/store")
	with := func(i int) baseline.Record {
		r := nightly("c", i, noisy(i))
		r.Measurements = append(r.Measurements, baseline.Measurement{Point: "con64", Metric: metric.DecodedTokens, Unit: "tok", Values: []float64{2.5 + noisy(i)/1e4}})
		return r.Normal()
	}
	for i := range 5 {
		save(t, s, judge(t, setup(s), with(i)).Record)
	}
	require.NotEqual(t, verdict.Invalid, word(t, judge(t, setup(s), with(5)), metric.DecodedTokens).Verdict)
	row := word(t, judge(t, setup(s), nightly("c", 5, noisy(5))), metric.DecodedTokens)
	require.Equal(t, verdict.Invalid, row.Verdict)
	require.Contains(t, row.Reason, "not measured by this run")
}

// With functional_only metrics gate as ever, though nothing of it counts; and a run that is no measurement has rows of
// what gates by the settings and the pins, too.
func TestGatesByPins(t *testing.T) {
	t.Parallel()
	pins, err := judging.ParsePins("baselines.yaml", []byte("schema: 1\ncases:\n  c:\n    duration_s: {gate: true, min_effect: 7%}\n    ttft_median_ms: {gate: false}\n"), metric.Default())
	require.NoError(t, err)
	for _, only := range []bool{false, true} {
		set := judging.Setup{Metrics: metric.Default(), Pins: pins, Policy: verdict.Policy{FunctionalOnly: only}}
		for name, want := range map[string]bool{"duration_s": true, "ttft_median_ms": false, tput: true, "request_throughput": false} {
			def, _ := set.Metrics.Lookup(name)
			gates, effect := set.Gating(baseline.Record{Case: "c"}, "con64", def)
			require.Equal(t, want, gates, name)
			require.Equal(t, name == "duration_s", effect == 0.07, name)
		}
		r := nightly("c", 1, 100)
		r.Valid, r.Problems = false, []string{"cut off"}
		j := judge(t, set, r)
		require.True(t, word(t, j, "duration_s").Gate)
		require.False(t, word(t, j, "ttft_median_ms").Gate)
	}
}
