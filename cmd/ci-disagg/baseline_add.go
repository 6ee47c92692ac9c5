package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// addOptions are the flags of baseline add.
type addOptions struct {
	subjectFlags
	manualFlags
	values []string
	point  string
}

func newBaselineAddCmd(h host) *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add [flags] --case ID {FILE_OR_DIR... | --value METRIC=NUMBER...}",
		Short: "Add a run to the history by hand, without judging it",
		Example: `  ci-disagg baseline add --case my_case --time 2026-11-01T03:00:00Z --commit abc1234 \
    --reason "measured before the move" out/
  ci-disagg baseline add --case my_case --point con64 --value output_token_throughput=12500,12480 \
    --time 2026-11-01T03:00:00Z --reason "from the release notes"`,
		RunE: func(cmd *cobra.Command, args []string) error { return runBaselineAdd(cmd.Context(), h, o, args) },
	}
	f := cmd.Flags()
	o.subjectFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringArrayVar(&o.values, "value", nil, "METRIC=NUMBER[,NUMBER…], one number per repetition (repeatable)")
	f.StringVar(&o.point, "point", "", "benchmark point of --value, such as con64")
	return cmd
}

func runBaselineAdd(ctx context.Context, h host, o addOptions, args []string) error {
	return o.change(ctx, h, o.storeFlags, true, func(e curate.Editor, cfg config) ([]baseline.Record, error) {
		rec, err := o.record(h, cfg, e.Setup, args)
		if err != nil {
			return nil, err
		}
		return e.Add(rec)
	})
}

// record is the run to add: read from files, or given as values.
func (o addOptions) record(h host, cfg config, setup judging.Setup, args []string) (baseline.Record, error) {
	if o.caseID == "" {
		return baseline.Record{}, errors.New("which case? Give --case")
	}
	if (len(args) == 0) == (len(o.values) == 0) {
		return baseline.Record{}, errors.New("give either files to read or --value METRIC=NUMBER")
	}
	if len(args) > 0 {
		s, _, err := o.subject(h, cfg, setup, rundir.Expected{}, args)
		return s.Record, err
	}
	if o.at == "" {
		return baseline.Record{}, errors.New("when was that? Give --time")
	}
	s, err := o.subjectOf(h, cfg)
	if err != nil {
		return s.Record, err
	}
	s.Record.Measurements, err = curate.ParseValues(o.values, o.point, setup.Metrics)
	s.Record.Valid = true
	return s.Record, err
}
