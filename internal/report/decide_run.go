package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Run is what is known of a run beside its cases.
type Run struct {
	rundir.Run
	Tool        string // version
	Interrupted int    // the signal that ended the run early, 0 = none
	// NotStored is why what was measured did not join the history, "" = it did.
	NotStored string
	Advisory  bool // performance never turns the run red
	// AllowSkipped lets a run pass of which every case is listed as skipped.
	AllowSkipped bool
	Unwritten    []string // parts of the report that could not be written, and why
	Notes        []string // warnings beside those of the cases
	Rules        *Rules
	Pages        string // see Report
	Advice       Advice
	Alone        bool // its one case was measured outside of any run: that says how it ended, and there is no file to look at

	idle string // why no case could have turned the run red
}

// Decide folds the cases of a run into its report.
func Decide(run Run, cases []CaseReport) Report {
	d := Report{
		Schema: ReportSchema, Tool: run.Tool, RunID: run.ID, Stage: run.Stage, Suite: run.Suite,
		Backend: run.Backend, Cluster: run.Cluster, Build: run.Build, Rules: run.Rules, Pages: run.Pages, Cases: slices.Clone(cases),
	}
	run.idle = idle(cases, run.AllowSkipped)
	end := RunEnd{Interrupted: run.Interrupted, Idle: run.idle != "", Unwritten: len(run.Unwritten) > 0}
	run.Advice.store = MustBeStored(run.Build, run.Advisory)
	end.NotStored = run.NotStored != "" && run.Interrupted == 0 && run.Advice.store
	for _, c := range cases {
		end.Cases = append(end.Cases, c.ExitCode)
		for _, a := range c.Attempts {
			d.span(a)
		}
	}
	d.Decision = Ending(ExitCode(end))
	d.Unjudged = Unjudged(d)
	d.Doubts = doubts(run, end)
	d.Counts = CountCases(cases)
	if d.Result == ResultInfra && d.Counts.Infra == 0 && !end.Unwritten {
		d.Result = ResultInterrupted // all that did not pass is still to come
	}
	d.Headline = headline(d, end, run)
	d.Warnings = warnings(run, cases)
	d.Checks = runChecks(run, end)
	if run.Alone {
		d.Started = &run.Created
		return d
	}
	for i := range d.Cases {
		c := &d.Cases[i]
		c.Next = run.Advice.next(*c)
		if accept := run.Advice.accept(*c); accept != c.Next {
			c.Accept = accept
		}
	}
	d.Next = run.Advice.nextOfRun(d, end)
	return d
}

// idle says why no case of the run could have turned it red: every one that was to be launched is a known failure, or
// none was to be launched, which allowSkipped lets pass where cases are listed. "" = one could have.
func idle(cases []CaseReport, allowSkipped bool) string {
	launched := 0
	for _, c := range cases {
		switch {
		case c.listed():
		case c.Known == "":
			return ""
		default:
			launched++
		}
	}
	switch {
	case launched > 0:
		return "known failures match every case: no failing test could turn this run red"
	case len(cases) == 0:
		return "nothing was tested"
	case !allowSkipped:
		return "every case is listed as skipped: nothing was launched"
	default:
		return ""
	}
}

// listed reports whether the case was only listed, as skipped.
func (c CaseReport) listed() bool {
	return c.Result == ResultSkipped && c.ExitCode == exit.Passed && len(c.Attempts) == 0
}

// MustBeStored reports whether what was measured has to join the history: a run that is missing there is missed by
// every later verdict. It need not where performance is advisory, which never turns a run red, nor if the run is a
// pull request's, which joins no history.
func MustBeStored(b rundir.Build, advisory bool) bool {
	return !advisory && b.Mode != string(verdict.PullRequest)
}

// span widens the run's times by one attempt.
func (d *Report) span(a AttemptReport) {
	if a.Started != nil && (d.Started == nil || a.Started.Before(*d.Started)) {
		d.Started = a.Started
	}
	if a.Ended != nil && (d.Ended == nil || a.Ended.After(*d.Ended)) {
		d.Ended = a.Ended
	}
}

// CountCases derives the counts from the cases.
func CountCases(cases []CaseReport) Counts {
	n := Counts{Cases: len(cases)}
	for _, c := range cases {
		switch c.Result {
		case ResultTestFailed:
			n.Failed++
		case ResultInfra:
			n.Infra++
		case ResultInterrupted:
			n.Interrupted++
		case ResultRegression:
			n.Regressed++
		case ResultNoVerdict:
			n.NoVerdict++
		case ResultSkipped:
			n.Skipped++
		case ResultKnown:
			n.Known++
		case ResultImprovement:
			n.Improved++
			n.Passed++
		default:
			n.Passed++
		}
	}
	return n
}

