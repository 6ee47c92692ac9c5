package report

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Advice is what has to be known to name commands.
type Advice struct {
	RunDir  string // absolute
	Config  string // path of the config the run was made with, "" = none
	Cluster string
	NoStore bool   // there is no baseline store, so no history to look at
	Pages   string // web address of the copy of the run directory, where people can read that and not the directory; "" = none

	store bool // what was measured has to join the history
}

// report makes the report again: of a run whose measurements have to join the history never without that.
func (a Advice) report() string {
	if a.store && !a.NoStore {
		return command("ci-disagg", "report", "--save", a.RunDir)
	}
	return command("ci-disagg", "report", a.RunDir)
}

// nextOfRun is the one command to run next, or the key to set: that of the worst case.
func (a Advice) nextOfRun(d Report, end RunEnd) string {
	if d.Result == ResultInterrupted {
		return command("ci-disagg", "resume", a.RunDir)
	}
	for _, c := range WorstFirst(d.Cases) {
		switch {
		case c.ExitCode != d.ExitCode:
		case d.Result == ResultInfra:
			return a.again(d.Cases)
		default:
			return c.Next
		}
	}
	switch { // no case ended so, but the run: the report could not be written, or nothing be stored
	case d.Result == ResultInfra, end.NotStored:
		return a.report()
	case end.Idle && slices.ContainsFunc(d.Cases, func(c CaseReport) bool { return c.Known != "" }):
		return a.key("workload.known_failures", "its entries match every case")
	case end.Idle:
		return a.with("ci-disagg", "plan")
	}
	for _, c := range WorstFirst(d.Cases) { // all is green: what may still be looked at
		if c.Next != "" {
			return c.Next
		}
	}
	return ""
}

// key names what has to be changed in the config, as a line that a shell takes for a comment.
func (a Advice) key(key, why string) string {
	return "# " + key + " in " + cmp.Or(a.Config, "the config") + ": " + why
}

// with is a command for the config that the run was made with.
func (a Advice) with(words ...string) string {
	if a.Config != "" {
		words = append(words, "-c", a.Config)
	}
	return command(words...)
}

// next is the command for one case, "" when there is nothing to do: never for one that is not green.
func (a Advice) next(c CaseReport) string {
	if next := a.nextOf(c); next != "" || c.Colour == Green {
		return next
	}
	return a.readLog(c)
}

func (a Advice) nextOf(c CaseReport) string {
	if c.AB != nil && c.BesidePairs() == nil && (c.Result == ResultRegression || c.Result == ResultNoVerdict) {
		return a.nextOfSession(c)
	}
	switch c.Result {
	case ResultTestFailed, ResultKnown:
		return a.readLog(c)
	case ResultInfra:
		return a.again([]CaseReport{c})
	case ResultInterrupted:
		return command("ci-disagg", "resume", a.RunDir)
	case ResultRegression:
		return cmp.Or(a.history(c), a.show("report/"+rundir.ReportSummary, 0)) // look first: to accept it is the page's to offer
	case ResultImprovement:
		return a.history(c)
	case ResultNoVerdict:
		switch c.Verdict {
		case verdict.BaselineUnavailable:
			return a.report()
		case verdict.Invalid, "":
			return a.readLog(c)
		case verdict.NoBaseline:
			return cmp.Or(a.history(c), a.key("perf.store", "names where the history is kept; perf.pins names fixed values"))
		default:
			return a.history(c)
		}
	}
	return ""
}

// readLog opens the log of the role that failed first, at the line that says why, else what the job printed.
func (a Advice) readLog(c CaseReport) string {
	at := FailedAttempt(c)
	for i, one := range slices.Backward(c.Attempts) {
		if at == nil && one.Counts {
			at = &c.Attempts[i]
		}
	}
	if at == nil {
		return a.show("report/"+rundir.ReportSummary, 0)
	}
	if f := c.Finding; f != nil && f.Line != nil {
		return a.show(filepath.Join(AttemptPath(c, *at), f.Line.File), f.Line.Number)
	}
	for _, r := range at.Roles {
		wanted := r.Status == RoleRoot || (at.Finding == nil || at.Finding.Root == "") && rundir.Works(r.Kind)
		if wanted && r.Log != nil {
			return a.show(r.Log.Path, 0)
		}
	}
	if at.Outcome == rundir.OutcomePassed { // the job's own output says nothing of a missing result
		return a.show("report/"+rundir.ReportSummary, 0)
	}
	return a.show(rundir.AttemptDir(AttemptPath(c, *at)).SlurmOut(), 0)
}

