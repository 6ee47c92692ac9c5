package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// showOptions are the flags of baseline show.
type showOptions struct {
	seriesFlags
	all     bool
	metrics bool
	since   string
	runs    int
}

func newBaselineShowCmd(h host) *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [flags]",
		Short: "Show the series of a store; with --case, its runs and what people did",
		Example: `  ci-disagg baseline show --store dir:/shared/perf
  ci-disagg baseline show --case my_case --runs 20
  ci-disagg baseline show --metrics`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselineShow(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.BoolVar(&o.all, "all", false, "every metric, not only those that gate by default")
	f.BoolVar(&o.metrics, "metrics", false, "list the known metrics instead")
	f.StringVar(&o.since, "since", "90d", "how far back")
	f.IntVar(&o.runs, "runs", 10, "with --case: how many runs to list")
	return cmd
}

func runBaselineShow(ctx context.Context, h host, o showOptions) error {
	t := printer(h)
	if o.metrics {
		cfg, err := o.load(h)
		if err != nil {
			return err
		}
		table, err := cfg.metrics()
		if err != nil {
			return usageErr(err)
		}
		t.Metrics(table)
		return nil
	}
	age, err := cmdline.Age("--since", o.since)
	if err != nil {
		return usageErr(err)
	}
	match, err := parseMatch(o.match)
	if err != nil {
		return usageErr(err)
	}
	return o.atStore(ctx, h, false, func(d desk) error {
		return o.series(ctx, d, t, baseline.Filter{Case: o.caseID, Match: match, Branch: o.branch, Since: h.now().Add(-age)})
	})
}

// series shows where the series that pass the filter stand.
func (o showOptions) series(ctx context.Context, d desk, t tables.Printer, f baseline.Filter) error {
	h := d.h
	records, err := d.records(ctx, f)
	if err != nil {
		return err
	}
	series := d.setup.Standings(records, func(m metric.Metric) bool { return o.all || m.Gate || gatesInPipelines(d.setup.Metrics, records, m) })
	t.Standings(series)
	if len(series) == 0 {
		of, hint := "", ""
		if o.caseID != "" {
			of, hint = " of "+table.OneLine(o.caseID), "; 'ci-disagg baseline show' without --case lists the cases"
		}
		fmt.Fprintf(h.stdout, "no counting run%s in the last %s%s\n", of, o.since, hint)
	}
	if o.caseID == "" {
		return nil
	}
	return o.showCase(ctx, d, t, records)
}

// gatesInPipelines reports whether a metric gates in cases of configured pipelines, where there are some.
func gatesInPipelines(metrics metric.Table, records []baseline.Record, m metric.Metric) bool {
	return slices.ContainsFunc(metrics.Gates("custom", false), func(g metric.Metric) bool { return g.Name == m.Name }) &&
		slices.ContainsFunc(records, func(r baseline.Record) bool { return r.Match["pipeline"] != "" })
}

// showCase lists the newest runs of a case and what people did about it.
func (o showOptions) showCase(ctx context.Context, d desk, t tables.Printer, records []baseline.Record) error {
	acts, err := d.records(ctx, baseline.Filter{Case: o.caseID, Kinds: []baseline.Kind{baseline.KindAccept, baseline.KindWithdraw}})
	if err != nil {
		return err
	}
	runs := slices.DeleteFunc(records, func(r baseline.Record) bool {
		return r.Kind != baseline.KindRun || r.Build.Mode != baseline.ModeNightly
	})
	slices.SortStableFunc(runs, func(a, b baseline.Record) int { return strings.Compare(b.ID, a.ID) })
	t.Runs(runs[:min(len(runs), max(0, o.runs))], acts)
	return nil
}
