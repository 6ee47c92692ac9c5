package machine

import (
	"math"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// points is how many points a series has at most: what a small drawing can show.
const points = 120

// SeriesOf are the samples of all cards of an attempt as they are drawn: of each measure
// the lowest, the median and the highest card, time after time.
func SeriesOf(rows []Row) *rundir.Telemetry {
	var cards []Row
	var from, to time.Time
	for _, r := range rows {
		if r.GPU < 0 {
			continue
		}
		cards = append(cards, r)
		if from.IsZero() || r.At.Before(from) {
			from = r.At
		}
		if r.At.After(to) {
			to = r.At
		}
	}
	if len(cards) == 0 {
		return nil
	}
	n := points
	step := to.Sub(from) / time.Duration(n)
	if least := 2 * time.Second; step < least {
		step = least
		n = int(to.Sub(from)/step) + 1
	}
	out := &rundir.Telemetry{From: from, Step: rundir.Duration(step)}
	for _, m := range []struct {
		name, unit string
		of         func(Row) float64
	}{
		{"SM clock", "MHz", func(r Row) float64 { return r.SM }},
		{"power", "W", func(r Row) float64 { return r.Power }},
		{"utilisation", "%", func(r Row) float64 { return r.Util }},
		{"temperature", "°C", func(r Row) float64 { return r.Temp }},
	} {
		buckets := make([][]float64, n)
		for _, r := range cards {
			i := min(int(r.At.Sub(from)/step), n-1)
			buckets[i] = add(buckets[i], m.of(r))
		}
		s := rundir.TelemetrySeries{Name: m.name, Unit: m.unit}
		for i, b := range buckets {
			if len(b) == 0 {
				continue
			}
			s.At = append(s.At, i)
			s.Low, s.Mid, s.High = append(s.Low, round(slices.Min(b))), append(s.Mid, round(median(b))), append(s.High, round(slices.Max(b)))
		}
		if len(s.At) > 0 {
			out.Series = append(out.Series, s)
		}
	}
	return out
}

func round(v float64) float64 { return math.Round(v*10) / 10 }
