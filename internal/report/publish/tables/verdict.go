// Package tables shows judgements, levels and metrics to a person at a terminal. It decides nothing.
package tables

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// Verdict prints what was judged of one case: the table, then why, then what to do.
func (p Printer) Verdict(doc report.Report, all bool) {
	c := doc.Cases[0]
	fmt.Fprintf(p.W, "%s\n", plain.Line(c.ID))
	hidden := 0
	rows := p.table(left("METRIC"), right("VALUE"), right("BASELINE"), right("CHANGE"), right("WORSE BY (5..95 %)"), right("P"), left("VERDICT"), left("HISTORY"))
	for _, r := range c.Metrics {
		if moved := r.Verdict == verdict.Regression || r.Verdict == verdict.Improvement; !all && !r.Gate && !moved {
			hidden++
			continue
		}
		rows.Row(verdictRow(r)...)
	}
	p.some(rows)
	if hidden > 0 {
		fmt.Fprintf(p.W, "%d metrics that do not gate and did not move: --all shows them\n", hidden)
	}
	if len(c.Problems) == 0 || c.Verdict == verdict.Regression {
		p.reasons(c.Metrics)
		p.together(c.Together)
		p.beside(c)
	}
	for _, problem := range c.Problems {
		fmt.Fprintf(p.W, "invalid: %s\n", plain.Inert(plain.Line(problem)))
	}
	for _, w := range doc.Warnings {
		fmt.Fprintf(p.W, "warning: %s\n", plain.Inert(plain.Line(w)))
	}
	word, result := c.Verdict, string(c.Verdict)
	if slices.ContainsFunc(c.Metrics, verdict.Row.WrongAnswer) { // whatever the speed
		word, result = verdict.Regression, doc.Result
	} else if result == "" || doc.ExitCode == exit.Passed && c.Verdict != verdict.Improvement {
		result = cmp.Or(report.NotJudged(c), doc.Result)
	}
	if doc.ExitCode != c.ExitCode { // the measurement alone does not say how this ended
		word, result = verdict.Invalid, doc.Result+": "+plain.Inert(plain.Line(doc.Headline))
	}
	p.end(word, "%s (exit %d)", result, doc.ExitCode)
}

// together says what the gating metrics say as one, where the change began, and how
// far to trust it.
func (p Printer) together(c *verdict.Case) {
	if c == nil || c.Series == 0 {
		return
	}
	switch {
	case c.P != nil && c.Open: // what is open is no question any more
		fmt.Fprintf(p.W, "case: a further step behind the open regression has probability %.2f in its %d gating metrics together\n", *c.P, c.Series)
	case c.P != nil:
		fmt.Fprintf(p.W, "case: its %d gating metrics together are worse with probability %.2f\n", c.Series, *c.P)
	}
	if o := c.Onset; o != nil {
		fmt.Fprintf(p.W, "begun with run %s of %s", plain.Line(o.Run), o.Time.UTC().Format("2006-01-02 15:04"))
		switch {
		case o.Commit != "" && o.Good != "" && o.Good != o.Commit:
			fmt.Fprintf(p.W, ": between commit %s (good) and %s", plain.Line(commit(o.Good)), plain.Line(commit(o.Commit)))
		case o.Commit != "":
			fmt.Fprintf(p.W, ", commit %s", plain.Line(commit(o.Commit)))
		}
		fmt.Fprintln(p.W)
	}
	fmt.Fprintf(p.W, "false alarms to be expected: %.2f in 100 such tables\n", 100*c.FalseAlarms)
}

// beside says what else is known of what is not green: what changed with it, what the
// reference says, which slow machines it ran on.
func (p Printer) beside(c report.CaseReport) {
	if c.Changed != nil && c.Verdict == verdict.Regression {
		fmt.Fprintln(p.W, plain.Line(c.Changed.Text))
	}
	if c.Environment != "" {
		fmt.Fprintln(p.W, plain.Line(c.Environment))
	}
	for _, l := range c.Lemons {
		fmt.Fprintf(p.W, "%s: that is taken out\n", plain.Line(l.String()))
	}
}

// reasons says why for every gating metric that did not pass, and which of the others
// are unsteady; one that several share is said once.
func (p Printer) reasons(rows []verdict.Row) {
	var order []string
	names := map[string][]string{}
	for _, r := range rows {
		why := r.Reason
		switch {
		case !r.Gate || r.Verdict == verdict.Pass && r.Unsteady == nil:
			continue
		case r.Verdict == verdict.Pass:
			why = r.Unsteady.Sentence()
		}
		if names[why] == nil {
			order = append(order, why)
		}
		names[why] = append(names[why], series(r))
	}
	for _, why := range order {
		who := strings.Join(names[why], ", ")
		if n := len(names[why]); n > 3 {
			who = fmt.Sprintf("%s and %d more", strings.Join(names[why][:2], ", "), n-2)
		}
		fmt.Fprintf(p.W, "%s: %s\n", plain.Line(who), plain.Inert(plain.Line(why)))
	}
}

func verdictRow(r verdict.Row) []table.Cell {
	word := string(r.Verdict)
	if !r.Gate || r.Advisory {
		word += " (advisory)"
	}
	interval := ""
	if r.Interval != nil {
		interval = fmt.Sprintf("%s..%s", signedPercent(r.Interval[0]), signedPercent(r.Interval[1]))
	}
	probability := ""
	if r.P != nil {
		probability = strconv.FormatFloat(*r.P, 'f', 2, 64)
	}
	change := ""
	if r.Change != nil {
		change = signedPercent(*r.Change)
	}
	return []table.Cell{
		left(series(r)), right(quantity(r.Value, r.Unit)), right(quantity(r.Baseline, "")), right(change), right(interval), right(probability),
		painted(r.Verdict, word), left(sparkline(r.Series)),
	}
}

// Paint is the colour of a verdict.
func Paint(w verdict.Word) string {
	switch w {
	case verdict.Pass:
		return "32"
	case verdict.Improvement:
		return "36"
	case verdict.Regression, verdict.Invalid:
		return "31"
	default:
		return "33"
	}
}

// series is the name of a row's series.
func series(r verdict.Row) string { return strings.TrimPrefix(r.Point+" "+r.Metric, " ") }
