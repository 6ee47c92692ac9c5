package report

import (
	"fmt"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// WorstRow is the row that decided the verdict of a case, nil if none did.
func WorstRow(c CaseReport) *verdict.Row {
	if c.Worst == nil {
		return nil
	}
	for i, r := range c.Metrics {
		if r.Point == c.Worst.Point && r.Metric == c.Worst.Metric {
			return &c.Metrics[i]
		}
	}
	return nil
}

// WorstOf names the row that decides a verdict, nil where none does or it is a pass.
func WorstOf(rows []verdict.Row, word verdict.Word) *MetricRef {
	r := verdict.WorstRow(rows, word)
	if r == nil || r.Verdict == verdict.Pass {
		return nil
	}
	return &MetricRef{Point: r.Point, Metric: r.Metric}
}

// NotJudged says of a green case that it was not judged, and why. "" = it was.
func NotJudged(c CaseReport) string {
	text := words.NotJudged(c.Unjudged)
	switch r := verdict.WorstRow(c.Metrics, c.Unjudged); {
	case text == "" || r == nil:
		return text
	case r.Verdict == verdict.NoBaseline:
		return text + ": no baseline"
	default:
		return fmt.Sprintf("%s: %s, %d are needed at least", text, plain.Count(r.History, "past run"), r.Needed)
	}
}

// Began says with which run the newest regression of a case began, in the same words for every reader: "probably began
// with the run of 2 Jan 15:04 (commit …), behind …". "" = with this run, or nobody knows.
func Began(c CaseReport) string {
	r := WorstRow(c)
	if r == nil || c.Result != ResultRegression || c.Together == nil || c.Together.Onset == nil {
		return ""
	}
	o := c.Together.Onset
	if n := len(r.Series); n > 0 && r.Series[n-1].ID == o.Run {
		return ""
	}
	text := "probably began with " + words.RunAt(o.Time, o.Commit)
	if o.Good != "" && o.Good != o.Commit {
		text += "; the run before was of " + words.ShortCommit(o.Good)
	}
	return text
}

// Suspects are the commits that a regression may have come with: those behind that of
// the last run without it, up to that of the first with it.
type Suspects struct {
	Good    string   `json:"good_commit"`
	Bad     string   `json:"commit"`
	URL     string   `json:"url,omitempty"`     // where both are compared
	Commits []string `json:"commits,omitempty"` // in a line each, the newest first; none where there is no checkout
}