// Unjudged is the worst reason for which green cases were not judged, "" where one of the run's passed by itself.
func Unjudged(d Report) verdict.Word {
	var all []verdict.Word
	for _, c := range d.Cases {
		switch {
		case d.Result != ResultPassed, c.Result == ResultImprovement, c.Result == ResultPassed && c.Unjudged == "":
			return ""
		case c.Unjudged != "":
			all = append(all, c.Unjudged)
		}
	}
	return verdict.WorstOf(all)
}

// count is how many cases are so.
func count(cases []CaseReport, so func(CaseReport) bool) (n int) {
	for _, c := range cases {
		if so(c) {
			n++
		}
	}
	return n
}

// headline is the run in one sentence, the worst first.
func headline(d Report, end RunEnd, run Run) string {
	c := d.Counts
	var parts []string
	say := func(n int, format string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, n))
		}
	}
	say(c.Failed, "%d failed")
	cancelled := count(d.Cases, func(c CaseReport) bool { return c.Result == ResultInfra && c.Outcome == rundir.OutcomeCancelled })
	say(c.Infra-cancelled, "%d stopped by the infrastructure (not your change)")
	say(cancelled, "%d cancelled (not your change)")
	waiting := count(d.Cases, func(c CaseReport) bool { return c.Result == ResultInterrupted && len(c.Attempts) == 0 })
	say(c.Interrupted-waiting, "%d not finished")
	say(waiting, "%d not begun")
	say(c.Regressed, "%d regressed")
	say(c.NoVerdict, "%d without a verdict")
	say(c.Known, "%d failed as known")
	unjudged := count(d.Cases, func(c CaseReport) bool { return c.Unjudged != "" }) // green only because the policy lets it pass
	say(c.Passed-unjudged, "%d passed")
	say(c.Improved, "%d of them faster")
	say(unjudged, "%d not judged (allowed)")
	say(c.Skipped, "%d skipped")
	text := fmt.Sprintf("%d cases: %s", c.Cases, strings.Join(parts, ", "))
	switch {
	case run.Alone:
		text = d.Cases[0].Message
	case c.Cases == 0:
		text = "no case"
	case c.Cases == 1:
		text = "1 case: " + strings.Join(parts, ", ")
	}
	switch {
	case end.Interrupted != 0:
		return "interrupted; " + text
	case end.Unwritten:
		text += "; " + strings.Join(run.Unwritten, "; ")
	}
	if d.ExitCode == exit.NoVerdict {
		text = strings.Join(append([]string{text}, d.Doubts...), "; ")
	}
	return text
}

// doubts are why a run proves nothing whose cases are all green.
func doubts(run Run, end RunEnd) (out []string) {
	if end.Idle {
		out = append(out, run.idle)
	}
	if end.NotStored {
		out = append(out, notStored(run))
	}
	return out
}

func notStored(run Run) string { return "not stored: " + run.NotStored }

// warnings are those of the run, then of judging, sorted, then of the plans, which were seen before the run.
func warnings(run Run, cases []CaseReport) (out []string) {
	var judged, planned, unverified []string
	for _, c := range cases {
		judged = append(judged, c.notes.judging...)
		planned = append(planned, c.notes.plan...)
		if c.notes.unverified != "" {
			unverified = append(unverified, c.notes.unverified)
		}
	}
	judged = append(judged, folded(unverified)...)
	slices.Sort(judged)
	slices.Sort(planned)
	if run.NotStored != "" {
		out = append(out, notStored(run)) // the first ones are shown
	}
	return slices.Concat(out, run.Rules.Warnings(), run.Notes, slices.Compact(judged), slices.Compact(planned))
}

// folded is one warning for all cases that have the like.
func folded(cases []string) []string {
	if len(cases) < 2 {
		return cases
	}
	return []string{fmt.Sprintf("%d cases like this: %s", len(cases), slices.Min(cases))}
}

// runChecks are the tests that say what no case says of the run.
func runChecks(run Run, end RunEnd) (out []RunCheck) {
	check := func(suite, name, kind string, r junit.Result) {
		r.Type = typePrefix + kind
		out = append(out, RunCheck{suite, Check{Case: junit.Case{Name: name, Results: []junit.Result{r}}}})
	}
	doubt := func(suite, name, kind, message string) {
		check(suite, name, kind, junit.Result{Status: junit.Skipped, Message: "no verdict: " + message})
	}
	fault := func(name, kind, message string) {
		check("lifecycle", name, kind, junit.Result{Status: junit.Errored, Message: message})
	}
	if run.Interrupted != 0 && !slices.ContainsFunc(end.Cases, func(code int) bool { return ColourOf(code) == Red }) {
		fault("interrupted", "interrupted", "the run was interrupted by "+rundir.SignalName(run.Interrupted))
	}
	if end.Unwritten {
		fault("report", "not-written", "a part of the report could not be written: "+strings.Join(run.Unwritten, "; "))
	}
	if end.Idle {
		doubt("lifecycle", "cases", "idle", run.idle)
	}
	if end.NotStored {
		doubt("metrics", "history", "not-stored", notStored(run))
	}
	return out
}
