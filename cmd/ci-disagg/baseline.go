package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/cmdline"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/tables"
	"github.com/ci-disagg/ci-disagg/internal/table"
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
		trust.Guard(c, h.getenv, usageErr, func() string { return "baseline " + c.Name() })
	}
	cmd.AddCommand(append(changing, newBaselineShowCmd(h), newBaselineExportCmd(h))...)
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
	byFlag string
	dryRun bool
}

// AddFlags registers the flags.
func (o *manualFlags) AddFlags(f *pflag.FlagSet) { o.addFlags(f, "by") }

// addFlags registers them with that name for who.
func (o *manualFlags) addFlags(f *pflag.FlagSet, byFlag string) {
	o.byFlag = byFlag
	f.StringVar(&o.reason, "reason", "", "why (required, kept)")
	f.StringVar(&o.by, byFlag, "", "who (default $BUILD_USER_ID, $USER)")
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
		errs = append(errs, fmt.Errorf("nothing says who you are: give --%s", o.byFlag))
	}
	return baseline.Act{By: by, At: h.now().UTC().Truncate(time.Second), Why: strings.TrimSpace(o.reason)}, errors.Join(errs...)
}

// desk is where a verb works on a store: what it is judged with, and who wants what.
type desk struct {
	h     host
	cfg   config
	setup judging.Setup // with its store
	act   baseline.Act  // who, when and why
	dry   bool
}

// records are those that pass the filter. One that cannot be read is left out, and said.
func (d desk) records(ctx context.Context, f baseline.Filter) ([]baseline.Record, error) {
	var out []baseline.Record
	warnings, err := d.setup.Store.Each(ctx, f, func(r baseline.Record) error {
		out = append(out, r)
		return nil
	})
	for _, w := range warnings {
		fmt.Fprintf(d.h.stderr, "warning: %s\n", table.OneLine(w))
	}
	return out, err
}

// atStore opens the configured store, with what its runs are judged with, for fn.
func (o storeFlags) atStore(ctx context.Context, h host, create bool, fn func(desk) error) error {
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	setup, err := cfg.judging(h)
	if err != nil {
		return err
	}
	if setup.Store, err = openStore(ctx, cfg, create); err != nil {
		return err
	}
	defer func() { _ = setup.Store.Close() }()
	return storeErr(fn(desk{h: h, cfg: cfg, setup: setup}))
}

// openStore opens the configured store. The caller closes it.
func openStore(ctx context.Context, cfg config, create bool) (baseline.Store, error) {
	url := storeURL(cfg)
	if url == "" {
		return nil, usageErr(errors.New("which store? Give --store, $CI_DISAGG_STORE, or perf.store in the config"))
	}
	store, err := baseline.Open(ctx, url, create)
	return store, storeErr(err)
}

// change is the one way in which a person changes a store: who and why, then the
// records that fn makes, which are shown in a dry run and stored otherwise. With
// create, a store that is not there is made.
func (o manualFlags) change(ctx context.Context, h host, from storeFlags, create bool, fn func(desk) ([]baseline.Record, error)) error {
	act, err := o.stamp(h)
	if err != nil {
		return usageErr(err)
	}
	return from.atStore(ctx, h, create && !o.dryRun, func(d desk) error {
		d.act, d.dry = act, o.dryRun
		records, err := fn(d)
		if err != nil {
			return err
		}
		if d.dry {
			return d.show(ctx, records)
		}
		return d.save(ctx, records)
	})
}

// storeErr gives an error of a store its exit code.
func storeErr(err error) error {
	var end *endError
	switch {
	case err == nil || errors.As(err, &end):
		return err
	case baseline.IsUnavailable(err):
		return &endError{code: exitNoVerdict, err: err}
	default:
		return usageErr(err)
	}
}

// history is what the next run of the case would be judged against.
func (o seriesFlags) history(ctx context.Context, store baseline.Store) (baseline.History, error) {
	match, err := o.findMatch(ctx, store)
	if err != nil {
		return baseline.History{}, err
	}
	return store.History(ctx, baseline.Query{Case: o.caseID, Match: match, Branch: o.branch})
}

// findMatch is the match values of the case's series: the given ones, else the
// only ones that the store has.
func (o seriesFlags) findMatch(ctx context.Context, store baseline.Store) (map[string]string, error) {
	given, err := parseMatch(o.match)
	if err != nil || len(given) > 0 {
		return given, usageErr(err)
	}
	seen := map[string]bool{}
	var all []map[string]string
	_, err = store.Each(ctx, baseline.Filter{Case: o.caseID, Kinds: []baseline.Kind{baseline.KindRun}}, func(r baseline.Record) error {
		if key := baseline.MatchKey(r.Match); !seen[key] {
			seen[key] = true
			all = append(all, r.Match)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	heads := baseline.Heads(all)
	switch len(heads) {
	case 0:
		return nil, usageErr(fmt.Errorf("%s has no run of case %q", store, o.caseID))
	case 1:
		return heads[0], nil
	}
	var texts []string
	for _, m := range heads {
		texts = append(texts, tables.Match(m))
	}
	return nil, usageErr(fmt.Errorf("case %s has %d series; give --match for one of them:\n  %s", o.caseID, len(heads), strings.Join(texts, "\n  ")))
}

// save stores in portions and says what became of it.
func (d desk) save(ctx context.Context, records []baseline.Record) error {
	const portion = 500
	var total baseline.Saved
	for part := range slices.Chunk(records, portion) {
		saved, err := d.setup.Store.Save(ctx, part...)
		total.Added += saved.Added
		total.Replaced += saved.Replaced
		if err != nil {
			fmt.Fprintf(d.h.stderr, "%d records were stored before that\n", total.Added+total.Replaced)
			return err
		}
	}
	if len(records) > 0 {
		fmt.Fprintf(d.h.stdout, "stored in %s: %d new, %d replaced\n", d.setup.Store, total.Added, total.Replaced)
	}
	return nil
}

// show is the difference that saving would make: + new, ~ replaced.
func (d desk) show(ctx context.Context, records []baseline.Record) error {
	there, err := d.stored(ctx, records)
	if err != nil {
		return err
	}
	for _, r := range records {
		sign := "+"
		if there[r.ID] {
			sign = "~"
		}
		fmt.Fprintf(d.h.stdout, "%s %s\n", sign, tables.Record(r))
	}
	fmt.Fprintln(d.h.stdout, "dry run: nothing was changed")
	return nil
}

// stored are the ids of those records that the store has.
func (d desk) stored(ctx context.Context, records []baseline.Record) (map[string]bool, error) {
	there := map[string]bool{}
	if len(records) == 0 {
		return there, nil
	}
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	_, err := d.setup.Store.Each(ctx, baseline.Filter{IDs: ids}, func(r baseline.Record) error {
		there[r.ID] = true
		return nil
	})
	return there, err
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
