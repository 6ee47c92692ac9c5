package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/lease"
	"github.com/ci-disagg/ci-disagg/internal/launch/paired/answers"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/progress"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/target"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/deliver"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/terminal"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// driveFlags bound a drive; they are the same for run and resume.
type driveFlags struct {
	copyFlags
	waitFlags
	maxJobs  int
	failFast bool
	retries  int
	reruns   int
	follow   bool
	quiet    bool
	debug    bool
}

// AddFlags registers the flags.
func (o *driveFlags) AddFlags(f *pflag.FlagSet) {
	o.copyFlags.AddFlags(f)
	o.waitFlags.AddFlags(f)
	f.IntVar(&o.maxJobs, "max-jobs", 0, "jobs of this run at the same time (default jobs.max, else no limit)")
	f.BoolVar(&o.failFast, "fail-fast", false, "end the other cases when one does not pass")
	f.IntVar(&o.retries, "retries", -1, "further attempts after an infrastructure failure (default retry.max)")
	f.IntVar(&o.reruns, "reruns", -1, "repetitions of a suspicious measurement, 0 to 3 (default perf.reruns, else auto: up to 3, none on the local backend)")
	for _, name := range []string{"retries", "reruns"} {
		f.Lookup(name).DefValue = "0" // help prints no default of its own: the text names it
	}
	f.BoolVarP(&o.follow, "follow", "f", false, "show what the roles print as it comes, in a log (a terminal shows a table of the cases)")
	f.BoolVarP(&o.quiet, "quiet", "q", true, "as without --follow; --quiet=false is --follow")
	_ = f.MarkHidden("quiet") // it is there
	f.BoolVar(&o.debug, "debug", false, "log every Slurm call")
}

// noDriveFlags are the flags of a verb that has none of them.
func noDriveFlags() driveFlags { return driveFlags{retries: -1, reruns: -1, quiet: true} }

// driver is a run's config turned into what drives it.
type driver struct {
	*target.Target
	cfg   config
	flags driveFlags
	keep  []rundir.File
}

// newDriver is a driver of runs on a cluster of the config, "" = its default one.
func newDriver(h host, cfg config, cluster, backend string, flags driveFlags) (*driver, error) {
	cluster, prof, err := cfg.Profile(cluster)
	if err != nil {
		return nil, err
	}
	if err := cfg.RequireTrustedLogin(cluster, backend, prof, h.getenv); err != nil {
		return nil, err
	}
	if prof.Passed == nil {
		prof.Passed = cfg.Passed
	}
	d := &driver{cfg: cfg, flags: flags}
	if flags.maxJobs < 0 || flags.retries < -1 || flags.reruns < -1 {
		return nil, exit.ByUser(errors.New("--max-jobs, --retries and --reruns cannot be negative"))
	}
	path, err := h.executable()
	if err != nil {
		return nil, fmt.Errorf("where is this binary: %w", err)
	}
	policy := &d.cfg.Perf.Policy
	if flags.reruns >= 0 {
		policy.Reruns = verdict.Reruns(flags.reruns)
	}
	if policy.Reruns == verdict.AutoReruns && backend == rundir.BackendLocal {
		policy.Reruns, policy.NoReruns = 0, "perf.reruns: auto runs none on the local backend, which has no other nodes; 1 to 3 run them"
	}
	if err := d.cfg.Perf.Policy.Validate(); err != nil {
		return nil, exit.ByUser(fmt.Errorf("--%w", err)) // the config's own values have been checked
	}
	level := slog.LevelWarn
	if flags.debug {
		level = slog.LevelDebug
	}
	d.Target, err = target.New(target.Options{
		Cluster: cluster, Profile: prof, Backend: backend, Self: path, Environ: configfile.WithTrustedLogin(withoutHook(h.environ(), cfg.Notify), prof), Getenv: h.getenv, Now: h.now,
		Log: slog.New(slog.NewTextHandler(h.stderr, &slog.HandlerOptions{Level: level})), Doc: cfg.Doc, Config: cfg.Path,
	})
	return d, err
}

