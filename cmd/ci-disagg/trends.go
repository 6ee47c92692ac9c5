package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/trendpages"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
)

// trendsOptions are the flags of trends.
type trendsOptions struct {
	storeFlags
	out, since string
	all, again bool
}

func newTrendsCmd(h host) *cobra.Command {
	var o trendsOptions
	cmd := &cobra.Command{
		Use:   "trends [flags] -o DIR",
		Short: "Write pages over all cases and all time: a static site of what a store has recorded",
		Long: `trends writes a static site from the verdicts that a store has recorded; nothing
is judged again. Its index.html has the open regressions, the oldest first, with
age, commit and owner (owners: of the config), the biggest movers of the week and
a map of all nights; a page per case and a page per case and metric have the whole
history: levels, regressions with their commits, accepted levels with reasons, and
what changed on the machine. Clusters and branches have overviews of their own.

Jenkins' content security policy shows all of it: no script, no inline style. In a
directory that was written before, only the newest days of the store are read
again (--again reads everything; runs that people added, imported or judged again
since are noticed by themselves).`,
		Example: `  ci-disagg trends --store dir:/shared/perf -o trends
  ci-disagg trends -c ci/ci-disagg.yaml -o trends --since 365d   # after the nightly; publish the directory`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTrends(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.StringVarP(&o.out, "output", "o", "", "directory of the site (required)")
	f.StringVar(&o.since, "since", "400d", "how far back")
	f.BoolVar(&o.all, "all", false, "pages for every metric, not only those that gate or were a regression")
	f.BoolVar(&o.again, "again", false, "read the whole store, not only what is new")
	return cmd
}

func runTrends(ctx context.Context, h host, o trendsOptions) error {
	age, err := cmdline.Age("--since", o.since)
	if err == nil && o.out == "" {
		err = errors.New("where to? Give -o DIR")
	}
	if err != nil {
		return exit.ByUser(err)
	}
	dir, err := absPath(h, o.out)
	if err != nil {
		return err
	}
	return o.atStore(ctx, h, false, func(e curate.Editor, cfg config) error {
		began := h.now()
		since := began.Add(-age).UTC().Truncate(24 * time.Hour)
		known := trends.ReadCache(dir)
		if o.again {
			known = nil
		}
		g, err := trends.Gather(ctx, e.Setup.Store, since, known)
		if err != nil {
			return err
		}
		for _, w := range g.Warnings {
			fmt.Fprintf(h.stderr, "warning: %s\n", plain.Inert(plain.Line(w)))
		}
		site := trendpages.Site{
			Gathered: g, Tool: buildVersion(), Now: began, Owner: cfg.Owners.Of,
			Options: trends.Options{Setup: e.Setup, All: o.all},
		}
		written, err := site.Write(dir)
		if err != nil {
			return err
		}
		if err := g.Save(dir, since, began); err != nil {
			return err
		}
		fmt.Fprintf(h.stdout, "%s/index.html: %d pages, %d series of %d cases, %d with an open regression; %d runs read in %s\n",
			o.out, written.Pages, written.Series, len(g.Histories), written.Open, g.Read, h.now().Sub(began).Round(100*time.Millisecond))
		return nil
	})
}
