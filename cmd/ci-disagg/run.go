package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/unixgroup"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// runOptions are the flags of run.
type runOptions struct {
	suiteFlags
	buildFlags
	driveFlags
	runDir string
	runID  string
	draft  string
	detach bool
	// lifeline stands in place of jobs.lifeline; 0 = that holds. lifelineDefault is for
	// configs that do not say.
	lifeline, lifelineDefault time.Duration
}

// AddFlags registers the flags.
func (o *runOptions) AddFlags(f *pflag.FlagSet) {
	o.suiteFlags.AddFlags(f)
	o.buildFlags.AddFlags(f)
	o.driveFlags.AddFlags(f)
	f.StringVar(&o.runDir, "run-dir", "", "run directory (default <runs_dir>/<run id>)")
	f.StringVar(&o.runID, "run-id", "", "id under which the run is found again (default $BUILD_TAG, else new)")
	f.StringVar(&o.draft, "draft", "", "a team's own launch draft, spliced below our exports and srunArgs")
	f.DurationVar(&o.lifeline, "lifeline", 0, "a job whose driver was killed and not resumed for so long ends itself (default jobs.lifeline, else never)")
	f.DurationVar(&o.lifelineDefault, "lifeline-default", 0, "jobs.lifeline where the config does not set it; 0 there is never")
	f.BoolVar(&o.detach, "detach", false, "return after submission; ci-disagg resume goes on")
}

// buildFlags say what is being tested; their defaults are Jenkins' variables.
type buildFlags struct {
	mode      string
	mergeBase string
	baseTime  string
	commit    string
	commitAt  string
	branch    string
}

// AddFlags registers the flags.
func (o *buildFlags) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.mode, "mode", "", "nightly, pr; bisect, reference (of perf.reference): stored apart (default pr if $CHANGE_ID is set, else perf.mode, else nightly)")
	f.StringVar(&o.mergeBase, "merge-base", "", "commit at which a pull request left the branch it is compared with")
	f.StringVar(&o.baseTime, "merge-base-time", "", "commit time of the merge base, RFC 3339 or Unix seconds: where the history ends if that commit was never measured")
	f.StringVar(&o.commit, "commit", "", "commit under test (default $gitlabCommit, $GIT_COMMIT)")
	f.StringVar(&o.commitAt, "commit-time", "", "commit time of it, RFC 3339 or Unix seconds: its place in the branch's history (default what git says here)")
	f.StringVar(&o.branch, "branch", "", "branch whose history counts (default $CHANGE_TARGET, $BRANCH_NAME, $GIT_BRANCH)")
}

// build reads what CI says about itself. A pull request's build is one whatever
// mode the config names: it must not get into the branch's history.
func (o buildFlags) build(h host, perf builder.Perf) (rundir.Build, error) {
	b := rundir.Build{
		Mode: o.mode, MergeBase: o.mergeBase,
		Commit: cmp.Or(o.commit, h.getenv("gitlabCommit"), h.getenv("GIT_COMMIT")),
		Branch: cmp.Or(o.branch, h.getenv("CHANGE_TARGET"), h.getenv("BRANCH_NAME"), h.getenv("GIT_BRANCH")),
		Change: h.getenv("CHANGE_ID"), URL: h.getenv("BUILD_URL"), Tag: h.getenv("BUILD_TAG"),
	}
	if !rundir.IsCommit(b.MergeBase) { // a name such as origin/main would be no run's commit, and be overlooked
		return b, exit.ByUser(fmt.Errorf("--merge-base %q is not a commit id of 7 or more digits: give \"$(git merge-base origin/main HEAD)\", or leave it out", b.MergeBase))
	}
	at, err := cmdline.Time("--merge-base-time", o.baseTime)
	if err != nil {
		return b, exit.ByUser(err)
	}
	if !at.IsZero() {
		b.MergeBaseTime = &at
	}
	if err := o.place(h, &b); err != nil {
		return b, err
	}
	if b.Mode == "" {
		b.Mode = cmp.Or(string(perf.Policy.Mode), string(verdict.Nightly))
		if trust.Here(h.getenv).Stranger() {
			b.Mode = string(verdict.PullRequest)
		}
	}
	if b.Mode == baseline.ModeSession || !slices.Contains(baseline.Modes(), b.Mode) {
		return b, exit.ByUser(fmt.Errorf("--mode %q is not nightly, pr, bisect or reference", b.Mode))
	}
	if b.Mode == baseline.ModeReference {
		return b, exit.ByUser(perf.ParsedReference().Check(b.Commit))
	}
	return b, nil
}

func newRunCmd(h host) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [flags] [TEST_ID...]",
		Short: "Launch a suite, wait for it, judge it, report it",
		Long: `run does everything: it plans the cases (of a list, of test ids; without any, all
of the config's own pipelines), submits one job per case, watches them,
retries after infrastructure failures, repeats suspicious measurements, merges the
results into one JUnit report and one verdict, and ends with one exit code:

` + exit.Table + `

A run directory that already exists is taken up where its last driver stopped: a
live job is never submitted a second time. One that was made of something else, or
of a config that was changed since, is refused.`,
		Example: `  ci-disagg run --test-list nightly.txt --cluster gb200
  ci-disagg run 'perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-my_config]'
  ci-disagg run --backend local --config demo/ci-disagg.yaml --test-list demo/suite.txt
  ci-disagg run --case 'redis[concurrency=*]' --tag nightly`,
		RunE: func(cmd *cobra.Command, args []string) error {
			h := h.ignoringOutputLoss()
			return o.around(h, func() error { return runRun(cmd.Context(), h, o, args) })
		},
	}
	o.AddFlags(cmd.Flags())
	trust.Guard(cmd, h.getenv, trust.Is(&o.mode, "run --mode ", baseline.ModeNightly, baseline.ModeReference))
	return cmd
}

