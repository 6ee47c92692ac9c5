package main

import (
	"context"
	"errors"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// check asks Slurm about the job of each case; without Slurm it looks for the programs of each.
func (d *driver) check(ctx context.Context, h host, dir rundir.Dir, s pipeline.Suite, cases []pipeline.Case) error {
	ask := func(c pipeline.Case) (pipeline.Check, error) { return s.Look(ctx, d.host, c) }
	if d.backend != jobs.BackendLocal {
		if err := d.preflight(ctx, h); err != nil {
			return err
		}
		ask = func(c pipeline.Case) (pipeline.Check, error) {
			_, files, err := renderExample(d, dir, c.Plan)
			if err != nil {
				return pipeline.Check{}, usageErr(err)
			}
			return s.Ask(ctx, d.host, c, files[0].Data)
		}
	}
	for i, c := range cases {
		if c.Case.SkipReason != "" {
			continue
		}
		answer, err := ask(c)
		var end *endError
		switch {
		case errors.As(err, &end):
			return err
		case err != nil:
			return &endError{Code: exitInfra, Err: err}
		}
		cases[i].Check = &answer
	}
	return nil
}
