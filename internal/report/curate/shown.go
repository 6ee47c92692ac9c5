package curate

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// shownSchema is the version of what baseline show prints for programs: docs/json.md.
const shownSchema = 1

// Shown is what baseline show prints for programs.
type Shown struct {
	Schema int           `json:"schema"`
	Store  string        `json:"store"`
	Since  time.Time     `json:"since"`
	Series []ShownSeries `json:"series"`
	Runs   []ShownRun    `json:"runs,omitempty"`
	Acts   []ShownAct    `json:"acts,omitempty"`
}

// ShownSeries is where a series stands.
type ShownSeries struct {
	Case   string            `json:"case"`
	Branch string            `json:"branch"`
	Match  map[string]string `json:"match,omitempty"`
	Point  string            `json:"point,omitempty"`
	Metric string            `json:"metric"`
	Unit   string            `json:"unit"`
	Runs   int               `json:"runs"`
	Level  *ShownLevel       `json:"level,omitempty"`
	Newest ShownValue        `json:"newest"`
}

// ShownLevel is what the next run is held against.
type ShownLevel struct {
	Value float64 `json:"value"`
	Runs  int     `json:"runs"`
	Noise float64 `json:"noise,omitempty"`
	Since string  `json:"open_since,omitempty"`
}

// ShownValue is the newest measurement of a series.
type ShownValue struct {
	Run     string       `json:"run"`
	Began   time.Time    `json:"began"`
	Commit  string       `json:"commit,omitempty"`
	Value   float64      `json:"value"`
	Verdict verdict.Word `json:"verdict,omitempty"`
	Open    bool         `json:"open,omitempty"`
}

// ShownRun is a run of the case that was asked for.
type ShownRun struct {
	Run      string       `json:"run"`
	Began    time.Time    `json:"began"`
	Branch   string       `json:"branch"`
	Commit   string       `json:"commit,omitempty"`
	Verdict  verdict.Word `json:"verdict,omitempty"`
	Problems []string     `json:"problems,omitempty"`
	Nodes    []string     `json:"nodes,omitempty"`
	URL      string       `json:"url,omitempty"`
}

// ShownAct is what a person did about a run.
type ShownAct struct {
	At     time.Time     `json:"at"`
	Kind   baseline.Kind `json:"kind"`
	Run    string        `json:"run"`
	Series []string      `json:"series,omitempty"`
	By     string        `json:"by"`
	Why    string        `json:"why"`
}

// json prints what is shown for programs.
func (e Editor) json(f baseline.Filter, all []judging.Standing, runs, acts []baseline.Record) error {
	doc := Shown{Schema: shownSchema, Store: e.Setup.Store.String(), Since: f.Since.UTC(), Series: []ShownSeries{}}
	for _, s := range all {
		r := s.Record
		one := ShownSeries{
			Case: r.Case, Branch: r.Branch(), Match: r.Match, Point: s.Last.Point, Metric: s.Last.Metric, Unit: s.Last.Unit, Runs: len(s.Runs),
			Newest: ShownValue{Run: r.ID, Began: r.Time, Commit: r.Build.Commit, Value: s.Last.Value(), Verdict: s.Last.Verdict, Open: s.Last.Open},
		}
		if l := s.Level; l != nil {
			one.Level = &ShownLevel{Value: l.Level, Runs: l.Runs, Noise: l.Noise, Since: l.Since}
		}
		doc.Series = append(doc.Series, one)
	}
	for _, r := range runs {
		one := ShownRun{Run: r.ID, Began: r.Time, Branch: r.Branch(), Commit: r.Build.Commit, Verdict: r.Verdict, Problems: r.Problems, URL: r.Build.URL}
		for _, rep := range r.Repetitions {
			one.Nodes = append(one.Nodes, rep.Nodes...)
		}
		doc.Runs = append(doc.Runs, one)
	}
	for _, a := range acts {
		doc.Acts = append(doc.Acts, ShownAct{At: a.Act.At, Kind: a.Kind, Run: a.Act.Target, Series: a.Act.Series, By: a.Act.By, Why: a.Act.Why})
	}
	return cmdline.WriteJSON(e.Out, doc)
}

// ShownMetrics is the table of metrics for programs.
type ShownMetrics struct {
	Schema  int           `json:"schema"`
	Metrics []ShownMetric `json:"metrics"`
}

// ShownMetric is one of them.
type ShownMetric struct {
	Name      string   `json:"name"`
	Unit      string   `json:"unit"`
	Better    string   `json:"better"`
	Gate      bool     `json:"gate"`
	GatesIn   []string `json:"gates_in,omitempty"`
	MinEffect float64  `json:"min_effect"`
	Upstream  string   `json:"upstream,omitempty"`
	Aliases   []string `json:"aliases,omitempty"`
}

// MetricsDoc is the table of metrics for programs.
func MetricsDoc(all metric.Table) ShownMetrics {
	doc := ShownMetrics{Schema: shownSchema}
	for _, m := range all.All() {
		modes := metric.GatingModes(m)
		doc.Metrics = append(doc.Metrics, ShownMetric{
			Name: m.Name, Unit: m.Unit, Better: m.Better.String(), Gate: len(modes) > 0, GatesIn: modes, MinEffect: m.MinEffect, Upstream: m.Upstream, Aliases: m.Aliases,
		})
	}
	return doc
}
