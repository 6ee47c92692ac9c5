package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
)

// pruneOptions are the flags of prune.
type pruneOptions struct {
	config  string
	runsDir string
	keep    int
	days    int
	maxGB   float64
	dryRun  bool
}

// AddFlags registers the flags.
func (o *pruneOptions) AddFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.config, "config", "c", "", "config file (default "+defaultConfig+" here, if it exists)")
	f.StringVar(&o.runsDir, "runs-dir", "", "parent of the run directories (default runs_dir of the config)")
	f.IntVar(&o.keep, "keep", 200, "newest runs that stay; 0 = no such bound")
	f.IntVar(&o.days, "days", 30, "runs that ended longer ago go; 0 = no such bound")
	f.Float64Var(&o.maxGB, "max-gb", 0, "gigabytes that all runs may take; the oldest go first; 0 = no such bound")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be removed")
}

func newPruneCmd(h host) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove old run directories",
		Long: `prune removes run directories that are too old or too many. It removes only
directories with a run.json directly below the runs directory, and never one that
is being driven or may still have a job.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runPrune(h, o) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runPrune(h host, o pruneOptions) error {
	if o.keep < 0 || o.days < 0 || o.maxGB < 0 {
		return usageErr(fmt.Errorf("--keep, --days and --max-gb cannot be negative"))
	}
	dir := o.runsDir
	if dir == "" {
		cfg, err := loadConfig(h, o.config)
		if err != nil {
			return err
		}
		if dir, err = runsDir(h, cfg); err != nil {
			return err
		}
	}
	dir, err := absPath(h, dir)
	if err != nil {
		return usageErr(err)
	}
	runs, err := drive.Prune(drive.PruneOptions{
		RunsDir: dir, Keep: o.keep, OlderThan: time.Duration(o.days) * 24 * time.Hour, MaxBytes: int64(o.maxGB * 1e9), DryRun: o.dryRun, Now: h.now,
	})
	w := tabwriter.NewWriter(h.stdout, 0, 0, 2, ' ', 0)
	var freed int64
	for _, r := range runs {
		done := "kept"
		switch {
		case r.Removed:
			done, freed = "removed", freed+r.Bytes
		case o.dryRun && r.Why != "" && !r.Protected:
			done = "would remove"
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f MB\t%s\t%s\n", done, r.ID, float64(r.Bytes)/1e6, r.Ended.UTC().Format("2006-01-02 15:04Z"), r.Why)
	}
	if flushErr := w.Flush(); flushErr != nil {
		return flushErr
	}
	fmt.Fprintf(h.stdout, "%d runs, %.1f MB freed\n", len(runs), float64(freed)/1e6)
	if err != nil {
		return &endError{code: exitInfra, err: err}
	}
	return nil
}
