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
	clusterhost "github.com/ci-disagg/ci-disagg/internal/launch/host"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
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
	addConfigFlag(f, &o.config, "config file")
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
	opts.Finish = func(run rundir.Run, dir rundir.Dir) error { return finishRun(ctx, h, run, dir) }
	if !o.here {
		far := farRuns{h: h, logins: map[string]*clusterhost.SSH{}}
		defer far.close()
		opts.Far = func(run rundir.Run, dir rundir.Dir) error {
			if err := far.remove(ctx, run, dir); err != nil {
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
func finishRun(ctx context.Context, h host, run rundir.Run, dir rundir.Dir) error {
	d, err := driverOf(h, dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := runs.Finish(ctx, d.Access(), dir); err != nil {
		return fmt.Errorf("run %s: %w", run.ID, err)
	}
	return nil
}

// farRuns are the run directories behind login nodes, over one connection each.
type farRuns struct {
	h      host
	logins map[string]*clusterhost.SSH
}

// remove removes what a run has there, by the config that the run was made with.
func (f farRuns) remove(ctx context.Context, run rundir.Run, dir rundir.Dir) error {
	if run.Backend != jobs.BackendSlurm {
		return nil
	}
	cfg, err := configfile.Kept(dir)
	if err != nil {
		return err
	}
	_, prof, err := cfg.Profile(run.Cluster)
	if err != nil || prof.Login == "" || prof.AgentDir == "" {
		return err
	}
	if f.logins[prof.Login] == nil {
		login, err := clusterhost.NewSSH(clusterhost.SSHConfig{Dest: prof.Login, Env: f.h.environ()})
		if err != nil {
			return err
		}
		f.logins[prof.Login] = login
	}
	return runs.RemoveThere(ctx, f.logins[prof.Login], prof.AgentDir, run)
}

func (f farRuns) close() {
	for _, login := range f.logins {
		_ = login.Close() // a connection that will not close says nothing about the runs
	}
}
