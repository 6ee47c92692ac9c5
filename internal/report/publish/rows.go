package publish

import (
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Bounds of the charts of a case.
const (
	maxGating = 40 // of gating metrics
	maxMoved  = 6  // of other metrics
)

// moved is the gating rows of a case that a reader has to look at, the one that decides first, then by weight: whatever
// was measured and is not a pass.
func moved(c report.CaseReport) []verdict.Row {
	var out []verdict.Row
	for _, r := range c.Metrics {
		if r.Gate && r.Verdict != verdict.Pass && r.Value != nil {
			out = append(out, r)
		}
	}
	verdict.ByWeight(out)
	decides := func(r verdict.Row) bool {
		return c.Worst != nil && r.Point == c.Worst.Point && r.Metric == c.Worst.Metric
	}
	if i := slices.IndexFunc(out, decides); i > 0 { // answers that fail as known weigh more, and decide nothing
		out = slices.Insert(slices.Delete(slices.Clone(out), i, i+1), 0, out[i])
	}
	return out
}

// movedBesides is the other rows that became better or worse, largest first.
func movedBesides(rows []verdict.Row) []verdict.Row {
	var out []verdict.Row
	for _, r := range rows {
		if !r.Gate && (r.Verdict == verdict.Regression || r.Verdict == verdict.Improvement) {
			out = append(out, r)
		}
	}
	verdict.ByWeight(out)
	return out
}

// charted is the rows of a case that a chart is drawn for: the gating ones, and
// the others that moved most.
func charted(rows []verdict.Row) []verdict.Row {
	var gating []verdict.Row
	for _, r := range rows {
		if r.Gate && len(r.Series) > 0 {
			gating = append(gating, r)
		}
	}
	if len(gating) > maxGating {
		verdict.ByWeight(gating)
		gating = gating[:maxGating]
	}
	others := movedBesides(rows)
	n := 0
	for _, r := range others {
		if len(r.Series) > 0 && n < maxMoved {
			gating = append(gating, r)
			n++
		}
	}
	return gating
}

// KeepCharted drops the histories of rows that no chart is drawn for: 45 metrics
// of 200 cases with 90 runs each would make verdict.json larger than all logs.
func KeepCharted(rows []verdict.Row) {
	keep := map[string]bool{}
	for _, r := range charted(rows) {
		keep[r.Point+"\x00"+r.Metric] = true
	}
	for i := range rows {
		if !keep[rows[i].Point+"\x00"+rows[i].Metric] {
			rows[i].Series, rows[i].Levels = nil, nil
		}
	}
}
