package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/checkout"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/paired"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bisect"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// bisectFlags are the flags of bisect.
type bisectFlags struct {
	suiteFlags
	good, bad  string
	repo, dir  string
	confidence float64
	measured   []string
}

// AddFlags registers the flags.
func (o *bisectFlags) AddFlags(f *pflag.FlagSet) {
	addConfigFlag(f, &o.config, "config file")
	addClusterFlag(f, &o.Cluster)
	f.StringVar(&o.Backend, "backend", "", "slurm (default) or local")
	f.StringVar(&o.good, "good", "", "commit that is known to be fast")
	f.StringVar(&o.bad, "bad", "", "commit that is known to be slow")
	f.StringVar(&o.repo, "repo", "", "checkout that knows the commits between them (default the config's folder)")
	f.StringVar(&o.dir, "dir", "", "directory of the search, from which it goes on (default bisect-GOOD-BAD in the directory of runs)")
	f.Float64Var(&o.confidence, "confidence", 0.95, "how sure it has to be")
	f.StringArrayVar(&o.measured, "measured", nil, "run directory of a session that somebody else made of one of the commits (repeatable)")
}

func newBisectCmd(h host) *cobra.Command {
	var o bisectFlags
	cmd := &cobra.Command{
		Use:   "bisect CASE --good COMMIT --bad COMMIT",
		Short: "Find the commit that made a case slower",
		Long: `bisect measures commits between a good and a bad one, each in pairs against the good one, until it is sure enough which
of them made the case slower. No single measurement decides: each changes how likely every commit is, the next one is
that which tells the most, and where luck misled it a commit is measured again. It says beforehand what it is expected
to take, writes what it knows after every measurement, and goes on from there when it is called again.

It builds and runs by itself where the config says how a commit's build comes about: {commit} in builds.head.source,
image or install, or builds.make, shell text that is run here once per commit. Otherwise it says which commit to measure
next, and takes what was measured with --measured.

Ends with 0 when it is sure, 5 when it is not, 3 where the infrastructure ended three sessions in a row.`,
		Example: "  ci-disagg bisect 'redis[concurrency=8]' --good v1.4 --bad HEAD",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), h, args)
		},
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func (o bisectFlags) run(ctx context.Context, h host, args []string) error {
	cfg, err := loadConfig(h, o.config)
	if err != nil {
		return err
	}
	if !(o.confidence > 0.5 && o.confidence < 1) {
		return exit.ByUser(fmt.Errorf("--confidence %g is not between 0.5 and 1", o.confidence))
	}
	search := bisect.Options{Record: bisect.Record{Confidence: o.confidence}, Out: h.stdout, Measured: o.measured, Now: h.now}
	if search.Commits, err = o.commits(h, cfg); err != nil {
		return exit.ByUser(err)
	}
	good, bad := search.Commits[0].ID, search.Commits[len(search.Commits)-1].ID
	o.AB.Mode = rundir.PairAlways
	drives := cfg.Builds.Made()
	if why := cfg.Builds.Unpaired(); drives && why != "" {
		return exit.ByUser(errors.New(why))
	} else if !drives {
		o.AB.Mode = rundir.PairOff
	}
	s, err := o.resolve(h, cfg, rundir.Build{Commit: bad, MergeBase: good}, args)
	if err != nil {
		return err
	}
	if len(s.Plans) != 1 {
		return exit.ByUser(fmt.Errorf("%s is %d cases: name one", args[0], len(s.Plans)))
	}
	search.Case, search.Of = s.Plans[0].Case.ID, bisect.Asks(s.Plans[0], s.Backend+" "+s.Cluster, cfg.Builds.Make, cfg.Perf)
	if drives {
		most := paired.Costs(s.Plans[0])[0]
		search.GPUHours = most.GPUHours / float64(most.Runs)
		search.Run = func(ctx context.Context, dir, good, commit string) (int, string) {
			return o.pairOf(ctx, h, cfg, dir, []string{args[0], good, commit})
		}
	}
	if search.Dir, err = o.place(h, cfg, good, bad); err != nil {
		return exit.ByUser(err)
	}
	found, err := search.Search(ctx)
	var by *bisect.EndedError
	switch {
	case errors.As(err, &by):
		return &exit.Error{Code: by.Exit, Err: err}
	case err != nil:
		return exit.ByUser(err)
	case !found.Settled:
		return &exit.Error{Code: exit.NoVerdict}
	}
	return nil
}

