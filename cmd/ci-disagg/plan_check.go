package main

import (
	"context"
	"errors"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// check asks Slurm about the job of each case.
func (d *driver) check(ctx context.Context, h host, dir rundir.Dir, s pipeline.Suite, cases []pipeline.Case) error {
	if d.backend == jobs.BackendLocal {
		return usageErr(errors.New("--check asks Slurm; the local backend has none"))
	}
	if err := d.preflight(ctx, h); err != nil {
		return err
	}
	for i, c := range cases {
		if c.Case.SkipReason != "" {
			continue
		}
		_, files, err := renderExample(d, dir, c.Plan)
		if err != nil {
			return usageErr(err)
		}
		answer, err := s.Ask(ctx, d.host, c, files[0].Data)
		if err != nil {
			return &endError{code: exitInfra, err: err}
		}
		cases[i].Check = &answer
	}
	return nil
}
