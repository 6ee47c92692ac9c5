// Package fault says whose turn it is after a run: that of who changed something, of who runs the machines, or
// nobody's.
//
// In: what package report decided of a run and its cases. Out: a sentence for each, which verdict.json holds and all
// printers share.
package fault

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Decide folds the cases of a run into its report, and says of each whose turn it is.
func Decide(run report.Run, cases []report.CaseReport) report.Report {
	d := report.Decide(run, cases)
	Set(&d)
	return d
}

// Set says of a decided run, and of each of its cases, whose turn it is.
func Set(d *report.Report) {
	for i := range d.Cases {
		d.Cases[i].Fault = Of(d.Cases[i])
	}
	d.Fault = ofRun(*d)
}

// uncancelled reports whether the infrastructure has failed a case that nobody has cancelled.
func uncancelled(c report.CaseReport) bool {
	return c.Result == report.ResultInfra && c.Outcome != rundir.OutcomeCancelled
}

// ofRun says in one sentence whose turn it is after a run, when its cases are told.
func ofRun(d report.Report) string {
	if len(d.Cases) == 0 {
		return "Nothing was tested."
	}
	if c := Only(d); c != nil {
		return c.Fault
	}
	switch d.Result {
	case report.ResultPassed:
		if d.Counts.Known > 0 {
			return "Nothing new to do; known failures do not turn the run red."
		}
		if i := slices.IndexFunc(d.Cases, flaky); i >= 0 {
			return passedFault(d.Cases[i])
		}
		return "Nothing to do."
	case report.ResultInfra:
		if d.Counts.Infra == 0 {
			return "A part of the report could not be written, which is not your change. What the cases say holds."
		}
		if !slices.ContainsFunc(d.Cases, uncancelled) {
			return "The run was cancelled, which says nothing of your change."
		}
		return "The infrastructure failed, not your change."
	case report.ResultInterrupted:
		if d.ExitCode == exit.Infra {
			return ofOpenRun(d)
		}
		return "The run was ended before it was through; its jobs were cancelled."
	case report.ResultRegression:
		return "All tests passed, but something is slower than its baseline."
	case report.ResultNoVerdict:
		if allGreen(d) {
			return "No case failed, but the run proves nothing." // why stands in the headline
		}
		if d.Counts.Skipped > 0 && d.Counts.NoVerdict == 0 {
			return "Nothing failed, but not everything was tested: some tests skipped themselves."
		}
		return "All tests passed, but not every speed could be judged."
	case report.ResultTestFailed:
		if d.Counts.Infra > 0 {
			return "A test failed. The cases marked INFRASTRUCTURE are not your change."
		}
		return "A test failed: the change under test is the first suspect."
	default:
		return ""
	}
}

// allGreen reports whether the doubt about a run is in none of its cases.
func allGreen(d report.Report) bool {
	return !slices.ContainsFunc(d.Cases, func(c report.CaseReport) bool { return c.Colour != report.Green })
}

// Only is the one case that did not pass and by which the run ended, nil if there are more or none.
func Only(d report.Report) *report.CaseReport {
	var only *report.CaseReport
	for i := range d.Cases {
		if d.Cases[i].Colour == report.Green {
			continue
		}
		if only != nil {
			return nil
		}
		only = &d.Cases[i]
	}
	if only != nil && only.ExitCode != d.ExitCode { // the run is red of something else
		return nil
	}
	return only
}

// Of says in one sentence whose turn it is.
func Of(c report.CaseReport) string {
	switch c.Result {
	case report.ResultInfra:
		if c.Outcome == rundir.OutcomeCancelled {
			return "Cancelled, which says nothing of your change." + Tries(c)
		}
		return "Infrastructure, not your change." + Tries(c)
	case report.ResultTestFailed:
		return sessionFault(c) + testFault(c)
	case report.ResultRegression:
		return regressionFault(c)
	case report.ResultNoVerdict:
		return noVerdictFault(c)
	case report.ResultInterrupted:
		switch {
		case c.ExitCode == exit.Infra && len(c.Attempts) == 0:
			return "Not begun, and the run is not over: nothing is said of your change."
		case c.ExitCode == exit.Infra:
			return "This case is not over, which says nothing of your change."
		}
		return "The run was interrupted before this case was through."
	case report.ResultSkipped:
		return skippedFault(c)
	case report.ResultKnown:
		return "A known failure: it does not turn the run red, and nothing was proven."
	case report.ResultImprovement:
		return passed(c, ", and ", "something became better.")
	case report.ResultPassed:
		if why := report.NotJudged(c); why != "" {
			return "Nothing to do. Its speed was " + why + ". The policy allows that." + Tries(c)
		}
		return passedFault(c) + Tries(c)
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
		return "A test was skipped: the case proves nothing."
	}
}

