package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/prpolicy"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// cancelOptions are the flags of cancel.
type cancelOptions struct {
	findFlags
	config, reason, output, interrupted string
	patient                             bool
}

// AddFlags registers the flags.
func (o *cancelOptions) AddFlags(f *pflag.FlagSet) {
	o.findFlags.AddFlags(f)
	addConfigFlag(f, &o.config, "config that --run-id is looked up with, and that says, too, where a login node is")
	f.StringVar(&o.reason, "reason", "cancelled with `ci-disagg cancel`", "why; stands in the report")
	cmdline.AddOutput(f, &o.output)
	f.BoolVar(&o.patient, "patient", false, "wait for up to four minutes, not two")
	f.StringVar(&o.interrupted, "interrupted", "", "what the driver with this lease, told to stop, leaves to do: resume goes on with the cases")
	_ = f.MarkHidden("interrupted") // a driver starts it
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
when none is left, and 3 when one is after two minutes (four, where it is just
being submitted), cannot be asked for, or may be in what cannot be read of the
run: the jobs that can be seen are ended all the same.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runCancel(cmd, h, o, args) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runCancel(cmd *cobra.Command, h host, o cancelOptions, args []string) error {
	if err := cmdline.CheckOutput(o.output); err != nil {
		return exit.ByUser(err)
	}
	dir, err := o.find(h, o.config, args)
	if err != nil {
		return err
	}
	d, err := driverOf(h, dir, own(h, o.config, prpolicy.Flags{}, ""))
	if err != nil {
		return err
	}
	defer d.Close()
	opts := runs.CancelOptions{Access: d.Access(), Dir: dir, Reason: o.reason, Wait: true, Patient: o.patient}
	if o.interrupted != "" {
		opts.Cause, opts.Driver, opts.Patient = rundir.CauseInterrupted, o.interrupted, true
	}
	ended, err := runs.Cancel(cmd.Context(), opts)
	if err != nil {
		return &exit.Error{Code: exit.Infra, Err: err}
	}
	doc := runs.Cancelled(string(dir), ended)
	if err := show(h, o.output, doc); err != nil {
		return err
	}
	if failed := doc.Failed(); failed > 0 {
		return &exit.Error{Code: exit.Infra, Err: fmt.Errorf("%d of %d jobs could not be cancelled", failed, len(ended))}
	}
	return nil
}

// show prints what a verb has done for programs or for people.
func show(h host, form string, doc interface{ Write(io.Writer) error }) error {
	if form == cmdline.JSON {
		return cmdline.WriteJSON(h.stdout, doc)
	}
	return doc.Write(h.stdout)
}

// driverOf is the driver as the run directory's own config describes it, as far as the caller's own says the same.
func driverOf(h host, dir rundir.Dir, own func() (config, error)) (*driver, error) {
	run, err := readRun(dir)
	if err != nil {
		return nil, err
	}
	d, err := keptDriver(h, dir, run, own)
	if err != nil {
		return nil, err
	}
	return d, d.CheckConf()
}

// keptDriver is a driver that may be of a cluster that is not to be had here.
func keptDriver(h host, dir rundir.Dir, run rundir.Run, own func() (config, error)) (*driver, error) {
	cfg, err := configfile.Kept(dir, own)
	if err != nil {
		return nil, exit.ByUser(err)
	}
	return newDriver(h, cfg, run.Cluster, run.Backend, noDriveFlags())
}
