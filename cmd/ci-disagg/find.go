package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

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
		return "", usageErr(fmt.Errorf("no run %s in %s: %w", o.runID, parent, err))
	}
	return dir, nil
}

// readRun reads the record of a run directory, whose name the user gave.
func readRun(dir rundir.Dir) (rundir.Run, error) {
	var run rundir.Run
	err := rundir.ReadJSON(dir.RunFile(), &run)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = fmt.Errorf("%s is not a run directory: it has no run.json", dir)
	}
	return run, usageErr(err)
}

// sameRun refuses to take up a run that is another one than asked for: of other
// cases, of another cluster, or of another build under the same id, as $BUILD_TAG
// of a job that was made anew. All would end with the first one's result. A suite that cannot be
// planned is refused too; resume goes on without one.
func (o runOptions) sameRun(h host, args []string, dir rundir.Dir, run rundir.Run) error {
	s, err := o.resolve(h, args)
	if err != nil {
		return err
	}
	build, err := o.build(h, s.config.Perf.Policy.Mode)
	if err != nil {
		return err
	}
	if what := otherRun(run, build, s); what != "" {
		return usageErr(fmt.Errorf("run %s in %s %s: give this run a --run-id of its own", run.ID, dir, what))
	}
	return nil
}

// otherRun says in what the run differs from what is asked for, "" = in nothing.
func otherRun(run rundir.Run, build rundir.Build, s suite) string {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	switch {
	case differ(run.Build.URL, build.URL):
		return fmt.Sprintf("is of build %s, not of %s", run.Build.URL, build.URL)
	case differ(run.Build.Commit, build.Commit):
		return fmt.Sprintf("is of commit %s, not of %s", run.Build.Commit, build.Commit)
	case differ(run.Cluster, s.cluster):
		return fmt.Sprintf("is of cluster %s, not of %s", run.Cluster, s.cluster)
	}
	have := map[string]bool{}
	for _, c := range run.Cases {
		have[c.ID] = true
	}
	for _, p := range s.plans {
		if !have[p.Case.ID] || len(s.plans) != len(run.Cases) {
			return fmt.Sprintf("has other cases (%d) than are asked for (%d)", len(run.Cases), len(s.plans))
		}
	}
	return ""
}
