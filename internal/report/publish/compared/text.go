package compared

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// mostRows is how many rows a person reads all of.
const mostRows = 40

// Text prints a table for a terminal or a log.
func Text(w io.Writer, d compare.Document, colour bool) error {
	line := func(format string, args ...any) { fmt.Fprintln(w, plain.Line(fmt.Sprintf(format, args...))) }
	line("A  %s", side(d.A))
	line("B  %s", side(d.B))
	for _, u := range unfair(d) {
		line("not fair: %s", u)
	}
	fmt.Fprintln(w)
	t := table.Table{Colour: colour}
	right := func(s string) table.Cell { return table.Cell{Text: s, Right: true} }
	left := func(s string) table.Cell { return table.Cell{Text: s} }
	t.Row(left("VERDICT"), left("CASE"), left("METRIC"), right("A"), right("B"), right("B/A"), left("INTERVAL"), left("CHANGE"), right("RUNS"), left(""))
	same := 0
	for _, r := range d.Rows {
		if r.Verdict == verdict.Pass && len(d.Rows) > mostRows {
			same++
			continue
		}
		mark := ""
		if len(r.Unfair) > 0 && len(r.Unfair) != everywhere(d) {
			mark = "!"
		}
		t.Row(table.Cell{Text: word(r.Verdict), Paint: tables.Paint(r.Verdict)}, left(plain.CutMiddle(r.Case, 48)), left(metric(r)),
			right(level(r.A, r.Unit)), right(level(r.B, r.Unit)), right(ratio(r.Ratio)), left(interval(r)), left(worse(r.Worse)), right(runs(r)), left(mark))
	}
	if err := t.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	line("%s", headline(d))
	if same > 0 {
		line("%s without a change are left out here: -o csv lists them", count(same))
	}
	for _, only := range onlyLines(d) {
		line("%s", only)
	}
	for _, text := range d.Warnings {
		line("warning: %s", text)
	}
	return nil
}

// everywhere is how many of the differences are in every row.
func everywhere(d compare.Document) int {
	n := 0
	for _, u := range d.Unfair {
		if u.Rows == len(d.Rows) {
			n++
		}
	}
	return n
}

// onlyLines say what one side alone measured.
func onlyLines(d compare.Document) []string {
	const most = 3
	var out []string
	for _, of := range []struct {
		side string
		all  []string
	}{{"A", d.OnlyA}, {"B", d.OnlyB}} {
		if len(of.all) == 0 {
			continue
		}
		names := strings.Join(of.all[:min(most, len(of.all))], ", ")
		if more := len(of.all) - most; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, fmt.Sprintf("only %s measured %s", of.side, names))
	}
	return out
}

// Markdown prints a table for a page of the build server or a comment.
func Markdown(w io.Writer, d compare.Document) error {
	var b strings.Builder
	esc := look.Markdown
	fmt.Fprintf(&b, "**%s**\n\n- A: %s\n- B: %s\n", esc(headline(d)), esc(side(d.A)), esc(side(d.B)))
	for _, u := range unfair(d) {
		fmt.Fprintf(&b, "- not fair: %s\n", esc(u))
	}
	for _, only := range onlyLines(d) {
		fmt.Fprintf(&b, "- %s\n", esc(only))
	}
	for _, text := range d.Warnings {
		fmt.Fprintf(&b, "- warning: %s\n", esc(text))
	}
	b.WriteString("\n| Verdict | Case | Metric | A | B | B/A | Interval | Change | Runs |\n|---|---|---|--:|--:|--:|---|---|--:|\n")
	for _, r := range d.Rows {
		name := word(r.Verdict)
		if len(r.Unfair) > 0 && len(r.Unfair) != everywhere(d) {
			name += " !"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", esc(name), esc(r.Case), esc(metric(r)),
			esc(level(r.A, r.Unit)), esc(level(r.B, r.Unit)), ratio(r.Ratio), interval(r), esc(worse(r.Worse)), runs(r))
	}
	fmt.Fprintf(&b, "\n%s\n", esc(meaning))
	_, err := io.WriteString(w, b.String())
	return err
}

// CSV prints one line per series, with a head.
func CSV(w io.Writer, d compare.Document) error {
	out := csv.NewWriter(w)
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	_ = out.Write([]string{
		"case", "point", "metric", "unit", "better", "gate", "verdict", "a", "b", "ratio", "ratio_lo", "ratio_hi",
		"worse", "worse_lo", "worse_hi", "min_effect", "a_runs", "b_runs", "unfair",
	}) // the writer keeps the first error
	for _, r := range d.Rows {
		_ = out.Write([]string{
			inert(r.Case), inert(r.Point), r.Metric, r.Unit, r.Better, strconv.FormatBool(r.Gate), string(r.Verdict), num(r.A.Value), num(r.B.Value),
			num(r.Ratio), num(r.Interval[0]), num(r.Interval[1]), num(r.Worse), num(r.WorseIn[0]), num(r.WorseIn[1]), num(r.MinEffect),
			strconv.Itoa(r.A.Runs), strconv.Itoa(r.B.Runs), inert(strings.Join(r.Unfair, "; ")),
		})
	}
	out.Flush()
	return out.Error()
}

// inert is a text that no spreadsheet takes for a formula.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
