package judging

import (
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// Gating reports whether a metric gates in the series of a record, and the smallest relative change of it that matters:
// by the pin of the series, by the settings, else by the mode of the case. It is the one answer for whoever judges,
// shows or compares. With functional_only a metric still gates, though nothing of it counts.
func (s Setup) Gating(r baseline.Record, point string, def metric.Metric) (gates bool, minEffect float64) {
	policy, _ := s.Pins.apply(s.Policy, r, point, def.Name)
	policy.FunctionalOnly = false
	return policy.Gating(define(r, def))
}

// Gates is the first answer of Gating.
func (s Setup) Gates(r baseline.Record, point string, def metric.Metric) bool {
	gates, _ := s.Gating(r, point, def)
	return gates
}

// Expects are the metrics that gate at a point of a record's case, whether or not they were measured. What speculative
// decoding yields is expected only where there is any.
func (s Setup) Expects(r baseline.Record, point string, speculative bool) []metric.Metric {
	return slices.DeleteFunc(s.Metrics.All(), func(m metric.Metric) bool {
		return !s.Gates(r, point, m) || m.Name == metric.DecodedTokens && !speculative
	})
}

// define is a metric as it gates in a record's case by default: the settings and pins of a question stand over that.
func define(r baseline.Record, def metric.Metric) metric.Metric {
	def.Gate = metric.GatesIn(r.ModeOfCase(), def)
	return def
}
