package publish

import (
	"fmt"
	"math"
	"sort"
	"strconv"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// severity orders results, worst first.
func severity(result string) int {
	switch result {
	case "test_failed":
		return 0
	case "infra":
		return 1
	case "regression":
		return 2
	case "no_verdict":
		return 3
	case "improvement":
		return 4
	case "passed":
		return 5
	default:
		return 6
	}
}

// worstFirst is the cases ordered by severity, suite order within.
func worstFirst(cases []Case) []Case {
	out := append([]Case(nil), cases...)
	sort.SliceStable(out, func(i, j int) bool { return severity(out[i].Result) < severity(out[j].Result) })
	return out
}

// label is a result in words for people.
func label(result string) string {
	switch result {
	case "test_failed":
		return "TEST FAILED"
	case "infra":
		return "INFRASTRUCTURE (not your change)"
	case "regression":
		return "REGRESSION"
	case "no_verdict":
		return "NO VERDICT"
	case "improvement":
		return "improved"
	case "passed":
		return "passed"
	case "skipped":
		return "skipped"
	case "interrupted":
		return "INTERRUPTED"
	default:
		return result
	}
}

// number is v with about four significant digits, no exponent.
func number(v float64) string {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	digits := 3 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(0, min(digits, 6)), 64)
}

// percent is a relative change with its sign.
func percent(v float64) string { return fmt.Sprintf("%+.1f %%", 100*v) }

// moved is the rows that a reader has to look at: everything that is not a pass.
func moved(rows []verdict.Row) []verdict.Row {
	var out []verdict.Row
	for _, r := range rows {
		if r.Verdict != verdict.Pass && (r.Gate || r.Verdict == verdict.Regression) {
			out = append(out, r)
		}
	}
	return out
}

// rowText is one row in a line.
func rowText(r verdict.Row) string {
	name := r.Metric
	if r.Point != "" {
		name += " (" + r.Point + ")"
	}
	text := fmt.Sprintf("%s: %s", name, r.Verdict)
	if r.Value != nil {
		text += fmt.Sprintf(", %s %s", number(*r.Value), r.Unit)
	}
	if r.Baseline != nil {
		text += fmt.Sprintf(" against %s", number(*r.Baseline))
	}
	if r.Change != nil {
		text += fmt.Sprintf(" (%s)", percent(*r.Change))
	}
	return text
}
