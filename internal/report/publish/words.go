package publish

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/label"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Classes of a finding, as package blame writes them.
const (
	classInfra = "infra"
	classTest  = "test"
)

// Statuses of a role.
const (
	roleRoot       = "root"
	roleCollateral = "collateral"
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

// fault says in one sentence whose turn it is.
func fault(c report.CaseReport) string {
	switch c.Result {
	case report.ResultInfra:
		if c.Outcome == rundir.OutcomeCancelled {
			return "Cancelled, which says nothing of your change." + tries(c)
		}
		return "Infrastructure, not your change." + tries(c)
	case report.ResultTestFailed:
		return sessionFault(c) + testFault(c)
	case report.ResultRegression:
		return regressionFault(c)
	case report.ResultNoVerdict:
		return noVerdictFault(c)
	case report.ResultInterrupted:
		return "The run was interrupted before this case was through."
	case report.ResultSkipped:
		return skippedFault(c)
	case report.ResultKnown:
		return knownFault(c)
	case report.ResultImprovement:
		return "Passed, and something became better."
	case report.ResultPassed:
		if why := report.NotJudged(c); why != "" {
			return "Nothing to do. Its speed was " + why + ". The policy allows that." + tries(c)
		}
		return passedFault(c) + tries(c)
	default:
		return ""
	}
}

// passedFault is what is left to do for a case that passed.
func passedFault(c report.CaseReport) string {
	if flaky(c) {
		return "Look at the run of B that failed: when it was measured again it did not, and it may next time."
	}
	return "Nothing to do."
}

// flaky reports whether a session passed in which the newer build had failed by itself.
func flaky(c report.CaseReport) bool {
	if c.AB == nil {
		return false
	}
	_, crashed := c.AB.Lost(ab.B)
	return crashed > 0
}

func skippedFault(c report.CaseReport) string {
	switch {
	case len(c.Attempts) == 0:
		return "Listed, but not launched."
	case c.Colour == report.Green:
		return "The test skipped itself, which the policy allows: nothing was tested."
	default:
		return "The test skipped itself: nothing was tested or measured."
	}
}

func knownFault(c report.CaseReport) string {
	if c.Outcome == rundir.OutcomePassed && c.Verdict != "" {
		return fmt.Sprintf("Listed as a known failure: its verdict, %s, does not turn the run red.", words.Verdict(c.Verdict))
	}
	return "A known failure: it does not turn the run red, and nothing was proven."
}

// tries says that attempts before the last were lost.
func tries(c report.CaseReport) string {
	n := 0
	for _, a := range c.Attempts {
		if !a.Counts {
			n++
		}
	}
	switch {
	case n == 0:
		return ""
	case c.Result == report.ResultInfra:
		return fmt.Sprintf(" It was tried %d times.", n+1)
	default:
		return fmt.Sprintf(" It needed %s after infrastructure failures.", plain.Count(n+1, "attempt"))
	}
}

// sessionFault says before all else that the newer build alone fails: one of its runs tells only how.
func sessionFault(c report.CaseReport) string {
	if c.AB == nil || c.AB.Lead() == "" {
		return ""
	}
	return c.AB.Lead() + ". "
}

func testFault(c report.CaseReport) string {
	f := c.Finding
	switch {
	case f == nil:
		return "A test failed."
	case f.Root == "" && c.Outcome.IsTimeout():
		return "It took too long, and no role is proven to be the cause."
	case f.Root == "":
		return "A test failed; no role is proven to be the first."
	case f.Kind == blame.KindReadyTimeout && len(f.Roots) > 0:
		return strings.Join(append([]string{f.Root}, f.Roots...), ", ") + " missed the same deadline; none of them was the first."
	case f.Class == classTest:
		return f.Root + " failed first, in the test or the software under test" + others(c) + "."
	default:
		return f.Root + " failed first. Nothing proves the infrastructure at fault, so it counts against the change."
	}
}

// others is what became of the roles that did not fail first.
func others(c report.CaseReport) string {
	at := report.FailedAttempt(c)
	if at == nil {
		return ""
	}
	fell, stopped, text := 0, 0, ""
	for _, r := range at.Roles {
		switch {
		case r.Status != roleCollateral:
		case r.StoppedBy != "":
			stopped++
		default:
			fell++
		}
	}
	if fell > 0 {
		text = "; " + plain.Count(fell, "other role") + " fell with it"
	}
	if stopped == 1 {
		return text + "; 1 other role was stopped"
	} else if stopped > 1 {
		return text + fmt.Sprintf("; %d other roles were stopped", stopped)
	}
	return text
}

func regressionFault(c report.CaseReport) string {
	if c.AB != nil && c.AB.Apart != "" {
		return "B is slower than A on the same machines; " + c.AB.Apart + "." + strings.TrimSuffix(" "+c.Machine, " ")
	}
	if c.AB != nil && c.Machine != "" { // beside what is proven, not instead of it
		return "B is slower than A on the same machines: the change under test is the first suspect. " + c.Machine
	}
	if c.AB != nil {
		return "B is slower than A on the same machines: the change under test is the cause."
	}
	began := report.Began(c)
	t := c.Together
	switch r := report.WorstRow(c); {
	case began != "" && t != nil && t.Open && !t.Alarm && t.Onset != nil && t.Onset.Run == t.Since:
		return "This regression is open until the level is back or someone accepts it." + sentence(began) + strings.TrimSuffix(" "+c.Machine, " ")
	case r != nil && t != nil && t.Open && !t.Alarm && t.Since != "":
		return "A regression has been open since " + words.Run(*r, t.Since) + ": it is open until the level is back or someone accepts it." + sentence(began) + strings.TrimSuffix(" "+c.Machine, " ")
	case c.Machine != "":
		return c.Machine + sentence(began)
	case began != "":
		return "Slower than before." + sentence(began)
	default:
		return "This run is slower than its baseline: the change under test is the first suspect."
	}
}

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

func sentence(began string) string {
	if began == "" {
		return ""
	}
	return " It " + began + "."
}

func noVerdictFault(c report.CaseReport) string {
	if c.AB != nil && c.Verdict == verdict.Inconclusive {
		return "The test passed; both builds were measured, and neither a change nor its absence is certain." + strings.TrimSuffix(" "+c.Machine, " ")
	}
	if c.AB != nil {
		return noPairs(*c.AB)
	}
	if c.EnvironmentMoved && c.Verdict == verdict.Inconclusive {
		return "The test passed; it is slower because the environment is: nobody's change did that, and nothing is known of this one."
	}
	switch c.Verdict {
	case verdict.Collecting:
		return "The test passed; the history is too short to judge its speed."
	case verdict.NoBaseline:
		return "The test passed; there is nothing to compare its speed with."
	case verdict.BaselineUnavailable:
		return "The test passed; the baselines could not be read, which is not your change."
	case verdict.Inconclusive:
		return "The test passed; its speed is suspicious, but nothing is proven." + strings.TrimSuffix(" "+c.Machine, " ")
	case verdict.Invalid:
		return "The test passed; what it measured is not a valid measurement."
	default:
		return "The test passed; " + noGate(c.Metrics)
	}
}

// noPairs is why a session proves nothing.
func noPairs(s ab.Session) string {
	a, crashedA := s.Lost(ab.A)
	b, crashedB := s.Lost(ab.B)
	switch n := len(s.Measured); {
	case a+b == 0:
		return "Nothing is proven: nothing was measured that two builds could be compared by."
	case crashedA == n && crashedB == n:
		return "Nothing is proven: both builds fail, in every run."
	default:
		return fmt.Sprintf("Nothing is proven: of %d runs of each build %d of A and %d of B gave no measurement.", n, a, b)
	}
}

// noGate is why nothing decided on a case's speed: nothing was measured, or nothing that decides.
func noGate(rows []verdict.Row) string {
	i := slices.IndexFunc(rows, func(r verdict.Row) bool { return !r.Gate && r.Value != nil })
	if i < 0 {
		return "nothing says how fast it was."
	}
	name := rows[i].Metric
	return name + " was measured and does not gate; with perf.metrics." + name + ".gate: true it decides."
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
