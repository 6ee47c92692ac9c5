package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
)

// showOptions are the flags of baseline show.
type showOptions struct {
	seriesFlags
	all     bool
	metrics bool
	since   string
	runs    int
	output  string
}

func newBaselineShowCmd(h host) *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show [flags]",
		Short: "Show the series of a store; with --case, its runs and what people did",
		Example: `  ci-disagg baseline show --store dir:/shared/perf
  ci-disagg baseline show --case my_case --runs 20
  ci-disagg baseline show --metrics
  ci-disagg baseline show -o json | jq -r '.series[] | select(.level.open_since) | .case'`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselineShow(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.BoolVar(&o.all, "all", false, "every metric, not only those that gate")
	f.BoolVar(&o.metrics, "metrics", false, "list the known metrics instead")
	f.StringVar(&o.since, "since", "90d", "how far back")
	cmdline.AddOutput(f, &o.output)
	f.IntVar(&o.runs, "runs", 10, "with --case: how many runs to list")
	return cmd
}

func runBaselineShow(ctx context.Context, h host, o showOptions) error {
	if err := cmdline.CheckOutput(o.output); err != nil {
		return exit.ByUser(err)
	}
	t := printer(h)
	if o.metrics {
		cfg, err := o.load(h)
		if err != nil {
			return err
		}
		table, err := cfg.Metrics()
		if err != nil {
			return exit.ByUser(err)
		}
		if o.output == cmdline.JSON {
			return cmdline.WriteJSON(h.stdout, curate.MetricsDoc(table))
		}
		t.Metrics(table)
		return nil
	}
	age, err := cmdline.Age("--since", o.since)
	if err != nil {
		return exit.ByUser(err)
	}
	of, err := o.series()
	if err != nil {
		return err
	}
	return o.atStore(ctx, h, false, func(e curate.Editor, _ config) error {
		filter := baseline.Filter{Case: of.Case, Match: of.Match, Branch: of.Branch, Since: h.now().Add(-age)}
		return e.Show(ctx, t, curate.Standing{Filter: filter, Since: o.since, All: o.all, Runs: o.runs, JSON: o.output == cmdline.JSON})
	})
}
