package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/asked"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/runview"
)

// findFlags find a run that exists: by its directory, the only argument, or by the id that run had.
type findFlags struct{ runID string }

// AddFlags registers the flags.
func (o *findFlags) AddFlags(f *pflag.FlagSet) {
	addRunIDFlag(f, &o.runID)
}

func addRunIDFlag(f *pflag.FlagSet, id *string) {
	f.StringVar(id, "run-id", "", "id of the run, in place of its directory: the run is looked for in runs_dir of the config")
}

// find gives the run directory.
func (o findFlags) find(h host, config string, args []string) (rundir.Dir, error) {
	dir, _, err := o.read(h, config, args)
	return dir, err
}

// read gives the run directory and its record.
func (o findFlags) read(h host, config string, args []string) (rundir.Dir, rundir.Run, error) {
	none := rundir.Run{}
	switch {
	case len(args) == 1 && o.runID == "":
		path, err := absPath(h, args[0])
		if err != nil {
			return "", none, err
		}
		run, err := readRun(rundir.Dir(path))
		if err != nil && !strings.ContainsRune(args[0], filepath.Separator) { // the name of no directory may be an id
			dir, unknown := o.byID(h, config, args[0])
			switch {
			case unknown == nil:
				run, err = readRun(dir)
				return dir, run, err
			case !exists(path):
				return "", none, exit.ByUser(fmt.Errorf("%s is not a run directory, and there is %w", args[0], unknown))
			}
		}
		if err != nil && !exists(path) { // the path of a run that is called a bit otherwise
			if _, near := runview.Find(filepath.Dir(path), filepath.Base(path)); near != nil {
				err = exit.ByUser(near)
			}
		}
		return rundir.Dir(path), run, err
	case len(args) == 1 || o.runID == "":
		return "", none, exit.ByUser(errors.New("which run? Give its directory, or --run-id"))
	}
	dir, err := o.byID(h, config, o.runID)
	if err != nil {
		return "", none, err
	}
	run, err := readRun(dir)
	return dir, run, err
}

// byID gives the directory of the run that has an id, or the only one that begins so.
func (findFlags) byID(h host, config, id string) (rundir.Dir, error) {
	cfg, err := loadConfig(h, config)
	if err != nil {
		return "", err
	}
	parent, err := runsDir(h, cfg)
	if err != nil {
		return "", err
	}
	dir, err := runview.Find(parent, id)
	if err != nil && cfg.Path == "" {
		err = fmt.Errorf("%w; with the --config of the run, runs_dir there says where it is", err)
	}
	return dir, exit.ByUser(err)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// readRun reads the record of a run directory, whose name the user gave.
func readRun(dir rundir.Dir) (rundir.Run, error) {
	var run rundir.Run
	err := rundir.ReadJSON(dir.RunFile(), &run)
	if st, statErr := os.Stat(string(dir)); errors.Is(err, fs.ErrNotExist) || statErr == nil && !st.IsDir() {
		err = fmt.Errorf("%s is not a run directory: it has no run.json", dir)
	}
	return run, exit.ByUser(err)
}

// sameRun refuses to take up a run that is another one than asked for: see package asked.
func (o runOptions) sameRun(h host, cfg config, args []string, dir rundir.Dir, run rundir.Run) error {
	h.now = asked.Then(run, h.now)
	return exit.ByUser(asked.Run{
		Dir: dir, Config: cfg, Draft: o.draft, Read: h.readFile, Getenv: h.getenv,
		Plan: func(c config) (pipeline.Suite, rundir.Run, error) { return o.planned(h, c, args, run.ID) },
	}.Is(run))
}
