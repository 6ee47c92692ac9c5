package asked

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// otherBase says which case was measured in pairs against another base than is named for it now, "" = none was. One
// that the store names is what that says at the time.
func otherBase(have, want runs.New, workspaces []string) string {
	for _, w := range want.Plans {
		i := slices.IndexFunc(have.Plans, func(p rundir.Plan) bool { return p.Case.Slug == w.Case.Slug })
		if i < 0 {
			continue
		}
		h := have.Plans[i]
		old, wasPaired := h.Build(rundir.RunRef{Build: rundir.BaseBuild})
		now, isPaired := w.Build(rundir.RunRef{Build: rundir.BaseBuild})
		if !wasPaired || !isPaired || h.Pairs == nil || w.Pairs == nil || h.Pairs.BaseFrom+w.Pairs.BaseFrom != "" {
			continue
		}
		what := differentBuild(old, now, workspaces)
		if m, n := have.Run.Build.MergeBase, want.Run.Build.MergeBase; what == "" && now.Commit == "" && otherCommit(m, n) {
			what = fmt.Sprintf("its base is of the merge base %s, not of %s", m, n)
		}
		if what != "" {
			return fmt.Sprintf("has %s measured against another base: %s", w.Case.ID, what)
		}
	}
	return ""
}

// differentBuild says how a base differs from another: by its commit, where both have one, else by where it is.
func differentBuild(old, now rundir.BuildPlan, workspaces []string) string {
	image := func(b rundir.BuildPlan) string {
		if b.Container == nil {
			return ""
		}
		return b.Container.Image
	}
	unknown := old.Commit == "" || now.Commit == ""
	place := func(b rundir.BuildPlan) string { return cmp.Or(b.Source, image(b)) }
	switch {
	case otherCommit(old.Commit, now.Commit):
		return fmt.Sprintf("its base is of commit %s, not of %s", old.Commit, now.Commit)
	case unknown && otherPlace(old.Source, now.Source, workspaces):
		return fmt.Sprintf("its base is %s, not %s", old.Source, now.Source)
	case unknown && (old.Source == "") != (now.Source == "") && (image(old) == "") != (image(now) == ""):
		return fmt.Sprintf("its base is %s, not %s", place(old), place(now))
	case otherPlace(image(old), image(now), workspaces):
		return fmt.Sprintf("the image of its base is %s, not %s", image(old), image(now))
	}
	return ""
}

func otherCommit(a, b string) bool { return a != "" && b != "" && !rundir.SameCommit(a, b) }

// otherPlace reports whether a path, or the name of an image, is not the same now, and not what is in the same place of
// a workspace here.
func otherPlace(old, now string, workspaces []string) bool {
	if old == "" || now == "" || old == now {
		return false
	}
	for _, w := range workspaces {
		if rest, ok := strings.CutPrefix(now, filepath.Clean(w)+"/"); ok && strings.HasSuffix(old, "/"+rest) {
			return false
		}
	}
	return true
}
