package builder

import (
	"context"
	"fmt"
	"math"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Priors writes into the plans of sessions that are yet to begin how much the pairs of their earlier sessions differed.
// It is fixed there: what is stored while a session goes on, or before it is reported again, changes no decision of it.
func (s *Builder) Priors(ctx context.Context, plans []rundir.Plan, branch string) {
	if s.o.Setup.Store == nil {
		return
	}
	for i, p := range plans {
		if !p.IsSession() {
			continue
		}
		noise, err := s.noise(ctx, p, baseline.NormalBranch(branch))
		if err != nil {
			plans[i].Warnings = append(plans[i].Warnings, fmt.Sprintf("the noise of earlier sessions could not be read, and that of an unknown series is taken: %v", err))
			continue
		}
		pairs := *p.Pairs
		pairs.Noise = noise
		plans[i].Pairs = &pairs
	}
}

// noise is the scale of a pair's difference in the earlier sessions of a case, by series.
func (s *Builder) noise(ctx context.Context, p rundir.Plan, branch string) (map[string]float64, error) {
	match := baseline.MatchKey(baseline.SelectMatch(p.Match, s.o.Match))
	earlier := map[string][][]float64{}
	filter := baseline.Filter{Kinds: []baseline.Kind{baseline.KindRun}, Case: p.Case.ID, Mode: baseline.ModeSession, Branch: branch}
	_, err := s.o.Setup.Store.Each(ctx, filter, func(r baseline.Record) error {
		if baseline.MatchKey(r.Match) != match {
			return nil
		}
		for _, m := range r.Measurements {
			key := ab.Key{Point: m.Point, Metric: m.Metric}.String()
			earlier[key] = append(earlier[key], differences(m.Values))
		}
		return nil
	})
	if err != nil || len(earlier) == 0 {
		return nil, err
	}
	out := map[string]float64{}
	for key, sessions := range earlier {
		out[key] = paired.Noise(sessions)
	}
	return out, nil
}

// differences are those of the pairs of a session, in logs, from their values: A and B of one pair after the other.
func differences(values []float64) []float64 {
	var out []float64
	for i := 1; i < len(values); i += 2 {
		if values[i-1] > 0 && values[i] > 0 {
			out = append(out, math.Log(values[i]/values[i-1]))
		}
	}
	return out
}

// keep is the record of a session that is to be the measure of later ones: of a branch's own run, whose whole pairs
// are enough to decide. A pull request's session is read by nobody.
func (s *Builder) keep(run rundir.Run, c results.Case, last results.Ended, found ab.Session) *baseline.Record {
	if run.Build.Mode != baseline.ModeNightly || len(found.Used) < paired.MinPairs {
		return nil
	}
	m := measured{}
	m.addRepetition(last.Attempt)
	for _, f := range found.Series {
		one := baseline.Measurement{Point: f.Point, Metric: f.Metric, Unit: f.Unit}
		for _, pair := range f.Values {
			one.Values = append(one.Values, pair[0], pair[1])
		}
		one.Reps = make([]int, len(one.Values))
		m.measurements = append(m.measurements, one)
	}
	rec := s.record(run, c, m)
	rec.Build.Mode = baseline.ModeSession
	rec = rec.Normal()
	return &rec
}
