package judging

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// ParseSeries reads a series of a case as people write it: "metric", which is that
// metric at every point, or "point/metric". A metric may have any of its names.
func ParseSeries(text string, table metric.Table) (point string, def metric.Metric, err error) {
	name := text
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		point, name = text[:i], text[i+1:]
	}
	def, ok := table.Resolve(name)
	if !ok {
		return "", def, fmt.Errorf("%q is not a known metric%s", name, SuggestMetric(name, table))
	}
	return point, def, nil
}

// SeriesName is the reverse of ParseSeries.
func SeriesName(point, name string) string { return strings.TrimPrefix(point+"/"+name, "/") }

// LevelChange is what accepting a run does to the level of one series.
type LevelChange struct {
	Point  string
	Metric metric.Metric
	From   *verdict.Standing // nil: there is no level yet
	To     float64
}

// Acceptance is the act that accepts the level of a run, and what it changes.
type Acceptance struct {
	Record  baseline.Record // Normal
	Run     baseline.Record // whose level is accepted
	Changes []LevelChange
	// Retired are the series ("point/metric") that runs before measured and this one does not: no later one is to.
	Retired []string
}

// Accept makes the act that takes the level of a run of the history for intended:
// the newest run, or the one with that id. series limits it to some series of the run.
func (s Setup) Accept(h baseline.History, run string, series []string, act baseline.Act) (Acceptance, error) {
	at := len(h.Runs) - 1
	if run != "" {
		at = slices.IndexFunc(h.Runs, func(r baseline.Record) bool { return r.ID == run })
	}
	if at < 0 {
		return Acceptance{}, fmt.Errorf("no run %s is among the newest %d that count", run, baseline.DefaultRuns)
	}
	target := h.Runs[at]
	act.Target = target.ID
	for _, text := range series {
		name, err := s.measuredSeries(target, text)
		if err != nil {
			return Acceptance{}, err
		}
		act.Series = append(act.Series, name)
	}
	out := Acceptance{Run: target, Record: actOn(target, baseline.KindAccept, act)}
	before := h.Until(at)
	for _, m := range target.Measurements {
		def, known := s.Metrics.Lookup(m.Metric)
		if !known || !act.Covers(m.Point, m.Metric) {
			continue
		}
		def.Gate = s.Gates(target, m.Point, def)
		c := LevelChange{Point: m.Point, Metric: def, To: m.Value()}
		if level, ok := s.Level(before, target, m.Point, def); ok {
			c.From = &level
		}
		out.Changes = append(out.Changes, c)
	}
	if len(act.Series) == 0 {
		out.Retired = retired(before, target)
	}
	return out, nil
}

// retired are the series that were expected of a run and that it lacks.
func retired(before baseline.History, r baseline.Record) []string {
	var names []string
	for key, h := range habits(before) {
		if _, ok := r.Find(key.point, key.metric); !ok && h.expected() {
			names = append(names, SeriesName(key.point, key.metric))
		}
	}
	slices.Sort(names)
	return names
}

// measuredSeries is the canonical name of a series that the run measured.
func (s Setup) measuredSeries(r baseline.Record, text string) (string, error) {
	point, def, err := ParseSeries(text, s.Metrics)
	if err != nil {
		return "", err
	}
	var have []string
	for _, m := range r.Measurements {
		if m.Metric == def.Name && (point == "" || point == m.Point) {
			return SeriesName(point, def.Name), nil
		}
		have = append(have, SeriesName(m.Point, m.Metric))
	}
	return "", fmt.Errorf("run %s did not measure %s; it has: %s", r.ID, text, strings.Join(have, ", "))
}

// Withdraw makes the act that takes a run out of its history.
func Withdraw(r baseline.Record, act baseline.Act) baseline.Record {
	act.Target = r.ID
	return actOn(r, baseline.KindWithdraw, act)
}

// actOn is what someone did about a run, as the run's history keeps it.
func actOn(r baseline.Record, kind baseline.Kind, act baseline.Act) baseline.Record {
	return baseline.Record{Kind: kind, Case: r.Case, Match: r.Match, Time: r.Time, Build: rundir.Build{Branch: r.Build.Branch}, Act: &act}.Normal()
}

// LevelPin is the entry that pins a series to the level that its runs show now,
// whatever is pinned for it, in six digits, which people can read.
func (s Setup) LevelPin(h baseline.History, r baseline.Record, e PinEntry) (PinEntry, error) {
	def, _ := s.Metrics.Lookup(e.Metric)
	if n := len(h.Runs); n > 0 {
		r = h.Runs[n-1]
	}
	level, ok := s.unpinned(r.Case, e.Metric).Level(h, r, e.Point, def)
	if !ok {
		return e, fmt.Errorf("no run in the store measured %s of case %s at point %q: give a value, or the point as POINT/%s", e.Metric, r.Case, e.Point, e.Metric)
	}
	const digits = 6
	value, err := strconv.ParseFloat(strconv.FormatFloat(level.Level, 'g', digits, 64), 64)
	e.Value = &value
	return e, err
}

// unpinned is the setup without the pinned values of a case: what has to be pinned is measured. What gates by its pin
// does so still.
func (s Setup) unpinned(caseID, name string) Setup {
	var entries []PinEntry
	for _, e := range s.Pins.Cases[caseID] {
		e.Value, e.Rule = nil, ""
		entries = append(entries, e)
	}
	s.Pins = Pins{Cases: map[string][]PinEntry{caseID: entries}}
	own := s.Policy.Metrics[name]
	if cmp.Or(own.Rule, s.Policy.Rule) == verdict.RuleFixed {
		own.Rule = verdict.RuleBWS
		s.Policy.Metrics = map[string]verdict.MetricPolicy{name: own}
	}
	return s
}
