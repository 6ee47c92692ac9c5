package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
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
	if o.caseID == "" {
		return exit.ByUser(errors.New("which case? Give --case"))
	}
	of, err := o.series()
	if err != nil {
		return err
	}
	return o.change(ctx, h, o.storeFlags, false, func(e curate.Editor, _ config) ([]baseline.Record, error) {
		return e.Accept(ctx, of, o.run, series)
	})
}
