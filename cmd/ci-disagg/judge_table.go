package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"golang.org/x/term"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// table writes aligned columns for a person. Colour only on a terminal, and
// never where $NO_COLOR is set.
type table struct {
	w      io.Writer
	colour bool
}

func newTable(h host) table {
	t := table{w: h.stdout}
	if f, ok := h.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.colour = h.getenv("NO_COLOR") == "" && h.getenv("TERM") != "dumb"
	}
	return t
}

// cell is one field of a row.
type cell struct {
	text  string
	right bool
	code  string // SGR colour, "" = none
}

func (t table) rows(rows [][]cell) {
	var widths []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for i, c := range r {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			text := c.text
			if c.code != "" && t.colour {
				text = "\x1b[" + c.code + "m" + text + "\x1b[0m"
			}
			if c.right {
				b.WriteString(pad + text)
			} else {
				b.WriteString(text + pad)
			}
			b.WriteString("  ")
		}
		fmt.Fprintln(t.w, strings.TrimRight(b.String(), " "))
	}
}

// verdict prints what judge found: the table, then why, then what to do.
func (t table) verdict(doc report.Report, all bool) {
	c := doc.Cases[0]
	fmt.Fprintf(t.w, "%s\n", printable(c.ID))
	hidden := 0
	rows := [][]cell{{{text: "METRIC"}, {text: "VALUE", right: true}, {text: "BASELINE", right: true}, {text: "CHANGE", right: true}, {text: "WORSE BY (5..95 %)", right: true}, {text: "P", right: true}, {text: "VERDICT"}, {text: "HISTORY"}}}
	for _, r := range c.Metrics {
		if moved := r.Verdict == verdict.Regression || r.Verdict == verdict.Improvement; !all && !r.Gate && !moved {
			hidden++
			continue
		}
		rows = append(rows, verdictRow(r))
	}
	if len(rows) > 1 {
		t.rows(rows)
	}
	if hidden > 0 {
		fmt.Fprintf(t.w, "%d metrics that do not gate and did not move: --all shows them\n", hidden)
	}
	if len(c.Problems) == 0 {
		t.reasons(c.Metrics)
		t.together(c.Together)
	}
	for _, p := range c.Problems {
		fmt.Fprintf(t.w, "invalid: %s\n", printable(p))
	}
	for _, w := range doc.Warnings {
		fmt.Fprintf(t.w, "warning: %s\n", printable(w))
	}
	result := string(c.Verdict)
	if result == "" || doc.ExitCode == exitPassed && c.Verdict != verdict.Improvement {
		result = cmp.Or(notJudged(c), doc.Result)
	}
	t.rows([][]cell{{{text: fmt.Sprintf("%s (exit %d)", result, doc.ExitCode), code: wordColour(c.Verdict)}}})
}

// notJudged is the word for a case of which a gating metric has nothing to be compared
// with, although that is allowed: it did not pass. "" = all were judged.
func notJudged(c report.CaseReport) string {
	for _, r := range c.Metrics {
		switch {
		case !r.Gate || r.Advisory:
		case r.Verdict == verdict.Collecting:
			return fmt.Sprintf("not judged yet: %d past runs, 7 are needed at least", r.History)
		case r.Verdict == verdict.NoBaseline:
			return "not judged: no baseline"
		default:
		}
	}
	return ""
}

// together says what the gating metrics say as one, where the change began, and how
// far to trust it.
func (t table) together(c *verdict.Case) {
	if c == nil || c.Series == 0 {
		return
	}
	if c.P != nil {
		fmt.Fprintf(t.w, "case: its %d gating metrics together are worse with probability %.2f\n", c.Series, *c.P)
	}
	if o := c.Onset; o != nil {
		fmt.Fprintf(t.w, "begun with run %s of %s", printable(o.Run), o.Time.UTC().Format("2006-01-02 15:04"))
		switch {
		case o.Commit != "" && o.Good != "" && o.Good != o.Commit:
			fmt.Fprintf(t.w, ": between commit %s (good) and %s", printable(short(o.Good)), printable(short(o.Commit)))
		case o.Commit != "":
			fmt.Fprintf(t.w, ", commit %s", printable(short(o.Commit)))
		}
		fmt.Fprintln(t.w)
	}
	fmt.Fprintf(t.w, "false alarms to be expected: %.2f in 100 such tables\n", 100*c.FalseAlarms)
}

