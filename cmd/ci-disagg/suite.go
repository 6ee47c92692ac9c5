package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// suiteFlags say which cases are meant and where they are to run: what `plan`
// and `run` have in common.
type suiteFlags struct {
	configFlags
	lists      []string
	waives     []string
	backend    string
	stage      string
	shard      string
	splitGroup int
}

// AddFlags registers the flags.
func (o *suiteFlags) AddFlags(f *pflag.FlagSet) {
	o.configFlags.AddFlags(f)
	f.StringArrayVar(&o.lists, "test-list", nil, "file of test ids: a test list or a test-db YAML (repeatable)")
	f.StringArrayVar(&o.waives, "waives", nil, "waives file beside the config's (repeatable)")
	f.StringVar(&o.backend, "backend", "", "slurm (default) or local: the same agent on this machine, without Slurm")
	f.StringVar(&o.stage, "stage", "", "the run's name in reports (default $stageName, the config's stage, the list's name)")
	f.StringVar(&o.shard, "shard", "", "i/n: the i-th of n parts of the suite")
	f.IntVar(&o.splitGroup, "split-group", 0, "only the n-th case of the list, from 1 (upstream's flag)")
}

// suite is what a verb works on: the cases, planned.
type suite struct {
	config  config
	backend string
	cluster string // name, "" = none
	profile script.Profile
	stage   string
	plans   []rundir.Plan
}

// resolve loads the config and plans the cases of args and lists. Its errors are
// the user's: exit 2.
func (o *suiteFlags) resolve(h host, args []string) (suite, error) {
	if len(args) == 0 && len(o.lists) == 0 {
		return suite{}, usageErr(errors.New("which tests? Give test ids, or --test-list FILE"))
	}
	cfg, err := loadConfig(h, o.path)
	if err != nil {
		return suite{}, err
	}
	s := suite{config: cfg, backend: cmp.Or(o.backend, cfg.Backend, jobs.BackendSlurm)}
	if s.backend != jobs.BackendSlurm && s.backend != jobs.BackendLocal {
		return suite{}, usageErr(fmt.Errorf("--backend %q is not slurm or local", s.backend))
	}
	s.cluster, s.profile, err = cfg.profile(o.cluster)
	if err != nil {
		return suite{}, err
	}
	s.stage = cmp.Or(o.stage, h.getenv("stageName"), cfg.Stage, listName(o.lists), "perf")
	in, err := o.input(h, s, args)
	if err != nil {
		return suite{}, usageErr(err)
	}
	plans, err := trtllm.Resolve(in)
	if err != nil {
		if cfg.path == "" {
			err = fmt.Errorf("%w\nthere is no %s in %s: name the config with --config, or go to where it is", err, defaultConfig, in.Base)
		}
		return suite{}, usageErr(err)
	}
	for _, p := range plans {
		p.Classes = cfg.classRules()
		s.plans = append(s.plans, script.Apply(p, s.profile))
	}
	s.warnMatch()
	s.warnKnown()
	return s, nil
}

// warnMatch warns of a key of perf.match that no case has: of a typing error, or a GPU type that nobody named, nothing
// would be seen but runs compared that are not alike.
func (s suite) warnMatch() {
	for _, key := range s.config.Perf.Match {
		if slices.ContainsFunc(s.plans, func(p rundir.Plan) bool { return p.Match[key] != "" }) {
			continue
		}
		for i := range s.plans {
			s.plans[i].Warnings = append(s.plans[i].Warnings, fmt.Sprintf("perf.match: no case has a %s: runs that differ in it are compared with each other", key))
		}
	}
}

// warnKnown warns where known failures match every case that is to be launched: nothing could turn such a run red.
func (s suite) warnKnown() {
	launched := func(p rundir.Plan) bool { return p.Case.SkipReason == "" }
	if slices.ContainsFunc(s.plans, func(p rundir.Plan) bool { return launched(p) && p.Case.KnownBug == "" }) {
		return
	}
	for i := range s.plans {
		if launched(s.plans[i]) {
			s.plans[i].Warnings = append(s.plans[i].Warnings, "workload.known_failures match every case: nothing could turn this run red, and it ends with 5")
		}
	}
}

// input is everything planning is made of, environment and clock included.
func (o *suiteFlags) input(h host, s suite, args []string) (trtllm.Input, error) {
	wd, err := h.getwd()
	if err != nil {
		return trtllm.Input{}, err
	}
	base := wd
	if s.config.path != "" {
		base = filepath.Dir(s.config.path)
	}
	in := trtllm.Input{
		Config: s.config.Workload, ConfigFile: s.config.doc.File, At: s.config.doc.At, Base: base,
		Cluster: trtllm.Cluster{
			Name: s.cluster, GPUsPerNode: s.profile.GPUsPerNode, MaxNodes: s.profile.MaxNodes,
			GPUType: s.profile.GPUType, Arch: s.profile.Arch, Time: s.profile.Time,
		},
		Local: s.backend == jobs.BackendLocal, Stage: s.stage,
		Tests: args, Lists: absolute(wd, o.lists), Waives: absolute(wd, o.waives),
		Env: map[string]string{}, Today: h.now().UTC().Format("2006-01-02"),
		Budgets: s.config.Budgets, SplitGroup: o.splitGroup,
	}
	for _, name := range trtllm.EnvNames() {
		if v := h.getenv(name); v != "" {
			in.Env[name] = v
		}
	}
	in.Shard, in.Shards, err = parseShard(o.shard)
	return in, err
}

// parseShard reads i/n.
func parseShard(s string) (i, n int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	left, right, ok := strings.Cut(s, "/")
	i, errI := strconv.Atoi(left)
	n, errN := strconv.Atoi(right)
	if !ok || errI != nil || errN != nil || i < 1 || n < i {
		return 0, 0, fmt.Errorf("--shard %q is not i/n with 1 <= i <= n, such as 2/4", s)
	}
	return i, n, nil
}

// listName is the base name of the only list, without its extension.
func listName(lists []string) string {
	if len(lists) != 1 {
		return ""
	}
	base := filepath.Base(lists[0])
	return strings.TrimSuffix(base, filepath.Ext(base))
}

func absolute(wd string, paths []string) []string {
	var out []string
	for _, p := range paths {
		if !filepath.IsAbs(p) {
			p = filepath.Join(wd, p)
		}
		out = append(out, p)
	}
	return out
}
