package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
	"github.com/ci-disagg/ci-disagg/internal/trust"
)

func newBaselineCmd(h host) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "baseline",
		Short: "Show and curate the history that runs are judged against",
		Long: `baseline looks at and changes what runs are judged against: the history in a
baseline store (dir:PATH or postgres://…) and the values in a file of pins.

Everything that changes something needs --reason; who, when and why are kept.
--dry-run prints what would change and changes nothing.

A store that cannot be reached ends with 5, a wrong argument with 2.`,
		Args: cmdline.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	changing := []*cobra.Command{
		newBaselineAddCmd(h), newBaselinePinCmd(h), newBaselineAcceptCmd(h), newBaselineImportCmd(h),
		newBaselinePruneCmd(h), newBaselineSplitCmd(h), newBaselineReplayCmd(h),
	}
	for _, c := range changing {
		trust.Guard(c, h.getenv, func() string { return "baseline " + c.Name() })
	}
	cmd.AddCommand(append(changing, newBaselineShowCmd(h), newBaselineNodesCmd(h), newBaselineExportCmd(h))...)
	return cmd
}

// seriesFlags name the series of one case.
type seriesFlags struct {
	storeFlags
	caseID string
	match  []string
	branch string
}

// AddFlags registers the flags.
func (o *seriesFlags) AddFlags(f *pflag.FlagSet) {
	o.storeFlags.AddFlags(f)
	f.StringVar(&o.caseID, "case", "", "case id")
	f.StringArrayVar(&o.match, "match", nil, "key=value of the series (repeatable; default the only one the case has)")
	f.StringVar(&o.branch, "branch", "", "branch of the history (default "+baseline.DefaultBranch+")")
}

// manualFlags belong to everything that a person changes.
type manualFlags struct {
	reason string
	by     string
	dryRun bool
}

// AddFlags registers the flags.
func (o *manualFlags) AddFlags(f *pflag.FlagSet) {
	f.StringVar(&o.reason, "reason", "", "why (required, kept)")
	f.StringVar(&o.by, "by", "", "who (default $BUILD_USER_ID, $USER)")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would change, change nothing")
}

// stamp is who, when and why.
func (o manualFlags) stamp(h host) (baseline.Act, error) {
	by := cmp.Or(o.by, h.getenv("BUILD_USER_ID"), h.getenv("USER"), h.getenv("LOGNAME"))
	var errs []error
	if strings.TrimSpace(o.reason) == "" {
		errs = append(errs, errors.New("--reason is missing: it is kept with the change"))
	}
	if by == "" {
		errs = append(errs, errors.New("nothing says who you are: give --by"))
	}
	return baseline.Act{By: by, At: h.now().UTC().Truncate(time.Second), Why: strings.TrimSpace(o.reason)}, errors.Join(errs...)
}

// atStore opens the configured store, with what its runs are judged with, for fn.
func (o storeFlags) atStore(ctx context.Context, h host, create bool, fn func(curate.Editor, config) error) error {
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	setup, err := judgingHere(h, cfg)
	if err != nil {
		return err
	}
	if setup.Store, err = curate.Open(ctx, cfg.StoreURL(), create); err != nil {
		return err
	}
	defer func() { _ = setup.Store.Close() }()
	return curate.StoreError(fn(curate.Editor{Out: h.stdout, Warn: h.stderr, Setup: setup}, cfg))
}

// change is the one way in which a person changes a store: who and why, then the records that fn makes, which are shown
// in a dry run and stored otherwise. With create, a store that is not there is made.
func (o manualFlags) change(ctx context.Context, h host, from storeFlags, create bool, fn func(curate.Editor, config) ([]baseline.Record, error)) error {
	act, err := o.stamp(h)
	if err != nil {
		return exit.ByUser(err)
	}
	return from.atStore(ctx, h, create && !o.dryRun, func(e curate.Editor, cfg config) error {
		e.Act, e.Dry = act, o.dryRun
		return e.Change(ctx, func(e curate.Editor) ([]baseline.Record, error) { return fn(e, cfg) })
	})
}

// series are those that the flags name.
func (o seriesFlags) series() (curate.Series, error) {
	match, err := curate.ParseMatch(o.match)
	return curate.Series{Case: o.caseID, Match: match, Branch: o.branch}, exit.ByUser(err)
}
