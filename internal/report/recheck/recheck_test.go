package recheck

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// An answer changes the red rows that it is of and nothing else, and turns none green.
func TestRowsOfAConfirmedCase(t *testing.T) {
	t.Parallel()
	together := &verdict.Case{Onset: &verdict.Onset{Run: "r", Good: "aaaaaaa", Commit: "bbbbbbb"}}
	row := func(edit func(*verdict.Row)) verdict.Row {
		r := verdict.Row{Point: "con8", Metric: "ttft", Rule: string(verdict.RuleBWS), Verdict: verdict.Regression, Reason: "slower"}
		r.Alarm, r.Onset = true, "r"
		if edit != nil {
			edit(&r)
		}
		return r
	}
	others := map[string]func(*verdict.Row){
		"pinned":         func(r *verdict.Row) { r.Rule = string(verdict.RuleFixed) },
		"upstream":       func(r *verdict.Row) { r.Rule = string(verdict.RuleUpstream) },
		"accuracy":       func(r *verdict.Row) { r.Rule = verdict.RuleAccuracy },
		"open":           func(r *verdict.Row) { r.Open = true },
		"not new":        func(r *verdict.Row) { r.Alarm = false },
		"creep":          func(r *verdict.Row) { r.Slow = true },
		"another onset":  func(r *verdict.Row) { r.Onset = "before" },
		"another metric": func(r *verdict.Row) { r.Metric = "tpot" },
		"another point":  func(r *verdict.Row) { r.Point = "con16" },
		"passed":         func(r *verdict.Row) { r.Verdict = verdict.Pass },
		"shown":          func(r *verdict.Row) { r.Advisory = true },
	}
	for outcome, want := range map[string]verdict.Word{Confirmed: verdict.Regression, Unconfirmed: verdict.Regression, NotConfirmed: verdict.Inconclusive} {
		r := &Answer{Outcome: outcome, Why: "why", Good: "aaaaaaa", Bad: "bbbbbbb", Series: []string{"con8/ttft"}}
		judged := []verdict.Row{row(nil)}
		rows, said := r.Rows(judged, together)
		require.Equal(t, "Measured again in pairs: "+outcome+": why.", said)
		require.Equal(t, []verdict.Row{row(nil)}, judged, "what was judged stays as it is")
		require.Equal(t, []verdict.Row{row(func(r *verdict.Row) { r.Verdict, r.Reason = want, outcome+" in pairs: slower" })}, rows)
		for name, edit := range others {
			rows, _ := r.Rows([]verdict.Row{row(edit)}, together)
			require.Equal(t, row(edit).Verdict, rows[0].Verdict, name)
		}
		for name, other := range map[string]*verdict.Case{
			"nothing": nil, "no onset": {}, "another": {Onset: &verdict.Onset{Run: "r", Good: "ccccccc", Commit: "bbbbbbb"}},
		} {
			rows, _ := r.Rows([]verdict.Row{row(nil)}, other)
			require.Equal(t, verdict.Regression, rows[0].Verdict, name)
		}
	}
	r := &Answer{Outcome: NotConfirmed, Why: "why", Good: "aaaaaaa", Bad: "bbbbbbb", Series: []string{"con8/ttft"}}
	_, said := r.Rows([]verdict.Row{row(nil), row(others["pinned"])}, together)
	require.Equal(t, "Measured again in pairs: not confirmed: why; what else is red here was not tested by that.", said)
	_, said = r.Rows([]verdict.Row{row(others["accuracy"]), row(others["passed"])}, together)
	require.Empty(t, said)
}
