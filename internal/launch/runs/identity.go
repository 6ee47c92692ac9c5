package runs

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// SameRun refuses to take a run for another one: two builds may come to the same
// id, as $BUILD_TAG of a job that was made anew, and the result of one must not be
// given out as the other's. Only what is the same on every machine is compared: the
// plans of one build hold other paths where its stage is resumed on another agent.
func SameRun(have, want New) error {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	a, b := have.Run, want.Run
	what := ""
	switch {
	case differ(a.Build.URL, b.Build.URL):
		what = fmt.Sprintf("is of build %s, not of %s", a.Build.URL, b.Build.URL)
	case differ(a.Build.Commit, b.Build.Commit):
		what = fmt.Sprintf("is of commit %s, not of %s", a.Build.Commit, b.Build.Commit)
	case differ(a.Build.Mode, b.Build.Mode):
		what = fmt.Sprintf("is of mode %s, not of %s", a.Build.Mode, b.Build.Mode)
	case differ(a.Cluster, b.Cluster):
		what = fmt.Sprintf("is of cluster %s, not of %s", a.Cluster, b.Cluster)
	case differ(a.Backend, b.Backend):
		what = fmt.Sprintf("is of backend %s, not of %s", a.Backend, b.Backend)
	case !sameCases(a.Cases, b.Cases):
		what = fmt.Sprintf("has other cases (%d) than are asked for (%d)", len(a.Cases), len(b.Cases))
	default:
		what = firstCase(have.Plans, want.Plans, otherCase)
	}
	if what == "" {
		return nil
	}
	return &OtherRunError{Dir: have.Dir, ID: a.ID, What: what}
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

// firstCase is what differ says first of a case that is in both lists, "" = nothing.
func firstCase(have, want []rundir.Plan, differ func(have, want rundir.Plan) string) string {
	for _, p := range have {
		i := slices.IndexFunc(want, func(w rundir.Plan) bool { return w.Case.Slug == p.Case.Slug })
		if i < 0 {
			continue
		}
		if what := differ(p, want[i]); what != "" {
			return what
		}
	}
	return ""
}

// otherCase says what of a case was not run, or would not have counted, as it is asked for.
func otherCase(have, want rundir.Plan) string {
	a, b := have.Case, want.Case
	switch {
	case a.ConfigSHA != "" && b.ConfigSHA != "" && a.ConfigSHA != b.ConfigSHA:
		return fmt.Sprintf("has %s of another content of its config: %s has been changed", a.ID, b.Config)
	case a.SkipReason != "" && b.SkipReason == "":
		return fmt.Sprintf("has %s skipped (%s), which is asked for now", a.ID, a.SkipReason)
	case a.KnownBug != "" && b.KnownBug == "":
		return fmt.Sprintf("has %s as a known failure (%s), which it no longer is", a.ID, a.KnownBug)
	case have.Pairs == nil && want.Pairs != nil && want.Pairs.BaseFrom == "":
		return fmt.Sprintf("has %s measured by itself, not in pairs", a.ID)
	case onSuspicion(have.Pairs) && want.Pairs != nil && !onSuspicion(want.Pairs):
		return fmt.Sprintf("has %s measured in pairs only where a single run gives reason to, not always", a.ID)
	case onSuspicion(have.Pairs) && onSuspicion(want.Pairs) && want.Pairs.OpenAt < have.Pairs.OpenAt:
		return fmt.Sprintf("has %s measured in pairs from another ab.open_at on than %v", a.ID, want.Pairs.OpenAt)
	}
	return ""
}

// onSuspicion reports whether a case is measured in pairs only after a single run that gives reason to.
func onSuspicion(p *rundir.PairPlan) bool {
	return p != nil && p.Mode == rundir.PairSuspicious && p.Opened == ""
}

// otherPlan says which case two drivers of a run have planned differently: they
// began at the same moment, and the second has not seen what the first had written.
func otherPlan(have, want rundir.Plan) string {
	text := func(p rundir.Plan) string {
		data, _ := json.Marshal(p) // it has been in a file
		return string(data)
	}
	if text(have) == text(want) {
		return ""
	}
	return "has another plan for " + have.Case.ID + ", made from another config"
}

// OtherRunError says that the run directory belongs to another run of the same id.
type OtherRunError struct {
	Dir  rundir.Dir
	ID   string
	What string // sets it apart
}

func (e *OtherRunError) Error() string {
	return fmt.Sprintf("run %s in %s %s: give this run a --run-id of its own (ci-disagg report %[2]s shows what came of that one, ci-disagg resume %[2]s goes on with it)", e.ID, e.Dir, e.What)
}
