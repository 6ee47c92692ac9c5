package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// planCases adds to each plan what it would be judged against.
func planCases(ctx context.Context, h host, cfg config, plans []rundir.Plan, create bool) ([]pipeline.Case, error) {
	metrics, err := cfg.metrics()
	if err != nil {
		return nil, usageErr(err)
	}
	pins, err := readPins(cfg, metrics)
	if errors.Is(err, fs.ErrNotExist) {
		err = cfg.doc.Problem("perf.pins", "%v", err)
	}
	if err != nil {
		return nil, usageErr(err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	store, storeErr := planStore(ctx, cmp.Or(envStore(h), storeURL(cfg)), create)
	if storeErr != nil && !baseline.IsUnavailable(storeErr) {
		return nil, usageErr(cfg.doc.Problem("perf.store", "%v", storeErr))
	}
	if store != nil {
		defer func() { _ = store.Close() }()
	}
	out := make([]pipeline.Case, 0, len(plans))
	for _, p := range plans {
		c := pipeline.Case{Plan: p, Baseline: "none: performance is not judged (perf.off)"}
		if !cfg.Perf.Off {
			c.Baseline = inForce(ctx, store, storeErr, pins, p, cfg.Perf.Match)
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
		return nil, fmt.Errorf("%w; plan --create-store makes it", err)
	}
	return baseline.Open(ctx, url, false)
}

// inForce says in words what a case's run would be judged against. A store that
// cannot be read is worth a line here, not the end of the plan.
func inForce(ctx context.Context, store baseline.Store, storeErr error, pins judging.Pins, p rundir.Plan, match []string) string {
	var parts []string
	if n := len(pins.Cases[p.Case.ID]); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in %s", count(n, "pinned value"), pins.File))
	}
	switch {
	case storeErr != nil:
		parts = append(parts, "history: "+oneLine(storeErr.Error()))
	case store != nil:
		h, err := store.History(ctx, baseline.Query{Case: p.Case.ID, Match: baseline.SelectMatch(p.Match, match)})
		var down *baseline.UnavailableError
		switch {
		case errors.As(err, &down):
			parts = append(parts, "history unavailable: "+oneLine(err.Error()))
		case err != nil:
			parts = append(parts, "history: "+oneLine(err.Error()))
		case len(h.Runs) == 0:
			parts = append(parts, "no history yet in "+store.String())
		default:
			last := h.Runs[len(h.Runs)-1]
			parts = append(parts, fmt.Sprintf("%s in %s, the last of %s", count(len(h.Runs), "run"), store.String(), last.Time.UTC().Format(time.DateOnly)))
		}
	}
	if len(parts) == 0 {
		return "none: no perf.store and no pinned value"
	}
	return strings.Join(parts, "; ")
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
