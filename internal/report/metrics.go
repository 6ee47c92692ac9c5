package report

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// metricChecks are one case per judged metric: red where it gates and got worse,
// skipped where there is no verdict. The first is the validity of the measurement; it
// is there whenever something was measured, so that it has a history.
func (d *decider) metricChecks() []Check {
	var out []Check
	problems := d.judged.Problems
	if len(problems) > 0 || measured(d.judged.Rows) {
		out = append(out, Check{Case: validity(problems, d.end.Judged), Gate: true})
	}
	for _, row := range d.judged.Rows {
		out = append(out, Check{Case: metricCase(row), Gate: row.Gate})
	}
	return out
}

func validity(problems []string, judged bool) junit.Case {
	c := junit.Case{Name: "validity"}
	switch {
	case len(problems) == 0:
	case !judged:
		c.SystemOut = []string{"not a measurement: " + strings.Join(problems, "\n")}
	default:
		c.Results = []junit.Result{{
			Status: junit.Skipped, Type: "ci-disagg.invalid-measurement",
			Message: "not a measurement: " + problems[0] + results.AndMore(len(problems)-1), Text: strings.Join(problems, "\n"),
		}}
	}
	return c
}

func measured(rows []verdict.Row) bool {
	for _, r := range rows {
		if r.Value != nil {
			return true
		}
	}
	return false
}

func metricCase(row verdict.Row) junit.Case {
	c := junit.Case{Name: row.Metric, Properties: metricProperties(row)}
	if row.Point != "" {
		c.Name += "[" + row.Point + "]"
	}
	said := words.Measured(row)
	skip := func(kind string) {
		c.Results = []junit.Result{{Status: junit.Skipped, Type: typePrefix + kind, Message: words.NoVerdict(row)}}
	}
	switch {
	case row.Verdict == verdict.Regression && row.Gate && !row.Advisory:
		c.Results = []junit.Result{{Status: junit.Failed, Type: "ci-disagg.perf-regression", Message: said, Text: words.Reason(row)}}
	case row.Verdict == verdict.Pass, row.Verdict == verdict.Improvement:
		c.SystemOut = []string{said}
	case row.Verdict == verdict.Regression: // advisory: shown, never red
		c.SystemOut = []string{"advisory: " + said + "\n" + words.Reason(row)}
	case words.NotMeasured(row):
		skip("not-measured")
	case row.Advisory || !row.Gate:
		c.SystemOut = []string{string(row.Verdict) + ": " + cmp.Or(words.Reason(row), said)}
	default:
		skip(strings.ReplaceAll(string(row.Verdict), "_", "-"))
	}
	return c
}

func metricProperties(row verdict.Row) []junit.Property {
	out := []junit.Property{{Name: "verdict", Value: string(row.Verdict)}}
	add := func(name string, v *float64) {
		if v != nil {
			out = append(out, junit.Property{Name: name, Value: strconv.FormatFloat(*v, 'g', -1, 64)})
		}
	}
	add("value", row.Value)
	add("baseline", row.Baseline)
	add("change", row.Change)
	add("limit", row.Limit)
	add("p_regression", row.P)
	for _, p := range []junit.Property{{Name: "unit", Value: row.Unit}, {Name: "better", Value: row.Better}, {Name: "rule", Value: row.Rule}} {
		if p.Value != "" {
			out = append(out, p)
		}
	}
	return out
}

// RuleAccuracy marks the rows of the accuracy gates.
const RuleAccuracy = "accuracy"

// wrongAnswer reports whether a row is an accuracy gate that failed.
func wrongAnswer(row verdict.Row) bool {
	return row.Gate && !row.Advisory && row.Rule == RuleAccuracy && row.Verdict == verdict.Regression
}
