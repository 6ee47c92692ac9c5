package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Load reads run.json and the plans of its cases.
func Load(dir rundir.Dir) (rundir.Run, []rundir.Plan, error) {
	var run rundir.Run
	if err := rundir.ReadJSON(dir.RunFile(), &run); err != nil {
		return run, nil, fmt.Errorf("not a run directory: %w", err)
	}
	plans, err := Plans(dir, run)
	return run, plans, err
}

// Plans are the plans of a run's cases that can be read. The error names the first that cannot.
func Plans(dir rundir.Dir, run rundir.Run) (plans []rundir.Plan, first error) {
	for _, c := range run.Cases {
		var p rundir.Plan
		err := rundir.ReadJSON(dir.CaseDir(c.Slug).PlanFile(), &p)
		switch {
		case err == nil:
			plans = append(plans, p)
		case errors.Is(err, fs.ErrNotExist) && c.State == rundir.CaseSkipped:
		case first == nil:
			first = fmt.Errorf("case %s: %w", c.ID, err)
		}
	}
	return plans, first
}

// Open lists the submissions that have no outcome yet. The error names what cannot be
// read, directories and records; the others are listed all the same.
func Open(dir rundir.Dir) ([]JobEnd, error) {
	tree, err := dir.Tree()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = tree.Close() }() // only read from
	attempts, err := below(tree, filepath.Join(string(dir), "cases"), "", "rep-", "attempt-")
	var open []JobEnd
	errs := []error{err}
	for _, path := range attempts {
		a := rundir.AttemptDir(path)
		if exists(a.OutcomeFile()) || tree.Gone(a.JobFile()) {
			continue
		}
		var j rundir.Job
		if err := tree.ReadJSON(a.JobFile(), &j); err != nil {
			errs = append(errs, err)
			continue
		}
		open = append(open, JobEnd{Case: filepath.Base(filepath.Dir(filepath.Dir(path))), Attempt: a, Job: j})
	}
	return open, errors.Join(errs...)
}

// below lists the directories so many levels below dir, by how the names of each level begin. What is not there has
// none; the error names what cannot be listed.
func below(t *rundir.Tree, dir string, begins ...string) ([]string, error) {
	if len(begins) == 0 {
		return []string{dir}, nil
	}
	list, err := t.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var dirs []string
	errs := []error{err}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), begins[0]) && !e.Type().IsRegular() {
			found, err := below(t, filepath.Join(dir, e.Name()), begins[1:]...)
			dirs, errs = append(dirs, found...), append(errs, err)
		}
	}
	return dirs, errors.Join(errs...)
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
