// Package recheck is what a second measurement, in pairs, makes of the red rows of a case.
//
// In: what that session has answered, and the rows as they were judged. Out: the rows in the light of the answer, and a
// sentence. It decides no colour, and leaves what was judged as it is.
package recheck

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// The outcomes of an Answer.
const (
	Confirmed    = "confirmed"     // the session finds it too
	NotConfirmed = "not confirmed" // the session passes: the alarm stays open, and somebody has to look
	Unconfirmed  = "unconfirmed"   // nobody can say: it is a regression as before
)

// Answer is what a session has said of a regression.
type Answer struct {
	Outcome string `json:"outcome"`
	Why     string `json:"why"`
	Good    string `json:"good,omitempty"`   // the last good commit
	Bad     string `json:"bad,omitempty"`    // the first bad one
	Report  string `json:"report,omitempty"` // what the session says, for people; "" = it says nothing
	// Series are what the session compared, as point/metric: it says nothing of others.
	Series []string `json:"series,omitempty"`
}

// Rows are the rows of a case in the light of the answer, nil = there is none, and a sentence that says what it has to
// do with them; "" = none is red. What a session does not find too is no regression that anybody could be told of, and
// no pass: the alarm stays open in the history. together is what the series of the case say together: a row that the
// session did not test stays as it is.
func (a *Answer) Rows(judged []verdict.Row, together *verdict.Case) (rows []verdict.Row, said string) {
	if a == nil {
		return judged, ""
	}
	rows = slices.Clone(judged)
	left := 0
	for i, row := range rows {
		if row.Verdict != verdict.Regression || row.Advisory || row.Rule == verdict.RuleAccuracy { // wrong answers are no matter of speed
			continue
		}
		said = fmt.Sprintf("Measured again in pairs: %s: %s", a.Outcome, strings.TrimSuffix(a.Why, "."))
		switch {
		case a.Outcome == Unconfirmed:
		case !a.tested(row, together):
			left++
			continue
		case a.Outcome == NotConfirmed:
			rows[i].Verdict = verdict.Inconclusive
		}
		rows[i].Reason = fmt.Sprintf("%s in pairs: %s", a.Outcome, row.Reason) // why is said once, of the case
	}
	if said == "" {
		return rows, ""
	}
	if left > 0 {
		said += "; what else is red here was not tested by that"
	}
	if a.Report != "" {
		said += "; its report: " + a.Report
	}
	return rows, said + "."
}

// tested reports whether the session asked the question that a row is red for: a step, new in this run, between these
// two commits, in a series that both of them were measured in. A promise, a creep, or what is open since before is
// another.
func (a *Answer) tested(row verdict.Row, together *verdict.Case) bool {
	if together == nil || together.Onset == nil || together.Onset.Good != a.Good || together.Onset.Commit != a.Bad {
		return false
	}
	return row.Rule == string(verdict.RuleBWS) && row.Alarm && !row.Open && !row.Slow && row.Onset == together.Onset.Run &&
		slices.Contains(a.Series, ab.Key{Point: row.Point, Metric: row.Metric}.String())
}
