package report

import (
	"github.com/ci-disagg/ci-disagg/internal/report/testcases"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// metricChecks are one case per judged metric: red where it gates and got worse,
// skipped where there is no verdict. The first is the validity of the measurement; it
// is there whenever something was measured, so that it has a history.
func (d *decider) metricChecks() []Check {
	var out []Check
	problems := d.judged.Problems
	if len(problems) > 0 || measured(d.judged.Rows) {
		out = append(out, Check{Case: testcases.Validity(problems, d.end.Judged), Gate: true})
	}
	for _, row := range d.judged.Rows {
		out = append(out, Check{Case: testcases.Metric(row), Gate: row.Gate})
		if d.word == ResultRegression && row.WrongAnswer() { // it failed as known
			demoteReds(out[len(out)-1:], d.asKnown(), typeKnown)
		}
	}
	return out
}

func measured(rows []verdict.Row) bool {
	for _, r := range rows {
		if r.Value != nil {
			return true
		}
	}
	return false
}
