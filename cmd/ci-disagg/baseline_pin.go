package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// pinOptions are the flags of baseline pin.
type pinOptions struct {
	seriesFlags
	manualFlags
	point     string
	tolerance string
}

func newBaselinePinCmd(h host) *cobra.Command {
	var o pinOptions
	cmd := &cobra.Command{
		Use:   "pin [flags] --case ID {METRIC | POINT/METRIC}[=VALUE]...",
		Short: "Write a value down that a metric is judged against from now on",
		Long: `pin writes values into the file of pins (--pins, or perf.pins of the config): the
metric is then judged by the rule fixed, a percentage of the value, unless the
policy names another rule. A metric without a value gets the level that the next
run would be compared with (baseline show prints it). Comments and everything else in the file stay as they are.`,
		Example: `  ci-disagg baseline pin --pins baselines.yaml --case my_case output_token_throughput=12500 --tolerance 5% \
    --reason "agreed in PERF-77"
  ci-disagg baseline pin --case my_case con64/ttft_median_ms --reason "level of release 1.2"`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runBaselinePin(cmd.Context(), h, o, args) },
	}
	f := cmd.Flags()
	o.seriesFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.point, "point", "", "benchmark point, such as con64 (default every point)")
	f.StringVar(&o.tolerance, "tolerance", "", "how much worse is still a pass, such as 5% (default the rule's)")
	return cmd
}

func runBaselinePin(ctx context.Context, h host, o pinOptions, args []string) error {
	stamp, err := o.stamp(h)
	if err != nil {
		return exit.ByUser(err)
	}
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	if cfg.Perf.Pins == "" || o.caseID == "" {
		return exit.ByUser(errors.New("give --case, and --pins or perf.pins in the config"))
	}
	wd, err := h.getwd()
	if err != nil {
		return err
	}
	name := cfg.PinsName(wd)
	file, err := absPath(h, name)
	if err != nil {
		return err
	}
	old, err := h.readFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return exit.ByUser(err)
	}
	cfg.Perf.Pins = "" // the level of the runs, whatever is pinned now
	setup, err := judgingHere(h, cfg)
	if err != nil {
		return err
	}
	of, err := o.series()
	if err != nil {
		return err
	}
	entries, err := curate.PinRequest{Series: of, Metrics: args, Point: o.point, Tolerance: o.tolerance}.Pins(ctx, setup, cfg.StoreURL())
	if err != nil {
		return err
	}
	text := old
	for _, e := range entries {
		if doubt := e.Doubt(setup.Policy); doubt != "" {
			fmt.Fprintf(h.stderr, "warning: %s\n", doubt)
		}
		e.By, e.At, e.Why = stamp.By, stamp.At.Format("2006-01-02T15:04:05Z07:00"), stamp.Why
		if text, err = judging.SetPin(name, text, o.caseID, e, setup.Metrics); err != nil {
			return exit.ByUser(err)
		}
	}
	fmt.Fprintf(h.stdout, "%s", diff.Diff(name, old, name, text))
	if o.dryRun {
		fmt.Fprintln(h.stdout, "dry run: nothing was changed")
		return nil
	}
	mode := fs.FileMode(0o644) // a file of the repository, not of a run
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	return exit.ByUser(rundir.WriteFile(file, text, mode))
}
