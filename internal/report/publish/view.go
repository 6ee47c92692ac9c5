package publish

import (
	"fmt"
	"path"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of the pages.
const (
	maxCards  = 10 // cases told in full on the overview
	maxRuns   = 15 // runs listed below a chart
	maxEvents = 400
	maxLinks  = 400 // files listed per attempt
)

// indexPage is what the overview shows.
type indexPage struct {
	D        report.Report
	Root     string // path of the run directory from the page
	Up       string // path of the report directory from the page
	Title    string
	Tone     string
	Label    string
	Fault    string
	Cards    []caseView
	MoreRed  int
	Cases    []caseView
	Jumps    []jumpView
	Duration string
}

// caseView is a case as the overview shows it, and the head of its own page.
type caseView struct {
	report.CaseReport
	Root        string
	Page        string // from the report directory
	Short       string
	Tone        string
	Label       string
	Fault       string
	Failure     string
	Line        *lineView
	Moved       []rowView
	MoreMoved   int
	NotMeasured int
	Worst       *rowView
	Paired      string // the worst of a paired session, in words
	Duration    string
	JobIDs      []string
	Alike       []linkView // other cases that ended for the same reason
	First       bool       // of its result in the table of all cases
}

// jumpView leads to the first case of a result in the table of all cases.
type jumpView struct {
	Result, Label string
	Cases         int
}

// linkView is a link to the page of a case.
type linkView struct{ Short, Page string }

// lineView is a line of a log with the file it stands in.
type lineView struct {
	Said  string // what the line is, where it is not the one that explains the failure
	Where string // file:line
	Text  string
	Href  string
}

// rowView is a verdict on a metric in words.
type rowView struct {
	verdict.Row
	Name     string
	Tone     string
	Word     string
	This     string
	Base     string
	Moved    string // change as the number moves
	Worsened string // in words: 3.1 % worse
	Why      string
	Limits   string
	Chart    string // file name below charts/
	Alt      string
	Changes  []changeView
	Runs     []runView
	Older    int // runs that are not listed
	All      int
}

// changeView is a change of level in a history.
type changeView struct {
	When, From, To, Moved, Commit, Before string
}

// runView is one run of a history.
type runView struct {
	When, Commit, Value, Word, Tone, ID string
}

// casePage is what the page of a case shows.
type casePage struct {
	caseView
	D         report.Report
	Up        string
	Title     string
	RedBefore *linkView // the neighbours among the cases that did not pass, the worst first
	RedAfter  *linkView
	PerfFirst bool
	Session   *sessionView
	Red       []rowView // gating rows that are no pass, charted
	Passed    []rowView // gating rows that passed, charted
	Others    []rowView // other rows that moved, charted
	Gating    []rowView // all gating rows, for the table
	Rest      []rowView // all other rows, for the folded table
	Counting  []attemptPage
	Earlier   []attemptPage
}

// attemptPage is an attempt on the page of its case.
type attemptPage struct {
	report.AttemptReport
	Root     string
	Name     string
	Tone     string
	Timeline string // file name below charts/
	Alt      string
	Start    string
	Duration string
	RoleRows []roleView
	Said     string // why it ended so, where the banner does not say it
	Events   []eventView
	Dropped  int

	MoreFiles bool // than are listed
}

// roleView is a role of an attempt.
type roleView struct {
	report.RoleReport
	Root    string
	Tone    string
	Ending  string
	ReadyIn string
	Lasted  string
	Word    string
	Open    bool // its log is unfolded
	Said    string
	// TailLines are the last lines of its log; the one that explains the failure
	// is marked.
	TailLines []tailLine
}

// tailLine is one line of a log.
type tailLine struct {
	Text   string
	Marked bool
}

// eventView is an event of the timeline.
type eventView struct {
	At, Role, What string
}

// tone is the colour class of a result.
func tone(result, colour string) string {
	switch {
	case result == report.ResultInfra, result == report.ResultInterrupted:
		return "infra"
	case result == report.ResultSkipped && colour == report.Green, result == report.ResultKnown:
		return "none"
	case colour == report.Green, result == report.ResultPassed:
		return "good"
	case colour == report.Amber:
		return "doubt"
	default:
		return "bad"
	}
}

// viewIndex prepares the overview.
func viewIndex(d report.Report) indexPage {
	p := indexPage{D: d, Root: "../", Title: runLabel(d) + ": " + d.Stage + ": " + d.Headline, Tone: tone(d.Result, d.Colour), Label: runLabel(d)}
	var red []report.CaseReport
	for _, c := range report.WorstFirst(d.Cases) {
		v := viewCase(c, p.Root)
		if n := len(p.Jumps); n == 0 || p.Jumps[n-1].Label != v.Label {
			v.First = true
			p.Jumps = append(p.Jumps, jumpView{Result: c.Result, Label: v.Label})
		}
		p.Jumps[len(p.Jumps)-1].Cases++
		p.Cases = append(p.Cases, v)
		if !green(c) {
			red = append(red, c)
		}
	}
	for i, g := range alike(red) {
		if i >= maxCards {
			p.MoreRed += 1 + len(g.More)
			continue
		}
		card := viewCase(g.CaseReport, p.Root)
		for _, c := range g.More {
			card.Alike = append(card.Alike, linkView{Short: rundir.ShortID(c.ID), Page: casePath(c)})
		}
		p.Cards = append(p.Cards, card)
	}
	p.Fault = d.Fault
	if len(red) == 1 && fault.Only(d) != nil {
		p.Cards[0].Fault = "" // the banner says it
	}
	if d.Started != nil && d.Ended != nil {
		p.Duration = look.Lasting(d.Ended.Sub(*d.Started))
	}
	if len(p.Cases) <= maxCards {
		p.Jumps = nil // the table is in sight
	}
	return p
}

// viewCase prepares what every page says of a case.
func viewCase(c report.CaseReport, root string) caseView {
	v := caseView{
		CaseReport: c, Root: root, Page: casePath(c), Short: rundir.ShortID(c.ID), Tone: tone(c.Result, c.Colour), Label: caseLabel(c),
		Fault: c.Fault, Failure: failureText(c), Line: viewLine(c, root),
	}
	rows := moved(c)
	for i, r := range rows {
		if i == 3 {
			v.MoreMoved = len(rows) - i
			break
		}
		v.Moved = append(v.Moved, viewRow(r))
	}
	if r := report.WorstRow(c); r != nil && r.Value != nil {
		w := viewRow(*r)
		v.Worst = &w
	}
	if c.AB != nil && len(c.AB.Series) > 0 {
		f := c.AB.Nearest()
		v.Paired = f.Name() + ": " + f.Sentence()
	}
	v.NotMeasured = notMeasured(c.Metrics)
	var total time.Duration
	for _, a := range c.Attempts {
		if a.JobID != "" {
			v.JobIDs = append(v.JobIDs, a.JobID)
		}
		if a.Started != nil && a.Ended != nil {
			total += a.Ended.Sub(*a.Started)
		}
	}
	if total > 0 {
		v.Duration = look.Lasting(total)
	}
	return v
}

// viewLine is the line that explains a failure, with a link to its log.
func viewLine(c report.CaseReport, root string) *lineView {
	f := c.Finding
	if f == nil || f.Line == nil {
		return nil
	}
	v := &lineView{Said: lastLine(f.Line), Where: f.Line.File, Text: look.OneLine(plain.Words(f.Line.Text), 400)}
	if f.Line.Number > 0 {
		v.Where += fmt.Sprintf(":%d", f.Line.Number)
	}
	if a := report.FailedAttempt(c); a != nil {
		v.Href = look.Href(root, path.Join(report.AttemptPath(c, *a), f.Line.File))
	}
	return v
}

// casePath is the page of a case, from the report directory.
func casePath(c report.CaseReport) string { return "cases/" + c.Slug + ".html" }

// viewRow prepares a verdict for a table.
func viewRow(r verdict.Row) rowView {
	v := rowView{Row: r, Name: words.Row(r), Tone: look.Tone(r.Verdict), Word: words.Verdict(r.Verdict), This: "–", Base: "–", Moved: "–", Why: words.Reason(r)}
	if r.Value != nil {
		v.This = look.Quantity(*r.Value, r.Unit)
	}
	if r.Baseline != nil {
		v.Base = look.Quantity(*r.Baseline, r.Unit)
	}
	if r.Change != nil {
		v.Moved = look.Percent(*r.Change)
	}
	if r.Worse != nil {
		v.Worsened = worsening(*r.Worse)
	}
	if r.Limit != nil {
		v.Limits = look.Quantity(*r.Limit, r.Unit)
	}
	return v
}

// viewChart prepares a verdict that has a chart.
func viewChart(r verdict.Row, file string) rowView {
	v := viewRow(r)
	v.Chart, v.Alt = file, ChartTitle(r)
	v.Changes, v.All = viewChanges(r), len(r.Series)
	for i := len(r.Series) - 1; i >= 0; i-- {
		if len(v.Runs) == maxRuns {
			v.Older = i + 1
			break
		}
		v.Runs = append(v.Runs, viewRun(r, i))
	}
	return v
}

// viewChanges lists the changes of level, newest first.
func viewChanges(r verdict.Row) []changeView {
	place := map[string]int{}
	for i, run := range r.Series {
		place[run.ID] = i
	}
	var out []changeView
	for k := len(r.Levels) - 1; k > 0; k-- {
		before, l := r.Levels[k-1], r.Levels[k]
		c := changeView{When: look.Stamp(l.Time), From: look.Quantity(before.Value, r.Unit), To: look.Quantity(l.Value, r.Unit)}
		if before.Value != 0 {
			c.Moved = look.Percent(l.Value/before.Value - 1)
		}
		if i, ok := place[l.Run]; ok {
			c.Commit = words.ShortCommit(r.Series[i].Commit)
			if i > 0 {
				c.Before = words.ShortCommit(r.Series[i-1].Commit)
			}
		}
		out = append(out, c)
	}
	return out
}

func viewRun(r verdict.Row, i int) runView {
	run := r.Series[i]
	v := runView{When: look.Stamp(run.Time), Commit: words.ShortCommit(run.Commit), Value: "–", Word: words.Verdict(run.Verdict), Tone: look.Tone(run.Verdict), ID: run.ID}
	if i == len(r.Series)-1 {
		v.Word, v.Tone = words.Verdict(r.Verdict), look.Tone(r.Verdict)
	}
	if m, ok := look.Median(run.Values); ok {
		v.Value = look.Quantity(m, r.Unit)
	}
	if len(run.Values) > 1 {
		v.Value += fmt.Sprintf(" (median of %d)", len(run.Values))
	}
	if run.Accepted {
		v.Word += ", accepted"
	}
	if v.Word == "" {
		v.Word = "–"
	}
	return v
}
