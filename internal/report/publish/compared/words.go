package compared

import (
	"fmt"
	"math"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Word is a verdict of a comparison for people: nobody has judged a run.
func word(w verdict.Word) string {
	switch w {
	case verdict.Regression:
		return "worse"
	case verdict.Improvement:
		return "better"
	case verdict.Pass:
		return "same"
	case verdict.Collecting:
		return "few runs"
	default:
		return "undecided"
	}
}

// headline is the comparison in one line.
func headline(d compare.Document) string {
	c := d.Counts
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{c.Regression, "worse"}, {c.Improvement, "better"}, {c.Pass, "the same"}, {c.Inconclusive, "undecided"}, {c.Collecting, "with too few runs to tell"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	return fmt.Sprintf("B against A, %s: %s", count(len(d.Rows)), strings.Join(parts, ", "))
}

// count is a number of series.
func count(n int) string { return fmt.Sprintf("%d series", n) }

// side is what one of the two is.
func side(n compare.Named) string {
	text := n.Name
	if n.Runs != 1 {
		text += ", " + plain.Count(n.Runs, "run")
	}
	switch first, last := day(n.First), day(n.Last); {
	case first != last:
		text += ", " + first + " to " + last
	case first != "":
		text += ", " + first
	}
	return text + " (" + n.From + ")"
}

func day(stamp string) string {
	d, _, _ := strings.Cut(stamp, "T")
	return d
}

// metric is what was compared.
func metric(r compare.Row) string { return strings.TrimPrefix(r.Point+" "+r.Metric, " ") }

// ratio is B/A.
func ratio(v float64) string {
	if v >= 100 || v < 0.001 {
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// interval is that of the ratio.
func interval(r compare.Row) string { return ratio(r.Interval[0]) + " to " + ratio(r.Interval[1]) }

// worse is the change in words: 3.1 % worse.
func worse(v float64) string {
	switch p := 100 * math.Abs(v); {
	case p < 0.05:
		return "±0.0 %"
	case v > 0:
		return fmt.Sprintf("%.1f %% worse", p)
	default:
		return fmt.Sprintf("%.1f %% better", p)
	}
}

// level is where a side stands.
func level(l compare.Level, unit string) string { return look.Quantity(l.Value, unit) }

// runs are how many were used on each side.
func runs(r compare.Row) string { return fmt.Sprintf("%d/%d", r.A.Runs, r.B.Runs) }

// unfair are the differences that may explain what was found, in a line each.
func unfair(d compare.Document) []string {
	var out []string
	for _, u := range d.Unfair {
		where := "in all series"
		if u.Rows < len(d.Rows) {
			where = fmt.Sprintf("in %d of %s, marked !", u.Rows, count(len(d.Rows)))
		}
		out = append(out, fmt.Sprintf("%s (%s)", u.What, where))
	}
	return out
}

// meaning says what the numbers are.
const meaning = "A ratio is B/A; its interval holds the true one with 90 %, as far as runs scatter as this series' runs do. " +
	"Worse and better: the whole interval is, and the change is at least 0.7 of the smallest that matters."
