package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

func TestOwnFormatsThatMeanNothing(t *testing.T) {
	t.Parallel()
	good := GenericMetric{Metric: "ttft_median_ms", At: "a"}
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
		`#1: begins: error parsing regexp`:                                   {Files: "*.txt", Format: "text", Begins: "(", Metrics: []GenericMetric{good}},
		`#1: lines[0]: error parsing regexp`:                                 {Files: "*.txt", Format: "text", Begins: "x", Lines: []string{"["}, Metrics: []GenericMetric{good}},
		`no expression has a group (?P<a>…)`:                                 {Files: "*.txt", Format: "text", Begins: "x", Metrics: []GenericMetric{good}},
		`#1: title, begins and lines are for format: text`:                   {Files: "*.json", Begins: "x", Metrics: []GenericMetric{good}},
		`#1: duration_unit: cannot express "tok/s"`:                          {Files: "*.json", DurationIn: "tok/s", Metrics: []GenericMetric{good}},
		`#1: format: "xml" is neither json nor csv nor text`:                 {Files: "*.xml", Format: "xml", Metrics: []GenericMetric{good}},
	} {
		_, err := Extend(metric.Default(), []Generic{g})
		require.ErrorContains(t, err, want)
	}
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
