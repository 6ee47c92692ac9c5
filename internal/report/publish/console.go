package publish

import (
	"fmt"
	"strings"
)

// consoleLines bounds the console summary.
const consoleLines = 30

// Console is the end of a run for a person at a terminal: the verdict first,
// then who was first and why, what moved, where the report is, what to run next.
// It has at most 30 lines. reportDir is where the report was written.
func Console(d Document, reportDir string) string {
	lines := []string{fmt.Sprintf("%s: %s (exit %d)", d.Stage, d.Headline, d.ExitCode)}
	tail := []string{"report: " + reportDir}
	if d.Next != "" {
		tail = append(tail, "next:   "+d.Next)
	}
	room := consoleLines - len(lines) - len(tail) - 1
	var body []string
	cases := worstFirst(d.Cases)
	for i, c := range cases {
		block := consoleCase(c)
		if len(body)+len(block) > room {
			body = append(body[:min(len(body), room)], fmt.Sprintf("  … and %d more cases in the report", len(cases)-i))
			break
		}
		body = append(body, block...)
	}
	return strings.Join(append(append(lines, body...), tail...), "\n") + "\n"
}

// consoleCase is one case in at most six lines.
func consoleCase(c Case) []string {
	lines := []string{fmt.Sprintf("  %-12s %s", label(c.Result), c.ID)}
	if c.Result == "passed" || c.Result == "skipped" {
		return lines
	}
	if c.Message != "" {
		lines = append(lines, "      "+c.Message)
	}
	if f := c.Finding; f != nil && f.Line != nil {
		lines = append(lines, fmt.Sprintf("      %s:%d: %s", f.Line.File, f.Line.Number, oneLine(f.Line.Text, 200)))
	}
	rows := moved(c.Metrics)
	for i, r := range rows {
		if i == 3 {
			lines = append(lines, fmt.Sprintf("      … and %d more metrics", len(rows)-i))
			break
		}
		lines = append(lines, "      "+rowText(r))
	}
	return lines
}

// oneLine is s without line breaks and control characters, cut to n runes.
func oneLine(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
