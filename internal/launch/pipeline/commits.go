package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// lineage says in a session's plan which commits its builds are of, as far as their checkouts know it and nothing else
// says so, and warns where head does not come from base: what base alone has makes a difference, too, which is not the
// change's.
func (r Request) lineage(p *rundir.Plan) {
	if len(p.Builds) != 2 || p.Builds[0].Source == p.Builds[1].Source || r.Here.Path == "" {
		return
	}
	p.Builds = slices.Clone(p.Builds)
	base, head := &p.Builds[0], &p.Builds[1]
	baseAt, headAt := r.commit(base, ""), r.commit(head, r.AB.Head)
	if baseAt == "" {
		baseAt = r.AB.MergeBase
	}
	apart := ""
	switch merge := r.AB.MergeBase; {
	case baseAt == "" || rundir.SameCommit(baseAt, headAt):
	case headAt != "" && r.strangers(baseAt, headAt, base.Source, head.Source):
		apart = fmt.Sprintf("A, the base, is of %.10s and no ancestor of B, %.10s: what A has and B lacks is part of the comparison", baseAt, headAt)
	case merge != "" && !rundir.SameCommit(merge, baseAt) && p.Pairs.BaseFrom == "": // else who named it has said so
		apart = fmt.Sprintf("A, the base, is of %.10s and not of the merge base, %.10s: what came between them is part of the comparison", baseAt, merge)
	}
	if apart != "" {
		p.Pairs.Apart = apart
		p.Warnings = append(slices.Clone(p.Warnings), apart)
	}
}

// commit is that of a build: as it is named, by what is given, or by its checkout, whose root its source has to be. One
// whose files differ from its commit is not recorded as that.
func (r Request) commit(b *rundir.BuildPlan, given string) string {
	if named := cmp.Or(b.Commit, given); named != "" || b.Source == "" {
		return named
	}
	d := r.Here.At(b.Source)
	if dir, err := filepath.EvalSymlinks(b.Source); err != nil || d.Top() != dir {
		return ""
	}
	at, dirty, ok := d.State(context.Background())
	if ok && !dirty {
		b.Commit = at
	}
	return at
}

// strangers reports whether a checkout that knows both commits, and all that led to them, says that base did not lead
// to head.
func (r Request) strangers(base, head string, dirs ...string) bool {
	for _, path := range append(dirs, r.Here.Path) {
		d := r.Here.At(path)
		if path == "" || !d.Has(base) || !d.Has(head) {
			continue
		}
		if _, depth := d.Place(head); depth > 0 { // a shallow one has none
			return !d.Led(base, head)
		}
	}
	return false
}
