package generic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Input is everything that plans are made of.
type Input struct {
	Config  Config
	Doc     strictyaml.Document // where the config's keys stand
	Base    string              // absolute folder of the config
	Cluster Cluster
	Local   bool   // planned for the local backend
	Stage   string // the run's name in reports
	Budgets rundir.Budgets
	Shared  Workload
	Pick
}

// Cluster is what planning must know of a cluster. Zero values are not checked.
type Cluster struct {
	Name        string
	GPUsPerNode int
	MaxNodes    int
	GPUType     string
	Time        rundir.Duration
	Elsewhere   bool // its roles see other files than this machine
}

// Workload is what the section workload: says of every workload.
type Workload struct {
	Install string
	Setup   string
	Env     []rundir.EnvVar
	Secrets []rundir.Secret
	MPI     string
	GPUType string
	Hang    rundir.Duration
	Grace   rundir.Duration
	Known   func(id string) string // the known failure of a case, "" = none
}

// Pick says which cases are meant; nothing is all.
type Pick struct {
	Cases  []string // ids, or patterns of them
	Listed []Listed // likewise, of lists
	Tags   []string
}

// Listed is a line of a test list.
type Listed struct {
	ID        string // or a pattern
	Place     string // file:line
	Timeout   rundir.Duration
	Skip      string // why it is skipped, "" = it is not
	Isolation bool
}

// defaultJob is the time limit where neither the config nor the cluster names one.
const defaultJob = rundir.Duration(2 * time.Hour)

// IDs are the ids of all cases, in the order of the config.
func (c Config) IDs() []string {
	var out []string
	for _, k := range c.cases(func(string, string, ...any) {}) {
		out = append(out, k.id)
	}
	return out
}

// Resolve makes one plan per chosen case, in the order of the config. The error is
// everything that is wrong, of the other cases too; then there are no plans.
func Resolve(in Input) ([]rundir.Plan, error) {
	errs := &problems{}
	cases := in.Config.cases(func(key, format string, args ...any) { errs.add(in.Doc, key, format, args...) })
	var plans []rundir.Plan
	var built []*building
	left := maxRoles
	for _, k := range cases {
		b := &building{combination: k, in: in, p: in.Config.Pipelines[k.pipeline], err: &problems{}}
		built = append(built, b)
		if left = b.sizes(left); left < 0 {
			break
		}
	}
	for _, b := range built {
		if left >= 0 {
			plans = append(plans, b.plan())
			b.checkTimes(plans[len(plans)-1])
		}
	}
	errs.addAll(built)
	if err := errs.join(); err != nil {
		return nil, err
	}
	return in.choose(plans)
}

// choose keeps the plans that are meant.
func (in Input) choose(plans []rundir.Plan) ([]rundir.Plan, error) {
	var ids, tags []string
	for _, p := range plans {
		ids, tags = append(ids, p.Case.ID), append(tags, p.Case.Tags...)
	}
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if err := in.unknown(ids, tags); err != nil {
		return nil, err
	}
	var out []rundir.Plan
	var errs []error
	for _, p := range plans {
		if len(in.Tags) > 0 && !slices.ContainsFunc(in.Tags, func(tag string) bool { return slices.Contains(p.Case.Tags, tag) }) {
			continue
		}
		at := slices.IndexFunc(in.Listed, func(l Listed) bool { return Match(l.ID, p.Case.ID) })
		if at >= 0 {
			errs = append(errs, in.Listed[at].annotate(&p))
		} else if len(in.Cases)+len(in.Listed) > 0 && !slices.ContainsFunc(in.Cases, func(pattern string) bool { return Match(pattern, p.Case.ID) }) {
			continue
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("no case is both: named, and tagged with one of " + strings.Join(in.Tags, ", "))
	}
	return out, errors.Join(errs...)
}

// unknown refuses names and tags that no case has.
func (in Input) unknown(ids, tags []string) error {
	var errs []error
	known := func(pattern string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return Match(pattern, id) })
	}
	for _, pattern := range in.Cases {
		if !known(pattern) {
			errs = append(errs, fmt.Errorf("no case is called %s%s", pattern, nearOrAll(pattern, ids)))
		}
	}
	for _, l := range in.Listed {
		if !known(l.ID) {
			errs = append(errs, fmt.Errorf("%s: no case is called %s%s", l.Place, l.ID, nearOrAll(l.ID, ids)))
		}
	}
	for _, tag := range in.Tags {
		if !slices.Contains(tags, tag) {
			errs = append(errs, fmt.Errorf("--tag %s: no case has it%s", tag, nearOrAll(tag, tags)))
		}
	}
	return errors.Join(errs...)
}

