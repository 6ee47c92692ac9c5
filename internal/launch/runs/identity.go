package runs

import (
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// SameRun refuses to take a run for another one: two builds may come to the same
// id, as $BUILD_TAG of a job that was made anew, and the result of one must not be
// given out as the other's.
func SameRun(dir rundir.Dir, have, want rundir.Run) error {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	what := ""
	switch {
	case differ(have.Build.URL, want.Build.URL):
		what = fmt.Sprintf("is of build %s, not of %s", have.Build.URL, want.Build.URL)
	case differ(have.Build.Commit, want.Build.Commit):
		what = fmt.Sprintf("is of commit %s, not of %s", have.Build.Commit, want.Build.Commit)
	case differ(have.Cluster, want.Cluster):
		what = fmt.Sprintf("is of cluster %s, not of %s", have.Cluster, want.Cluster)
	case !sameCases(have.Cases, want.Cases):
		what = fmt.Sprintf("has other cases (%d) than are asked for (%d)", len(have.Cases), len(want.Cases))
	default:
		return nil
	}
	return &OtherRunError{Dir: dir, ID: have.ID, What: what}
}

// sameCases compares two lists of cases, whatever their order.
func sameCases(a, b []rundir.CaseState) bool {
	slugs := func(list []rundir.CaseState) []string {
		out := make([]string, len(list))
		for i, c := range list {
			out[i] = c.Slug
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(slugs(a), slugs(b))
}

// OtherRunError says that the run directory belongs to another run of the same id.
type OtherRunError struct {
	Dir  rundir.Dir
	ID   string
	What string // sets it apart
}

func (e *OtherRunError) Error() string {
	return fmt.Sprintf("run %s in %s %s: give this run a --run-id of its own", e.ID, e.Dir, e.What)
}
