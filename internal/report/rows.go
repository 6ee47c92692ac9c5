package report

import (
	"fmt"
	"math"
	"sort"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
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

// Word is a verdict for people.
func Word(w verdict.Word) string {
	switch w {
	case verdict.NoBaseline:
		return "no baseline"
	case verdict.BaselineUnavailable:
		return "baseline unavailable"
	default:
		return string(w)
	}
}

// RowName is a metric with its benchmark point.
func RowName(r verdict.Row) string {
	if r.Point == "" {
		return r.Metric
	}
	return r.Metric + " at " + r.Point
}

// NotJudged is the word for a green case of which a gating metric has nothing to be
// compared with, although that is allowed: it did not pass. "" = all were judged.
func NotJudged(c CaseReport) string {
	if c.Result != ResultPassed {
		return ""
	}
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
