package publish

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// summaryMarker is the hidden first line of summary.md, by which a pull-request
// comment is found again and edited in place. It names stage and cluster, so that
// two suites of one pull request do not overwrite each other's comment.
func summaryMarker(d report.Report) string {
	words := strings.FieldsFunc(d.Stage+" "+d.Cluster, func(r rune) bool {
		plain := r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !plain // a comment ends at the first -->
	})
	return "<!-- ci-disagg:summary " + plain.Cut(strings.Join(words, "-"), 200) + " -->"
}

// Bounds of summary.md. GitHub takes 65,536 characters; the limit is on bytes,
// of which there are never fewer.
const (
	summaryLimit  = 60_000
	summaryRows   = 8 // metrics per case
	summaryPassed = 20

	summaryWarnings = 5
)

// Summary is the run as Markdown for a pull-request comment, the worst first.
func Summary(d report.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n## %s %s: %s\n\n", summaryMarker(d), icon(d.Result, d.Colour), look.Markdown(d.Stage), look.Markdown(d.Headline))
	if text := d.Fault; text != "" && fault.Only(d) == nil {
		fmt.Fprintf(&b, "**%s**\n\n", look.Markdown(text))
	}
	end := summaryDoubts(d.Warnings) + summaryEnd(d)
	cases := report.WorstFirst(d.Cases)
	red := len(cases)
	if i := slices.IndexFunc(cases, func(c report.CaseReport) bool { return green(c) }); i >= 0 {
		red = i
	}
	left := red
	for _, g := range alike(cases[:red]) {
		block := summaryCase(g, d.Pages)
		if b.Len()+len(block) > summaryLimit-len(end)-1000 {
			fmt.Fprintf(&b, "\n… and %s that did not pass, in the report.\n\n", plain.Count(left, "more case"))
			break
		}
		left -= 1 + len(g.More)
		b.WriteString(block)
	}
	if red < len(cases) {
		b.WriteString(summaryGreen(cases[red:], summaryLimit-b.Len()-len(end)))
	}
	return b.String() + end
}

// icon is a result as a sign.
func icon(result, colour string) string {
	switch tone(result, colour) {
	case "good":
		return "✅"
	case "infra":
		return "🟣"
	case "doubt":
		return "⚠️"
	case "none":
		return "⏭️"
	default:
		return "❌"
	}
}

func summaryCase(g group, pages string) string {
	c := g.CaseReport
	var b strings.Builder
	name := onWeb(pages, "report/"+casePath(c), look.Markdown(look.OneLine(rundir.ShortID(c.ID), 300)))
	fmt.Fprintf(&b, "### %s %s: %s\n\n", icon(c.Result, c.Colour), caseLabel(c), name)
	fmt.Fprintf(&b, "%s\n", look.Markdown(c.Fault))
	rows := moved(c)
	if text := failureText(c); text != "" && (len(rows) == 0 || c.Result == report.ResultNoVerdict) { // numbers alone do not say why
		fmt.Fprintf(&b, "\n%s\n", look.Markdown(look.OneLine(text, 500)))
	}
	if text := redTests(c); text != "" && len(rows) == 0 {
		fmt.Fprintf(&b, "\n%s\n", look.Markdown(look.OneLine(text, 500)))
	}
	if f := c.Finding; f != nil && f.Line != nil {
		where := fmt.Sprintf("%s:%d", look.Markdown(f.Line.File), f.Line.Number)
		if at := report.FailedAttempt(c); at != nil {
			where = onWeb(pages, report.AttemptPath(c, *at)+"/"+f.Line.File, where)
		}
		fmt.Fprintf(&b, "\n> %s\n> %s%s\n", look.Markdown(look.OneLine(plain.Words(f.Line.Text), 400)), cmp.Or(lastLine(f.Line), "at "), where)
	}
	if n := len(g.More); n > 0 {
		fmt.Fprintf(&b, "\nThe same in %s: %s\n", plain.Count(n, "more case"), look.Markdown(look.OneLine(names(g.More, 10), 2000)))
	}
	for _, line := range changes(c) {
		fmt.Fprintf(&b, "\n%s\n", look.Markdown(look.OneLine(line, 1000)))
	}
	for i, line := range suspects(c, 10) {
		if i == 0 {
			fmt.Fprintf(&b, "\n%s\n\n", look.Markdown(line))
			continue
		}
		fmt.Fprintf(&b, "- %s\n", look.Markdown(look.OneLine(line, 200)))
	}
	if len(rows) > 0 {
		b.WriteString(summaryTable(rows))
	}
	b.WriteString(summarySession(c.AB))
	b.WriteString("\n")
	return b.String()
}

