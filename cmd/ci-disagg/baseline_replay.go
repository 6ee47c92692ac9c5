package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// replayOptions are the flags of baseline replay.
type replayOptions struct {
	storeFlags
	manualFlags
	caseID   string
	caseMode string
}

func newBaselineReplayCmd(h host) *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay [flags]",
		Short: "Judge imported and added runs once, in order, as if each had been judged then",
		Long: `replay goes night by night through the nightly runs that came into the store by
import or add, and judges each by what was known before it. A regression among them
is then open, with its onset, for the first night that is judged here. Runs that
were judged here stay as they were. Doing it again changes nothing.`,
		Example: `  ci-disagg baseline import --reason "moving over" perf_data.yaml
  ci-disagg baseline replay --reason "moving over" --dry-run
  ci-disagg baseline replay --reason "moving over"`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselineReplay(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.storeFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.caseID, "case", "", "only this case")
	f.StringVar(&o.caseMode, "case-mode", rundir.ModeE2E, "which metrics gate, for cases whose match values name no mode")
	return cmd
}

func runBaselineReplay(ctx context.Context, h host, o replayOptions) error {
	return o.change(ctx, h, o.storeFlags, false, func(e curate.Editor, _ config) ([]baseline.Record, error) {
		return e.Replay(ctx, o.caseID, o.caseMode)
	})
}
