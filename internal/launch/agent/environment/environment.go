package environment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxVersions bounds what is read of a role's versions, in bytes.
const maxVersions = 64 << 10

// Attempt is where the record belongs.
type Attempt struct {
	Files *rundir.Tree
	Dir   rundir.AttemptDir
	JobID string
	Plan  rundir.Plan
	Git   time.Duration // how long git has once a run has ended, during all of which it has been asked; 0 = 1 s
}

// Run is a run whose build is being looked at.
type Run struct {
	a     Attempt
	dir   rundir.RunDir
	build rundir.BuildPlan
	facts chan rundir.BuildFacts
}

// Begin begins to look at the build of a run: before it changes.
func (a Attempt) Begin(ctx context.Context, run rundir.RunDir, build rundir.BuildPlan, env []string) *Run {
	r := &Run{a: a, dir: run, build: build, facts: make(chan rundir.BuildFacts, 1)}
	go func() { r.facts <- a.look(ctx, build, env) }()
	return r
}

// look is what can be said of a build without its roles.
func (a Attempt) look(ctx context.Context, b rundir.BuildPlan, env []string) rundir.BuildFacts {
	out := declared(a.Plan, b)
	if b.Source != "" {
		if commit, dirty, ok := (checkout.Dir{Path: b.Source, Env: env, Timeout: a.Git}).State(ctx); ok {
			out.Commit, out.Dirty = commit, &dirty
		}
	}
	if info, err := os.Stat(out.Image); err == nil && strings.HasPrefix(out.Image, "/") {
		out.ImageFile = fmt.Sprintf("%d bytes, %s", info.Size(), info.ModTime().UTC().Format(time.RFC3339))
	}
	return out
}

// declared is what the plan says of a build.
func declared(plan rundir.Plan, b rundir.BuildPlan) rundir.BuildFacts {
	out := rundir.BuildFacts{Name: b.Name, Source: b.Source, Commit: b.Commit, Variables: variables(plan, b)}
	if b.Container != nil {
		out.Image = b.Container.Image
		if _, digest, ok := strings.Cut(out.Image, "@"); ok && strings.HasPrefix(digest, "sha256:") {
			out.Digest = digest
		}
	}
	return out
}

// variables are those that the plan sets, by allow-list. What roles set differently has
// their names behind it.
func variables(plan rundir.Plan, b rundir.BuildPlan) map[string]string {
	out := map[string]string{}
	for _, e := range slices.Concat(plan.Env, b.Env) {
		if machine.Variable(e.Name) {
			out[e.Name] = rundir.Clip(e.Value, 500)
		}
	}
	own := map[string][]string{}
	for _, r := range b.Roles {
		for _, e := range r.Env {
			if machine.Variable(e.Name) {
				own[e.Name] = append(own[e.Name], rundir.Clip(e.Value, 500)+"\x00"+r.Name)
			}
		}
	}
	for name, said := range own {
		out[name] = byRole(said)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// byRole is one value for all, or each with the names of those that it is of.
func byRole(said []string) string {
	var values []string
	of := map[string][]string{}
	for _, s := range said {
		value, who, _ := strings.Cut(s, "\x00")
		if _, ok := of[value]; !ok {
			values = append(values, value)
		}
		of[value] = append(of[value], who)
	}
	if len(values) == 1 {
		return values[0]
	}
	for i, v := range values {
		values[i] = fmt.Sprintf("%s (%s)", v, strings.Join(of[v], ", "))
	}
	return strings.Join(values, ", ")
}

// Write writes the attempt's record once a run has ended: the nodes as this run saw
// them, the builds of all runs so far.
func (r *Run) Write(nodes []string) error {
	if r == nil {
		return nil
	}
	var rec rundir.Environment
	if err := r.a.Files.ReadJSON(r.a.Dir.EnvironmentFile(), &rec); err != nil {
		rec = rundir.Environment{}
	}
	rec.Schema, rec.JobID = rundir.Schema, r.a.JobID
	var seen []rundir.NodeMachine
	for _, n := range nodes {
		var one rundir.NodeRecord
		switch err := r.a.Files.ReadJSON(r.dir.MachineFile(n), &one); {
		case err == nil:
			seen = append(seen, one.NodeMachine)
		case !errors.Is(err, fs.ErrNotExist):
			seen = append(seen, rundir.NodeMachine{Node: n, Missing: []string{rundir.Clip("all: "+err.Error(), 300)}})
		}
	}
	if len(seen) > 0 || rec.Nodes == nil {
		rec.Nodes = seen
	}
	b := declared(r.a.Plan, r.build)
	t := time.NewTimer(cmp.Or(r.a.Git, time.Second))
	defer t.Stop()
	select {
	case b = <-r.facts:
	case <-t.C:
	}
	b.Versions = r.versions()
	if i := slices.IndexFunc(rec.Builds, func(x rundir.BuildFacts) bool { return x.Name == b.Name }); i >= 0 {
		rec.Builds[i] = b
	} else {
		rec.Builds = append(rec.Builds, b)
	}
	return r.a.Files.WriteJSON(r.a.Dir.EnvironmentFile(), rec)
}

// versions are what the roles' environments have said. Where they differ, the name of
// the role stands behind what it said.
func (r *Run) versions() []rundir.Version {
	said := map[string][]string{}
	errs := map[string]string{}
	for _, role := range r.build.Roles {
		text, err := r.a.Files.ReadFile(r.dir.VersionsFile(role.Name), maxVersions)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 3)
			if len(f) != 3 {
				continue
			}
			switch value := strings.TrimSpace(f[2]); {
			case f[1] == "124":
				errs[f[0]] = "no answer in time"
			case f[1] != "0":
				errs[f[0]] = strings.TrimSuffix(fmt.Sprintf("exit %s: %s", f[1], value), ": ")
			default:
				said[f[0]] = append(said[f[0]], value+"\x00"+role.Name)
			}
		}
	}
	out := make([]rundir.Version, 0, len(r.a.Plan.Versions))
	for _, v := range r.a.Plan.Versions {
		one := rundir.Version{Name: v.Name}
		switch {
		case len(said[v.Name]) > 0:
			one.Value = byRole(said[v.Name])
		case errs[v.Name] != "":
			one.Error = errs[v.Name]
		default:
			one.Error = "not said before the roles ended"
		}
		out = append(out, one)
	}
	return out
}
