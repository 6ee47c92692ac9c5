package verdict

// Judge gives the verdict on the newest run of a series.
func Judge(s Series, p Policy) Row {
	c := p.settings(s)
	return Row{Case: s.Case, Point: s.Point, Metric: s.Metric.Name, Rule: string(c.rule), Verdict: Invalid, Reason: "not judged yet"}
}

// Record is the run as it belongs into the history: with its verdict, whether a
// regression was open, and the level that it has to come back to.
func (r Row) Record(run Run) Run {
	run.Verdict = r.Verdict
	run.Open = r.Open
	run.Level = 0
	if r.Verdict == Regression && r.Baseline != nil {
		run.Level = *r.Baseline
	}
	return run
}
