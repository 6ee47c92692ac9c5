package generic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Launchers of a role that are no text.
const (
	launcherNone = "none"
	launcherMPI  = "mpi"
)

// strict begins a role's shell text: what fails in the middle of it has failed.
const strict = "set -eo pipefail\n"

// building is one case on its way to a plan.
type building struct {
	combination
	in  Input
	p   Pipeline
	at  string // path of the role that is looked at
	err *problems

	groups map[string][]*instance
	all    []*instance
	nodes  int

	points   []rundir.Point
	metrics  []string
	warnings []string
}

func (b *building) warn(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, args...))
}

func (b *building) bad(key, format string, args ...any) {
	b.err.add(b.in.Doc, b.at+"."+key, format, args...)
}

func (b *building) rolePath(i int) string {
	return strictyaml.Path("pipelines", b.pipeline, "roles", i)
}

// plan makes the plan of a case whose sizes are read. What is wrong with it is in b.err.
func (b *building) plan() rundir.Plan {
	b.layOut()
	p := rundir.Plan{Schema: rundir.Schema, Stage: b.in.Stage, LocalAgent: b.in.Local}
	p.Case = rundir.Case{
		ID: b.id, Slug: rundir.Slug(b.id), Mode: rundir.ModeCustom, Pipeline: b.pipeline, Vars: b.vars, Tags: b.tags,
		Timeout: b.timeout, Source: b.in.Doc.At(b.key), KnownBug: b.in.Shared.Known(b.id),
	}
	var roles []rundir.RolePlan
	used := 0
	for i, r := range b.p.Roles {
		for _, one := range b.groups[r.Name] {
			b.at = b.rolePath(i)
			roles = append(roles, b.role(one))
			used += one.gpus
		}
		b.at = b.rolePath(i)
		b.expect(r)
	}
	b.waits(roles)
	b.unready()
	b.allocate(&p, used)
	w := b.in.Shared
	p.Env, p.Secrets = w.Env, w.Secrets
	p.Workdir = b.in.Base
	if b.in.Cluster.Elsewhere {
		p.Workdir = "" // its nodes do not see this folder
	}
	p.Builds = []rundir.BuildPlan{{Name: rundir.HeadBuild, Install: w.Install, Setup: w.Setup, Roles: roles}}
	p.Runs = rundir.OneRun()
	p.Budgets = b.in.Budgets
	p.Budgets.Job = cmp.Or(p.Budgets.Job, b.in.Cluster.Time, defaultJob)
	p.Hang, p.Grace = w.Hang, b.grace(p.Budgets)
	p.Expected = rundir.Expected{Points: b.points, Metrics: b.metrics}
	if used > 0 {
		p.Expected.GPUType = b.in.gpuType()
	}
	p.Match = b.match(used)
	p.Warnings = b.warnings
	return p
}

// unready warns of roles that others wait for, and that say nothing of when they are ready.
func (b *building) unready() {
	for _, r := range b.p.Roles {
		if rundir.Works(r.Kind) || r.optional() || r.Ready != (Ready{}) {
			continue
		}
		var others []string
		for _, o := range b.p.Roles {
			if slices.Contains(b.p.needsOf(o), r.Name) {
				others = append(others, o.Name)
			}
		}
		if len(others) > 0 {
			probe := `log: "what it prints when it is up"`
			if r.hasPort(b.p) {
				probe = "tcp: true"
			}
			b.warn("%s has no ready:, so %s starts at once with it, and may come before it is up: add ready: {%s}", r.Name, strings.Join(others, " and "), probe)
		}
	}
}

// allocate says what the job takes of the cluster.
func (b *building) allocate(p *rundir.Plan, used int) {
	p.Nodes, p.UsedGPUs = b.nodes, used
	if used > 0 { // a job that computes on none asks for none
		p.GPUsPerNode = b.gpusPerNode()
		p.AllocatedGPUs = p.Nodes * p.GPUsPerNode
	}
	c := b.in.Cluster
	if c.MaxNodes > 0 && p.Nodes > c.MaxNodes && !b.in.Local {
		b.err.add(b.in.Doc, strictyaml.Path("pipelines", b.pipeline, "roles"), "%s needs %d nodes, cluster %s allows %d (max_nodes)", b.id, p.Nodes, c.Name, c.MaxNodes)
	}
	if idle := p.AllocatedGPUs - used; idle > 0 && !b.in.Local {
		b.warn("%d of %d allocated GPUs stay idle: roles with GPUs begin on nodes of their own; `with:` lets them share", idle, p.AllocatedGPUs)
	}
}

