package builder

import (
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

// AddAnswers adds the gates of the answers to what was judged. The numbers of a build that answers wrongly are no
// measure for those to come, however fast it is.
func AddAnswers(j *judging.Judgement, rows []verdict.Row) {
	j.Rows = append(j.Rows, rows...)
	for _, r := range rows {
		if r.WrongAnswer() {
			j.Record.Invalidate("wrong answers: " + r.Reason)
		}
	}
}

// ofAnswers is what a paired session's answers say of it.
func ofAnswers(gates []verdict.Row) (rows []verdict.Row, problems []string) {
	var j judging.Judgement
	AddAnswers(&j, gates)
	return j.Rows, j.Record.Problems
}

// AccuracyRows are the accuracy gates of a case by what it scored. Without a gate there is a row that says so: a number
// that nobody compares with anything proves nothing.
func AccuracyRows(caseID string, scores []bench.Score, gates []accuracy.Gate, advisory bool) []verdict.Row {
	row := func(name string, word verdict.Word, reason string) verdict.Row {
		return verdict.Row{
			Case: caseID, Metric: name, Unit: "%", Better: metric.HigherIsBetter.String(), Gate: true,
			Advisory: advisory, Verdict: word, Rule: verdict.RuleAccuracy, Reason: reason, Values: []float64{},
		}
	}
	verdicts, err := accuracy.Check(scores, gates)
	switch {
	case err != nil:
		return []verdict.Row{row(verdict.RuleAccuracy, verdict.Invalid, err.Error())}
	case len(verdicts) == 0:
		return []verdict.Row{row(verdict.RuleAccuracy, verdict.NoBaseline, "the case measures accuracy and perf.accuracy.gates names no reference for it")}
	}
	var rows []verdict.Row
	for _, v := range verdicts {
		word := verdict.Regression
		switch {
		case v.Pass:
			word = verdict.Pass
		case v.Score.Task == "": // not measured is not wrong
			word = verdict.Invalid
		}
		r := row(verdict.RuleAccuracy+"_"+v.Gate.Task, word, v.Text)
		threshold, expected := v.Threshold, v.Gate.Expected
		r.Limit, r.Baseline = &threshold, &expected
		if v.Score.Task != "" {
			value := v.Score.Value
			r.Value, r.Values = &value, []float64{value}
		}
		if v.Gate.HigherIsBetter != nil && !*v.Gate.HigherIsBetter {
			r.Better = metric.LowerIsBetter.String()
		}
		rows = append(rows, r)
	}
	return rows
}
