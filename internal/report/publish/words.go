package publish

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/label"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// group is cases that ended for the same reason.
type group struct {
	report.CaseReport
	More []report.CaseReport
}

// alike puts together neighbouring red cases whose failure was explained by the
// same line, numbers aside: twenty cases on one broken container are one thing
// to understand. Regressions are never put together.
func alike(cases []report.CaseReport) []group {
	var out []group
	at := map[string]int{}
	for _, c := range cases {
		key := cause(c)
		if i, ok := at[key]; ok && key != "" {
			out[i].More = append(out[i].More, c)
			continue
		}
		at[key] = len(out)
		out = append(out, group{CaseReport: c})
	}
	return out
}

// redTests names the first test that failed of those that only the roles know, "" = none.
func redTests(c report.CaseReport) string {
	first, n := "", 0
	for _, role := range c.Checks.Roles {
		for _, t := range role.Tests {
			if !t.Planned && t.Case.Status().Red() {
				first, n = cmp.Or(first, t.Classname+"."+t.Name), n+1
			}
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "failed test: " + first
	}
	return fmt.Sprintf("failed tests: %s and %d more", first, n-1)
}

// cause is what alike goes by, "" for a case that stands alone.
func cause(c report.CaseReport) string {
	f := c.Finding
	if f == nil || f.Line == nil || f.Line.Text == "" {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, plain.Words(f.Line.Text))
	return c.Result + "\x00" + f.Class + "\x00" + f.Rule + "\x00" + text
}

// green reports whether nobody has to look at a case.
func green(c report.CaseReport) bool { return c.Colour == report.Green }

// caseLabel is how a case ended, in words.
func caseLabel(c report.CaseReport) string { return label.Of(c.Decision) }

// runLabel is how a run ended, in words.
func runLabel(d report.Report) string { return label.Run(d.Decision, d.Counts) }

// suspects are the commits that a regression may have come with, at most n of them.
func suspects(c report.CaseReport, n int) []string {
	s := c.Suspects
	if s == nil || c.Result != report.ResultRegression {
		return nil
	}
	head := "commits behind " + words.ShortCommit(s.Good) + " up to " + words.ShortCommit(s.Bad)
	if link := look.WebLink(s.URL); link != "" {
		head += ": " + link
	}
	out := []string{head}
	for i, one := range s.Commits {
		if i == n {
			return append(out, fmt.Sprintf("… and %d more", len(s.Commits)-n))
		}
		out = append(out, one)
	}
	return out
}

// changes is what else was different when a regression began, and which slow machines
// the case ran on, for people.
func changes(c report.CaseReport) []string {
	var out []string
	if c.Changed != nil && c.Result == report.ResultRegression {
		out = append(out, c.Changed.Text)
	}
	if c.Environment != "" {
		out = append(out, c.Environment)
	}
	if c.Confirmed != "" {
		out = append(out, c.Confirmed)
	}
	for _, l := range c.Lemons {
		out = append(out, "It ran on a slow machine, and what that costs is taken out: "+l.String()+".")
	}
	return out
}

// notMeasured is how many gating rows have no value.
func notMeasured(rows []verdict.Row) int {
	n := 0
	for _, r := range rows {
		if r.Gate && r.Value == nil {
			n++
		}
	}
	return n
}

// rowText is one row in a line.
func rowText(r verdict.Row) string {
	text := plain.CutMiddle(words.Row(r), 100) + ": " // the numbers matter more
	if r.Value == nil {
		return text + words.Verdict(r.Verdict)
	}
	text += look.Quantity(*r.Value, r.Unit)
	if r.Worse != nil {
		text += ", " + worsening(*r.Worse)
	}
	if r.Baseline != nil {
		text += " than " + look.Number(*r.Baseline)
		if r.Worse != nil && math.Abs(*r.Worse) < 0.0005 {
			text = strings.Replace(text, " than ", " as ", 1)
		}
	}
	if r.Verdict == verdict.Regression && r.Open && r.Worse != nil && *r.Worse < 0.005 {
		return text + " (back, but the regression is still open)"
	}
	if r.Verdict != verdict.Regression || r.Worse == nil {
		text += " (" + words.Verdict(r.Verdict) + ")"
	}
	return text
}

// worsening is a relative worsening in words.
func worsening(v float64) string {
	switch {
	case math.Abs(v) < 0.0005:
		return "the same"
	case v < 0:
		return fmt.Sprintf("%.1f %% better", -100*v)
	default:
		return fmt.Sprintf("%.1f %% worse", 100*v)
	}
}

// lastLine introduces the line of a finding that explains nothing.
func lastLine(l *rundir.LogLine) string {
	if !l.Last {
		return ""
	}
	return "last line: "
}

// failureText is the message of a finding without the line that it repeats.
func failureText(c report.CaseReport) string {
	text := c.Message
	if f := c.Finding; f != nil && f.Line != nil {
		text = strings.TrimSuffix(strings.TrimSuffix(text, strings.TrimSpace(f.Line.Text)), ": ")
	}
	return plain.Words(text)
}
