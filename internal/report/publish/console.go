package publish

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of the console summary.
const (
	consoleLines = 30  // of a log, or of the screen with long lines wrapped
	consoleWidth = 220 // runes of a line; commands are never cut
	listPassed   = 3   // passed cases are listed up to this many, else counted
	listWarnings = 3   // lines for warnings
)

// Style is how the console summary looks.
type Style struct {
	Colour bool // escape sequences: a terminal, and NO_COLOR is not set
	Width  int  // columns of the terminal, 0 = a log, which wraps nothing
}

// Console is the end of a run for a person at a terminal: the verdict first,
// then who was first and why, what moved, where the report is, what to run next.
// It has at most 30 lines, so that the verdict is still on the screen when the
// prompt is back. reportDir is where the report was written.
func Console(d report.Report, reportDir string, style Style) string {
	p := painter(style)
	head := []string{fmt.Sprintf("%s  %s: %s (exit %d)", p.result(d.Decision, runLabel(d)), look.OneLine(d.Stage, 80), look.OneLine(d.Headline, 200), d.ExitCode)}
	if text := d.Fault; text != "" && d.Result != report.ResultPassed {
		head = append(head, look.OneLine(plain.Words(text), consoleWidth))
	}
	said := func(w string) bool {
		return slices.Contains(d.Doubts, w) && strings.Contains(head[0], look.OneLine(w, 200))
	}
	tail := append(p.warnings(slices.DeleteFunc(slices.Clone(d.Warnings), said)), "report: "+reportDir+"/index.html")
	if d.Next != "" {
		tail = append(tail, "next:   "+p.bold(look.OneLine(d.Next, 100_000)))
	}
	room := consoleLines - p.height(head) - p.height(tail)
	lines := slices.Concat(head, p.body(d, room), tail)
	for i, l := range lines { // a build server reads them, too
		lines[i] = plain.Inert(l)
	}
	return strings.Join(lines, "\n") + "\n"
}

// body is the cases in at most room lines, the worst first.
func (p painter) body(d report.Report, room int) []string {
	var out []string
	var passed []report.CaseReport
	cases := report.WorstFirst(d.Cases)
	red := len(cases)
	if i := slices.IndexFunc(cases, func(c report.CaseReport) bool { return green(c) }); i >= 0 {
		red, passed = i, cases[i:]
	}
	end := p.passed(passed, len(cases))
	room -= p.height(end) + 1
	left := red
	for i, g := range alike(cases[:red]) {
		block := p.block(g, fault.Only(d) == nil)
		if i > 0 && p.height(out)+p.height(block) > room {
			out = append(out, fmt.Sprintf("  … and %s that did not pass, in the report", plain.Count(left, "more case")))
			break
		}
		for len(block) > 1 && p.height(out)+p.height(block) > room { // the worst is always shown
			block = block[:len(block)-1]
		}
		left -= 1 + len(g.More)
		out = append(out, block...)
	}
	return append(out, end...)
}

// escapes are the sequences that paint writes; they take no room.
var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

// height is how many lines of the screen the lines take.
func (p painter) height(lines []string) int {
	if p.Width <= 0 {
		return len(lines)
	}
	n := 0
	for _, l := range lines {
		n += max(1, (utf8.RuneCountInString(escapes.ReplaceAllString(l, ""))+p.Width-1)/p.Width)
	}
	return n
}

// runes is how many a text may have that is to take at most so many lines of the
// screen.
func (p painter) runes(lines int) int {
	if p.Width <= 0 {
		return consoleWidth
	}
	return min(consoleWidth, lines*p.Width)
}

// passed is the green cases: listed in a small run, else one line.
func (p painter) passed(cases []report.CaseReport, all int) []string {
	if len(cases) == 0 {
		return nil
	}
	if all > listPassed {
		names := map[string]int{}
		var order []string
		for _, c := range cases {
			l := caseLabel(c)
			if names[l]++; names[l] == 1 {
				order = append(order, l)
			}
		}
		var parts []string
		for _, l := range order {
			parts = append(parts, fmt.Sprintf("%d %s", names[l], l))
		}
		return []string{"  " + strings.Join(parts, ", ")}
	}
	var out []string
	for _, c := range cases {
		line := fmt.Sprintf("  %s  %s", p.result(c.Decision, caseLabel(c)), look.OneLine(plain.CutMiddle(c.ID, 160), 160))
		if n := len(c.Attempts); n > 1 {
			line += fmt.Sprintf(" (%s%s)", plain.Count(n, "attempt"), fault.Lost(c))
		}
		if w := report.WorstRow(c); c.Result != report.ResultKnown && w != nil && w.Value != nil && w.Verdict != verdict.Pass {
			line += ": " + rowText(*w)
		}
		out = append(out, oneLineColoured(line))
		if c.Result == report.ResultKnown {
			out = append(out, "      "+look.OneLine(plain.Words(c.Message), p.runes(2)-6))
		}
		if c.AB != nil {
			out = append(out, p.reason(c.Message)...)
			out = append(out, "      "+look.OneLine(plain.Words(strings.Join(buildWords(*c.AB), "; ")), p.runes(2)-6))
		}
	}
	return out
}