// match is the identity of the case's series beside case and metric.
func (b *building) match(used int) map[string]string {
	out := maps.Clone(b.vars)
	out["pipeline"], out["cluster"] = b.pipeline, b.in.Cluster.Name
	if used > 0 {
		out["gpu_type"] = b.in.gpuType()
	}
	for _, r := range b.p.Roles {
		group := b.groups[r.Name]
		if r.Count != "" {
			out[r.Name+".count"] = strconv.Itoa(len(group))
		}
		if n := group[0].gpus; n > 0 {
			out[r.Name+".gpus"] = strconv.Itoa(n)
		}
		if r.Nodes != "" {
			out[r.Name+".nodes"] = strconv.Itoa(group[0].nodes)
		}
	}
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// role is the plan of one instance.
func (b *building) role(one *instance) rundir.RolePlan {
	s := &scope{combination: b.combination, groups: b.groups, own: one}
	r := rundir.RolePlan{Name: one.name, Kind: one.Kind, Group: one.Name, Slice: one.slice, Overlap: one.overlap}
	if one.Launcher == launcherMPI {
		r.MPI = cmp.Or(b.in.Shared.MPI, "pmix")
	}
	var before []string
	r.Env, before = b.environment(s)
	if len(one.devices) > 0 {
		r.Env = append(r.Env, rundir.EnvVar{Name: "CUDA_VISIBLE_DEVICES", Value: numbers(one.devices)})
	}
	dir, enter := b.dir(s)
	r.Dir = dir
	if enter != "" {
		before = append(before, enter)
	}
	r.Command = strings.Join(append(before, b.command(s)), "\n")
	r.Port, r.FixedPort = one.published, one.port
	r.Container = b.container(s)
	r.Needs = b.p.needsOf(one.Role)
	r.Optional = one.optional()
	if one.stop() {
		r.Stop = rundir.StopWithClient
	}
	r.Ready = b.ready(s)
	r.Results = b.globs(s, "results", one.Results)
	r.JUnit = len(r.Results) > 0
	for i, f := range one.Bench {
		files := b.globs(s, fmt.Sprintf("bench[%d].files", i), f.Files)
		r.Bench = append(r.Bench, rundir.BenchFiles{Reader: f.Reader, Files: files})
	}
	r.Refs = s.refs
	return r
}

func numbers(list []int) string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = strconv.Itoa(n)
	}
	return strings.Join(out, ",")
}

// environment is the role's variables, and shell text for those that only the node
// knows.
func (b *building) environment(s *scope) ([]rundir.EnvVar, []string) {
	var out []rundir.EnvVar
	var before []string
	for _, level := range []struct {
		path string
		env  map[string]string
	}{{strictyaml.Path("pipelines", b.pipeline), b.p.Env}, {b.at, s.own.Env}} {
		for _, name := range slices.Sorted(maps.Keys(level.env)) {
			path := level.path + ".env." + name
			if !variable(name) {
				b.err.add(b.in.Doc, path, "%q is not a variable name", name)
				continue
			}
			pieces, err := split(level.env[name], s)
			if err != nil {
				b.err.add(b.in.Doc, path, "%v", err)
				continue
			}
			text, err := joined(pieces)
			if err != nil {
				b.err.add(b.in.Doc, path, "%v", err)
			}
			out = slices.DeleteFunc(out, func(e rundir.EnvVar) bool { return e.Name == name })
			before = slices.DeleteFunc(before, func(l string) bool { return strings.HasPrefix(l, "export "+name+"=") })
			if hasNode(pieces) {
				before = append(before, "export "+name+"="+text)
				continue
			}
			value, _ := plain(level.env[name], s, asItIs)
			out = append(out, rundir.EnvVar{Name: name, Value: value})
		}
	}
	return out, before
}