// reasons says why for every gating metric that did not pass; one that several
// share is said once.
func (t table) reasons(rows []verdict.Row) {
	var order []string
	names := map[string][]string{}
	for _, r := range rows {
		if !r.Gate || r.Verdict == verdict.Pass {
			continue
		}
		if names[r.Reason] == nil {
			order = append(order, r.Reason)
		}
		names[r.Reason] = append(names[r.Reason], strings.TrimPrefix(r.Point+" "+r.Metric, " "))
	}
	for _, why := range order {
		who := strings.Join(names[why], ", ")
		if n := len(names[why]); n > 3 {
			who = fmt.Sprintf("%s and %d more", strings.Join(names[why][:2], ", "), n-2)
		}
		fmt.Fprintf(t.w, "%s: %s\n", printable(who), printable(why))
	}
}

func verdictRow(r verdict.Row) []cell {
	word := string(r.Verdict)
	if !r.Gate || r.Advisory {
		word += " (advisory)"
	}
	interval := ""
	if r.Interval != nil {
		interval = fmt.Sprintf("%s..%s", signedPercent(r.Interval[0]), signedPercent(r.Interval[1]))
	}
	p := ""
	if r.P != nil {
		p = strconv.FormatFloat(*r.P, 'f', 2, 64)
	}
	change := ""
	if r.Change != nil {
		change = signedPercent(*r.Change)
	}
	return []cell{
		{text: printable(strings.TrimPrefix(r.Point+" "+r.Metric, " "))},
		{text: quantity(r.Value, r.Unit), right: true},
		{text: quantity(r.Baseline, ""), right: true},
		{text: change, right: true},
		{text: interval, right: true},
		{text: p, right: true},
		{text: word, code: wordColour(r.Verdict)},
		{text: sparkline(r.Series)},
	}
}

func wordColour(w verdict.Word) string {
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

// quantity is a number with five significant digits and its unit.
func quantity(v *float64, unit string) string {
	if v == nil {
		return "-"
	}
	if unit != "" {
		unit = " " + unit
	}
	return significant(*v) + unit
}

// significant is v with five significant digits and without an exponent where
// that can be read.
func significant(v float64) string {
	const digits = 5
	if a := math.Abs(v); a != 0 && (a >= 1e9 || a < 1e-4) {
		return strconv.FormatFloat(v, 'g', digits, 64)
	} else if a != 0 {
		places := max(0, min(6, digits-1-int(math.Floor(math.Log10(a)))))
		s := strconv.FormatFloat(v, 'f', places, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	return "0"
}

func signedPercent(v float64) string { return fmt.Sprintf("%+.1f%%", 100*v) }

// sparkWidth is how many runs a sparkline shows.
const sparkWidth = 24

// sparkline draws the newest runs, low to high as the numbers are; the last one
// is the judged run.
func sparkline(runs []verdict.Run) string {
	var values []float64
	for _, r := range runs[max(0, len(runs)-sparkWidth):] {
		if len(r.Values) > 0 {
			values = append(values, r.Value())
		}
	}
	if len(values) < 2 {
		return ""
	}
	lo, hi := slices.Min(values), slices.Max(values)
	// A flat series must look flat: noise of less than 2 % does not fill the scale.
	if span := 0.02 * math.Abs(hi); hi-lo < span {
		mid := (lo + hi) / 2
		lo, hi = mid-span/2, mid+span/2
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		at := 0
		if hi > lo {
			at = int(math.Round((v - lo) / (hi - lo) * float64(len(bars)-1)))
		}
		b.WriteRune(bars[max(0, min(len(bars)-1, at))])
	}
	return b.String()
}

// printable replaces what could steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == utf8.RuneError {
			return '·'
		}
		return r
	}, s)
}

func writeIndented(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
