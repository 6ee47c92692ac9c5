package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/commonfailures"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// sweepOptions are the flags of sweep.
type sweepOptions struct {
	config    string
	cluster   string
	backend   string
	olderThan time.Duration
	owner     string
	dryRun    bool
	output    string
}

// AddFlags registers the flags.
func (o *sweepOptions) AddFlags(f *pflag.FlagSet) {
	addConfigFlag(f, &o.config, "config file")
	addClusterFlag(f, &o.cluster)
	f.StringVar(&o.backend, "backend", "", "slurm or local (default backend of the config, else slurm)")
	f.DurationVar(&o.olderThan, "older-than", 30*time.Minute, "how long an owner must have been silent")
	f.StringVar(&o.owner, "owner", "", "end the jobs of this owner tag, whatever its lease says")
	cmdline.AddOutput(f, &o.output)
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be ended")
}

func newSweepCmd(h host) *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "End the jobs of builds that are dead",
		Long: `sweep looks at this user's jobs that carry an owner tag of ci-disagg in their name
or run one of its scripts, finds the run directory of each from the job itself, and
ends those whose driver has given no sign of life for --older-than. A job whose run
directory cannot be seen from here is listed, not touched; end it with --owner TAG.
Where the records of some runs cannot be read, the others are seen to, and it exits 3.
Of runs in runs_dir whose driver is dead it writes down how their jobs ended, and
it tells which failures of the infrastructure three runs or more have had within a
day, and on which node, switch or file system.

Run it from a timer on a machine that sees the run directories: when an agent's
pod dies, nothing that ran in it can clean up.`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSweep(cmd, h, o) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runSweep(cmd *cobra.Command, h host, o sweepOptions) error {
	if err := cmdline.CheckOutput(o.output); err != nil {
		return exit.ByUser(err)
	}
	if tag, err := hex.DecodeString(o.owner); o.owner != "" && (err != nil || len(tag) != 6) {
		return exit.ByUser(fmt.Errorf("--owner %q is no owner tag: give the 12 hexadecimal digits of a job's name, cid-TAG-…", o.owner))
	}
	cfg, err := loadConfig(h, o.config)
	if err != nil {
		return err
	}
	backend, err := cfg.BackendOr(o.backend)
	if err != nil {
		return exit.ByUser(err)
	}
	d, err := newDriver(h, cfg, o.cluster, backend, noDriveFlags())
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.CheckConf(); err != nil {
		return err
	}
	parent, err := runsDir(h, cfg)
	if err != nil {
		return err
	}
	opts := runs.SweepOptions{
		Access: d.Access(), Queue: backend == rundir.BackendSlurm, RunsDir: parent, Backend: backend, Cluster: d.Cluster,
		OlderThan: o.olderThan, Owner: o.owner, DryRun: o.dryRun,
	}
	found, err := runs.Sweep(cmd.Context(), opts)
	if err != nil {
		return &exit.Error{Code: exit.Infra, Err: err}
	}
	var common []string
	for _, p := range commonfailures.Common(commonfailures.Read(parent, h.now()), h.now()) {
		common = append(common, p.String())
	}
	if err := show(h, o.output, runs.SweptAs(found, o.dryRun, common)); err != nil {
		return err
	}
	var errs []error
	for _, s := range found {
		errs = append(errs, s.Err)
	}
	if err := errors.Join(errs...); err != nil {
		return &exit.Error{Code: exit.Infra, Err: err}
	}
	return nil
}
