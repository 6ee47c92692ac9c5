// Package words says what is known of a metric, a run or a commit in the words that all printers share.
package words

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Verdict is a verdict for people.
func Verdict(w verdict.Word) string {
	switch w {
	case verdict.NoBaseline:
		return "no baseline"
	case verdict.BaselineUnavailable:
		return "baseline unavailable"
	default:
		return string(w)
	}
}

// Row is a metric with its benchmark point.
func Row(r verdict.Row) string {
	if r.Point == "" {
		return r.Metric
	}
	return r.Metric + " at " + r.Point
}

// ShortCommit is a commit as people write it.
func ShortCommit(s string) string {
	switch {
	case len(s) >= 12 && strings.Trim(s, "0123456789abcdefABCDEF") == "":
		return s[:10]
	case len(s) > 24:
		return strings.ToValidUTF8(s[:23], "") + "…"
	default:
		return s
	}
}

// Run names a run of a row's history by its date and commit, as people know it; an
// id that the history does not hold stays an id.
func Run(r verdict.Row, id string) string {
	for i, run := range r.Series {
		if run.ID != id {
			continue
		}
		if i == len(r.Series)-1 {
			return "this run"
		}
		return RunAt(run.Time, run.Commit)
	}
	return "run " + id
}

// RunAt names a run by its date and commit.
func RunAt(at time.Time, commit string) string {
	text := "the run of " + at.UTC().Format("2 Jan 15:04")
	if commit != "" {
		text += " (commit " + ShortCommit(commit) + ")"
	}
	return text
}

// Reason is the reason of a row with the ids of its runs said as people know them.
func Reason(r verdict.Row) string {
	reason := r.Reason
	for _, id := range []string{r.Since, r.Onset} {
		if id != "" {
			reason = strings.ReplaceAll(reason, id, Run(r, id))
		}
	}
	return reason
}

// NotJudged is the word for a green case whose gating metrics say no more than this: it did not pass. "" = it was
// judged.
func NotJudged(w verdict.Word) string {
	switch w {
	case verdict.Collecting:
		return "not judged yet"
	case verdict.NoBaseline:
		return "not judged"
	default:
		return ""
	}
}

// NotMeasured reports whether a row stands for a metric that nobody measured.
func NotMeasured(r verdict.Row) bool { return r.Value == nil && r.Verdict == verdict.Invalid }

// NoVerdict is why a metric was not judged.
func NoVerdict(row verdict.Row) string {
	if NotMeasured(row) {
		return cmp.Or(Reason(row), "not measured")
	}
	return strings.TrimSuffix(Verdict(row.Verdict)+": "+Reason(row), ": ")
}

// Measured is 18211.4 tok/s is 8.3% below baseline 19850.0.
func Measured(row verdict.Row) string {
	if row.Value == nil {
		return cmp.Or(Reason(row), "not measured")
	}
	out := strings.TrimSpace(number(*row.Value) + " " + row.Unit)
	if row.Baseline == nil || row.Change == nil {
		return out
	}
	word := "above"
	if *row.Change < 0 {
		word = "below"
	}
	out += fmt.Sprintf(" is %.1f%% %s baseline %s", math.Abs(*row.Change)*100, word, number(*row.Baseline))
	if row.Limit != nil {
		out += " (limit " + number(*row.Limit) + ")"
	}
	return out
}

// number is v with as many digits as a reader can use.
func number(v float64) string {
	if a := math.Abs(v); a >= 10 || a == 0 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
