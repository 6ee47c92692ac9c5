package report

import (
	"fmt"
	"math"
	"sort"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// ByWeight sorts rows: those that turn the run red first, by word, then by how
// much worse they are.
func ByWeight(rows []verdict.Row) {
	sort.SliceStable(rows, func(i, j int) bool {
		a, b := rows[i], rows[j]
		if a.Advisory != b.Advisory {
			return !a.Advisory
		}
		if x, y := WordRank(a.Verdict), WordRank(b.Verdict); x != y {
			return x < y
		}
		return weight(a) > weight(b)
	})
}

// WordRank orders verdicts, the worst first. An unknown word is no pass.
func WordRank(w verdict.Word) int {
	for i, o := range []verdict.Word{
		verdict.Regression, verdict.Invalid, verdict.BaselineUnavailable, verdict.Inconclusive,
		verdict.NoBaseline, verdict.Collecting, verdict.Improvement, verdict.Pass,
	} {
		if o == w {
			return i
		}
	}
	return 1
}

// weight is how much a row matters among those of its word.
func weight(r verdict.Row) float64 {
	switch {
	case r.Worse == nil:
		return 0
	case r.Verdict == verdict.Regression:
		return *r.Worse
	default:
		return math.Abs(*r.Worse)
	}
}

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
	r := worstRow(rows, word)
	if r == nil || r.Verdict == verdict.Pass {
		return nil
	}
	return &MetricRef{Point: r.Point, Metric: r.Metric}
}

// worstRow is the worst of the gating rows that have a verdict, nil if none has.
func worstRow(rows []verdict.Row, word verdict.Word) *verdict.Row {
	var found []verdict.Row
	for _, r := range rows {
		if r.Gate && !r.Advisory && r.Verdict == word {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil
	}
	ByWeight(found)
	return &found[0]
}

// worstWord is the verdict of a case: the worst of its gating metrics, "" when none
// was judged.
func worstWord(words []verdict.Word) verdict.Word {
	var worst verdict.Word
	for i, w := range words {
		if i == 0 || WordRank(w) < WordRank(worst) {
			worst = w
		}
	}
	return worst
}

// NotJudged is the word for a green case of which a gating metric has nothing to be
// compared with, although that is allowed: it did not pass. "" = all were judged.
func NotJudged(c CaseReport) string {
	if c.Result != ResultPassed {
		return ""
	}
	text := ""
	for _, r := range c.Metrics {
		switch {
		case !r.Gate || r.Advisory:
		case r.Verdict == verdict.NoBaseline: // the worse of both
			return words.NotJudged(r.Verdict) + ": no baseline"
		case r.Verdict == verdict.Collecting && text == "":
			text = fmt.Sprintf("%s: %s, 7 are needed at least", words.NotJudged(r.Verdict), plain.Count(r.History, "past run"))
		default:
		}
	}
	return text
}

// Began says with which run the newest regression of a case began, in the same words
// for every reader: "probably began with the run of 2 Jan 15:04 (commit …), behind …".
// "" = with this run, or nobody knows.
func Began(c CaseReport) string {
	r := WorstRow(c)
	if r == nil || c.Result != ResultRegression || c.Together == nil || c.Together.Onset == nil {
		return ""
	}
	o := c.Together.Onset
	if words.Run(*r, o.Run) == "this run" {
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
