package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/deliver"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/compared"
)

// compareOptions are the flags of compare.
type compareOptions struct {
	storeFlags
	compare.Options
	since, format, to string
}

func newCompareCmd(h host) *cobra.Command {
	var o compareOptions
	cmd := &cobra.Command{
		Use:   "compare [flags] A B",
		Short: "Hold any two things against each other: runs, commits, branches, clusters, dates, stores",
		Long: `compare prints, per case and metric, how B differs from A: the ratio with its
interval and a verdict, the worst first. A and B are each one of

  a run directory            needs no store: its report says what was measured
  run:ID                     a run of the store, or of runs_dir
  commit:ID                  all runs of a commit (7 or more digits)
  branch:NAME, cluster:NAME  where the branch, or main on the cluster, stands
  date:2026-01-31            runs of main that began on a day, or date:FROM..TO
  dir:PATH, postgres://…     where main stands in another store

Several with commas between them must all be true: branch:main,cluster:b200. A
bare word is looked up in all of them. Of many runs the newest level counts (at
most 30 runs), as for a verdict.

The ratio is B/A. The interval holds the true one with 90 % if runs scatter as
the runs of this series do, by their last 80; fewer than 7 known runs tell no
noise, and the verdict is "few runs". "worse" and "better": the whole interval
is, and the change is at least 0.7 of the smallest that matters (baseline show
--metrics). "same": no change that matters is left in the interval. Of 100 series
without any change, up to 5 look worse: a regression is what 'judge' says.

What else differs (machine, image, concurrency, cluster, mode) is said: then the
comparison is not fair. The exit code is 0 whatever is found.`,
		Example: `  ci-disagg compare runs/20260130-031500 runs/20260131-031500
  ci-disagg compare commit:3f2a91c commit:8be01d4 --case 'deepseek*'
  ci-disagg compare cluster:h200 cluster:b200 -o md
  ci-disagg compare date:2026-01-01..2026-01-07 branch:main -o html --to weeks.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("compare takes two things, A and B, and was given %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runCompare(cmd.Context(), h, o, args) },
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.StringVar(&o.Case, "case", "", "only cases that this glob, or begin of an id, fits")
	f.StringVar(&o.Metric, "metric", "", "only this metric (default those that gate)")
	f.BoolVar(&o.All, "all", false, "every metric, not only those that gate")
	f.StringVar(&o.since, "since", "90d", "how far back runs of a store are looked at")
	f.StringVarP(&o.format, "output", "o", "text", strings.Join(compared.Formats(), ", "))
	f.StringVar(&o.to, "to", "", "file to write (default stdout); beside a page, its style sheet")
	return cmd
}

func runCompare(ctx context.Context, h host, o compareOptions, args []string) error {
	age, err := cmdline.Age("--since", o.since)
	if err == nil {
		err = compared.Check(o.format)
	}
	if err != nil {
		return exit.ByUser(err)
	}
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	setup, err := judgingHere(h, cfg)
	if err != nil {
		return err
	}
	o.Setup = setup
	find := compare.Finder{Store: cfg.StoreURL(), Since: h.now().Add(-age), Window: o.since}
	find.RunsDir, _ = runsDir(h, cfg) // without one, ids are those of a store
	if find.Dir, err = h.getwd(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deliver.StoreTimeout)
	defer cancel()
	doc, err := find.Compare(ctx, args[0], args[1], o.Options)
	switch {
	case err != nil:
		return curate.StoreError(err)
	case o.to == "":
		return compared.Write(h.stdout, o.format, doc, colours(h, h.stdout))
	}
	path, err := absPath(h, o.to)
	if err != nil {
		return err
	}
	return compared.File(path, o.format, doc)
}
