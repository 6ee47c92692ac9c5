package report

import (
	"strings"
	"syscall"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The exit codes. They are part of the interface: Jenkinsfiles switch on them.
const (
	ExitPassed     = 0
	ExitTestFailed = 1
	ExitUsage      = 2
	ExitInfra      = 3
	ExitRegression = 4
	ExitNoVerdict  = 5
)

// CaseEnd is everything about one case that the exit code may depend on.
type CaseEnd struct {
	Skipped bool           // listed, never launched
	Known   bool           // a known failure, with a bug id that has not expired
	Outcome rundir.Outcome // of the attempts that count, the worst; "" = it never ended
	// Failed says that a report of the case shows a failing test, whatever the
	// outcome: a proven failure is never hidden.
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
		case !row.Gate || row.Advisory:
		case row.Rule == ruleAccuracy && row.Verdict == verdict.Regression:
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
}

// CaseExit is the exit code that a case alone would end a run with.
func CaseExit(c CaseEnd, p ExitPolicy) int {
	if c.Skipped {
		return ExitPassed
	}
	code := outcomeExit(c.Outcome)
	if c.Failed && code != ExitTestFailed {
		code = ExitTestFailed
	}
	if code == ExitPassed && (c.Judged || len(c.Words) > 0) {
		code = wordsExit(c.Words, p)
	}
	if c.Known && code != ExitInfra {
		return ExitPassed
	}
	return code
}

// outcomeExit maps how the attempt ended. A word that is not known here is not
// a success, and nothing proves it to be the test's fault.
func outcomeExit(o rundir.Outcome) int {
	switch o {
	case rundir.OutcomePassed:
		return ExitPassed
	case rundir.OutcomeTestFailed,
		rundir.TimeoutOf(rundir.PhaseReady),
		rundir.TimeoutOf(rundir.PhaseBenchmark),
		rundir.TimeoutOf(rundir.PhaseDrain):
		return ExitTestFailed
	default:
		return ExitInfra
	}
}

// wordsExit is the performance half. No gating metric at all means that nobody
// looked: no verdict.
func wordsExit(words []verdict.Word, p ExitPolicy) int {
	code := ExitPassed
	if len(words) == 0 {
		return ExitNoVerdict
	}
	for _, w := range words {
		switch w {
		case verdict.Pass, verdict.Improvement:
		case verdict.Regression:
			return ExitRegression
		case verdict.Collecting:
			if !p.AllowCollecting {
				code = ExitNoVerdict
			}
		case verdict.NoBaseline:
			if !p.AllowNoBaseline {
				code = ExitNoVerdict
			}
		default:
			code = ExitNoVerdict
		}
	}
	return code
}

// ExitCode is the exit code of a run: the one place where it is decided.
// An interruption comes first; then usage, test, infrastructure, regression, no
// verdict, so that a proven failure is never hidden behind an infrastructure one.
// A run without a case proves nothing.
func ExitCode(cases []int, interrupted syscall.Signal) int {
	if interrupted != 0 {
		return 128 + int(interrupted)
	}
	for _, code := range []int{ExitUsage, ExitTestFailed, ExitInfra, ExitRegression, ExitNoVerdict} {
		for _, c := range cases {
			if c == code {
				return code
			}
		}
	}
	if len(cases) == 0 {
		return ExitNoVerdict
	}
	return ExitPassed
}

// ResultOf is an exit code in a word, as verdict.json and the reports say it.
func ResultOf(code int) string {
	switch code {
	case ExitPassed:
		return "passed"
	case ExitTestFailed:
		return "test_failed"
	case ExitUsage:
		return "usage"
	case ExitInfra:
		return "infra"
	case ExitRegression:
		return "regression"
	case ExitNoVerdict:
		return "no_verdict"
	default:
		return "interrupted"
	}
}

// worstOutcome orders the outcomes of several repetitions: a test failure is
// proven by one of them, whatever befell the others.
func worstOutcome(a, b rundir.Outcome) rundir.Outcome {
	if outcomeRank(b) > outcomeRank(a) {
		return b
	}
	return a
}

func outcomeRank(o rundir.Outcome) int {
	switch {
	case o == rundir.OutcomePassed:
		return 0
	case o == rundir.OutcomeTestFailed:
		return 4
	case outcomeExit(o) == ExitTestFailed:
		return 3
	case strings.HasPrefix(string(o), "timeout:"):
		return 2
	default:
		return 1
	}
}
