package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
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
		if err != nil {
			return "", err
		}
		_, err = readRun(rundir.Dir(path))
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
	if _, err := readRun(dir); err != nil {
		hint := ""
		if cfg.Path == "" {
			hint = "; with the --config of the run, runs_dir there says where it is"
		}
		return "", usageErr(fmt.Errorf("no run %s in %s: %w%s", o.runID, parent, err, hint))
	}
	return dir, nil
}

// readRun reads the record of a run directory, whose name the user gave.
func readRun(dir rundir.Dir) (rundir.Run, error) {
	var run rundir.Run
	err := rundir.ReadJSON(dir.RunFile(), &run)
	if st, statErr := os.Stat(string(dir)); errors.Is(err, fs.ErrNotExist) || statErr == nil && !st.IsDir() {
		err = fmt.Errorf("%s is not a run directory: it has no run.json", dir)
	}
	return run, usageErr(err)
}

// sameRun refuses to take up a run that is another one than asked for: of other
// cases, of another cluster, or of another build under the same id, as $BUILD_TAG
// of a job that was made anew. All would end with the first one's result. A suite that cannot be
// planned is refused too; resume goes on without one.
func (o runOptions) sameRun(h host, cfg config, args []string, dir rundir.Dir, run rundir.Run) error {
	_, want, err := o.planned(h, cfg, args, run.ID)
	if err != nil {
		return err
	}
	return usageErr(runs.SameRun(dir, run, want))
}
