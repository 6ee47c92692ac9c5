package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// acceptOptions are the flags of baseline accept.
type acceptOptions struct {
	seriesFlags
	manualFlags
	run string
}

func newBaselineAcceptCmd(h host) *cobra.Command {
	var o acceptOptions
	cmd := &cobra.Command{
		Use:   "accept [flags] --case ID [METRIC | POINT/METRIC]...",
		Short: "Take the newest level for intended: it ends an open regression",
		Long: `accept says that the level which a run of the branch shows is what it is to be
from now on: an intended change, an accepted price. The open regression of the
case ends, later runs are judged against the new level. Without metrics it is
about all of the case.`,
		Example: `  ci-disagg baseline accept --case my_case --reason "new sampler, PR 1234"
  ci-disagg baseline accept --case my_case con64/ttft_median_ms --reason "traded for throughput"`,
		RunE: func(cmd *cobra.Command, args []string) error { return runBaselineAccept(cmd.Context(), h, o, args) },
	}
	f := cmd.Flags()
	o.seriesFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.run, "run", "", "id of the run that shows the level (default the newest; baseline show --case lists them)")
	return cmd
}

func runBaselineAccept(ctx context.Context, h host, o acceptOptions, series []string) error {
	stamp, err := o.stamp(h)
	if err != nil {
		return usageErr(err)
	}
	if o.caseID == "" {
		return usageErr(errors.New("which case? Give --case"))
	}
	store, cfg, err := o.openStore(ctx, h, false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	setup, err := cfg.judging(h)
	if err != nil {
		return err
	}
	match, err := o.findMatch(ctx, store)
	if err != nil {
		return err
	}
	hist, err := store.History(ctx, baseline.Query{Case: o.caseID, Match: match, Branch: o.branch})
	if err != nil {
		return storeErr(err)
	}
	at := len(hist.Runs) - 1
	if o.run != "" {
		at = slices.IndexFunc(hist.Runs, func(r baseline.Record) bool { return r.ID == o.run })
	}
	if at < 0 {
		return usageErr(fmt.Errorf("%s has no run %s of case %s on %s among the newest %d that count", store, o.run, o.caseID, baseline.NormalBranch(o.branch), baseline.DefaultRuns))
	}
	target := hist.Runs[at]
	stamp.Target = target.ID
	if stamp.Series, err = checkSeries(target, series); err != nil {
		return usageErr(err)
	}
	act := baseline.Record{Kind: baseline.KindAccept, Case: target.Case, Match: target.Match, Time: target.Time, Build: rundir.Build{Branch: target.Build.Branch}, Act: &stamp}.Normal()
	fmt.Fprintf(h.stdout, "accept the level of run %s (%s, commit %s) of %s\n", target.ID, target.Time.Format("2006-01-02 15:04"), cmp.Or(short(target.Build.Commit), "-"), printable(target.Case))
	others := 0
	for _, m := range target.Measurements {
		def, _ := setup.Metrics.Lookup(m.Metric)
		switch {
		case !stamp.Covers(m.Point, m.Metric):
			continue
		case !def.Gate && len(series) == 0:
			others++
			continue
		}
		before, _ := setup.Level(baseline.History{Runs: hist.Runs[:at], Acts: hist.Acts}, target, m.Point, def)
		fmt.Fprintf(h.stdout, "  %s\n", levelChange(m, before.Level))
	}
	if others > 0 {
		fmt.Fprintf(h.stdout, "  and %d metrics that do not gate by default\n", others)
	}
	if o.dryRun {
		if err := diffLines(h.stdout, "+", act); err != nil {
			return err
		}
		fmt.Fprintln(h.stdout, "dry run: nothing was changed")
		return nil
	}
	return saveAll(ctx, h, store, []baseline.Record{act})
}

// checkSeries refuses names that the run did not measure.
func checkSeries(r baseline.Record, series []string) ([]string, error) {
	for _, s := range series {
		if !slices.ContainsFunc(r.Measurements, func(m baseline.Measurement) bool {
			return s == m.Metric || s == m.Point+"/"+m.Metric
		}) {
			var have []string
			for _, m := range r.Measurements {
				have = append(have, strings.TrimPrefix(m.Point+"/"+m.Metric, "/"))
			}
			return nil, fmt.Errorf("run %s did not measure %s; it has: %s", r.ID, s, strings.Join(have, ", "))
		}
	}
	return series, nil
}

func levelChange(m baseline.Measurement, from float64) string {
	to := middle(m.Values)
	name := strings.TrimPrefix(m.Point+" "+m.Metric, " ")
	if from == 0 {
		return fmt.Sprintf("%s: - → %s %s", name, significant(to), m.Unit)
	}
	return fmt.Sprintf("%s: %s → %s %s (%s)", name, significant(from), significant(to), m.Unit, signedPercent(to/from-1))
}