// newSuiteDriver is a driver that can also start the jobs of a new suite, by a team's own draft where one is named.
func newSuiteDriver(h host, cfg config, s pipeline.Suite, draft string, flags driveFlags) (*driver, error) {
	d, err := newDriver(h, cfg, s.Cluster, s.Backend, flags)
	if err != nil {
		return nil, err
	}
	if draft != "" && slices.ContainsFunc(s.Plans, rundir.Plan.IsSession) {
		err = exit.ByUser(errors.New("--draft: a launch draft runs one build, once; leave --ab away, or the draft"))
	} else if err = exit.ByUser(jobs.Maskable(h.environ(), s.Plans...)); err == nil {
		err = d.setDraft(h, draft)
	}
	if err == nil {
		err = d.FindAgent()
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	if len(d.Draft) > 0 {
		s.UnderDraft(draft)
	}
	return d, nil
}

// setDraft reads a team's own launch draft, if one is named.
func (d *driver) setDraft(h host, path string) error {
	if path == "" {
		return nil
	}
	abs, err := absPath(h, path)
	if err != nil {
		return err
	}
	return d.UseDraft(h.readFile, abs, path)
}

// options is everything drive needs.
func (d *driver) options(h host, dir rundir.Dir, detach bool) drive.Options {
	policy := d.cfg.Retry
	switch {
	case d.flags.retries >= 0:
		policy.Max = d.flags.retries
	case d.Backend == rundir.BackendLocal:
		policy.Max = 0 // this machine will not be another one
	}
	o := drive.Options{
		Access: d.Access(), Dir: dir, Backend: d.Backend, Binary: d.Binary,
		Cluster:  drive.Cluster{Name: d.Cluster, Partition: d.Profile.Partition, MaxJobs: d.Profile.MaxJobs, MaxNodes: d.Profile.MaxNodes},
		Render:   d.Render,
		Decide:   policy.Decide,
		MaxJobs:  d.cfg.Jobs.Max,
		FailFast: d.cfg.Jobs.FailFast || d.flags.failFast,
		Detach:   detach,
		Collect:  d.cfg.Collect,
		Keep:     d.keep,
	}
	if parent, err := runsDir(h, d.cfg); err == nil && parent == filepath.Dir(string(dir)) {
		o.Binary.Shared = jobs.SharedBin(parent)
	}
	if d.flags.maxJobs > 0 {
		o.MaxJobs = d.flags.maxJobs
	}
	if (d.flags.follow || !d.flags.quiet) && !liveTable(h) {
		o.Console = h.stdout
	}
	return o
}

// signals says who sees to a signal: as long as stop has not been called it ends
// the context, and with that the run's jobs.
type signals struct {
	stop   context.CancelFunc
	driven bool // the driver has the jobs
}

// started is a run that has a directory, or is about to get one.
type started struct {
	dir    rundir.Dir
	run    rundir.Run
	plans  []rundir.Plan
	detach bool                   // return as soon as its jobs are submitted
	rules  *prpolicy.Rules        // that hold now, nil = those that are kept with it
	own    func() (config, error) // of a run that is taken up: see configfile.Config
	named  *config                // of a run that is taken up: the caller's config, nil = none was named
}

// drive takes a run from wherever it stands to its report and exit code.
func (d *driver) drive(ctx context.Context, s *signals, h host, r started) error {
	rep, err := newReporter(ctx, h, d.cfg, r, true)
	if err != nil {
		return err
	}
	defer rep.Close()
	rep.Begins(r.run)
	rep.CopyTo, rep.Pages, rep.Driven, rep.Mode = d.flags.copyTo, d.flags.pages, true, r.run.Build.Mode
	s.driven = true
	if !exists(r.dir.RunFile()) { // it begins now: what it knows is fixed in its plans
		rep.Priors(ctx, r.plans, r.run.Build.Branch)
		rep.Owe(r.run.Build)
	}
	o := d.options(h, r.dir, r.detach)
	o.Collect.Mask, o.Console = rep.Options.Mask, rep.Options.Mask.Each(o.Console)
	shown := progress.New(progress.Screen{
		W: h.stderr, Live: liveTable(h), Now: h.now, Size: func() (int, int) { return terminal.Size(h.stderr) },
	}, r.run)
	o.Progress = shown.Update
	o.Run, o.Plans, o.Passed = r.run, r.plans, d.Profile.Local(r.plans)
	o.Decide = d.decide(rep, o.Decide)
	desk := &answers.Desk{Access: o.Access, Dir: r.dir, Plans: r.plans, Collect: o.Collect, Tell: func(string, string) {}}
	if !liveTable(h) {
		desk.Tell = func(id, text string) {
			fmt.Fprintf(h.stderr, "%s: %s\n", rundir.ShortID(id), plain.Inert(plain.Line(text)))
		}
	}
	desk.Decide = func(ctx context.Context, p answers.Pair) (rundir.Answer, error) {
		return rep.Answer(ctx, p.Plan.Case.Slug, p.Attempt, p.Ends)
	}
	o.Saw = desk.Saw
	ended, err := d.flags.drive(ctx, h, o)
	shown.Close()
	var interrupted *drive.Interrupted
	var busy *lease.BusyError
	switch {
	case errors.As(err, &interrupted):
		return rep.Interrupted(int(interrupted.Signal), interrupted.ExitCode(), interrupted)
	case errors.As(err, &busy):
		return exit.ByUser(fmt.Errorf("%w: --wait waits for its end, ci-disagg cancel %s ends it", err, r.dir))
	case errors.As(err, new(*runs.OtherRunError)):
		return exit.ByUser(err)
	case errors.Is(err, lease.ErrLost):
		return &exit.Error{Code: exit.Overtaken, Err: fmt.Errorf("%w; its jobs go on: ci-disagg report %s says where it stands", err, r.dir)}
	case err != nil:
		return &exit.Error{Code: exit.Infra, Err: err}
	case r.detach && slices.ContainsFunc(ended.Cases, builder.GoesOn):
		fmt.Fprintf(h.stdout, "submitted; go on with: ci-disagg resume %s\n", r.dir)
		return nil
	}
	rep.Recorded(ended)
	return d.beside(ctx, s, h, r, rep)
}

// decide is the function value behind both back edges: a new attempt after an
// infrastructure failure, a new repetition of a suspicious measurement.
func (d *driver) decide(rep *deliver.Reporter, policy func(context.Context, retry.Ended) retry.Decision) func(context.Context, retry.Ended) retry.Decision {
	return func(ctx context.Context, e retry.Ended) retry.Decision {
		repeat, stands := decideEnded(ctx, rep, &e)
		e.Repeat, e.RepeatAfter = repeat, d.cfg.Perf.RerunDelay.D()
		next := policy(ctx, e)
		next.Stands = stands
		return next
	}
}

// reattach does what goes on with a run whose jobs may be live: a signal ends them
// from the first moment on, also when it comes before anybody drives them.
func reattach(ctx context.Context, h host, dir rundir.Dir, own func() (config, error), goOn func(context.Context, *signals) error) error {
	ctx, stop := drive.Notify(ctx)
	defer stop()
	s := signals{stop: stop}
	err := goOn(ctx, &s)
	by := endedBy(ctx)
	if s.driven || by == 0 {
		return err
	}
	d, cancelErr := driverOf(h, dir, own)
	if cancelErr == nil {
		defer d.Close()
		cancelErr = cancelOther(ctx, drive.Options{Access: d.Access(), Dir: dir})
	}
	return &exit.Error{Code: by, Err: errors.Join(err, cancelErr)}
}

// continueRun goes on with a run directory whose record has been read.
func continueRun(ctx context.Context, s *signals, h host, r started, flags driveFlags) (err error) {
	if r.plans, err = runs.Plans(r.dir, r.run); err != nil {
		return runs.Held(exit.ByUser(err), r.dir, r.run)
	}
	if trust.Here(h.getenv).Stranger() {
		r.run.Build.Mode = baseline.ModePR // whatever the jobs have made of the record
	}
	return runs.Held(continueLoaded(ctx, s, h, r, flags), r.dir, r.run)
}

func continueLoaded(ctx context.Context, s *signals, h host, r started, flags driveFlags) error {
	cfg, err := keptUnder(h, r.dir, r.rules, r.own)
	if err != nil {
		return exit.ByUser(err)
	}
	if r.run.Build.Mode == baseline.ModePR {
		cfg.Restrict(h.environ())
		tellRules(h, cfg)
	}
	d, err := newDriver(h, cfg, r.run.Cluster, r.run.Backend, flags)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.CheckConf(); err != nil {
		return err
	}
	if err := errors.Join(d.UseKeptDraft(r.dir, configfile.Draft), cfg.RequireTrustedAgent(d.Cluster, d.Backend, d.Profile), cfg.RequireTrustedStore(h.getenv)); err != nil {
		return exit.ByUser(err)
	}
	if err := d.FindAgent(); err != nil {
		return err
	}
	return d.drive(ctx, s, h, r)
}
