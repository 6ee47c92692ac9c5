package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/paired"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
	"github.com/ci-disagg/ci-disagg/internal/userfile"
)

// Resolve plans the cases: of the newer build, and where two are compared, of both. Its
// errors are the user's.
func Resolve(r Request) (Suite, error) {
	r.Read = userfile.Or(r.Read)
	if given := &r.AB.Base.Source; *given != "" && !filepath.IsAbs(*given) {
		*given = filepath.Join(r.WorkDir, *given) // of who calls, not of the config
	}
	set, err := paired.Settle(r.Config.AB, r.Config.Builds, r.AB)
	if err != nil {
		return Suite{}, err
	}
	s, err := resolve(r.ofBuild(set.Head))
	if err != nil {
		return s, err
	}
	for i := range s.Plans {
		s.Plans[i] = r.dressed(s.Plans[i], rundir.HeadBuild, set.Head)
	}
	if why := r.Config.Builds.Unpaired(); why != "" && r.Config.AB.Confirm && !r.AB.PullRequest && len(s.Plans) > 0 {
		s.warn(0, "ab.confirm is off: %s", why)
	}
	if err := r.missing(s, "head", set.Head); err != nil {
		return s, err
	}
	if off, err := set.Complete(s.Plans, r.AB); err != nil {
		return s, err
	} else if off != "" && len(s.Plans) > 0 {
		s.warn(0, "%s", off)
	}
	if !set.On() {
		return s, nil
	}
	return s, s.pairUp(r, set)
}

// pairUp makes of each plan that of a session.
func (s Suite) pairUp(r Request, set paired.Settings) error {
	if err := cmp.Or(s.checkBuilds(set), r.missing(s, "base", set.Base)); err != nil {
		return err
	}
	older, err := resolve(r.ofBuild(set.Base))
	if err != nil {
		return fmt.Errorf("of builds.base: %w", err)
	}
	base := map[string]rundir.Plan{}
	for _, p := range older.Plans {
		base[p.Case.Slug] = r.dressed(p, rundir.BaseBuild, set.Base)
	}
	var of []int
	for i, p := range s.Plans {
		ok, err := set.Comparable(p)
		if err != nil {
			return err
		}
		if ok {
			of = append(of, i)
		}
	}
	for _, i := range of {
		p := s.Plans[i]
		b, ok := base[p.Case.Slug]
		if !ok {
			return fmt.Errorf("%s: base has no such case", p.Case.ID)
		}
		if err = set.Distinct(p, b); err != nil {
			return r.atRoles(p, err)
		}
		if s.Plans[i], err = set.Session(p, b, len(of)); err != nil {
			return err
		}
		r.lineage(&s.Plans[i])
	}
	return set.Affordable(s.Plans)
}

// atRoles is a problem of what a case runs, at the place in the config where that is said, if there is one.
func (r Request) atRoles(p rundir.Plan, err error) error {
	if r.Doc.File == "" || p.Case.Pipeline == "" {
		return err
	}
	return r.Doc.Problem(strictyaml.Path("pipelines", p.Case.Pipeline, "roles"), "%v", err)
}

// dressed gives a plan's only build what its own words say of it, where the plan does not.
func (r Request) dressed(p rundir.Plan, name string, b paired.Build) rundir.Plan {
	if len(p.Builds) != 1 {
		return p
	}
	one := p.Builds[0]
	if one.Source == "" && b.Source != "" {
		one.Source = r.abs(b.Source)
	}
	one.Install, one.Setup = cmp.Or(one.Install, b.Install), cmp.Or(one.Setup, b.Setup)
	if b.Setup != "" {
		one.SetupKey = "builds." + name + ".setup"
	}
	one.Env = slices.Clone(one.Env)
	if b.Source != "" {
		one.Env = append(one.Env, rundir.EnvVar{Name: paired.SourceEnv, Value: one.Source})
	}
	one.Env = append(one.Env, b.Environment()...)
	p.Builds = []rundir.BuildPlan{one}
	return p
}

func (r Request) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(r.Base, path)
}