// Tries says that attempts before the last were lost.
func Tries(c report.CaseReport) string {
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
		return fmt.Sprintf(" It needed %s after infrastructure failures%s.", plain.Count(n+1, "attempt"), Lost(c))
	}
}

// Lost is what the first attempt that does not count died of, as it goes on after a count.
func Lost(c report.CaseReport) string {
	for _, a := range c.Attempts {
		if a.Counts {
			continue
		}
		if a.Finding != nil && a.Finding.Message != "" {
			return ": " + plain.Cut(plain.Line(a.Finding.Message), 200)
		}
		if a.Reason != "" {
			return ": " + plain.Cut(plain.Line(a.Reason), 200)
		}
	}
	return ""
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
	case f == nil && c.Outcome == "": // no test was run: its answers were scored
		return "The answers are wrong."
	case f == nil:
		return "A test failed."
	case f.Root == "" && c.Outcome.IsTimeout():
		return "It took too long, and no role is proven to be the cause."
	case f.Root == "":
		return "A test failed; no role is proven to be the first."
	case f.Kind == blame.KindReadyTimeout && len(f.Roots) > 0:
		return strings.Join(append([]string{f.Root}, f.Roots...), ", ") + " missed the same deadline; none of them was the first."
	case f.Class == string(blame.Test):
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
		case r.Status != report.RoleCollateral:
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
	if row := c.BesidePairs(); row != nil {
		switch too := row.OlderToo; {
		case too == nil:
			return "B breaks a pinned value."
		case *too:
			return "B breaks a pinned value; A breaks it, too."
		default:
			return "B breaks a pinned value; A still keeps it."
		}
	}
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

func sentence(began string) string {
	if began == "" {
		return ""
	}
	return " It " + began + "."
}

// passed puts before a sentence that the test passed, where one was run: what judge is given proves nothing of that.
func passed(c report.CaseReport, join, sentence string) string {
	switch {
	case c.Outcome == rundir.OutcomePassed && c.Result == report.ResultImprovement:
		return "Passed" + join + sentence
	case c.Outcome == rundir.OutcomePassed:
		return "The test passed" + join + sentence
	default:
		return strings.ToUpper(sentence[:1]) + sentence[1:]
	}
}

func noVerdictFault(c report.CaseReport) string {
	if c.AB != nil && c.Verdict == verdict.Inconclusive && c.BesidePairs() == nil {
		return passed(c, "; ", "both builds were measured, and neither a change nor its absence is certain.") + strings.TrimSuffix(" "+c.Machine, " ")
	}
	if c.AB != nil && c.BesidePairs() == nil {
		return noPairs(*c.AB)
	}
	return passed(c, "; ", noVerdict(c))
}

// noVerdict is what is missing for a verdict.
func noVerdict(c report.CaseReport) string {
	if c.EnvironmentMoved && c.Verdict == verdict.Inconclusive {
		return "it is slower because the environment is, which no change explains; nothing is known of this one."
	}
	switch c.Verdict {
	case verdict.Collecting:
		return "the history is too short to judge its speed."
	case verdict.NoBaseline:
		return "there is nothing to compare its speed with."
	case verdict.BaselineUnavailable:
		return "the baselines could not be read, which is not your change."
	case verdict.Inconclusive:
		return "its speed is suspicious, but nothing is proven." + strings.TrimSuffix(" "+c.Machine, " ")
	case verdict.Invalid:
		if c.Outcome == "" {
			return "what was given is not a valid measurement."
		}
		return "what it measured is not a valid measurement."
	default:
		if c.Outcome == "" {
			return "nothing decides: " + noGate(c.Metrics)
		}
		return noGate(c.Metrics)
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

// ofOpenRun says what a run that nobody has ended says so far.
func ofOpenRun(d report.Report) string {
	if d.Counts.Regressed > 0 {
		return "The run is not over, but something is slower than its baseline already."
	}
	return "The run is not over, and so far nothing says anything against your change."
}