func summaryTable(rows []verdict.Row) string {
	var b strings.Builder
	b.WriteString("\n| metric | this run | baseline | change | verdict |\n|---|---:|---:|---:|---|\n")
	for i, r := range rows {
		if i == summaryRows {
			fmt.Fprintf(&b, "\n… and %s in the report.\n", plain.Count(len(rows)-i, "more gating metric"))
			break
		}
		v := viewRow(r)
		said := v.Word
		if r.Advisory {
			said += ", advisory"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", look.Markdown(look.OneLine(v.Name, 200)), look.Markdown(v.This), look.Markdown(v.Base), look.Markdown(v.Moved), look.Markdown(said))
	}
	return b.String()
}

// summaryGreen is what passed: folded, and counted beyond a few.
func summaryGreen(cases []report.CaseReport, room int) string {
	head := fmt.Sprintf("<details><summary>%s without a finding</summary>\n\n", plain.Count(len(cases), "case"))
	const foot = "\n</details>\n\n"
	room -= len(head) + len(foot) + 100
	var b strings.Builder
	for i, c := range cases {
		line := fmt.Sprintf("- %s %s%s\n", caseLabel(c), look.Markdown(look.OneLine(rundir.ShortID(c.ID), 200)), look.Markdown(greenNote(c)))
		if i == summaryPassed || len(line) > room-b.Len() {
			fmt.Fprintf(&b, "- … and %d more\n", len(cases)-i)
			break
		}
		b.WriteString(line)
	}
	return head + b.String() + foot
}

// greenNote is what is to be said of a case that is green.
func greenNote(c report.CaseReport) string {
	if c.AB != nil {
		return ": " + look.OneLine(plain.Words(c.Message), 300) + ". " + look.OneLine(plain.Words(strings.Join(buildWords(*c.AB), "; ")), 300)
	}
	if c.Result == report.ResultKnown {
		return ": " + look.OneLine(plain.Words(c.Message), 300)
	}
	if tries := strings.TrimSpace(fault.Tries(c)); tries != "" {
		return ": " + tries
	}
	return ""
}

// summaryDoubts is the first warnings, folded.
func summaryDoubts(all []string) string {
	if len(all) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<details><summary>%s</summary>\n\n", plain.Count(len(all), "warning"))
	for i, w := range all {
		if i == summaryWarnings {
			fmt.Fprintf(&b, "- … and %d more, in the report\n", len(all)-i)
			break
		}
		fmt.Fprintf(&b, "- %s\n", look.Markdown(look.OneLine(plain.Words(w), 300)))
	}
	return b.String() + "\n</details>\n\n"
}

// summaryEnd is where to look on.
func summaryEnd(d report.Report) string {
	var b strings.Builder
	if file, line, ok := words.Looked(d.Pages, d.Next); ok {
		if line != "" {
			line = " line " + look.Markdown(line)
		}
		fmt.Fprintf(&b, "Next: <%s>%s\n\n", linkTarget(file), line)
	} else if d.Next != "" && len(d.Next) < 2000 && !strings.Contains(d.Next, "`") {
		fmt.Fprintf(&b, "Next, where the run directory is: `%s`\n\n", look.OneLine(d.Next, 2000))
	}
	var parts []string
	if link := look.WebLink(d.Build.URL); link != "" {
		parts = append(parts, fmt.Sprintf("[build](<%s>)", linkTarget(link)))
	}
	if d.Build.Commit != "" {
		parts = append(parts, "commit "+look.Markdown(words.ShortCommit(look.OneLine(d.Build.Commit, 80))))
	}
	parts = append(parts, "full report: "+onWeb(d.Pages, "report/"+rundir.ReportIndex, "report/index.html in the run's artifacts"), "run "+look.Markdown(look.OneLine(d.RunID, 200)), "exit "+fmt.Sprint(d.ExitCode))
	if len(d.Cases) > 0 {
		fmt.Fprintf(&b, "GPU-hours: %s\n\n", look.Markdown(look.OneLine(hoursOfRun(d), 500)))
	}
	b.WriteString(strings.Join(parts, " · ") + "\n")
	return b.String()
}

// onWeb makes text a link to a file of the run's copy on the build server, where there is one.
func onWeb(pages, file, text string) string {
	if pages == "" {
		return text
	}
	return fmt.Sprintf("[%s](<%s>)", text, linkTarget(words.OnWeb(pages, file)))
}

// linkTarget makes a URL inert between < and > of a Markdown link.
func linkTarget(s string) string {
	return strings.NewReplacer("<", "%3C", ">", "%3E", "\n", "", "\r", "", "\\", "%5C").Replace(s)
}
