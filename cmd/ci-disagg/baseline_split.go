package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
)

// splitOptions are the flags of baseline split.
type splitOptions struct {
	storeFlags
	manualFlags
	caseID string
	who    string
	to     string
}

func newBaselineSplitCmd(h host) *cobra.Command {
	var o splitOptions
	cmd := &cobra.Command{
		Use:   "split [flags]",
		Short: "Give the runs of earlier versions the cluster that they were measured on",
		Long: `split makes the cluster a part of the identity of runs that were stored before it was
one: each becomes a run of the series of the cluster that it names, with what people
did about it. Runs that name none stay where they are, unless --to says where they
belong. Doing it again, or after a break, changes nothing more.`,
		Example: `  ci-disagg baseline split --reason "a second cluster" --dry-run
  ci-disagg baseline split --to gb200-east --reason "all of these are from there"`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselineSplit(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.storeFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.caseID, "case", "", "only this case")
	f.StringVar(&o.who, "who", "", "--by of earlier versions, whose --by cluster said what to split by")
	_ = f.MarkHidden("who") // it is there
	f.StringVar(&o.to, "to", "", "cluster of the runs that name none")
	return cmd
}

func runBaselineSplit(ctx context.Context, h host, o splitOptions) error {
	if o.by == "" || o.by == baseline.ClusterKey {
		o.by = o.who
	}
	return o.change(ctx, h, o.storeFlags, false, func(e curate.Editor, _ config) ([]baseline.Record, error) {
		return e.Split(ctx, o.caseID, o.to)
	})
}
