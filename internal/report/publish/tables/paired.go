package tables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// Paired prints what a paired session found.
func (p Printer) Paired(doc report.Report) {
	c := doc.Cases[0]
	s := c.AB
	fmt.Fprintf(p.W, "%s\n", plain.Line(c.ID))
	rows := p.table(left("METRIC"), right("A"), right("B"), left("CHANGE (5..95 %)"), left("B WORSE THAN A, PAIR BY PAIR"))
	for _, f := range s.Series {
		var d []string
		for _, x := range f.Differences {
			d = append(d, fmt.Sprintf("%+.1f", 100*x))
		}
		name := f.Name()
		if f.Blamed {
			name += " *"
		}
		rows.Row(left(name), right(fmt.Sprintf("%.5g", f.A)), right(fmt.Sprintf("%.5g %s", f.B, f.Unit)), left(f.Sentence()), left(strings.Join(d, " ")+" %"))
	}
	p.some(rows)
	for i, pair := range s.Measured {
		for _, r := range []ab.Run{pair.A, pair.B} {
			if n := len(r.Problems); n > 0 { // the rest is in the JSON
				fmt.Fprintf(p.W, "pair %d, %s is no measurement: %s%s\n", i+1, plain.Line(r.Name), plain.Inert(plain.Line(r.Problems[0])), results.AndMore(n-1))
			}
		}
	}
	p.reasons(c.Metrics)
	for _, w := range doc.Warnings {
		fmt.Fprintf(p.W, "warning: %s\n", plain.Inert(plain.Line(w)))
	}
	if s.Power != nil && s.Verdict != paired.Pass {
		fmt.Fprintln(p.W, s.Power.Sentence())
	}
	word, result := c.Verdict, string(s.Verdict)
	switch {
	case slices.ContainsFunc(c.Metrics, verdict.Row.WrongAnswer): // whatever the speed
		word, result = verdict.Regression, doc.Result
	case c.BesidePairs() != nil:
		result = string(c.Verdict)
	}
	p.end(word, "%s (exit %d): %s", result, doc.ExitCode, doc.Headline)
}
