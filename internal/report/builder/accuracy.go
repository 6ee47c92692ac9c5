package builder

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/accuracy"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// answers are the gates of what a case was scored: of one that was to measure accuracy, and of any that has a score
// where there are gates.
func (s *Builder) answers(c results.Case, scores []bench.Score) []verdict.Row {
	if !c.Plan.Expected.Accuracy && (len(scores) == 0 || len(s.o.Accuracy) == 0) {
		return nil
	}
	return AccuracyRows(c.State.ID, scores, s.o.Accuracy, s.o.AccuracyAdvisory)
}

// AddAnswers adds the gates of the answers to what was judged, each under a name that no other row of the case has. The
// numbers of a build that answers wrongly are no measure for those to come, however fast it is. Right answers are no
// verdict on a speed that is only shown, and scores without a reference are none at all.
func AddAnswers(j *judging.Judgement, rows []verdict.Row) {
	shown := j.Record.Verdict == "" && slices.ContainsFunc(j.Rows, func(r verdict.Row) bool { return r.Gate })
	for _, r := range rows {
		name := r.Metric
		for n := 1; slices.ContainsFunc(j.Rows, func(o verdict.Row) bool { return o.Point == r.Point && o.Metric == r.Metric }); n++ {
			r.Metric = verdict.GateName(name, n)
		}
		if j.Rows = append(j.Rows, r); r.WrongAnswer() {
			j.Record.Invalidate("wrong answers: " + r.Reason)
		}
	}
	if word := verdict.Worst(rows); j.Record.Valid && word != "" && !word.Unjudged() && (!shown || !word.Green()) {
		if j.Record.Verdict != "" {
			word = verdict.WorstOf([]verdict.Word{word, j.Record.Verdict})
		}
		j.Record.Verdict = word
	}
}

// ofAnswers is what a paired session's answers say of it.
func ofAnswers(gates []verdict.Row) (rows []verdict.Row, problems []string) {
	var j judging.Judgement
	AddAnswers(&j, gates)
	return j.Rows, j.Record.Problems
}

// AccuracyRows are the accuracy gates of a case by what it scored, a row each. Without a gate there is a row that says
// so: a number that nobody compares with anything proves nothing.
func AccuracyRows(caseID string, scores []bench.Score, gates []accuracy.Gate, advisory bool) []verdict.Row {
	row := verdict.Row{
		Case: caseID, Metric: verdict.RuleAccuracy, Unit: "%", Better: metric.HigherIsBetter.String(), Gate: true,
		Advisory: advisory, Rule: verdict.RuleAccuracy, Values: []float64{},
	}
	if len(gates) == 0 {
		row.Verdict, row.Reason = verdict.NoBaseline, "the case measures accuracy and perf.accuracy.gates names no reference for it"
		return []verdict.Row{row}
	}
	var rows []verdict.Row
	var errs []error
	for _, g := range gates {
		found, err := accuracy.Check(scores, []accuracy.Gate{g})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, gateRow(row, found))
	}
	if err := errors.Join(errs...); err != nil {
		row.Verdict, row.Reason = verdict.Invalid, err.Error()
		return []verdict.Row{row}
	}
	return rows
}

// gateRow is a row by what was found of one gate: by the worst of its scores, where there are several.
func gateRow(r verdict.Row, found []accuracy.Verdict) verdict.Row {
	worst := found[0]
	for _, v := range found {
		if v.Worse(worst) {
			worst = v
		}
		if v.Score.Task != "" {
			r.Values = append(r.Values, v.Score.Value)
		}
	}
	r.Metric, r.Reason, r.Verdict = metric.Accuracy(worst.Gate.Task), worst.Text, verdict.Regression
	if n := len(found); n > 1 {
		r.Reason += fmt.Sprintf(" (the worst of %d)", n)
	}
	switch {
	case worst.Pass:
		r.Verdict = verdict.Pass
	case worst.Score.Task == "": // not measured is not wrong
		r.Verdict = verdict.Invalid
	}
	threshold, expected := worst.Threshold, worst.Gate.Expected
	r.Limit, r.Baseline = &threshold, &expected
	if worst.Score.Task != "" {
		value := worst.Score.Value
		r.Value = &value
	}
	if worst.Gate.HigherIsBetter != nil && !*worst.Gate.HigherIsBetter {
		r.Better = metric.LowerIsBetter.String()
	}
	return r
}
