package report

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
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

// notMeasured reports whether a row stands for a metric that nobody measured.
func notMeasured(r verdict.Row) bool { return r.Value == nil && r.Verdict == verdict.Invalid }

func metricCase(row verdict.Row) junit.Case {
	c := junit.Case{Name: row.Metric, Properties: metricProperties(row)}
	if row.Point != "" {
		c.Name += "[" + row.Point + "]"
	}
	words := metricWords(row)
	skip := func(kind string) {
		c.Results = []junit.Result{{Status: junit.Skipped, Type: typePrefix + kind, Message: noVerdict(row)}}
	}
	switch {
	case row.Verdict == verdict.Regression && row.Gate && !row.Advisory:
		c.Results = []junit.Result{{Status: junit.Failed, Type: "ci-disagg.perf-regression", Message: words, Text: PlainReason(row)}}
	case row.Verdict == verdict.Pass, row.Verdict == verdict.Improvement:
		c.SystemOut = []string{words}
	case row.Verdict == verdict.Regression: // advisory: shown, never red
		c.SystemOut = []string{"advisory: " + words + "\n" + PlainReason(row)}
	case notMeasured(row):
		skip("not-measured")
	case row.Advisory || !row.Gate:
		c.SystemOut = []string{string(row.Verdict) + ": " + cmp.Or(PlainReason(row), words)}
	default:
		skip(strings.ReplaceAll(string(row.Verdict), "_", "-"))
	}
	return c
}

// noVerdict is why a metric was not judged.
func noVerdict(row verdict.Row) string {
	if notMeasured(row) {
		return cmp.Or(PlainReason(row), "not measured")
	}
	return strings.TrimSuffix(Word(row.Verdict)+": "+PlainReason(row), ": ")
}

// metricWords is 18211.4 tok/s is 8.3% below baseline 19850.0.
func metricWords(row verdict.Row) string {
	if row.Value == nil {
		return cmp.Or(PlainReason(row), "not measured")
	}
	out := strings.TrimSpace(number(*row.Value) + " " + row.Unit)
	if row.Baseline == nil || row.Change == nil {
		return out
	}
	word := "above"
	if *row.Change < 0 {
		word = "below"
	}
	out += fmt.Sprintf(" is %.1f%% %s baseline %s", math.Abs(*row.Change)*100, word, number(*row.Baseline))
	if row.Limit != nil {
		out += " (limit " + number(*row.Limit) + ")"
	}
	return out
}

// number is v with as many digits as a reader can use.
func number(v float64) string {
	if a := math.Abs(v); a >= 10 || a == 0 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
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