// ofBuild is the request with a build's own words in place of those of workload: and of
// the cluster.
func (r Request) ofBuild(b paired.Build) Request {
	w := &r.Config.Workload
	if b.Source != "" {
		source, from := r.abs(b.Source), cmp.Or(w.Source, r.Config.Builds.Head.Source)
		for _, dir := range []*string{&w.Dir, &w.DisaggConfigs, &w.AggConfigs} {
			*dir = r.moved(*dir, w.Source, source)
		}
		w.Source = source
		r.Config.Pipelines = maps.Clone(r.Config.Pipelines)
		for name, p := range r.Config.Pipelines {
			// Without dir: its roles work in the config's folder, which may lie in the checkout as well.
			if moved := r.moved(cmp.Or(p.Dir, "."), from, source); moved != "." {
				p.Dir = moved
			}
			p.Roles = slices.Clone(p.Roles)
			for i := range p.Roles {
				p.Roles[i].Dir = r.moved(p.Roles[i].Dir, from, source)
			}
			r.Config.Pipelines[name] = p
		}
	}
	w.Install, w.Setup = cmp.Or(b.Install, w.Install), cmp.Or(b.Setup, w.Setup)
	if b.Image == "" {
		return r
	}
	r.Config.Clusters = maps.Clone(r.Config.Clusters)
	for name, p := range r.Config.Clusters {
		c := script.Container{}
		if p.Container != nil {
			c = *p.Container
		}
		c.Image = b.Image
		p.Container = &c
		r.Config.Clusters[name] = p
	}
	return r
}

// NameCommits says which commits the builds are of, where the config does not: head is the
// one under test, base where it left the branch that it is compared with.
func (s Suite) NameCommits(head, base string) {
	for i, p := range s.Plans {
		p.Builds = slices.Clone(p.Builds)
		for j := range p.Builds {
			c := &p.Builds[j].Commit
			if p.Builds[j].Name == rundir.BaseBuild {
				*c = cmp.Or(*c, base)
			} else {
				*c = cmp.Or(*c, head)
			}
		}
		if b := p.Builds; len(b) == 2 && b[0].Commit != "" && b[0].Commit == b[1].Commit {
			p.Warnings = append(slices.Clone(p.Warnings), fmt.Sprintf("base and head are both of commit %.10s: what a session finds between them is no change of that", b[0].Commit))
		}
		s.Plans[i] = p
	}
}

// missing refuses the checkout of a build that is not there, which its roles would fail for as if it were the change's
// fault. What roles on other machines find under a path of their own nobody can tell here, nor what an install step
// makes.
func (r Request) missing(s Suite, name string, b paired.Build) error {
	here := s.Backend == rundir.BackendLocal || !filepath.IsAbs(b.Source) && !s.elsewhere()
	if !r.Built || !here || b.Source == "" || cmp.Or(b.Install, b.Setup, r.Config.Workload.Install, r.Config.Workload.Setup) != "" {
		return nil
	}
	dir := r.abs(b.Source)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	why := ""
	if r.Config.Builds.Make != "" {
		why = "; builds.make is run by bisect, confirm and for the reference only: the pipeline makes its own builds before"
	}
	if name == "base" && r.AB.Base.Source != "" {
		return fmt.Errorf("--ab-base-source: %s is not there", dir)
	}
	return r.Doc.Problem(strictyaml.Path("builds", name, "source"), "%s is not there%s", dir, why)
}

// checkBuilds refuses what would compare a build with itself, or not at all.
func (s Suite) checkBuilds(set paired.Settings) error {
	if s.Backend == rundir.BackendLocal && set.Base.Image != "" && set.Base.Source == "" {
		return errors.New("the local backend runs no container: an image alone makes no other build there; give --ab-base-source, or builds.base.source")
	}
	return nil
}

// sessionRows are what a paired session is and costs at most.
func sessionRows(row func(key, format string, args ...any), p rundir.Plan) {
	if !p.IsSession() {
		return
	}
	when := p.Pairs.Mode
	if when == rundir.PairSuspicious {
		when += fmt.Sprintf(": after a single run, where a gating series is worse than its level by more than %g of its min_effect", p.Pairs.OpenAt)
		if p.Pairs.Opened != "" {
			when = "always: " + p.Pairs.Opened
		}
	}
	row("session", "base against head in pairs, %s", when)
	for _, b := range p.Builds {
		image := ""
		if b.Container != nil {
			image = b.Container.Image
		}
		var parts []string
		for _, part := range []string{b.Source, image, b.Commit} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		for _, v := range b.Env {
			parts = append(parts, v.Name+"="+v.Value)
		}
		text := cmp.Or(strings.Join(parts, ", "), "as the workload says")
		if b.Name == rundir.BaseBuild && p.Pairs.BaseFrom != "" {
			text += " (of " + p.Pairs.BaseFrom + ")"
		}
		row("build", "%s: %s", b.Name, text)
	}
	for _, c := range paired.Costs(p) {
		row("costs", "%d pairs: at most %d runs, %s, %.1f GPU-hours", c.Pairs, c.Runs, c.Time.Short(), c.GPUHours)
	}
}

// moved is a directory below one checkout as it is below another; others stay.
func (r Request) moved(dir, from, to string) string {
	if dir == "" || from == "" {
		return dir
	}
	rel, err := filepath.Rel(r.abs(from), r.abs(dir))
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return dir
	}
	return filepath.Join(r.abs(to), rel)
}
