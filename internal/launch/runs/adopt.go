package runs

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// New is a run that somebody wants to drive.
type New struct {
	Dir   rundir.Dir
	Run   rundir.Run
	Plans []rundir.Plan
	Keep  []rundir.File // what the run was made from, to be kept beside its record
}

// Adopt is the record to go on with: the run directory's, or the new one, which
// is written down together with its plans before anything else happens.
func Adopt(o New) (rundir.Run, []rundir.Plan, error) {
	old, plans, err := Load(o.Dir)
	if err == nil {
		if old.ID != o.Run.ID {
			return old, nil, fmt.Errorf("%s holds run %q, not %q", o.Dir, old.ID, o.Run.ID)
		}
		if err := SameRun(New{Dir: o.Dir, Run: old, Plans: plans}, o); err != nil {
			return old, nil, err
		}
		if what := firstCase(plans, o.Plans, otherPlan); what != "" {
			return old, nil, &OtherRunError{Dir: o.Dir, ID: old.ID, What: what}
		}
		old.Ended, old.Interrupted = nil, nil
		return old, plans, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || exists(o.Dir.RunFile()) {
		return old, nil, err
	}
	if len(o.Run.Cases) == 0 {
		return old, nil, errors.New("the run has no case")
	}
	for _, p := range o.Plans {
		if err := rundir.WriteJSON(o.Dir.CaseDir(p.Case.Slug).PlanFile(), p); err != nil {
			return old, nil, err
		}
	}
	for _, f := range o.Keep {
		if err := rundir.WriteFile(filepath.Join(string(o.Dir), f.Path), f.Data, f.Mode); err != nil {
			return old, nil, err
		}
	}
	return o.Run, o.Plans, rundir.WriteJSON(o.Dir.RunFile(), o.Run)
}
