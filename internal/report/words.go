package report

import (
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// worstWord is the verdict of a case: the worst of its gating metrics, "" when
// none was judged.
func worstWord(words []verdict.Word) verdict.Word {
	order := []verdict.Word{
		verdict.Pass, verdict.Improvement, verdict.Collecting, verdict.NoBaseline,
		verdict.Inconclusive, verdict.BaselineUnavailable, verdict.Invalid, verdict.Regression,
	}
	rank := func(w verdict.Word) int {
		for i, o := range order {
			if o == w {
				return i
			}
		}
		return len(order) - 2 // an unknown word is no pass
	}
	var worst verdict.Word
	for i, w := range words {
		if i == 0 || rank(w) > rank(worst) {
			worst = w
		}
	}
	return worst
}

// caseResult is a case's result in a word.
func caseResult(end CaseEnd, doc CaseReport) string {
	switch {
	case end.Skipped:
		return "skipped"
	case doc.ExitCode == ExitPassed && doc.Verdict == verdict.Improvement && end.Judged:
		return "improvement"
	default:
		return ResultOf(doc.ExitCode)
	}
}

// caseMessage is the one line that says why.
func caseMessage(c CaseBundle, doc CaseReport) string {
	switch {
	case c.Plan.Case.SkipReason != "":
		return "skipped: " + c.Plan.Case.SkipReason
	case doc.Known != "" && doc.Outcome != rundir.OutcomePassed:
		return "known failure " + doc.Known + failure(c, doc)
	case doc.Outcome != rundir.OutcomePassed:
		return strings.TrimPrefix(failure(c, doc), ": ")
	case len(doc.Problems) > 0:
		return "not a valid measurement: " + doc.Problems[0] + more(len(doc.Problems)-1, "problem")
	}
	for _, row := range doc.Metrics {
		if row.Gate && !row.Advisory && row.Rule == ruleAccuracy && row.Verdict == verdict.Regression {
			return row.Reason
		}
	}
	for _, row := range doc.Metrics {
		if row.Gate && !row.Advisory && row.Verdict == doc.Verdict && row.Verdict != verdict.Pass {
			return fmt.Sprintf("%s: %s", row.Metric, row.Reason)
		}
	}
	return ""
}

// failure says how a case failed.
func failure(c CaseBundle, doc CaseReport) string {
	if doc.Finding != nil && doc.Finding.Message != "" {
		return ": " + doc.Finding.Message
	}
	for i := len(doc.Attempts) - 1; i >= 0; i-- {
		if a := doc.Attempts[i]; a.Reason != "" {
			return ": " + a.Reason
		}
	}
	if doc.Outcome != "" {
		return ": the attempt ended as " + string(doc.Outcome)
	}
	if len(c.State.Attempts) == 0 {
		return ": never launched"
	}
	return ": the attempt was never closed: nothing says how it ended"
}

func more(n int, noun string) string {
	switch {
	case n <= 0:
		return ""
	case n == 1:
		return fmt.Sprintf(" (and 1 more %s)", noun)
	default:
		return fmt.Sprintf(" (and %d more %ss)", n, noun)
	}
}

// count derives the counts from the cases.
func count(d *Report) {
	d.Counts = Counts{Cases: len(d.Cases)}
	for _, c := range d.Cases {
		switch c.Result {
		case "test_failed":
			d.Counts.Failed++
		case "infra":
			d.Counts.Infra++
		case "interrupted":
			d.Counts.Interrupted++
		case "regression":
			d.Counts.Regressed++
		case "no_verdict":
			d.Counts.NoVerdict++
		case "skipped":
			d.Counts.Skipped++
		case "improvement":
			d.Counts.Improved++
			d.Counts.Passed++
		default:
			d.Counts.Passed++
		}
	}
}

// unjudged is how many cases are green only because the policy lets a case pass of
// whose speed nothing can be said.
func unjudged(cases []CaseReport) int {
	n := 0
	for _, c := range cases {
		if c.Result == ResultOf(ExitPassed) && c.Known == "" && (c.Verdict == verdict.Collecting || c.Verdict == verdict.NoBaseline) {
			n++
		}
	}
	return n
}

// headline is the run in one sentence, the worst first.
func headline(d Report) string {
	c := d.Counts
	var parts []string
	say := func(n int, format string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, n))
		}
	}
	say(c.Failed, "%d failed")
	say(c.Infra, "%d stopped by the infrastructure (not your change)")
	say(c.Interrupted, "%d not finished")
	say(c.Regressed, "%d regressed")
	say(c.NoVerdict, "%d without a verdict")
	say(c.Passed, "%d passed")
	say(c.Improved, "%d of them faster")
	say(unjudged(d.Cases), "%d of them not judged (allowed)")
	say(c.Skipped, "%d skipped")
	text := fmt.Sprintf("%d cases: %s", c.Cases, strings.Join(parts, ", "))
	if c.Cases == 1 {
		text = fmt.Sprintf("1 case: %s", strings.Join(parts, ", "))
	}
	if d.Result == "interrupted" {
		return "interrupted; " + text
	}
	if c.Cases == 0 {
		return "no case: nothing was tested"
	}
	return text
}