// warnings are the first ones, and how many more there are.
func (p painter) warnings(all []string) []string {
	var out []string
	for i, w := range all {
		if i == listWarnings-1 && len(all) > listWarnings {
			return append(out, fmt.Sprintf("… and %s, in the report", plain.Count(len(all)-i, "more warning")))
		}
		out = append(out, p.paint("1;33", "warning")+": "+look.OneLine(plain.Words(w), p.runes(1)-len("warning: ")))
	}
	return out
}

// reason is why there is no verdict, or what a session says, in lines of its own: the numbers that decided stand in the
// middle of the sentence, where a text that is too long is cut.
func (p painter) reason(text string) []string {
	width, lines := consoleWidth, 3
	if p.Width > 0 && p.Width < width {
		width, lines = p.Width, 6
	}
	width = max(width-6, 40)
	var out []string
	for _, word := range strings.Fields(look.OneLine(plain.Words(text), (lines-1)*width)) { // a line has room for what the ends leave
		if last := len(out) - 1; last >= 0 && utf8.RuneCountInString(out[last])+1+utf8.RuneCountInString(word) <= width+6 {
			out[last] += " " + word
			continue
		}
		out = append(out, "      "+word)
	}
	return out
}

// block is one case that did not pass in at most eleven lines, a few more where the reason is long, with whose fault it
// is where the head of the summary does not say it.
func (p painter) block(g group, withFault bool) []string {
	c := g.CaseReport
	out := []string{fmt.Sprintf("  %s  %s", p.result(c.Decision, caseLabel(c)), look.OneLine(plain.CutMiddle(c.ID, 180), 180))}
	say := func(format string, args ...any) {
		out = append(out, "      "+look.OneLine(plain.Words(fmt.Sprintf(format, args...)), p.runes(2)-6))
	}
	if withFault {
		say("%s", c.Fault)
	}
	rows := moved(c)
	proven := c.AB != nil && c.BesidePairs() == nil && c.Result == report.ResultRegression && len(c.AB.Series) > 0 // its lines say it, with A and B
	switch text := failureText(c); {
	case text == "" || proven:
	case c.Result == report.ResultNoVerdict: // numbers alone do not say why
		out = append(out, p.reason(text)...)
	case len(rows) == 0:
		say("%s", text)
	}
	if text := redTests(c); text != "" && len(rows) == 0 {
		say("%s", text)
	}
	if f := c.Finding; f != nil && f.Line != nil {
		say("%s%s:%d: %s", lastLine(f.Line), f.Line.File, f.Line.Number, strings.TrimSpace(f.Line.Text))
	}
	if n := len(g.More); n > 0 {
		say("the same in %s: %s", plain.Count(n, "more case"), names(g.More, 3))
	}
	for i, r := range rows {
		if i == 3 {
			out = append(out, "      "+restOf(len(rows)-i, len(movedBesides(c.Metrics))))
			break
		}
		say("%s", rowText(r))
	}
	for _, line := range sessionLines(c.AB, 3) {
		say("%s", line)
	}
	for _, line := range changes(c) {
		out = append(out, p.reason(line)...)
	}
	for _, line := range suspects(c, 2) {
		say("%s", line)
	}
	return out
}

// names lists the short names of at most n cases.
func names(cases []report.CaseReport, n int) string {
	var out []string
	for i, c := range cases {
		if i == n {
			out = append(out, "…")
			break
		}
		out = append(out, rundir.ShortID(c.ID))
	}
	return strings.Join(out, ", ")
}

// restOf counts the metrics that are not listed.
func restOf(gating, others int) string {
	text := fmt.Sprintf("… and %s", plain.Count(gating, "more gating metric"))
	if others > 0 {
		text += fmt.Sprintf("; %d others moved", others)
	}
	return text
}

// painter colours words and knows how much room they take.
type painter Style

func (p painter) paint(code, s string) string {
	if !p.Colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) bold(s string) string { return p.paint("1", s) }

// result is a label in the colour of its result.
func (p painter) result(d report.Decision, label string) string {
	code := map[string]string{"good": "1;32", "bad": "1;31", "infra": "1;35", "doubt": "1;33", "none": "2"}[tone(d.Result, d.Colour)]
	return p.paint(code, label)
}

// oneLineColoured cuts a line that may start with an escape sequence.
func oneLineColoured(s string) string {
	head, rest, ok := strings.Cut(s, "\x1b[0m")
	if !ok {
		return look.OneLine(s, consoleWidth)
	}
	return head + "\x1b[0m" + look.OneLine(rest, consoleWidth)
}
