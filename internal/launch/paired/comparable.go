package paired

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// SourceEnv tells the commands of a build where its checkout is.
const SourceEnv = "CI_DISAGG_SOURCE"

// Comparable reports whether a case can have a session: one that measures nothing cannot,
// and that is an error where every case is to have one.
func (s Settings) Comparable(p rundir.Plan) (bool, error) {
	switch {
	case p.Case.SkipReason != "":
		return false, nil
	case !p.Measures() && s.Mode == rundir.PairAlways:
		return false, fmt.Errorf("%s: none of its roles has bench:, so nothing is measured that two builds could be compared by: give the role that measures bench: with its files, leave the case out, or use --ab=suspicious, which runs it once", p.Case.ID)
	}
	return p.Measures(), nil
}

// Distinct refuses two plans that would run the same software: a session of them passes
// whatever has changed. Each has one build, with its own words in it.
func (s Settings) Distinct(head, base rundir.Plan) error {
	if s.Head.Image != "" || s.Base.Image != "" {
		for _, r := range head.Roles() {
			if r.Container != nil {
				return fmt.Errorf("%s: the builds' images differ, and role %s would run in its own, %s, in both: remove its container.image, or let builds.base.setup, install or env say how the builds differ in place of builds.base.image (--ab-base-image)",
					head.Case.ID, r.Name, r.Container.Image)
			}
		}
	}
	if s.control() {
		return nil
	}
	if head.Workdir != base.Workdir || head.Case.ConfigSHA != base.Case.ConfigSHA || !slices.Equal(head.Env, base.Env) || !reflect.DeepEqual(software(head.Builds[0]), software(base.Builds[0])) {
		return nil
	}
	if s.Head.Source != "" {
		return fmt.Errorf("%s: base and head would run the same software: builds.head.source is set, and nothing of the case comes from it: no dir lies in it and no command, setup or install reads $%s. Give a role a dir: in it, written as there (dir: \"builds/{commit}\"), or use $%s in its command",
			head.Case.ID, SourceEnv, SourceEnv)
	}
	return fmt.Errorf("%s: base and head would run the same software: no command, setup or install reads $%s, no dir lies in a checkout, and image and env are the same. Set workload.source or builds.head.source to head's checkout, so that what lies below it moves with builds.base.source (--ab-base-source); or use $%s in the commands, or give builds.base another image or env",
		head.Case.ID, SourceEnv, SourceEnv)
}

// control reports whether the config plainly asks for a build against itself: it writes
// one env for both, and no checkout or image that could have been meant to differ.
func (s Settings) control() bool {
	base, head := s.Base, s.Head
	base.Commit, head.Commit = "", ""
	return !s.likeHead && len(base.Env) > 0 && base.Source == "" && base.Image == "" && reflect.DeepEqual(base, head)
}

// software is a build without what makes no other software of it: its name, its commit
// and a checkout that nothing of it reads.
func software(b rundir.BuildPlan) rundir.BuildPlan {
	source := b.Source
	b.Name, b.Commit, b.Source, b.SetupKey = "", "", "", ""
	texts := []string{b.Install, b.Setup}
	for _, r := range b.Roles {
		texts = append(texts, r.Before, r.Command)
	}
	if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, SourceEnv) }) {
		b.Source = source
		return b
	}
	b.Env = slices.DeleteFunc(slices.Clone(b.Env), func(e rundir.EnvVar) bool { return e.Name == SourceEnv })
	if len(b.Env) == 0 {
		b.Env = nil
	}
	return b
}
