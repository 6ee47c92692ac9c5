package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/deliver"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// planCases adds to each plan what it would be judged against.
func planCases(ctx context.Context, h host, cfg config, plans []rundir.Plan, create bool) ([]pipeline.Case, error) {
	given, err := givenHere(h)
	if err != nil {
		return nil, err
	}
	setup, err := cfg.Judging(h.readFile, cfg.PinsPath())
	if errors.Is(err, fs.ErrNotExist) {
		err = cfg.Doc.Problem("perf.pins", "%v", err)
	}
	if err != nil {
		return nil, exit.ByUser(err)
	}
	ctx, cancel := context.WithTimeout(ctx, deliver.StoreTimeout)
	defer cancel()
	setup.Store, setup.StoreErr = planStore(ctx, cfg.StoreHere(given), create)
	if setup.StoreErr != nil && !baseline.IsUnavailable(setup.StoreErr) {
		return nil, exit.ByUser(cfg.Doc.Problem("perf.store", "%v", setup.StoreErr))
	}
	defer setup.Close()
	out := make([]pipeline.Case, 0, len(plans))
	for _, p := range plans {
		c := pipeline.Case{Plan: p, Baseline: "none: performance is not judged (perf.off)"}
		if !cfg.Perf.Off {
			c.Baseline = setup.InForce(ctx, p.Case.ID, baseline.SelectMatch(p.Match, cfg.Perf.Match)) + cfg.Perf.Discards()
		}
		out = append(out, c)
	}
	return out, nil
}

// planStore opens the store that runs will be judged against. One that is not there and
// looks like a mistake is an error other than a store that is unavailable.
func planStore(ctx context.Context, url string, create bool) (baseline.Store, error) {
	switch {
	case url == "":
		return nil, nil //nolint:nilnil // none is configured
	case create:
		return baseline.Create(ctx, url)
	}
	if err := baseline.Missing(url); err != nil {
		return nil, errors.New(err.Error()) // a mistake, not an outage
	}
	return baseline.Open(ctx, url, false)
}
