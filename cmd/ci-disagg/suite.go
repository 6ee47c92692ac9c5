package main

import (
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/lastgreen"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// suiteFlags say which cases are meant and where they are to run: what `plan`
// and `run` have in common.
type suiteFlags struct {
	config string
	pipeline.Selection
	rules prpolicy.Flags
}

// AddFlags registers the flags.
func (o *suiteFlags) AddFlags(f *pflag.FlagSet) {
	addConfigFlag(f, &o.config, "config file")
	addClusterFlag(f, &o.Cluster)
	f.StringArrayVar(&o.Cases, "case", nil, "only these cases of the config's pipelines: ids, or patterns with * (repeatable)")
	f.StringArrayVar(&o.Tags, "tag", nil, "only cases of the config's pipelines that have this tag (repeatable: any of them)")
	f.StringArrayVar(&o.Lists, "test-list", nil, "file of test ids: a test list or a test-db YAML (repeatable)")
	f.StringArrayVar(&o.Waives, "waives", nil, "waives file beside the config's (repeatable)")
	f.StringVar(&o.Backend, "backend", "", "slurm (default) or local: the same agent on this machine, without Slurm")
	f.StringVar(&o.Stage, "stage", "", "the run's name in reports (default $stageName, the config's stage, the list's name)")
	f.StringVar(&o.Shard, "shard", "", "i/n: the i-th of n parts of the suite")
	f.StringSliceVar(&o.Avoid, "avoid", nil, "nodes that jobs keep away from, as far as enough others are left")
	o.AB.AddFlags(f)
	o.rules.AddFlags(f)
	f.IntVar(&o.SplitGroup, "split-group", 0, "only the n-th case of the list, from 1 (upstream's flag)")
}

// suite plans the cases for what CI and flags say is tested.
func (o suiteFlags) suite(h host, cfg config, b buildFlags, args []string) (s pipeline.Suite, build rundir.Build, err error) {
	o.Built = true
	if build, err = b.build(h, cfg.Perf); err == nil {
		s, err = o.resolve(h, cfg, build, args)
	}
	return s, build, err
}

// resolve plans the cases of args and lists, of a build. Its errors are the user's: exit 2.
func (o suiteFlags) resolve(h host, cfg config, build rundir.Build, args []string) (pipeline.Suite, error) {
	wd, err := h.getwd()
	if err != nil {
		return pipeline.Suite{}, err
	}
	if build.Mode == baseline.ModeReference {
		cfg.Builds = cfg.Builds.Pinned(cfg.Perf.ParsedReference().Commit)
	}
	r := pipeline.Request{
		Config: cfg.Config, Doc: cfg.Doc, Base: wd, Match: cfg.Perf.Match,
		Selection: o.Selection, WorkDir: wd, Read: h.readFile, Getenv: h.getenv, Now: h.now(),
	}
	if cfg.Path != "" {
		r.Base = filepath.Dir(cfg.Path)
	}
	r.Tests, r.AB.PullRequest = args, build.Mode == string(verdict.PullRequest) || h.getenv("CHANGE_ID") != "" || cfg.Perf.Policy.Mode == verdict.PullRequest
	r.AB.Unjudged, r.AB.Head, r.AB.MergeBase = cfg.Perf.Off, build.Commit, build.MergeBase
	store := cfg.StoreHere(configfile.Given{WorkDir: wd, Getenv: h.getenv})
	r.Here = checkout.Dir{Path: wd, Env: h.environ()}
	r.AB.Recorded = lastgreen.Query{Store: store, Match: cfg.Perf.Match, Build: build, Here: r.Here}.Find
	s, err := pipeline.Resolve(r)
	for i := range s.Plans {
		s.Plans[i].Warnings = append(s.Plans[i].Warnings, bench.Lacking(s.Plans[i], cfg.Perf.Readers)...)
	}
	return s, exit.ByUser(err)
}
