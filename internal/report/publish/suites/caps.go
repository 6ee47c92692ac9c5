package suites

import (
	"io"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// fit lays out the report, and leaves out as much text as brings it under its limit.
func (p *printer) fit() (doc *junit.Document, notes []string) {
	notes, _ = p.cut.Fit(func() (int64, error) { // nothing fails that discards what it is given
		p.layOut()
		doc = p.document()
		return junit.WriteDocument(io.Discard, doc)
	})
	return doc, notes
}

// suiteTexts are texts of a suite, bounded.
func (p *printer) suiteTexts(list []report.SuiteText) []string {
	var out []string
	for _, t := range list {
		out = append(out, p.cut.Text(t.Text, p.cut.Limit(p.o.Caps.FailOut, false), t.Kept))
	}
	return out
}
