package accuracy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
)

func TestAccuracyThreshold(t *testing.T) {
	t.Parallel()
	lower := false
	for name, c := range map[string]struct {
		test Gate
		want float64
	}{
		"gsm8k as upstream documents it": {Gate{Dataset: "gsm8k", Expected: 94.54}, 91.34},
		"a share is a percentage":        {Gate{Dataset: "GSM8K", Expected: 0.9454}, 91.34},
		"mmlu":                           {Gate{Dataset: "mmlu", Expected: 87.3}, 85.48},
		"gpqa":                           {Gate{Dataset: "gpqa_diamond", Expected: 70}, 61.73},
		"own parameters":                 {Gate{Dataset: "gsm8k", Expected: 94.54, Alpha: 0.01, Sigma: 30, Samples: 500}, 90.13},
		"lower is better":                {Gate{Dataset: "own", Expected: 10, Alpha: 0.05, Sigma: 5, Samples: 100, HigherIsBetter: &lower}, 11.16},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			full, err := c.test.Complete()
			require.NoError(t, err)
			require.InDelta(t, c.want, full.Threshold(), 0.005)
		})
	}
}

func TestGatesThatMeanNothing(t *testing.T) {
	t.Parallel()
	for want, test := range map[string]Gate{
		"this data set is not known":   {Dataset: "gsmk8", Expected: 90},
		"dataset_name is missing":      {Expected: 90},
		"expected_value 0":             {Dataset: "gsm8k"},
		"expected_value 190":           {Dataset: "gsm8k", Expected: 190},
		"alpha 5 is not between":       {Dataset: "gsm8k", Expected: 90, Alpha: 5},
		"threshold_type \"relative\"":  {Dataset: "gsm8k", Expected: 90, ThresholdType: "relative"},
		"sigma and num_samples must":   {Dataset: "gsm8k", Expected: 90, Sigma: -1},
		"alpha -1 is not between 0":    {Dataset: "mmlu", Expected: 90, Alpha: -1},
		"give alpha, sigma, num_sampl": {Dataset: "unknown", Expected: 90, Alpha: 0.05},
		"write sigma as 50":            {Dataset: "gsm8k", Expected: 0.945, Sigma: 0.5}, // 2 % correct would pass
		"no score fails this gate":     {Dataset: "gsm8k", Expected: 94.5, Samples: 1},  // not even 0 %
	} {
		_, err := test.Complete()
		require.ErrorContains(t, err, want)
		_, err = Check(nil, []Gate{test})
		require.ErrorContains(t, err, want)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	score := func(filter string, v float64) bench.Score {
		return bench.Score{Task: "gsm8k", Filter: filter, Metric: "exact_match", Value: v, Unit: "%"}
	}
	gate := []Gate{{Dataset: "gsm8k", Expected: 0.9454}}
	for name, c := range map[string]struct {
		scores []bench.Score
		pass   []bool
		text   string
	}{
		"as expected":                     {[]bench.Score{score("flexible-extract", 94.54)}, []bool{true}, "gsm8k (exact_match, flexible-extract) is 94.54, required >= 91.34, expected 94.54"},
		"within chance":                   {[]bench.Score{score("flexible-extract", 91.40)}, []bool{true}, "91.40"},
		"beyond chance":                   {[]bench.Score{score("flexible-extract", 91.30)}, []bool{false}, "91.30"},
		"the other filter does not count": {[]bench.Score{score("strict-match", 99)}, []bool{false}, "not measured with the filter flexible-extract, only with strict-match"},
		"nothing measured":                {nil, []bool{false}, "gsm8k was not measured"},
		"a few samples prove nothing":     {[]bench.Score{{Task: "gsm8k", Filter: "flexible-extract", Value: 100, Samples: 10}}, []bool{false}, "gsm8k was measured with 10 samples, and the gate is one for 1319"},
		"a part of them":                  {[]bench.Score{{Task: "gsm8k", Filter: "flexible-extract", Value: 100, Limited: "0.1"}}, []bool{false}, "gsm8k was measured with a part of the samples (--limit 0.1), and the gate is one for 1319"},
		"nobody knows how many":           {[]bench.Score{{Task: "gsm8k", Filter: "flexible-extract", Value: 95}}, []bool{true}, "; nothing says whether of all 1319 samples"},
		"a group of more":                 {[]bench.Score{{Task: "gsm8k", Filter: "flexible-extract", Value: 95, Limited: "1319.0"}}, []bool{true}, ""},
		"without a limit":                 {[]bench.Score{{Task: "gsm8k", Filter: "flexible-extract", Value: 95, Limited: "None"}}, []bool{true}, ""},
		"all samples":                     {[]bench.Score{{Task: "gsm8k", Filter: "flexible-extract", Value: 95, Samples: 1319}}, []bool{true}, ""},
		"no percentage":                   {[]bench.Score{score("flexible-extract", 9454)}, []bool{false}, "is 9454.00, which is no percentage"},
		"every run must pass":             {[]bench.Score{score("flexible-extract", 94), score("flexible-extract", 80)}, []bool{true, false}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Check(c.scores, gate)
			require.NoError(t, err)
			require.Len(t, got, len(c.pass))
			for i, v := range got {
				require.Equal(t, c.pass[i], v.Pass)
			}
			require.Contains(t, got[0].Text, c.text)
		})
	}
	order, err := Check([]bench.Score{score("flexible-extract", 94), {Task: "gsm8k", Filter: "flexible-extract", Value: 95, Samples: 1}, score("flexible-extract", 80), score("flexible-extract", 70)}, gate)
	require.NoError(t, err)
	for i := range order[1:] {
		require.True(t, order[i+1].Worse(order[i]) && !order[i].Worse(order[i+1]), "right, no proof, wrong, very wrong: %d", i)
	}
	lower := false
	wrong := []bench.Score{{Task: "asr", Filter: "none", Metric: "wer", Value: 60, Unit: "%", LowerIs: true}}
	raw := []bench.Score{{Task: "asr", Filter: "none", Metric: "bits_per_byte", Value: 3, Unit: "1", LowerIs: true}}
	for _, scores := range [][]bench.Score{wrong, raw} { // a share, and no share
		for _, sigma := range []float64{0.2, 4.48} {
			got, err := Check(scores, []Gate{{Dataset: "asr", Filter: "none", Expected: 0.7, Alpha: 0.05, Sigma: sigma, Samples: 1000, HigherIsBetter: &lower}})
			require.NoError(t, err)
			require.Equal(t, scores[0].Unit == "%", got[0].Pass, got[0].Text)
		}
	}
	perplexity := Gate{Dataset: "own", Task: "wikitext", Filter: "none", Expected: 9.4, Alpha: 0.05, Sigma: 1, Samples: 100, HigherIsBetter: &lower}
	for v, pass := range map[float64]bool{9.0: true, 9.6: true, 9.7: false} {
		got, err := Check([]bench.Score{{Task: "wikitext", Filter: "none", Value: v, Unit: "1", LowerIs: true}}, []Gate{perplexity})
		require.NoError(t, err)
		require.Equal(t, pass, got[0].Pass, "%v: %s", v, got[0].Text)
	}
}
