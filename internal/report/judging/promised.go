package judging

import (
	"cmp"
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// ruleOf is the rule for a metric that has a pinned value.
func ruleOf(p verdict.Policy, name string) verdict.Rule {
	return cmp.Or(p.Metrics[name].Rule, p.Rule, verdict.RuleFixed)
}

// Promised are the rows of what is pinned for the newer build of a session, by what its runs measured: that it is as
// fast as the other build makes no broken promise good. A value with the rule bws stands in for a history, as the other
// build does, and is none. older is what that measured: the newest run of main to the rule upstream.
func (s Setup) Promised(newer, older baseline.Record) []verdict.Row {
	if len(newer.Measurements) == 0 {
		return nil // which the session says
	}
	s, subject := prepare(s, Subject{Record: newer})
	t := trial{Setup: s, Subject: subject}
	var rows []verdict.Row
	for _, m := range subject.Record.Measurements {
		def, known := t.define(m.Metric)
		policy, pin := s.Pins.apply(s.Policy, newer, m.Point, def.Name)
		rule := ruleOf(policy, def.Name)
		if !known || pin == nil || rule == verdict.RuleBWS {
			continue
		}
		series := verdict.Series{
			Case: newer.Case, Point: m.Point, Metric: def, Pinned: pin,
			New: verdict.Run{ID: newer.Run, Time: newer.Time, Commit: newer.Build.Commit, Values: m.Values},
		}
		main, ok := older.Find(m.Point, m.Metric)
		if ok && rule == verdict.RuleUpstream {
			series.History = []verdict.Run{{Values: main.Values}}
		}
		row := verdict.Judge(series, policy)
		if row.Reason += fmt.Sprintf("; by the median of %s of B", plain.Count(len(m.Values), "run")); row.Verdict == verdict.Improvement {
			row.Verdict = verdict.Pass // whether it is faster the session says
		}
		if ok && row.Verdict == verdict.Regression {
			too := def.Sign()*(verdict.Run{Values: main.Values}.Value()-*row.Limit) > 0
			row.OlderToo, row.Alarm = &too, !too
		}
		rows = append(rows, row)
	}
	rows = append(rows, t.missing()...)
	t.sortRows(rows)
	return rows
}
