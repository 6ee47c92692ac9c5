package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// pruneOptions are the flags of prune.
type pruneOptions struct {
	config  string
	runsDir string
	keep    int
	days    int
	maxGB   float64
	dryRun  bool
	output  string
	here    bool
}

// AddFlags registers the flags.
func (o *pruneOptions) AddFlags(f *pflag.FlagSet) {
	addConfigFlag(f, &o.config, "config file; it says, too, where the login nodes of runs are")
	f.StringVar(&o.runsDir, "runs-dir", "", "parent of the run directories (default runs_dir of the config)")
	f.IntVar(&o.keep, "keep", 200, "newest runs that stay; 0 = no such bound")
	f.IntVar(&o.days, "days", 30, "runs that ended longer ago go; 0 = no such bound")
	f.Float64Var(&o.maxGB, "max-gb", 0, "gigabytes that all runs may take; the oldest go first; 0 = no such bound")
	f.BoolVar(&o.here, "here-only", false, "do not remove what runs have behind login nodes")
	cmdline.AddOutput(f, &o.output)
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be removed")
}

func newPruneCmd(h host) *cobra.Command {
	var o pruneOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove old run directories",
		Long: `prune removes run directories that are too old or too many. It removes only
directories with a run.json directly below the runs directory, and never one that
is being driven or may still have a job. What a run has behind a login node
(agent_dir of its cluster) goes with it; if that node cannot be reached, the run
stays and prune exits 3.`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPrune(cmd.Context(), h, o) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runPrune(ctx context.Context, h host, o pruneOptions) error {
	if err := cmdline.CheckOutput(o.output); err != nil {
		return exit.ByUser(err)
	}
	if o.keep < 0 || o.days < 0 || o.maxGB < 0 {
		return exit.ByUser(fmt.Errorf("--keep, --days and --max-gb cannot be negative"))
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
		return exit.ByUser(err)
	}
	if _, err := os.Stat(dir); err != nil && o.runsDir != "" { // the default one may not be there yet
		return exit.ByUser(fmt.Errorf("--runs-dir: %w", err))
	}
	opts := runs.PruneOptions{
		RunsDir: dir, Keep: o.keep, OlderThan: time.Duration(o.days) * 24 * time.Hour, MaxBytes: int64(o.maxGB * 1e9), DryRun: o.dryRun, Now: h.now,
	}
	opts.Finish = func(run rundir.Run, dir rundir.Dir) error { return o.finishRun(ctx, h, run, dir) }
	if !o.here {
		far := map[string]*driver{}
		defer func() {
			for _, d := range far {
				d.Close()
			}
		}()
		opts.Far = func(run rundir.Run, dir rundir.Dir) error {
			if err := o.removeFar(ctx, h, far, run, dir); err != nil {
				return fmt.Errorf("%w (--here-only removes it here all the same)", err)
			}
			return nil
		}
	}
	all, err := runs.Prune(opts)
	if writeErr := show(h, o.output, runs.PrunedAs(all, o.dryRun)); writeErr != nil {
		return writeErr
	}
	if err != nil {
		return &exit.Error{Code: exit.Infra, Err: err}
	}
	return nil
}

// finishRun writes down how the jobs of a run ended whose driver is dead.
func (o pruneOptions) finishRun(ctx context.Context, h host, run rundir.Run, dir rundir.Dir) error {
	d, err := driverOf(h, dir, own(h, o.config, prpolicy.Flags{}, ""))
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := runs.Finish(ctx, d.Access(), dir); err != nil {
		return fmt.Errorf("run %s: %w", run.ID, err)
	}
	return nil
}

// removeFar removes what a run has behind a login node. far are those that a run was removed on: one connection each.
func (o pruneOptions) removeFar(ctx context.Context, h host, far map[string]*driver, run rundir.Run, dir rundir.Dir) error {
	if run.Backend != rundir.BackendSlurm {
		return nil
	}
	d, err := keptDriver(h, dir, run, own(h, o.config, prpolicy.Flags{}, ""))
	if err != nil {
		return err
	}
	at := configfile.LoginAddress(d.Profile)
	if d.Profile.Login == "" || d.Profile.AgentDir == "" {
		d.Close()
		return nil
	}
	if far[at] != nil {
		d.Close()
	} else {
		far[at] = d
	}
	return runs.RemoveThere(ctx, far[at].Host, d.Profile.AgentDir, run)
}
