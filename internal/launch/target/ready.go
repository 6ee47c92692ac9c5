package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Ready proves, before anything is written, that the jobs can be made and submitted.
func (t *Target) Ready(ctx context.Context, dir rundir.Dir, plans []rundir.Plan) error {
	if err := t.secretsAreThere(plans); err != nil {
		return err
	}
	if err := t.renders(dir, plans); err != nil {
		return err
	}
	return t.preflight(ctx)
}

// renders proves that the files of every case can be made, before anything is
// written: what cannot is in the config, or in the path of the run directory.
func (t *Target) renders(dir rundir.Dir, plans []rundir.Plan) error {
	if t.Profile.AgentDir != "" {
		dir = rundir.Dir(t.Profile.AgentDir)
	}
	for _, p := range plans {
		if p.Case.SkipReason != "" {
			continue
		}
		if _, _, err := t.first(dir, p); err != nil {
			return err
		}
	}
	return nil
}

// preflight proves that jobs can be submitted at all, before anything is
// written: a missing sbatch is a usage error, not an infrastructure failure.
func (t *Target) preflight(ctx context.Context) error {
	if t.Backend == rundir.BackendLocal {
		return nil
	}
	if err := t.CheckConf(); err != nil {
		return err
	}
	res, err := t.Host.Run(ctx, host.Cmd{Argv: []string{"sbatch", "--version"}})
	sbatch := "sbatch --version"
	if t.Profile.Login != "" {
		sbatch += " on " + t.Host.Name()
	}
	switch {
	case errors.Is(err, host.ErrNotStarted) && errors.Is(err, fs.ErrNotExist) && t.Profile.Login == "":
		return exit.ByUser(errors.New("there is no sbatch on PATH: run on a Slurm login node, set login: in the cluster's profile, or use --backend local"))
	case errors.Is(err, host.ErrNotStarted) && !errors.Is(err, host.ErrUnreachable) && t.Profile.Login != "":
		return exit.ByUser(fmt.Errorf("%s: %w: put it on the PATH that ssh gives to a command there (~/.bashrc, as a rule), or name another node in login: of the profile", sbatch, err))
	case err != nil:
		return exit.ByInfra(fmt.Errorf("%s: %w", sbatch, err))
	case res.Exit != 0:
		return exit.ByUser(fmt.Errorf("%s ended with %d: %s", sbatch, res.Exit, bytes.TrimSpace(res.Stderr)))
	}
	return nil
}

// Check asks Slurm about the job of each case; without Slurm it looks for the programs of each. The answers are put
// into cases.
func (t *Target) Check(ctx context.Context, dir rundir.Dir, s pipeline.Suite, cases []pipeline.Case) error {
	ask := func(c pipeline.Case) (pipeline.Check, error) { return s.Look(ctx, t.Host, c) }
	if t.Backend != rundir.BackendLocal {
		if err := t.preflight(ctx); err != nil {
			return err
		}
		ask = func(c pipeline.Case) (pipeline.Check, error) {
			_, files, err := t.first(dir, c.Plan)
			if err != nil {
				return pipeline.Check{}, err
			}
			return s.Ask(ctx, t.Host, c, files[0].Data)
		}
	}
	for i, c := range cases {
		if c.Case.SkipReason != "" {
			continue
		}
		answer, err := ask(c)
		switch {
		case errors.As(err, new(*exit.Error)):
			return err
		case err != nil:
			return exit.ByInfra(err)
		}
		cases[i].Check = &answer
	}
	return nil
}
