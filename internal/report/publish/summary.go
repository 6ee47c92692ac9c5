package publish

import (
	"fmt"
	"strings"
)

// SummaryMarker is the hidden first line of summary.md, by which a pull-request
// comment is found again and edited in place.
const SummaryMarker = "<!-- ci-disagg:summary -->"

// summaryLimit bounds summary.md in bytes; GitHub takes 65,536 characters.
const summaryLimit = 60_000

// Summary is the run as Markdown for a pull-request comment, worst case first.
func Summary(d Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n## %s: %s\n\n", SummaryMarker, escape(d.Stage), escape(d.Headline))
	cases := worstFirst(d.Cases)
	for i, c := range cases {
		block := summaryCase(c)
		if b.Len()+len(block) > summaryLimit-200 {
			fmt.Fprintf(&b, "\n… and %d more cases in the report.\n", len(cases)-i)
			break
		}
		b.WriteString(block)
	}
	return b.String()
}

func summaryCase(c Case) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- **%s** %s\n", label(c.Result), escape(oneLine(c.ID, 300)))
	if c.Message != "" && c.Result != "passed" {
		fmt.Fprintf(&b, "  %s\n", escape(oneLine(c.Message, 400)))
	}
	rows := moved(c.Metrics)
	if len(rows) == 0 {
		return b.String()
	}
	b.WriteString("\n  | metric | value | baseline | change | verdict |\n  |---|---:|---:|---:|---|\n")
	for _, r := range rows {
		value, baseline, change := "–", "–", "–"
		if r.Value != nil {
			value = number(*r.Value) + " " + r.Unit
		}
		if r.Baseline != nil {
			baseline = number(*r.Baseline)
		}
		if r.Change != nil {
			change = percent(*r.Change)
		}
		fmt.Fprintf(&b, "  | %s %s | %s | %s | %s | %s |\n", escape(r.Metric), escape(r.Point), value, baseline, change, r.Verdict)
	}
	b.WriteString("\n")
	return b.String()
}

// escape makes text inert in Markdown: nothing a log or a test id contains may
// become markup, a mention or a table cell.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '\\', '`', '*', '_', '{', '}', '[', ']', '(', ')', '#', '+', '!', '|', '~', '$':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '&':
			b.WriteString("&amp;")
		case '@':
			b.WriteString("@\u200b")
		case '\n', '\r', '\t':
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
