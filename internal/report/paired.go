package report

import (
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// PairedWord is how a paired session ended, as the word of a case: B failing by
// itself is no measurement, and red by CaseEnd.Failed.
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

// nextOfSession is the command after a session that is no pass: which commits or pairs to look at, or another session.
func (a Advice) nextOfSession(c CaseReport) string {
	base, head := c.AB.Base, c.AB.Head
	if c.Result != ResultRegression {
		return a.with("ci-disagg", "run", "--ab") + " " + command(c.ID)
	}
	if base != nil && head != nil && base.Commit != "" && head.Commit != "" && base.Commit != head.Commit {
		return command("git", "log", "--oneline", base.Commit+".."+head.Commit)
	}
	return a.show("report/"+rundir.ReportSummary, 0) // the pairs one by one: the job's own output has none of it
}
