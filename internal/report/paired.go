package report

import (
	"cmp"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// PairedWord is how a session ended, as the word of a case: B failing by itself is none, and red by CaseEnd.Failed.
func PairedWord(w paired.Word) verdict.Word {
	switch w {
	case paired.Regression:
		return verdict.Regression
	case paired.Improvement:
		return verdict.Improvement
	case paired.Pass:
		return verdict.Pass
	case paired.Inconclusive:
		return verdict.Inconclusive
	default:
		return verdict.Invalid
	}
}

// CountSession takes in what a paired session says, nil = there was none. A build that
// failed by itself is a failing test, unless its failure has a name of its own.
func (c *CaseEnd) CountSession(s *ab.Session) {
	if s == nil {
		return
	}
	c.Failed = c.Failed || s.Verdict == paired.Failed && c.Outcome == rundir.OutcomePassed
	c.Measured = c.Measured || len(s.Used) > 0
	if c.Judged {
		c.Words = append(c.Words, PairedWord(s.Verdict))
	}
}

// BesidePairs is the row by which a case is decided that has a session, such as a promise that the newer build breaks;
// nil where its session decides, or a failing test.
func (c CaseReport) BesidePairs() *verdict.Row {
	if c.AB == nil || c.Result == ResultTestFailed || PairedWord(c.AB.Verdict) == c.Verdict {
		return nil
	}
	return WorstRow(c)
}

// OfHistory are the rows whose numbers others may keep of a build, each told once: of a session its scores alone.
func (c CaseReport) OfHistory() []verdict.Row {
	rows := slices.Clone(c.Metrics)
	if c.AB != nil {
		rows = slices.DeleteFunc(rows, func(r verdict.Row) bool {
			return r.Rule != verdict.RuleAccuracy && !slices.ContainsFunc(c.Metrics, func(gate verdict.Row) bool { return gate.IsGateOf(r) })
		})
	}
	all := slices.Clone(rows)
	return slices.DeleteFunc(rows, func(r verdict.Row) bool { return slices.ContainsFunc(all, r.IsGateOf) })
}

// decidedBy takes the end of a session's job for a good one where the session itself says what became of the case: it
// decided, whatever happened behind that but head failing by itself; its time limit cut it short after whole pairs; or
// both builds failed, which is nobody's change.
func decidedBy(attempts []results.Ended, plan rundir.Plan, found ab.Session) []results.Ended {
	out := slices.Clone(attempts)
	for i, e := range attempts {
		if !e.Session {
			continue
		}
		says := false
		switch found.Verdict {
		case paired.Regression, paired.Improvement, paired.Pass:
			says = !e.Outcome.TestFault() || !headFailedAlone(found.Measured, plan.Pairs.OwnFailures)
		case paired.Inconclusive:
			says = len(found.Used) > 0 && e.Finding != nil && e.Finding.Kind == blame.KindTimeLimit
		case paired.Invalid:
			says = e.Outcome.TestFault()
		case paired.Failed: // the run that stands for the job says how
		}
		if says {
			out[i].Was, out[i].Outcome, out[i].Finding = e.Outcome, rundir.OutcomePassed, nil
		}
	}
	return out
}

// headFailedAlone reports whether in so many pairs at the end head failed and base did not.
func headFailedAlone(pairs []ab.Pair, n int) bool {
	if n < 1 || len(pairs) < n {
		return false
	}
	return !slices.ContainsFunc(pairs[len(pairs)-n:], func(p ab.Pair) bool { return !p.B.Failed || p.A.Failed })
}

// nextOfSession is the command after a session that is no pass: which commits, pairs or log to look at, or another
// session, but not one that would end in the same way.
func (a Advice) nextOfSession(c CaseReport) string {
	lost := c.AB.LostLog()
	switch {
	case c.Result == ResultRegression: // the summary has the pairs one by one, the job's own output nothing of it
		return cmp.Or(command(c.AB.Log()...), a.show("report/"+rundir.ReportSummary, 0))
	case c.AB.Verdict == paired.Invalid && lost != "":
		return a.show(lost, 0)
	case c.AB.Limit != "":
		return a.key("ab.time", "more than "+c.AB.Limit+", or shorter runs: the session was not decided within it")
	}
	return a.with("ci-disagg", "run", "--ab") + " " + command(c.ID)
}