// commits are those of the search, the good one first.
func (o bisectFlags) commits(h host, cfg config) ([]bisect.Commit, error) {
	if o.good == "" || o.bad == "" {
		return nil, errors.New("between which commits? Give --good COMMIT and --bad COMMIT")
	}
	wd, err := h.getwd()
	if err != nil {
		return nil, err
	}
	repo := checkout.Dir{Path: wd, Env: h.environ()}
	if cfg.Path != "" {
		repo.Path = filepath.Dir(cfg.Path)
	}
	if o.repo != "" {
		if repo.Path, err = absPath(h, o.repo); err != nil {
			return nil, err
		}
	}
	for _, c := range []string{o.good, o.bad} {
		if !repo.Has(c) {
			return nil, fmt.Errorf("%s has no commit %s: name the checkout with --repo", repo.Path, c)
		}
	}
	way := bisect.Commits(repo.Way(o.good, o.bad))
	if len(way) < 2 {
		return nil, bisect.NoWay(o.good, o.bad, repo.Led)
	}
	return way, nil
}

// place is the directory of the search.
func (o bisectFlags) place(h host, cfg config, good, bad string) (string, error) {
	if o.dir != "" {
		return absPath(h, o.dir)
	}
	parent, err := runsDir(h, cfg)
	return filepath.Join(parent, fmt.Sprintf("bisect-%.10s-%.10s", good, bad)), err
}

// pairOf makes the builds of two commits, and a session of them. what is the case, the good commit, and the other.
func (o suiteFlags) pairOf(ctx context.Context, h host, cfg config, dir string, what []string) (code int, failed string) {
	for _, commit := range what[1:] {
		if !rundir.IsCommit(commit) { // a report's, which jobs can write: it goes into shell text
			return exit.Infra, fmt.Sprintf("%.20q is not a commit id of 7 or more digits", commit)
		}
		code, res, err := makeBuild(ctx, h, cfg, cfg.Builds.MakeOf(commit))
		if code > 0 {
			return code, ""
		}
		if err != nil {
			return exit.Infra, fmt.Sprintf("builds.make of %.10s: %s", commit, o.whyNot(h, cfg, what, res, err))
		}
	}
	args := []string{
		"run", "--quiet", "--ab", "--mode", baseline.ModeBisect, "--ab-base-commit", what[1], "--commit", what[2],
		"--run-dir", dir, "--run-id", filepath.Base(filepath.Dir(dir)) + "-" + filepath.Base(dir), "--config", cfg.Path,
		"--backend", o.Backend, "--cluster", o.Cluster, "--avoid", strings.Join(o.Avoid, ","),
	}
	h.stdout = io.Discard // what it found is told in a line
	code = run(ctx, h, append(args, "--", what[0]))
	return cmp.Or(endedBy(ctx), code), ""
}

// pair plans a session of two commits.
func (o suiteFlags) pair(h host, cfg config, what []string) (pipeline.Suite, error) {
	o.AB.Mode = rundir.PairAlways
	return o.resolve(h, cfg, rundir.Build{MergeBase: what[1], Commit: what[2]}, what[:1])
}

// whyNot is how builds.make ended, with the last it said. That goes into reports, so it is masked as a job's output is:
// before it is cut, since half a secret would not be found.
func (o suiteFlags) whyNot(h host, cfg config, what []string, res proc.Result, err error) string {
	var ended *proc.ExitError
	if !errors.As(err, &ended) {
		return err.Error() // it never ran
	}
	how := (&proc.ExitError{Name: ended.Name, Exit: ended.Exit, Signal: ended.Signal}).Error()
	s, err := o.pair(h, cfg, what)
	if err != nil { // whose secrets are to be masked is not known
		return how + " (what it said is left out: " + err.Error() + ")"
	}
	said := strings.TrimSpace(jobs.Mask(h.environ(), s.Plans...).String(res.Stderr))
	return how + ": " + strings.ToValidUTF8(said[max(0, len(said)-300):], "")
}
