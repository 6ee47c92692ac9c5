package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// cancelOptions are the flags of cancel.
type cancelOptions struct {
	findFlags
	config  string
	reason  string
	patient bool
}

// AddFlags registers the flags.
func (o *cancelOptions) AddFlags(f *pflag.FlagSet) {
	o.findFlags.AddFlags(f)
	addConfigFlag(f, &o.config, "config that --run-id is looked up with")
	f.StringVar(&o.reason, "reason", "cancelled with `ci-disagg cancel`", "why; stands in the report")
	f.BoolVar(&o.patient, "patient", false, "wait also for a job that is just being submitted")
}

func newCancelCmd(h host) *cobra.Command {
	var o cancelOptions
	cmd := &cobra.Command{
		Use:   "cancel [flags] {RUN_DIR | --run-id ID}",
		Short: "End a run's jobs",
		Long: `cancel ends every job that the run may have, by id, and by its unique name where
the id is not known yet. A driver that is alive submits nothing more and goes on
to its report; where none is, cancel writes down how the jobs ended. 'ci-disagg
resume' goes on with cases that were never launched.

It returns when the jobs are gone and says of each what became of it. It exits 0
when none is left, and 3 when one is after two minutes, or cannot be asked for.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runCancel(cmd, h, o, args) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runCancel(cmd *cobra.Command, h host, o cancelOptions, args []string) error {
	dir, err := o.find(h, o.config, args)
	if err != nil {
		return err
	}
	d, err := driverOf(h, dir)
	if err != nil {
		return err
	}
	defer d.Close()
	ended, err := runs.Cancel(cmd.Context(), runs.CancelOptions{
		Access: d.Access(), Dir: dir, Reason: o.reason, Wait: true, Patient: o.patient,
	})
	failed := 0
	for _, e := range ended {
		switch {
		case e.Err != nil:
			failed++
			fmt.Fprintf(h.stdout, "%s: job %s (%s): %v\n", e.Case, orUnknown(e.Job.ID), e.Job.Name, e.Err)
		default:
			fmt.Fprintf(h.stdout, "%s: job %s (%s): %s\n", e.Case, orUnknown(e.Job.ID), e.Job.Name, e.What)
		}
	}
	if len(ended) == 0 && err == nil {
		fmt.Fprintln(h.stdout, "no job to cancel")
	}
	if err != nil {
		return &endError{Code: exitInfra, Err: err}
	}
	if failed > 0 {
		return &endError{Code: exitInfra, Err: fmt.Errorf("%d of %d jobs could not be cancelled", failed, len(ended))}
	}
	return nil
}

func orUnknown(id string) string {
	if id == "" {
		return "without an id yet"
	}
	return id
}

// driverOf is the driver as the run directory's own config describes it.
func driverOf(h host, dir rundir.Dir) (*driver, error) {
	run, err := readRun(dir)
	if err != nil {
		return nil, err
	}
	cfg, err := configfile.Kept(dir)
	if err != nil {
		return nil, usageErr(err)
	}
	d, err := newDriver(h, cfg, run.Cluster, run.Backend, noDriveFlags())
	if err != nil {
		return nil, err
	}
	return d, d.CheckConf()
}