// show is how somebody looks at a file of the run directory, from a line on.
func (a Advice) show(file string, line int) string {
	if a.Pages != "" {
		return words.Look(a.Pages, file, line)
	}
	return "less" + words.FromLine(line) + " " + command(filepath.Join(a.RunDir, file))
}

// again runs the cases once more that the infrastructure stopped. What sbatch has
// refused it would refuse again: the question is put to it alone, until it is content.
func (a Advice) again(cases []CaseReport) string {
	words := []string{"ci-disagg", "plan", "--check"}
	for _, c := range cases {
		if c.Result == ResultInfra && (c.Finding == nil || c.Finding.Kind != rundir.KindRefused) {
			words = []string{"ci-disagg", "run"}
		}
	}
	if a.Config != "" {
		words = append(words, "-c", a.Config)
	}
	if a.Cluster != "" {
		words = append(words, "--cluster", a.Cluster)
	}
	n := 0
	for _, c := range cases {
		if c.Result == ResultInterrupted || c.Result == ResultInfra && !closed(c) {
			return command("ci-disagg", "resume", a.RunDir)
		}
		if c.Result == ResultInfra {
			words = append(words, c.ID)
			n++
		}
	}
	if n == 0 || n > 4 {
		return command("ci-disagg", "sweep", "--dry-run") + "  # then run the build again"
	}
	return command(words...)
}

// closed reports whether nothing of a case is left to wait for: a run whose driver died
// is gone on with, not started again.
func closed(c CaseReport) bool {
	for _, a := range c.Attempts {
		if a.Counts && a.Ended == nil {
			return false
		}
	}
	return len(c.Attempts) > 0
}

// history shows the past of a case. Without a store the report has said everything.
func (a Advice) history(c CaseReport) string {
	if a.NoStore {
		return ""
	}
	return a.with("ci-disagg", "baseline", "show") + " " + command("--case", c.ID)
}

// pin pins the value that a case is worse than its pin by, "" where that did not decide.
func (a Advice) pin(c CaseReport) string {
	r := WorstRow(c)
	if r == nil || r.Value == nil || r.Rule != string(verdict.RuleFixed) {
		return ""
	}
	value := strings.TrimPrefix(r.Point+"/"+r.Metric, "/") + "=" + strconv.FormatFloat(*r.Value, 'g', -1, 64)
	return a.with("ci-disagg", "baseline", "pin") + " " + command("--case", c.ID, value, "--reason", "why")
}

// accept is the command that makes what a case has become its level.
func (a Advice) accept(c CaseReport) string {
	if c.Result != ResultRegression || c.AB != nil && c.BesidePairs() == nil {
		return ""
	}
	if pin := a.pin(c); pin != "" || a.NoStore || c.AB != nil { // a session joins no history
		return pin
	}
	return a.with("ci-disagg", "baseline", "accept") + " " + command("--case", c.ID, "--reason", "why")
}

// command is words as a shell command line.
func command(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		q, err := syntax.Quote(w, syntax.LangBash)
		if err != nil { // a NUL: no command line can hold it
			q = "''"
		}
		quoted[i] = q
	}
	return strings.Join(quoted, " ")
}

// severity orders results, worst first.
func severity(c CaseReport) int {
	if c.Result == ResultSkipped && c.Colour == Green {
		return 100 // nobody has to look
	}
	order := []string{
		ResultTestFailed, ResultInfra, ResultInterrupted, ResultNotRun, ResultRegression,
		ResultNoVerdict, ResultSkipped, ResultKnown, ResultImprovement, ResultPassed,
	}
	return max(0, slices.Index(order, c.Result)) // an unknown word is not hidden at the end
}

// WorstFirst is the cases ordered by severity, suite order within.
func WorstFirst(cases []CaseReport) []CaseReport {
	return slices.SortedStableFunc(slices.Values(cases), func(a, b CaseReport) int { return severity(a) - severity(b) })
}

// FailedAttempt is the attempt that the finding of a case is from, nil where there is none.
func FailedAttempt(c CaseReport) *AttemptReport {
	for i, a := range c.Attempts {
		if a.Counts && a.Finding != nil && c.Finding != nil && a.Outcome == c.Outcome {
			return &c.Attempts[i]
		}
	}
	return nil
}

// AttemptPath is the directory of an attempt, from the run directory.
func AttemptPath(c CaseReport, a AttemptReport) string {
	return string(rundir.Dir("").CaseDir(c.Slug).Attempt(a.Rep, a.Attempt))
}
