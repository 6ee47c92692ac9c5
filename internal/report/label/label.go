// Package label says how a case or a run ended in the one word that the console, the pages and the lists of runs share.
//
// In: what verdict.json says of it. Out: a word for people, in capitals where someone has to look, or where a pass is
// none.
package label

import (
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// Ended is how a case ended.
type Ended struct {
	report.Decision
	Verdict verdict.Word `json:"verdict"` // worst over the gating metrics
}

// Case is how a case ended, in words: it passed only if it was judged.
func Case(c Ended) string {
	if c.Result == report.ResultPassed && words.NotJudged(c.Verdict) != "" {
		return words.NotJudged(c.Verdict)
	}
	return Of(c.Decision)
}

// Run is how a run ended, in words: it passed only if one of its cases did.
func Run(d report.Decision, cases []Ended) string {
	text := Of(d)
	if d.Result != report.ResultPassed || len(cases) == 0 {
		return text
	}
	for _, c := range cases {
		if c.Result == report.ResultImprovement || Case(c) == text {
			return text
		}
	}
	return Case(cases[0])
}

// Of is a decision in words.
func Of(d report.Decision) string {
	switch d.Result {
	case report.ResultSkipped:
		if d.Colour != report.Green {
			return "SKIPPED"
		}
		return d.Result
	case report.ResultKnown:
		return "KNOWN FAILURE"
	case report.ResultTestFailed:
		return "TEST FAILED"
	case report.ResultInfra:
		return "INFRASTRUCTURE"
	case report.ResultRegression:
		return "REGRESSION"
	case report.ResultNoVerdict:
		return "NO VERDICT"
	case report.ResultImprovement:
		return "improved"
	case report.ResultInterrupted:
		return "INTERRUPTED"
	case report.ResultUsage:
		return "NOT RUN"
	default:
		return d.Result
	}
}
