package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

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
		if err := SameRun(o.Dir, old, o.Run); err != nil {
			return old, nil, err
		}
		if slug := otherPlan(plans, o.Plans); slug != "" {
			return old, nil, &OtherRunError{Dir: o.Dir, ID: old.ID, What: "has another plan for " + slug + ", made from another config"}
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

// otherPlan is a case that two drivers of a run have planned differently, "" =
// there is none: they began at the same moment, and the second has not seen what
// the first had written.
func otherPlan(have, want []rundir.Plan) string {
	text := func(p rundir.Plan) string {
		data, _ := json.Marshal(p) // it has been in a file
		return string(data)
	}
	for _, p := range have {
		if i := slices.IndexFunc(want, func(w rundir.Plan) bool { return w.Case.Slug == p.Case.Slug }); i >= 0 && text(want[i]) != text(p) {
			return p.Case.ID
		}
	}
	return ""
}