// annotate gives a plan what its line says of the case.
func (l Listed) annotate(p *rundir.Plan) error {
	p.Case.Source, p.Case.SkipReason, p.Case.Isolation = l.Place, l.Skip, l.Isolation
	p.Case.Timeout = cmp.Or(l.Timeout, p.Case.Timeout)
	if l.Timeout > p.Budgets.Job {
		return fmt.Errorf("%s: TIMEOUT %s is above the job's time limit of %s: it can never fire", l.Place, l.Timeout.Short(), p.Budgets.Job.Short())
	}
	return nil
}

func nearOrAll(name string, known []string) string {
	const most = 10
	switch near := strictyaml.DidYouMean(name, known); {
	case near != "":
		return near
	case len(known) == 0:
		return ""
	case len(known) > most:
		return ": there are " + strings.Join(known[:most], ", ") + ", …"
	}
	return ": there are " + strings.Join(known, ", ")
}

func (in Input) gpuType() string { return cmp.Or(in.Cluster.GPUType, in.Shared.GPUType) }

// grace is the time between TERM and KILL; a short job has no 30 s to give away.
func (b *building) grace(budgets rundir.Budgets) rundir.Duration {
	if g := b.in.Shared.Grace; g > 0 {
		return g
	}
	g := min(rundir.Duration(30*time.Second), budgets.Job/20)
	if c := budgets.Collect; c > 0 {
		g = min(g, c)
	}
	return g
}

// checkTimes finds budgets that cannot fire.
func (b *building) checkTimes(p rundir.Plan) {
	t := p.Budgets
	if sum := t.Setup + t.Ready + t.Benchmark + t.Drain + t.Collect; sum > t.Job {
		b.err.add(b.in.Doc, "budgets", "setup %s + ready %s + benchmark %s + drain %s + collect %s is %s, more than the job's %s: the last of them can never fire; shorten them or raise budgets.job",
			t.Setup, t.Ready, t.Benchmark, t.Drain, t.Collect, sum, t.Job)
	}
	if c := t.Collect; c > 0 && p.Grace > c {
		b.err.add(b.in.Doc, "workload.grace", "%s is more than budgets.collect (%s): roles could not be ended in time", p.Grace, c)
	}
	if p.Case.Timeout > t.Job {
		b.err.add(b.in.Doc, b.key+".timeout", "%s is above the job's time limit of %s: it can never fire", p.Case.Timeout, t.Job)
	}
}

// problems collects what is wrong, once each: cases of one pipeline share its mistakes.
type problems struct {
	list strictyaml.Problems
}

func (ps *problems) add(doc strictyaml.Document, key, format string, args ...any) {
	p := doc.Problem(key, format, args...)
	if !slices.Contains(ps.list, p) {
		ps.list = append(ps.list, p)
	}
}

// addAll adds what is wrong with cases. A mistake names those that it is in, unless it is in all of their pipelines.
func (ps *problems) addAll(built []*building) {
	all, in := map[string]int{}, map[strictyaml.Problem][]*building{}
	var order []strictyaml.Problem
	for _, b := range built {
		all[b.pipeline]++
		for _, p := range b.err.list {
			if len(in[p]) == 0 {
				order = append(order, p)
			}
			in[p] = append(in[p], b)
		}
	}
	for _, p := range order {
		could, pipelines := 0, map[string]bool{}
		for _, b := range in[p] {
			if !pipelines[b.pipeline] {
				could += all[b.pipeline]
			}
			pipelines[b.pipeline] = true
		}
		if len(in[p]) < could && !strings.HasPrefix(p.Path, "cases[") && !strings.HasPrefix(p.Message, in[p][0].id+" ") {
			p.Message += " (" + someCases(in[p]) + ")"
		}
		ps.list = append(ps.list, p)
	}
}

func someCases(list []*building) string {
	switch len(list) {
	case 1:
		return "case " + list[0].id
	case 2:
		return "cases " + list[0].id + " and " + list[1].id
	default:
		return fmt.Sprintf("case %s and %d others", list[0].id, len(list)-1)
	}
}

func (ps *problems) join() error {
	if len(ps.list) == 0 {
		return nil
	}
	return ps.list
}

// Validate returns every problem that can be seen without planning a case.
func (c Config) Validate(doc strictyaml.Document) []error {
	ps := &problems{}
	for _, name := range slices.Sorted(maps.Keys(c.Pipelines)) {
		v := validation{p: c.Pipelines[name], doc: doc, path: strictyaml.Path("pipelines", name), err: ps}
		if !plainName(name) {
			ps.add(doc, v.path, "%q is no name for a pipeline: letters, digits, dots, dashes and underscores", name)
		}
		v.pipeline()
	}
	c.cases(func(key, format string, args ...any) { ps.add(doc, key, format, args...) })
	var out []error
	for _, p := range ps.list {
		out = append(out, p)
	}
	return out
}
