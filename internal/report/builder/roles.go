package builder

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/load"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// gatherRoles reads what the roles of a configured pipeline were to leave as
// measurements. What was to be there and is not is a problem.
// part is the folder of one of the times that the client ran, "" = it ran once.
func (s *Builder) gatherRoles(tree *rundir.Tree, plan rundir.Plan, run rundir.RunDir, part string) (points.Found, error) {
	var all points.Found
	for _, r := range plan.Roles() {
		for _, b := range r.Bench {
			own := run.RoleOut(r.Name)
			if plan.Repeats(r) > 1 {
				own = filepath.Join(own, part)
			}
			found, err := s.benchFiles(tree, run, r.Name, own, b)
			if err != nil {
				return all, err
			}
			all.Results = append(all.Results, found.Results...)
			all.Files = append(all.Files, found.Files...)
			all.Problems = append(all.Problems, found.Problems...)
			all.Nothing = append(all.Nothing, found.Nothing...)
			all.Warnings = append(all.Warnings, found.Warnings...)
		}
	}
	return all, nil
}

// benchFiles reads the files of one entry of a role; an entry without files is the
// role's log.
func (s *Builder) benchFiles(tree *rundir.Tree, run rundir.RunDir, role, own string, b rundir.BenchFiles) (found points.Found, err error) {
	files := []string{run.RoleLog(role)}
	if len(b.Files) > 0 {
		if files, err = load.Matching(tree, own, b.Files); err != nil {
			return found, fmt.Errorf("bench of %s: %w", role, err)
		}
	}
	if len(files) == 0 {
		text := fmt.Sprintf("%s has left no file that matches %s (bench)", role, strings.Join(b.Files, ", "))
		return points.Found{Problems: []bench.Problem{{File: own, Text: text}}}, nil
	}
	reader := s.o.Reader
	if b.Reader != "" {
		only, unknown := reader.Only(b.Reader)
		if unknown != nil {
			return points.Found{Problems: []bench.Problem{{File: run.RoleOut(role), Text: "bench: " + unknown.Error()}}}, nil //nolint:nilerr // what is wrong with a measurement is no error of reading
		}
		reader = only
	}
	return reader.GatherTree(tree, nil, files...)
}

// pointNames names the points of what was measured, each by what tells it from the others.
func pointNames(plan rundir.Plan, found []bench.Result) []string {
	names := make([]string, len(found))
	for i, r := range found {
		if names[i] = pointName(plan.Expected.Points, r); plan.Case.Pipeline != "" && len(plan.Expected.Points) == 0 {
			names[i] = strings.Join(slices.DeleteFunc([]string{r.Name, r.Load()}, func(s string) bool { return s == "" }), "_")
		}
	}
	return names
}
