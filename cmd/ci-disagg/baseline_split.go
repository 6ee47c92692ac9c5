package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// splitOptions are the flags of baseline split.
type splitOptions struct {
	storeFlags
	manualFlags
	caseID string
	by     string
	to     string
}

func newBaselineSplitCmd(h host) *cobra.Command {
	var o splitOptions
	cmd := &cobra.Command{
		Use:   "split [flags] --by cluster",
		Short: "Give the runs of earlier versions the cluster that they were measured on",
		Long: `split makes the cluster a part of the identity of runs that were stored before it was
one: each becomes a run of the series of the cluster that it names, with what people
did about it. Runs that name none stay where they are, unless --to says where they
belong. Doing it again, or after a break, changes nothing more.`,
		Example: `  ci-disagg baseline split --by cluster --reason "a second cluster" --dry-run
  ci-disagg baseline split --by cluster --to gb200-east --reason "all of these are from there"`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselineSplit(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.storeFlags.AddFlags(f)
	o.addFlags(f, "who") // --by is what to split by
	f.StringVar(&o.caseID, "case", "", "only this case")
	f.StringVar(&o.by, "by", "", "cluster, the only one")
	f.StringVar(&o.to, "to", "", "cluster of the runs that name none")
	return cmd
}

func runBaselineSplit(ctx context.Context, h host, o splitOptions) error {
	if o.by != baseline.ClusterKey {
		return usageErr(fmt.Errorf("--by %q: give --by cluster, the only part of an identity that runs may lack", o.by))
	}
	return o.change(ctx, h, o.storeFlags, false, func(d desk) ([]baseline.Record, error) {
		records, err := d.records(ctx, baseline.Filter{Case: o.caseID})
		if err != nil {
			return nil, err
		}
		return d.split(ctx, baseline.SplitByCluster(records, o.to))
	})
}

// split stores the records where they belong, removes them from where they were, and
// leaves a note. A break in between leaves runs twice, which count once.
func (d desk) split(ctx context.Context, s baseline.Split) ([]baseline.Record, error) {
	for _, m := range s.Moved {
		fmt.Fprintf(d.h.stdout, "%s (%s): %s to cluster %s\n", table.OneLine(m.Case), table.OneLine(tables.Match(m.Match)), count(m.Runs, "run"), table.OneLine(m.Cluster))
	}
	if s.Unknown > 0 {
		fmt.Fprintf(d.h.stdout, "%d records name no cluster and stay: --to gives them one\n", s.Unknown)
	}
	if len(s.Records) == 0 {
		fmt.Fprintln(d.h.stdout, "nothing to split")
		return nil, nil
	}
	d.act.Series = []string{baseline.ClusterKey}
	note := []baseline.Record{baseline.Record{Kind: baseline.KindSplit, Case: "*", Time: d.act.At, Act: &d.act}.Normal()}
	if d.dry {
		return note, nil
	}
	if err := d.save(ctx, s.Records); err != nil {
		return nil, err
	}
	const portion = 500
	for ids := range slices.Chunk(s.Old, portion) {
		if _, err := d.setup.Store.Delete(ctx, baseline.Filter{IDs: ids}); err != nil {
			return nil, err
		}
	}
	return note, nil
}
