package judging

import (
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Level is what the next run of a series is compared with: the one level that
// pages, verbs and the judge show. r names the case, its mode and the match values.
func (s Setup) Level(h baseline.History, r baseline.Record, point string, def metric.Metric) (verdict.Standing, bool) {
	policy, pin := s.Pins.apply(s.Policy, r, point, def.Name)
	return verdict.LevelOf(verdict.Series{Case: r.Case, Point: point, Metric: define(r, def), Pinned: pin, History: s.SeriesOf(h, point, def.Name)}, policy)
}

// Standing is one series of a store and where it stands.
type Standing struct {
	Record baseline.Record      // the newest run that measured it
	Last   baseline.Measurement // of that run
	Runs   []verdict.Run        // oldest first
	Level  *verdict.Standing    // nil = not known
}

// Standings are the series that records of a store are about, in their order: those that
// gate, or all. records are runs, accepts and withdrawals.
func (s Setup) Standings(records []baseline.Record, all bool) []Standing {
	var out []Standing
	for _, h := range histories(records) {
		out = append(out, s.standingsOf(h, all)...)
	}
	return out
}

// standingsOf are the series of one history.
func (s Setup) standingsOf(h baseline.History, all bool) []Standing {
	var out []Standing
	index := map[seriesKey]int{}
	for _, r := range h.Runs {
		for _, m := range r.Measurements {
			key := seriesKey{m.Point, m.Metric}
			at, seen := index[key]
			if !seen {
				at = len(out)
				index[key], out = at, append(out, Standing{})
			}
			out[at].Record, out[at].Last = r, m
		}
	}
	define := func(st Standing) (metric.Metric, bool) {
		def, known := s.Metrics.Lookup(st.Last.Metric)
		def.Name = st.Last.Metric
		return def, known
	}
	out = slices.DeleteFunc(out, func(st Standing) bool {
		def, _ := define(st)
		return !all && !s.Gates(st.Record, st.Last.Point, def)
	})
	for i, st := range out {
		out[i].Runs = s.SeriesOf(h, st.Last.Point, st.Last.Metric)
		def, known := define(st)
		if level, ok := s.Level(h, st.Record, st.Last.Point, def); known && ok {
			out[i].Level = &level
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
