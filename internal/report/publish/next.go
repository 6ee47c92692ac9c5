package publish

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Advice is what Advise needs to know to name commands.
type Advice struct {
	RunDir  string // absolute
	Config  string // path of the config the run was made with, "" = none
	Cluster string
	Backend string
	NoStore bool // there is no baseline store, so no history to look at
}

// Advise fills in the one command to run next, for each case and for the run:
// that of its worst case.
func (a Advice) Advise(d *report.Report) {
	for i := range d.Cases {
		d.Cases[i].Next = a.next(d.Cases[i])
	}
	d.Next = a.nextOfRun(*d)
}

func (a Advice) nextOfRun(d report.Report) string {
	if d.Result == resultInterrupted {
		return command("ci-disagg", "resume", a.RunDir)
	}
	for _, c := range worstFirst(d.Cases) {
		switch {
		case c.Result != d.Result:
		case d.Result == resultInfra:
			return a.again(d.Cases)
		default:
			return c.Next
		}
	}
	switch { // no case ended so, but the run: the report could not be written, or nothing be stored
	case d.Result == resultInfra:
		return command("ci-disagg", "report", a.RunDir)
	case d.Result == resultNoVerdict && len(d.Cases) > 0:
		return command("ci-disagg", "report", "--save", a.RunDir)
	}
	return ""
}

// next is the command for one case, "" when there is nothing to do.
func (a Advice) next(c report.CaseReport) string {
	switch c.Result {
	case resultTestFailed:
		return a.readLog(c)
	case resultInfra:
		return a.again([]report.CaseReport{c})
	case resultInterrupted:
		return command("ci-disagg", "resume", a.RunDir)
	case resultRegression:
		return a.history(c)
	case resultNoVerdict:
		switch c.Verdict {
		case verdict.BaselineUnavailable:
			return command("ci-disagg", "report", a.RunDir)
		case verdict.Invalid, "":
			return a.readLog(c)
		default:
			return a.history(c)
		}
	default:
		return ""
	}
}

// readLog opens the log of the role that failed first, at the line that says
// why, else what the job printed.
func (a Advice) readLog(c report.CaseReport) string {
	at := failedAttempt(c)
	if at == nil {
		for i := range c.Attempts {
			if c.Attempts[i].Counts {
				at = &c.Attempts[i]
			}
		}
	}
	if at == nil {
		return command("less", filepath.Join(a.RunDir, "report", rundir.ReportSummary))
	}
	if f := c.Finding; f != nil && f.Line != nil {
		file := filepath.Join(a.RunDir, attemptPath(c, *at), f.Line.File)
		if f.Line.Number > 1 {
			return command("less", fmt.Sprintf("+%d", f.Line.Number), file)
		}
		return command("less", file)
	}
	for _, r := range at.Roles {
		wanted := r.Status == roleRoot || at.Finding == nil && rundir.Works(r.Kind)
		if wanted && r.Log != nil {
			return command("less", filepath.Join(a.RunDir, r.Log.Path))
		}
	}
	return command("less", rundir.AttemptDir(filepath.Join(a.RunDir, attemptPath(c, *at))).SlurmOut())
}

// kindRefused is the finding of a submission that sbatch refused.
const kindRefused = "submit-refused"

// again runs the cases once more that the infrastructure stopped. What sbatch has
// refused it would refuse again: the question is put to it alone, until it is content.
func (a Advice) again(cases []report.CaseReport) string {
	words := []string{"ci-disagg", "plan", "--check"}
	for _, c := range cases {
		if c.Result == resultInfra && (c.Finding == nil || c.Finding.Kind != kindRefused) {
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
		if c.Result == resultInfra && !closed(c) {
			return command("ci-disagg", "resume", a.RunDir)
		}
		if c.Result == resultInfra {
			words = append(words, c.ID)
			n++
		}
	}
	if n == 0 || n > 4 {
		return command("ci-disagg", "sweep", "--dry-run") + "  # then run the build again"
	}
	return command(words...)
}

// closed says that nothing of a case is left to wait for: a run whose driver died
// is gone on with, not started again.
func closed(c report.CaseReport) bool {
	for _, a := range c.Attempts {
		if a.Counts && a.Ended == nil {
			return false
		}
	}
	return len(c.Attempts) > 0
}

// history shows the past of a case. Without a store the report has said everything.
func (a Advice) history(c report.CaseReport) string {
	if a.NoStore {
		return ""
	}
	words := []string{"ci-disagg", "baseline", "show"}
	if a.Config != "" {
		words = append(words, "-c", a.Config)
	}
	return command(append(words, "--case", c.ID)...)
}

// Accept is the command that accepts the new level of a case.
func acceptCommand(c report.CaseReport) string {
	if c.Result != resultRegression {
		return ""
	}
	show, ok := strings.CutPrefix(c.Next, "ci-disagg baseline show")
	if !ok {
		return ""
	}
	return "ci-disagg baseline accept" + show + " --reason 'why'"
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
