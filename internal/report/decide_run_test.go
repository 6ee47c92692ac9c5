package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func TestCasesAlikeAreOneWarning(t *testing.T) {
	t.Parallel()
	require.Empty(t, folded(nil))
	require.Equal(t, []string{"b: not verified"}, folded([]string{"b: not verified"}))
	require.Equal(t, []string{"3 cases like this: a: not verified"}, folded([]string{"b: not verified", "a: not verified", "c: not verified"}))
}

// A run passed only if one of its cases did; in which order they stand says nothing.
func TestRunThatWasNotJudged(t *testing.T) {
	t.Parallel()
	green := func(result string, w verdict.Word) CaseReport {
		return CaseReport{Decision: Decision{Result: result, Colour: Green, Unjudged: w}, Attempts: []AttemptReport{{}}}
	}
	young, alone := green(ResultPassed, verdict.Collecting), green(ResultPassed, verdict.NoBaseline)
	known := green(ResultKnown, "")
	known.Known = "a bug"
	for _, tt := range []struct {
		want  verdict.Word
		cases []CaseReport
	}{
		{verdict.Collecting, []CaseReport{young}},
		{verdict.NoBaseline, []CaseReport{young, alone}},
		{verdict.NoBaseline, []CaseReport{alone, young}},
		{verdict.Collecting, []CaseReport{known, young}},
		{verdict.Collecting, []CaseReport{young, known}},
		{"", []CaseReport{young, green(ResultPassed, "")}},
		{"", []CaseReport{green(ResultImprovement, ""), alone}},
		{"", []CaseReport{young, {Decision: Ending(5), Attempts: []AttemptReport{{}}}}},
	} {
		require.Equal(t, tt.want, Decide(Run{}, tt.cases).Unjudged)
	}
}

// What is said of a case follows from how it was decided.
func TestCaseThatWasNotJudged(t *testing.T) {
	t.Parallel()
	allowed := ExitPolicy{AllowCollecting: true, AllowNoBaseline: true}
	end := CaseEnd{Outcome: "passed", Judged: true, Words: []verdict.Word{verdict.Pass, verdict.Collecting}}
	require.Equal(t, verdict.Collecting, CaseExit(end, allowed).Unjudged)
	require.Empty(t, CaseExit(end, ExitPolicy{}).Unjudged, "it is red")
	end.Words = append(end.Words, verdict.NoBaseline)
	require.Equal(t, verdict.NoBaseline, CaseExit(end, allowed).Unjudged)
	end.Words = []verdict.Word{verdict.Pass}
	require.Empty(t, CaseExit(end, allowed).Unjudged)

	young := CaseReport{Decision: Decision{Unjudged: verdict.Collecting}}
	young.Metrics = []verdict.Row{{Gate: true, Verdict: verdict.Collecting, Evidence: verdict.Evidence{History: 9, Needed: 12}}}
	require.Equal(t, "not judged yet: 9 past runs, 12 are needed at least", NotJudged(young))
}