// dir is where the role's command runs; enter is shell text that goes there, where only
// the node knows the place.
func (b *building) dir(s *scope) (dir, enter string) {
	text, key := cmp.Or(s.own.Dir, b.p.Dir), "dir"
	if text == "" {
		return "", ""
	}
	pieces, err := split(text, s)
	if err != nil {
		b.bad(key, "%v", err)
		return "", ""
	}
	if hasNode(pieces) {
		w, err := joined(pieces)
		if err != nil {
			b.bad(key, "%v", err)
		}
		return "", "cd " + w + " || { echo 'ci-disagg: cannot enter the directory of the role' >&2; exit 78; }"
	}
	dir, _ = plain(text, s, asItIs)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(b.in.Base, dir)
	}
	return filepath.Clean(dir), ""
}

// command is the role's command as shell text.
func (b *building) command(s *scope) string {
	c := s.own.Command
	launcher, err := b.launcher(s)
	var out string
	if c.Argv != nil {
		text, e := argv(c.Argv, s)
		if launcher == "" { // the program's signals and its exit are the role's own
			launcher = "exec "
		}
		out, err = launcher+text, errors.Join(err, e)
	} else {
		text, e := shellText(strings.TrimRight(c.Shell, "\n"), s)
		out, err = strict+text, errors.Join(err, e)
		if launcher != "" { // all of it is the launcher's
			q, e := quote(out)
			out, err = launcher+"bash -c "+q, errors.Join(err, e)
		}
	}
	if err != nil {
		b.err.add(b.in.Doc, b.at+".command", "%v", err)
	}
	return out
}

// launcher is the text before the command, with a blank behind it.
func (b *building) launcher(s *scope) (string, error) {
	switch l := s.own.Launcher; l {
	case "", launcherNone, launcherMPI:
		return "", nil
	default:
		text, err := shellText(l, s)
		if err == nil && strings.Contains(text, "\n") {
			err = errors.New("launcher: it is put before the command, so it has one line")
		}
		return text + " ", err
	}
}

func (b *building) container(s *scope) *rundir.Container {
	c := s.own.Container
	if c == nil {
		return nil
	}
	image, err := plain(c.Image, s, asItIs)
	switch {
	case err != nil:
		b.bad("container.image", "%v", err)
	case image == "":
		b.bad("container.image", "is missing: name the image, or remove the section")
	case b.in.Local:
		b.bad("container.image", "the local backend runs no containers: what is measured would be this machine's own software in place of %s. Use the backend slurm, or leave the section out", image)
	}
	return &rundir.Container{Image: image, Name: c.Name, Workdir: c.Workdir, Mounts: c.Mounts, MountHome: c.MountHome, Args: c.Args}
}

// ready is when the instance is.
func (b *building) ready(s *scope) rundir.Ready {
	r := s.own.Ready
	out := rundir.Ready{TCP: r.TCP}
	var err error
	if out.HTTPPath, err = plain(r.HTTP, s, asItIs); err != nil {
		b.bad("ready.http", "%v", err)
	}
	if out.LogPattern, err = plain(r.Log, s, regexp.QuoteMeta); err != nil {
		b.bad("ready.log", "%v", err)
	} else if _, err := regexp.Compile(out.LogPattern); err != nil {
		b.bad("ready.log", "%v", err)
	}
	if r.File != "" {
		if files := b.globs(s, "ready.file", Texts{r.File}); len(files) > 0 {
			out.File = files[0]
		}
	}
	return out
}

// globs are patterns below the role's output folder.
func (b *building) globs(s *scope, key string, list Texts) []string {
	var out []string
	for _, text := range list {
		glob, err := plain(strings.TrimPrefix(text, "{out}/"), s, globQuote)
		switch {
		case err != nil:
			b.bad(key, "%v: patterns are below {out} by themselves", err)
		case glob == "" || strings.HasPrefix(glob, "/") || slices.Contains(strings.Split(glob, "/"), ".."):
			b.bad(key, "%q is no pattern of files below the role's own output folder, {out}", text)
		default:
			out = append(out, glob)
		}
	}
	return out
}

// globQuote makes a value mean itself in a pattern.
func globQuote(v string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `{`, `\{`, `}`, `\}`).Replace(v)
}
