package report

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Whatever a case ended with that is not simply good, with a store or without one, somebody is told what to do next.
func TestEveryEndingHasANext(t *testing.T) {
	t.Parallel()
	for _, a := range []Advice{{RunDir: "/r"}, {RunDir: "/r", NoStore: true}, {RunDir: "/r", NoStore: true, Config: "/c.yaml"}} {
		for _, result := range []string{
			ResultTestFailed, ResultInfra, ResultInterrupted, ResultRegression, ResultNoVerdict, ResultSkipped, ResultKnown, ResultUsage, "something new",
		} {
			for _, word := range []verdict.Word{
				"", verdict.Regression, verdict.Inconclusive, verdict.Invalid, verdict.NoBaseline, verdict.BaselineUnavailable, verdict.Collecting,
			} {
				c := CaseReport{ID: "c", Slug: "c", Decision: Decision{Result: result, Colour: Amber}}
				c.Verdict = word
				require.NotEmpty(t, a.next(c), "%s %s %+v", result, word, a)
			}
		}
		require.Empty(t, a.next(CaseReport{ID: "c", Decision: Decision{Result: ResultPassed, Colour: Green}}))
		require.Empty(t, a.next(CaseReport{ID: "c", Decision: Decision{Result: ResultSkipped, Colour: Green}}), "it was listed as skipped")
	}
}
