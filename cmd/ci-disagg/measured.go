package main

import (
	"cmp"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// subjectFlags describe a run that was measured outside of this tool.
type subjectFlags struct {
	storeFlags
	buildFlags
	caseID   string
	caseMode string // "" = there is no such flag
	match    []string
	reps     []string
	at       string
	runID    string
}

// AddFlags registers the flags.
func (o *subjectFlags) AddFlags(f *pflag.FlagSet) {
	o.storeFlags.AddFlags(f)
	o.buildFlags.AddFlags(f)
	f.StringVar(&o.caseID, "case", "", "id of the case that was measured: names the history")
	f.StringArrayVar(&o.match, "match", nil, "key=value that identifies the series beside case and metric, such as gpu_type=GB200 (repeatable)")
	f.StringArrayVar(&o.reps, "rep", nil, "output of a further repetition of the same commit (repeatable)")
	f.StringVar(&o.at, "time", "", "when the run began, RFC 3339 or Unix seconds (default when the newest file was written)")
	f.StringVar(&o.runID, "run-id", "", "id of the run (default $BUILD_TAG)")
}

// subject reads the files: what was measured, when, and of what.
func (o subjectFlags) subject(h host, cfg config, setup judging.Setup, want rundir.Expected, args []string) (judging.Subject, builder.Beside, error) {
	s, err := o.subjectOf(h, cfg)
	if err != nil {
		return s, builder.Beside{}, err
	}
	at := s.Record.Time
	also, err := o.read(h, &s.Record, cfg, setup, want, args)
	if !at.IsZero() {
		s.Record.Time = at
	}
	return s, also, err
}

// subjectOf is the run that the flags and the environment describe, without
// measurements. Its time is zero unless a flag gives it.
func (o subjectFlags) subjectOf(h host, cfg config) (judging.Subject, error) {
	build, err := o.build(h, cfg.Perf)
	if err != nil {
		return judging.Subject{}, err
	}
	match, err := curate.ParseMatch(o.match)
	if err != nil {
		return judging.Subject{}, err
	}
	s := judging.Subject{Record: baseline.Record{
		Kind: baseline.KindRun, Case: o.caseID, Match: match, Source: baseline.SourceOwn, Tool: buildVersion(),
		Run: cmp.Or(o.runID, h.getenv("BUILD_TAG")), Build: build, GPU: match["gpu_type"], Cluster: match["cluster"],
		Beside: baseline.Beside{CaseMode: o.caseMode},
	}}
	s.Record.Time, err = cmdline.Time("--time", o.at)
	return s, err
}

// read gathers the repetitions: the arguments are the first, each --rep another.
func (o subjectFlags) read(h host, rec *baseline.Record, cfg config, setup judging.Setup, want rundir.Expected, args []string) (builder.Beside, error) {
	groups := [][]string{args}
	for _, r := range o.reps {
		groups = append(groups, []string{r})
	}
	for _, paths := range groups {
		for i, p := range paths {
			abs, err := absPath(h, p)
			if err != nil {
				return builder.Beside{}, err
			}
			paths[i] = cmp.Or(shortPathHere(h, abs), abs)
		}
	}
	beside, err := builder.ReadOutside(rec, setup, cfg.Reader(setup.Metrics), want, groups)
	if rec.Time.IsZero() {
		rec.Time = h.now()
	}
	return beside, err
}

// shortPathHere is path as a person here would write it.
func shortPathHere(h host, path string) string {
	wd, err := h.getwd()
	if err != nil {
		return path
	}
	return configfile.ShortPath(wd, path)
}
