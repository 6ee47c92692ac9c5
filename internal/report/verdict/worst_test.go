package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// What a policy may let pass is never worse than what it may not: an inconclusive metric beside one without a baseline
// decides the case, and is stored so and judged again so.
func TestOneOrderOfVerdicts(t *testing.T) {
	t.Parallel()
	order := []verdict.Word{
		verdict.Regression, verdict.Invalid, verdict.BaselineUnavailable, verdict.Inconclusive,
		verdict.NoBaseline, verdict.Collecting, verdict.Improvement, verdict.Pass,
	}
	require.Empty(t, verdict.Worst(nil))
	require.Empty(t, verdict.WorstOf(nil))
	for i, worse := range order {
		for _, better := range order[i:] {
			rows := []verdict.Row{{Gate: true, Verdict: better}, {Gate: true, Verdict: worse}, {Verdict: verdict.Regression}}
			require.Equal(t, worse, verdict.Worst(rows))
			require.Equal(t, worse, verdict.WorstRow(rows, worse).Verdict)
			require.Equal(t, worse, verdict.WorstOf([]verdict.Word{better, worse}))
			verdict.ByWeight(rows)
			require.Equal(t, verdict.Regression, rows[0].Verdict) // it decides nothing, and nobody said that it is advisory
		}
	}
	require.Equal(t, verdict.Invalid, verdict.Worst([]verdict.Row{{Gate: true, Verdict: verdict.Pass}, {Gate: true, Verdict: "who knows"}}))
	require.Equal(t, verdict.Rank(verdict.Invalid), verdict.Rank("who knows"))
}

// A wrong answer is worse than any speed: all that names one row names it.
func TestWrongAnswersComeFirst(t *testing.T) {
	t.Parallel()
	much := 0.5
	rows := []verdict.Row{
		{Metric: "tpot", Gate: true, Verdict: verdict.Regression, Worse: &much},
		{Metric: "gsm8k", Gate: true, Verdict: verdict.Regression, Rule: verdict.RuleAccuracy},
	}
	require.Equal(t, "gsm8k", verdict.WorstRow(rows, verdict.Regression).Metric)
	verdict.ByWeight(rows)
	require.Equal(t, "gsm8k", rows[0].Metric)
}

// TestWhatAWordMeans: every verdict is green, may be worse, has nothing to be compared with, or proves nothing.
func TestWhatAWordMeans(t *testing.T) {
	t.Parallel()
	for word, want := range map[verdict.Word][4]bool{
		verdict.Pass:                {true, false, false, false},
		verdict.Improvement:         {true, false, false, false},
		verdict.Regression:          {false, true, false, false},
		verdict.Inconclusive:        {false, true, false, true},
		verdict.Collecting:          {false, false, true, false},
		verdict.NoBaseline:          {false, false, true, false},
		verdict.BaselineUnavailable: {false, false, false, true},
		verdict.Invalid:             {false, false, false, true},
		"who knows":                 {},
	} {
		require.Equal(t, want, [4]bool{word.Green(), word.MayBeWorse(), word.Unjudged(), word.Unproven()}, word)
	}
}

// A gate is one of the metric beside it by its name, whatever number it has; one of another task is not.
func TestGateBesideItsScore(t *testing.T) {
	t.Parallel()
	score := verdict.Row{Metric: "accuracy_gsm8k", Rule: "bws"}
	for name, want := range map[string]bool{
		score.Metric: true, verdict.GateName(score.Metric, 1): true, verdict.GateName(score.Metric, 12): true, "accuracy_gsm8k_cot": false, "accuracy_gsm8k_gated": false, "accuracy_gsm": false,
	} {
		require.Equal(t, want, verdict.Row{Metric: name, Rule: verdict.RuleAccuracy}.IsGateOf(score), name)
		require.False(t, verdict.Row{Metric: name, Rule: verdict.RuleAccuracy, Point: "con8"}.IsGateOf(score), name)
		require.False(t, verdict.Row{Metric: name, Rule: "bws"}.IsGateOf(score), name)
	}
}
