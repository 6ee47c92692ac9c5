package report

import (
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The results of a case and of a run, in a word.
const (
	ResultPassed      = "passed"
	ResultImprovement = "improvement"
	ResultKnown       = "known_failure" // failed as the config expects: its own word, never a pass
	ResultTestFailed  = "test_failed"
	ResultNotRun      = "usage" // wrong use: nothing was started
	ResultInfra       = "infra"
	ResultRegression  = "regression"
	ResultNoVerdict   = "no_verdict"
	ResultSkipped     = "skipped"
	ResultInterrupted = "interrupted"
)

// The colours of a case and of a run.
const (
	Green = "green" // exit 0
	Amber = "amber" // exit 5: nothing is proven
	Red   = "red"
)

// CaseEnd is everything about one case that the exit code may depend on.
type CaseEnd struct {
	Listed      bool           // as skipped: planned so, never launched
	Skipped     bool           // the test skipped itself, or passed only when repeated where the policy skips that
	Repeated    bool           // the latter, which nothing allows
	Measured    bool           // performance was measured all the same
	Known       bool           // its test is known to fail, with a bug id that has not expired: how fast it is, is not
	Interrupted int            // the signal that ended the run, 0 = none
	Open        bool           // something of it is still to come
	Outcome     rundir.Outcome // of the attempts that count, the worst; "" = it never ended
	// Failed tells that a report of the case shows a failing test, whatever the outcome: a proven failure is never hidden.
	Failed bool
	Judged bool // performance is judged and gates; false: functional-only
	// Words are those of the gating metrics, without the advisory ones: where
	// performance is not judged, of accuracy alone.
	Words []verdict.Word
}

// Count takes in what the rows say of the case.
func (c *CaseEnd) Count(rows []verdict.Row) {
	for _, row := range rows {
		switch {
		case !row.Decides():
		case row.WrongAnswer():
			c.Failed = true // a wrong answer is a failing test, not a slow one
		default:
			c.Words = append(c.Words, row.Verdict)
		}
	}
}

// ExitPolicy is what a site may relax. Nothing is relaxed by default.
type ExitPolicy struct {
	AllowCollecting bool // too little history is a pass
	AllowNoBaseline bool // no baseline is a pass
	AllowSkipped    bool // a test that skipped itself does not keep a run from passing
}

// CaseExit is how a case ends, and alone would end a run.
func CaseExit(c CaseEnd, p ExitPolicy) Decision {
	code, result := caseExit(c, p)
	d := Decision{Result: result, Colour: ColourOf(code), ExitCode: code}
	if w := verdict.WorstOf(c.Words); result == ResultPassed && w.Unjudged() {
		d.Unjudged = w
	}
	return d
}

func caseExit(c CaseEnd, p ExitPolicy) (code int, result string) {
	if c.Listed {
		return exit.Passed, ResultSkipped
	}
	if code = outcomeExit(c.Outcome); c.Failed {
		code = exit.TestFailed
	}
	switch {
	case c.Open && c.Interrupted == 0 && (code != exit.TestFailed || c.Known):
		return exit.Infra, ResultInterrupted // no pass, and nobody's fault
	case code == exit.Passed && c.Skipped && c.Measured && wordsExit(c.Words, p) != exit.Passed && (c.Judged || len(c.Words) > 0):
		code = wordsExit(c.Words, p) // a skip stands for a pass, for nothing else
	case code == exit.Passed && c.Skipped:
		if p.AllowSkipped && !c.Repeated {
			return exit.Passed, ResultSkipped
		}
		return exit.NoVerdict, ResultSkipped
	case code == exit.Passed && (c.Judged || len(c.Words) > 0):
		code = wordsExit(c.Words, p)
	case code == exit.Infra && c.Interrupted != 0 && (c.Outcome == "" || c.Outcome == rundir.OutcomeCancelled):
		return exit.Signal + c.Interrupted, ResultInterrupted // who ends a run is no infrastructure
	}
	if c.Known && code == exit.TestFailed {
		if wordsExit(c.Words, p) != exit.Regression {
			return exit.Passed, ResultKnown
		}
		code = exit.Regression // of what was measured where the test passed: no failing test
	}
	return code, ResultOf(code)
}

// outcomeExit maps how the attempt ended. A word that is not known here is not
// a success, and nothing proves it to be the test's fault.
func outcomeExit(o rundir.Outcome) int {
	switch {
	case o == rundir.OutcomePassed:
		return exit.Passed
	case o.TestFault():
		return exit.TestFailed
	default:
		return exit.Infra
	}
}

// Result is how the attempt alone would have ended its case, by how it ended.
func (a AttemptReport) Result() string { return ResultOf(outcomeExit(a.Outcome)) }

// wordsExit is the performance half. No gating metric at all means that nobody looked: no verdict.
func wordsExit(words []verdict.Word, p ExitPolicy) int {
	code := exit.Passed
	if len(words) == 0 {
		return exit.NoVerdict
	}
	for _, w := range words {
		switch {
		case w == verdict.Pass, w == verdict.Improvement, w == verdict.Collecting && p.AllowCollecting, w == verdict.NoBaseline && p.AllowNoBaseline:
		case w == verdict.Regression:
			return exit.Regression
		default:
			code = exit.NoVerdict
		}
	}
	return code
}

// RunEnd is everything that the exit code of a run depends on.
type RunEnd struct {
	Cases       []int // the exit code of each case
	Interrupted int   // the signal that ended the run, 0 = none
	Idle        bool  // every case is a known failure, or listed as skipped: no failing test could turn the run red
	NotStored   bool  // what was measured had to join the history and did not
	Unwritten   bool  // a part of the report could not be written
}

// ExitCode is the exit code of a run: the one place where it is decided. An interruption comes first; then usage, test,
// infrastructure, regression, no verdict, so that a proven failure is never hidden behind an infrastructure one. A run
// without a case proves nothing.
func ExitCode(r RunEnd) int {
	if r.Interrupted != 0 {
		return exit.Signal + r.Interrupted
	}
	has := func(code int) bool {
		return slices.Contains(r.Cases, code) || code == exit.Infra && r.Unwritten || code == exit.NoVerdict && (r.Idle || r.NotStored || len(r.Cases) == 0)
	}
	for _, code := range []int{exit.Usage, exit.TestFailed, exit.Infra, exit.Regression, exit.NoVerdict} {
		if has(code) {
			return code
		}
	}
	return exit.Passed
}

// ColourOf is the colour of an exit code.
func ColourOf(code int) string {
	switch code {
	case exit.Passed:
		return Green
	case exit.NoVerdict:
		return Amber
	default:
		return Red
	}
}

// ResultOf is an exit code in a word, as verdict.json and the reports say it.
func ResultOf(code int) string {
	switch code {
	case exit.Passed:
		return ResultPassed
	case exit.TestFailed:
		return ResultTestFailed
	case exit.Usage:
		return ResultNotRun
	case exit.Infra:
		return ResultInfra
	case exit.Regression:
		return ResultRegression
	case exit.NoVerdict:
		return ResultNoVerdict
	default:
		return ResultInterrupted
	}
}
