// Package label says how a case or a run ended in the one word that the console, the pages and the lists of runs share.
//
// In: what verdict.json says of it. Out: a word for people, in capitals where someone has to look, or where a pass is
// none.
package label

import (
	"cmp"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// Run is how a run ended, in words: one whose tests all skipped themselves passed nothing.
func Run(d report.Decision, n report.Counts) string {
	if d.Result == report.ResultPassed && n.Passed == 0 && n.Skipped > 0 {
		return report.ResultSkipped
	}
	return Of(d)
}

// Of is how a case or a run ended, in words: it passed only if it was judged.
func Of(d report.Decision) string {
	switch d.Result {
	case report.ResultPassed:
		return cmp.Or(words.NotJudged(d.Unjudged), d.Result)
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
		if d.ExitCode == exit.Infra { // no signal has ended it
			return "NOT FINISHED"
		}
		return "INTERRUPTED"
	case report.ResultNotRun:
		return "NOT RUN"
	default:
		return d.Result
	}
}
