package judging

import (
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Level is what the next run of a series is compared with: the one level that
// pages, verbs and the judge show. r names the case and the match values.
func (s Setup) Level(h baseline.History, r baseline.Record, point string, def metric.Metric) (verdict.Standing, bool) {
	policy, pin := s.Pins.apply(s.Policy, r, point, def.Name)
	return verdict.LevelOf(verdict.Series{Case: r.Case, Point: point, Metric: def, Pinned: pin, History: s.SeriesOf(h, point, def.Name)}, policy)
}

// Standing is one series of a store and where it stands.
type Standing struct {
	Record baseline.Record      // the newest run that measured it
	Last   baseline.Measurement // of that run
	Runs   []verdict.Run        // oldest first
	Level  *verdict.Standing    // nil = not known
}

// Standings are the series that records of a store are about, in their order. Only
// metrics that pass the filter count. records are runs, accepts and withdrawals.
func (s Setup) Standings(records []baseline.Record, counts func(metric.Metric) bool) []Standing {
	var out []Standing
	for _, h := range histories(records) {
		out = append(out, s.standingsOf(h, counts)...)
	}
	return out
}

// standingsOf are the series of one history.
func (s Setup) standingsOf(h baseline.History, counts func(metric.Metric) bool) []Standing {
	var out []Standing
	index := map[seriesKey]int{}
	for _, r := range h.Runs {
		for _, m := range r.Measurements {
			def, known := s.Metrics.Lookup(m.Metric)
			if !known {
				def = metric.Metric{Name: m.Metric}
			}
			if !counts(def) {
				continue
			}
			key := seriesKey{m.Point, m.Metric}
			if _, seen := index[key]; !seen {
				index[key] = len(out)
				st := Standing{Runs: s.SeriesOf(h, m.Point, m.Metric)}
				if level, ok := s.Level(h, r, m.Point, def); known && ok {
					st.Level = &level
				}
				out = append(out, st)
			}
			at := &out[index[key]]
			at.Record, at.Last = r, m
		}
	}
	return out
}

// histories sorts records into the histories that they belong to, as the store would
// answer for each series. Runs of an earlier version that belong to a series make none
// of their own.
func histories(records []baseline.Record) []baseline.History {
	var order []string
	all := map[string]baseline.Query{}
	ofCase := map[string][]baseline.Record{}
	for _, r := range records {
		ofCase[r.Case] = append(ofCase[r.Case], r)
		if !r.Counts() {
			continue
		}
		key := strings.Join([]string{r.Case, baseline.MatchKey(r.Match), r.Branch()}, "\x00")
		if _, seen := all[key]; !seen {
			order = append(order, key)
			all[key] = baseline.Query{Case: r.Case, Match: r.Match, Branch: r.Branch()}
		}
	}
	byKey := map[string]baseline.History{}
	taken := map[string]string{} // run → the series with most match values that has it
	for _, key := range order {
		h := baseline.Among(ofCase[all[key].Case], all[key])
		byKey[key] = h
		for _, r := range h.Runs {
			if len(all[key].Match) > len(all[taken[r.ID]].Match) {
				taken[r.ID] = key
			}
		}
	}
	var out []baseline.History
	for _, key := range order {
		h := byKey[key]
		if slices.ContainsFunc(h.Runs, func(r baseline.Record) bool { return taken[r.ID] == key || taken[r.ID] == "" }) {
			out = append(out, h)
		}
	}
	return out
}
