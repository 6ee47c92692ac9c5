package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// findFlags find a run that exists: by its directory, the only argument, or by
// the id that run had.
type findFlags struct{ runID string }

// AddFlags registers the flags.
func (o *findFlags) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.runID, "run-id", "", "id of the run, in place of its directory: the run is looked for in runs_dir of the config")
}

// find gives the run directory.
func (o findFlags) find(h host, config string, args []string) (rundir.Dir, error) {
	switch {
	case len(args) == 1 && o.runID == "":
		path, err := absPath(h, args[0])
		return rundir.Dir(path), err
	case len(args) == 1 || o.runID == "":
		return "", usageErr(errors.New("which run? Give its directory, or --run-id"))
	}
	cfg, err := loadConfig(h, config)
	if err != nil {
		return "", err
	}
	parent, err := runsDir(h, cfg)
	if err != nil {
		return "", err
	}
	dir := rundir.Dir(filepath.Join(parent, rundir.Slug(o.runID)))
	var run rundir.Run
	if err := rundir.ReadJSON(dir.RunFile(), &run); err != nil {
		return "", usageErr(fmt.Errorf("no run %s in %s: %w", o.runID, parent, err))
	}
	return dir, nil
}

// sameCases refuses to take up a run for other cases than its own: two runs of
// one build under one id would otherwise both end with the first one's result.
// A suite that cannot be planned is refused too; resume goes on without one.
func (o runOptions) sameCases(h host, args []string, dir rundir.Dir) error {
	s, err := o.resolve(h, args)
	if err != nil {
		return err
	}
	var run rundir.Run
	if err := rundir.ReadJSON(dir.RunFile(), &run); err != nil {
		return usageErr(err)
	}
	have := map[string]bool{}
	for _, c := range run.Cases {
		have[c.ID] = true
	}
	for _, p := range s.plans {
		if !have[p.Case.ID] || len(s.plans) != len(run.Cases) {
			return usageErr(fmt.Errorf("run %s in %s has other cases (%d) than are asked for (%d): give this run a --run-id of its own",
				run.ID, dir, len(run.Cases), len(s.plans)))
		}
	}
	return nil
}
