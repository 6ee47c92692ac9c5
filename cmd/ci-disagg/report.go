package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/proc"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/deliver"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/notify"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/export"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/suites"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

// reportOptions are the flags of report.
type reportOptions struct {
	copyFlags
	findFlags
	config string
	save   bool
	noCaps bool
	format string
}

func newReportCmd(h host) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report [flags] {RUN_DIR | --run-id ID}",
		Short: "Merge, judge and publish a run directory again, offline",
		Long: `report reads a run directory, also a copied one, and writes its report/ again:
junit.xml, verdict.json, summary.md, index.html. It needs no Slurm. It ends with
the exit code that the run would end with now.`,
		Example: `  ci-disagg report runs/nightly-1234
  ci-disagg report --config new-policy.yaml runs/nightly-1234
  ci-disagg report --format opensearch-bulk runs/nightly-1234 |
    curl --data-binary @- -H 'Content-Type: application/x-ndjson' "$URL/perf/_bulk"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.around(h, func() error { return runReport(cmd.Context(), h, o, args) })
		},
	}
	f := cmd.Flags()
	o.copyFlags.AddFlags(f)
	o.findFlags.AddFlags(f)
	f.StringVarP(&o.config, "config", "c", "", "config to judge with (default the one the run was made with)")
	f.BoolVar(&o.save, "save", false, "store the measurements as baseline history, as run does")
	f.BoolVar(&o.noCaps, "no-caps", false, "cut no text in junit.xml")
	f.StringVar(&o.format, "format", "", "print the metrics of the report that is there, and do nothing else: "+strings.Join(export.Formats(), " or "))
	trust.Guard(cmd, h.getenv, trust.If(&o.save, "report --save"))
	return cmd
}

func runReport(ctx context.Context, h host, o reportOptions, args []string) error {
	dir, run, err := o.read(h, o.config, args)
	if err != nil {
		return err
	}
	if o.format != "" {
		return exportReport(h, o.format, dir)
	}
	tellOpen(h, run)
	cfg, err := o.judgedBy(h, dir)
	if err != nil {
		return exit.ByUser(err)
	}
	cfg.Report.NoCaps = cfg.Report.NoCaps || o.noCaps
	plans, _ := runs.Plans(dir, run) // the report says of its case that one cannot be read
	rep, err := newReporter(ctx, h, cfg, started{dir: dir, plans: plans}, o.save)
	if err != nil {
		return err
	}
	defer rep.Close()
	rep.Recorded(run)
	rep.CopyTo, rep.Pages, rep.ReadConfirmed = o.copyTo, o.pages, !trust.Here(h.getenv).Stranger()
	return rep.Finish(ctx, o.save)
}

// judgedBy is the config by which the run is judged. In a pull request's job neither the given one nor the kept one,
// which its jobs can write, says by which rules.
func (o reportOptions) judgedBy(h host, dir rundir.Dir) (config, error) {
	if o.config == "" {
		return keptConfig(h, dir)
	}
	cfg, err := loadConfig(h, o.config)
	if err != nil || !trust.Here(h.getenv).Stranger() {
		return cfg, err
	}
	return governed(h, cfg, prpolicy.Flags{}, buildFlags{})
}

// tellOpen says that a run is not over: what is open in it stands in the report as
// an attempt of unknown end.
func tellOpen(h host, run rundir.Run) {
	open := 0
	for _, c := range run.Cases {
		if builder.GoesOn(c) {
			open++
		}
	}
	if open > 0 {
		fmt.Fprintf(h.stderr, "ci-disagg: this run is not over, it has %s still open: the report shows how far it is\n", plain.Count(open, "case"))
	}
}

// exportReport prints the metrics of a report that has been written.
func exportReport(h host, format string, dir rundir.Dir) error {
	d, err := export.Read(filepath.Join(dir.Report(), rundir.ReportVerdict))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: make the report first: ci-disagg report %s", err, dir)
	}
	if err == nil {
		err = export.Write(h.stdout, format, d, metric.Default())
	}
	return exit.ByUser(err)
}

// newReporter prepares the judging. A store that cannot be reached is not an
// error here: it makes verdicts of baseline_unavailable. Only a reporter that
// will save makes a store that is not there yet: a directory that is merely not
// mounted must not turn into an empty history.
func newReporter(ctx context.Context, h host, cfg config, of started, save bool) (*deliver.Reporter, error) {
	classes, err := cfg.Failures()
	if err != nil {
		return nil, err
	}
	setup, err := cfg.Judging(h.readFile, cfg.PinsPath())
	if err != nil {
		return nil, err
	}
	given, err := givenHere(h)
	if err != nil {
		return nil, err
	}
	if err := setup.Open(ctx, cfg.StoreHere(given), save); err != nil {
		return nil, exit.ByUser(err)
	}
	rep := deliver.New(of.dir, builder.Options{
		Plans: of.plans,
		Mask:  jobs.Mask(h.environ(), of.plans...), Unmasked: jobs.Unmasked(h.environ(), of.plans...),
		Tool: buildVersion(), Setup: setup, PerfOff: cfg.Perf.Off, Match: cfg.Perf.Match, Reader: cfg.Reader(setup.Metrics),
		Policy: report.Policy{Exit: cfg.Perf.Exit()}, Flaky: cfg.Report.Flaky, Classes: classes,
		Suites:   suites.Options{NoCaps: cfg.Report.NoCaps, Metrics: cfg.Report.MetricsInJUnit},
		Accuracy: cfg.Perf.Accuracy.Gates, AccuracyAdvisory: cfg.Perf.Accuracy.Advisory,
		Advice: report.Advice{Config: cfg.Path}, Rules: cfg.Said(), CompareURL: cfg.SCM.CompareURL,
		Log: func(good, bad string) []string { return commitsBetween(h, good, bad) },
	})
	rep.Out, rep.Warn, rep.Style = h.stdout, h.stderr, consoleStyle(h)
	rep.Notify = hook(h, cfg)
	return rep, nil
}

// withoutHook is the environment that jobs may see: where people are told is not theirs to know.
func withoutHook(env []string, c notify.Config) []string {
	return proc.Without(env, func(name string) bool { return name == c.URLEnv })
}

// hook is where people are told of what a run has newly found. An address that cannot be read is a warning.
func hook(h host, cfg config) notify.Hook {
	out, err := cfg.Notify.Hook(filepath.Dir(cfg.Path), h.getenv, h.readFile)
	if err != nil {
		fmt.Fprintf(h.stderr, "ci-disagg: warning: notify.url_file: %v\n", err)
	}
	out.Owners = cfg.Owners
	return out
}

// decideEnded decides an attempt that has ended as the report will: what its records say of
// it was provisional. It tells why another repetition of the case is due, "" when none
// is, and how the case stands. What cannot be decided now is decided in the end.
func decideEnded(ctx context.Context, r *deliver.Reporter, e *retry.Ended) (repeat string, stands rundir.Outcome) {
	ctx, cancel := context.WithTimeout(ctx, deliver.StoreTimeout)
	defer cancel()
	c, repeat, err := r.DecideCase(ctx, e.Plan.Case.Slug, e.History)
	if err != nil {
		return "", ""
	}
	for _, a := range c.Attempts {
		if a.Rep == e.Rep && a.Attempt == e.Attempt {
			e.Outcome.Outcome, e.Outcome.Finding, e.Outcome.Reason = a.Outcome, a.Finding, a.Reason
			if a.Counts && c.Outcome == rundir.OutcomePassed { // whatever became of its job behind its results
				e.Outcome.Outcome = rundir.OutcomePassed
			}
		}
	}
	return repeat, builder.Stands(c)
}
