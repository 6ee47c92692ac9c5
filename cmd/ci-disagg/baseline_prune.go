package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
)

// baselinePruneOptions are the flags of baseline prune.
type baselinePruneOptions struct {
	seriesFlags
	manualFlags
	run   string
	older string
	mode  string
}

func newBaselinePruneCmd(h host) *cobra.Command {
	var o baselinePruneOptions
	cmd := &cobra.Command{
		Use:   "prune [flags] {--run ID | --older-than AGE}",
		Short: "Take a bad run out of the history, or remove old records for good",
		Long: `prune --run takes one run out of the history: it stays in the store and counts no
more. prune --older-than removes records for good; the store keeps a note of it.`,
		Example: `  ci-disagg baseline prune --run 20261101T030000Z-0123456789abcdef --reason "node gb-17 was throttling"
  ci-disagg baseline prune --older-than 400d --mode pr --reason "retention" --dry-run`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselinePrune(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.seriesFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.run, "run", "", "id of the run that is not to count")
	f.StringVar(&o.older, "older-than", "", "remove records of runs that began before, such as 400d")
	f.StringVar(&o.mode, "mode", "", "with --older-than: runs of this mode: nightly, pr, bisect, reference or ab; all = every run, and what people did about it")
	return cmd
}

func runBaselinePrune(ctx context.Context, h host, o baselinePruneOptions) error {
	switch {
	case (o.run == "") == (o.older == ""):
		return exit.ByUser(errors.New("give either --run or --older-than"))
	case o.older != "" && o.mode == "": // whoever keeps order does not mean the history
		return exit.ByUser(errors.New("--older-than removes for good: say of which runs, --mode pr for those of pull requests; --mode nightly or all removes the history that verdicts are made of"))
	case o.mode != "" && !slices.Contains(append(baseline.Modes(), "all"), o.mode):
		return exit.ByUser(fmt.Errorf("--mode %q is not nightly, pr, bisect, reference, ab or all", o.mode))
	}
	of, err := o.series()
	if err != nil {
		return err
	}
	filter := baseline.Filter{Case: of.Case, Match: of.Match, Branch: of.Branch, Mode: o.mode, Kinds: []baseline.Kind{baseline.KindRun}}
	if o.run != "" {
		filter.IDs = []string{o.run}
		return o.change(ctx, h, o.storeFlags, false, func(e curate.Editor, _ config) ([]baseline.Record, error) { return e.Withdraw(ctx, filter) })
	}
	age, err := cmdline.Age("--older-than", o.older)
	if err != nil {
		return exit.ByUser(err)
	}
	if o.mode == "all" {
		filter.Mode = ""
	}
	if o.mode == "all" && o.branch == "" {
		filter.Kinds = nil // acts about runs that go, go with them
	}
	filter.Before = h.now().Add(-age)
	return o.change(ctx, h, o.storeFlags, false, func(e curate.Editor, _ config) ([]baseline.Record, error) { return e.Remove(ctx, filter) })
}
