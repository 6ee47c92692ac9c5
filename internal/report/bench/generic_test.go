package bench

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

func TestOwnFormatsThatMeanNothing(t *testing.T) {
	t.Parallel()
	good, re := GenericMetric{Metric: "ttft_median_ms", At: "a"}, regexp.MustCompile
	for want, g := range map[string]Generic{
		`"x": metric "speed": unit is missing`:                               {Name: "x", Files: "*.json", Metrics: []GenericMetric{{Metric: "speed", At: "a", Better: "higher"}}},
		`"x": metric "speed": direction is missing`:                          {Name: "x", Files: "*.json", Metrics: []GenericMetric{{Metric: "speed", At: "a", Unit: "ms"}}},
		`metric "ttft_median_ms": better: higher contradicts ttft_median_ms`: {Files: "*.json", Metrics: []GenericMetric{{Metric: "ttft_median_ms", At: "a", Better: "higher"}}},
		`metric "ttft_median_ms": unit: cannot express "tok/s"`:              {Files: "*.json", Metrics: []GenericMetric{{Metric: "ttft_median_ms", At: "a", Unit: "tok/s"}}},
		`metric "ttft_median_ms": better: "up" is neither`:                   {Files: "*.json", Metrics: []GenericMetric{{Metric: "ttft_median_ms", At: "a", Better: "up"}}},
		`metric "ttft_median_ms": at is missing`:                             {Files: "*.json", Metrics: []GenericMetric{{Metric: "ttft_median_ms"}}},
		`#1: metrics: none are listed`:                                       {Files: "*.json"},
		`#1: files: "" is not a file pattern`:                                {Metrics: []GenericMetric{good}},
		`#1: files: "[" is not a file pattern`:                               {Files: "[", Metrics: []GenericMetric{good}},
		`#1: begins is missing`:                                              {Files: "*.txt", Format: "text", Metrics: []GenericMetric{good}},
		`an empty expression matches every line`:                             {Files: "*.txt", Format: "text", Begins: re("x"), Lines: []*regexp.Regexp{nil}, Metrics: []GenericMetric{good}},
		`no expression has a group (?P<a>…)`:                                 {Files: "*.txt", Format: "text", Begins: re("x"), Metrics: []GenericMetric{good}},
		`#1: title, begins and lines are for format: text`:                   {Files: "*.json", Begins: re("x"), Metrics: []GenericMetric{good}},
		`#1: duration_unit: cannot express "tok/s"`:                          {Files: "*.json", DurationIn: "tok/s", Metrics: []GenericMetric{good}},
		`#1: format: "xml" is neither json nor csv nor text`:                 {Files: "*.xml", Format: "xml", Metrics: []GenericMetric{good}},
	} {
		_, err := Extend(metric.Default(), []Generic{g})
		require.ErrorContains(t, err, want)
	}
}

func TestExpressionsOfOwnFormats(t *testing.T) {
	t.Parallel()
	var g []Generic
	err := strictyaml.Decode("x.yaml", []byte("- {begins: '(', lines: ['[']}\n"), &g)
	require.ErrorContains(t, err, "begins: error parsing regexp")
	require.ErrorContains(t, err, "lines[0]: error parsing regexp")
}

func TestOwnFormatFromYAML(t *testing.T) {
	t.Parallel()
	var g []Generic
	require.NoError(t, yaml.Unmarshal([]byte(`
- files: "*.json"
  name: mine
  concurrency: load
  metrics:
    - {metric: ttft_p90_ms, at: lat.p90, unit: s}
    - {metric: queue_len, at: q, unit: "1", better: lower, gate: true, min_effect: 0.1, optional: true}
`), &g))
	table, err := Extend(metric.Default(), g)
	require.NoError(t, err)
	m, ok := table.Lookup("queue_len")
	require.True(t, ok)
	require.True(t, m.Gate)
	require.True(t, m.Worse(1, 2))
	require.InDelta(t, 0.1, m.MinEffect, 0)
}

func TestPointer(t *testing.T) {
	t.Parallel()
	for place, want := range map[string]string{
		"a.b.c": "/a/b/c", "/a/b.c": "/a/b.c", "$.a": "/a", "a[0].b": "/a/0/b", "a.0.b": "/a/0/b", "": "", "x": "/x",
	} {
		require.Equal(t, want, pointer(place), place)
	}
}

// TestLacking: what can never count is told before it runs.
func TestLacking(t *testing.T) {
	t.Parallel()
	point := func(con, requests int) rundir.Point { return rundir.Point{Concurrency: con, Requests: requests} }
	whole := Generic{Name: "whole", Completed: "ok", Concurrency: "users"}
	bare := Generic{Files: "x_*.json"}
	for name, tt := range map[string]struct {
		points  []rundir.Point
		formats []Generic
		want    []string
	}{
		"nothing planned":     {nil, []Generic{bare}, nil},
		"no reader":           {[]rundir.Point{point(8, 64)}, nil, nil},
		"all is given":        {[]rundir.Point{point(8, 64), point(64, 512)}, []Generic{whole}, nil},
		"one load, no counts": {[]rundir.Point{point(8, 0)}, []Generic{bare}, nil},
		"no count": {[]rundir.Point{point(8, 64)}, []Generic{whole, bare}, []string{
			`perf.readers "x_*.json": completed is missing: 64 requests are planned, and a result that does not say how many succeeded never counts`,
		}},
		"no load": {[]rundir.Point{point(8, 0), point(64, 0)}, []Generic{bare}, []string{
			`perf.readers "x_*.json": concurrency is missing: 2 loads are planned, and a result does not say which one it is of`,
		}},
		"a rate is a load": {[]rundir.Point{{Rate: 1}, {Rate: 2}}, []Generic{{Name: "r", Rate: "rate"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, Lacking(rundir.Plan{Expected: rundir.Expected{Points: tt.points}}, tt.formats))
		})
	}
}
