package judging

import (
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Level is what the next run of a series is compared with: the one level that
// pages, verbs and the judge show. r names the case and the match values.
func (s Setup) Level(h baseline.History, r baseline.Record, point string, def metric.Metric) (verdict.Standing, bool) {
	policy, pin := s.Pins.apply(s.Policy, r, point, def.Name)
	return verdict.LevelOf(verdict.Series{Case: r.Case, Point: point, Metric: def, Pinned: pin, History: SeriesOf(h, point, def.Name)}, policy)
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
					st := Standing{Runs: SeriesOf(h, m.Point, m.Metric)}
					if level, ok := s.Level(h, r, m.Point, def); known && ok {
						st.Level = &level
					}
					out = append(out, st)
				}
				at := &out[index[key]]
				at.Record, at.Last = r, m
			}
		}
	}
	return out
}

// histories sorts records into the histories that they belong to.
func histories(records []baseline.Record) []baseline.History {
	var out []baseline.History
	index := map[string]int{}
	withdrawn := map[string]bool{}
	for _, r := range records {
		if r.Kind == baseline.KindWithdraw {
			withdrawn[r.Act.Target] = true
		}
	}
	for _, r := range records {
		key := strings.Join([]string{r.Case, baseline.MatchKey(r.Match), r.Branch()}, "\x00")
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, baseline.History{})
		}
		switch {
		case r.Kind == baseline.KindAccept:
			out[i].Acts = append(out[i].Acts, r)
		case r.Counts() && !withdrawn[r.ID]:
			out[i].Runs = append(out[i].Runs, r)
		}
	}
	for i := range out {
		out[i].Runs = baseline.InOrder(out[i].Runs)
	}
	return out
}