func runRun(ctx context.Context, h host, o runOptions, args []string) error {
	cfg, err := ruled(h, o.config, o.rules, o.buildFlags)
	if err != nil {
		return err
	}
	dir, old, found, err := o.findRun(h, cfg)
	if err != nil {
		return err
	}
	if found {
		return o.goOn(ctx, h, cfg, dir, old, args)
	}
	s, run, err := o.planned(h, cfg, args, old.ID)
	if err != nil {
		return err
	}
	group, err := unixgroup.Find(ctx, cfg.Group, h.environ())
	if err != nil {
		return exit.ByUser(err)
	}
	s.NameCommits(run.Build.Commit, run.Build.MergeBase)
	d, err := newSuiteDriver(h, cfg, s, o.draft, o.driveFlags)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := s.TakeGPUs(ctx, d.Host); err != nil {
		return exit.ByUser(err)
	}
	for i := range s.Plans {
		if !o.detach {
			s.Plans[i].Lifeline = cfg.Jobs.LifelineOr(o.lifeline, o.lifelineDefault)
		}
	}
	if err := d.Ready(ctx, dir, s.Plans); err != nil {
		return err
	}
	doubt, err := group.Make(string(dir))
	if err != nil {
		return exit.ByUser(fmt.Errorf("the run directory cannot be made: %w: give --run-dir, or runs_dir in the config", err))
	}
	if doubt != nil {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: %v\n", doubt)
	}
	if d.keep, err = cfg.ToKeep(h.readFile, o.draft, d.Draft); err != nil {
		return err
	}
	fmt.Fprintf(h.stderr, "ci-disagg: run %s in %s\n", run.ID, dir)
	tellRules(h, cfg)
	ctx, stop := drive.Notify(ctx)
	defer stop()
	return d.drive(ctx, &signals{stop: stop}, h, started{dir: dir, run: run, plans: s.Plans, detach: o.detach})
}

// goOn takes up the run that is in dir already.
func (o runOptions) goOn(ctx context.Context, h host, cfg config, dir rundir.Dir, run rundir.Run, args []string) error {
	own := func() (config, error) { return cfg, nil } //nolint:unparam // others have to read theirs
	return reattach(ctx, h, dir, own, func(ctx context.Context, s *signals) error {
		if err := o.sameRun(h, cfg, args, dir, run); err != nil {
			return runs.Held(err, dir, run)
		}
		does := "going on with it"
		if !slices.ContainsFunc(run.Cases, builder.GoesOn) {
			does = "it is over, and only reported again; to measure anew give another --run-id or --run-dir"
		}
		fmt.Fprintf(h.stderr, "ci-disagg: run %s exists in %s: %s\n", run.ID, dir, does)
		return continueRun(ctx, s, h, started{dir: dir, run: run, detach: o.detach, rules: cfg.Rules, named: &cfg, own: own}, o.driveFlags)
	})
}

// findRun says where the run is, or is to be, and whether it exists already; of one that does not, the record has the
// id.
func (o runOptions) findRun(h host, cfg config) (dir rundir.Dir, run rundir.Run, found bool, err error) {
	id := cmp.Or(o.runID, h.getenv("BUILD_TAG"))
	if id == "" {
		id = rundir.NewID(h.now())
	}
	path := o.runDir
	if path == "" {
		parent, err := runsDir(h, cfg)
		if err != nil {
			return "", run, false, err
		}
		path = filepath.Join(parent, rundir.Slug(id))
	}
	if path, err = absPath(h, path); err != nil {
		return "", run, false, err
	}
	dir = rundir.Dir(path)
	switch err := rundir.ReadJSON(dir.RunFile(), &run); {
	case errors.Is(err, fs.ErrNotExist):
		run.ID = id
		return dir, run, false, nil
	case err != nil:
		return "", run, false, exit.ByUser(err)
	case run.ID != id && (o.runID != "" || h.getenv("BUILD_TAG") != ""):
		return "", run, false, exit.ByUser(fmt.Errorf("%s holds run %q, not %q: give another --run-dir", dir, run.ID, id))
	default:
		return dir, run, true, nil
	}
}

// planned is the new run's suite, and its record.
func (o runOptions) planned(h host, cfg config, args []string, id string) (s pipeline.Suite, run rundir.Run, err error) {
	s, build, err := o.suite(h, cfg, o.buildFlags, args)
	if err != nil {
		return s, run, err
	}
	run = rundir.Run{
		Schema: rundir.Schema, ID: id, Version: buildVersion(), Stage: s.Stage, Suite: o.ListName(),
		Backend: s.Backend, Cluster: s.Cluster, Created: h.now().UTC(), Build: build,
	}
	if cfg.Path != "" {
		run.Config = configfile.Copy
	}
	for _, p := range s.Plans {
		state := rundir.CaseWaiting
		if p.Case.SkipReason != "" {
			state = rundir.CaseSkipped
		}
		run.Cases = append(run.Cases, rundir.CaseState{ID: p.Case.ID, Slug: p.Case.Slug, State: state})
	}
	return s, run, nil
}

func absPath(h host, path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	wd, err := h.getwd()
	return filepath.Join(wd, path), err
}
