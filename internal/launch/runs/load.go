package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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

// Open lists the submissions that have no outcome yet. The error names those
// whose record cannot be read; the others are listed all the same.
func Open(dir rundir.Dir) ([]JobEnd, error) {
	files, err := filepath.Glob(filepath.Join(string(dir), "cases", "*", "rep-*", "attempt-*", "job.json"))
	if err != nil {
		return nil, err
	}
	var open []JobEnd
	var errs []error
	for _, f := range files {
		a := rundir.AttemptDir(filepath.Dir(f))
		if exists(a.OutcomeFile()) {
			continue
		}
		var j rundir.Job
		if err := rundir.ReadJSON(f, &j); err != nil {
			errs = append(errs, err)
			continue
		}
		open = append(open, JobEnd{Case: filepath.Base(filepath.Dir(filepath.Dir(string(a)))), Attempt: a, Job: j})
	}
	return open, errors.Join(errs...)
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
