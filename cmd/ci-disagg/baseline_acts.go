package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// readNames reads a YAML mapping of names.
func readNames(h host, file string) (map[string]string, error) {
	path, err := absPath(h, file)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var names map[string]string
	return names, strictyaml.Decode(file, data, &names)
}

// acceptOptions are the flags of baseline accept.
type acceptOptions struct {
	seriesFlags
	manualFlags
	run string
}

func newBaselineAcceptCmd(h host) *cobra.Command {
	var o acceptOptions
	cmd := &cobra.Command{
		Use:   "accept [flags] --case ID [METRIC | POINT/METRIC]...",
		Short: "Take the newest level for intended: it ends an open regression",
		Long: `accept says that the level which a run of the branch shows is what it is to be
from now on: an intended change, an accepted price. The open regression of the
case ends, later runs are judged against the new level. Without metrics it is
about all of the case.`,
		Example: `  ci-disagg baseline accept --case my_case --reason "new sampler, PR 1234"
  ci-disagg baseline accept --case my_case con64/ttft_median_ms --reason "traded for throughput"`,
		RunE: func(cmd *cobra.Command, args []string) error { return runBaselineAccept(cmd.Context(), h, o, args) },
	}
	f := cmd.Flags()
	o.seriesFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.run, "run", "", "id of the run that shows the level (default the newest; baseline show --case lists them)")
	return cmd
}

func runBaselineAccept(ctx context.Context, h host, o acceptOptions, series []string) error {
	stamp, err := o.stamp(h)
	if err != nil {
		return usageErr(err)
	}
	if o.caseID == "" {
		return usageErr(errors.New("which case? Give --case"))
	}
	store, cfg, err := o.openStore(ctx, h, false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	metrics, err := cfg.metrics()
	if err != nil {
		return usageErr(err)
	}
	match, err := o.findMatch(ctx, store)
	if err != nil {
		return err
	}
	hist, err := store.History(ctx, baseline.Query{Case: o.caseID, Match: match, Branch: o.branch})
	if err != nil {
		return storeErr(err)
	}
	at := len(hist.Runs) - 1
	if o.run != "" {
		at = slices.IndexFunc(hist.Runs, func(r baseline.Record) bool { return r.ID == o.run })
	}
	if at < 0 {
		return usageErr(fmt.Errorf("%s has no run %s of case %s on %s among the newest %d that count", store, o.run, o.caseID, baseline.NormalBranch(o.branch), baseline.DefaultRuns))
	}
	target := hist.Runs[at]
	stamp.Target = target.ID
	if stamp.Series, err = checkSeries(target, series); err != nil {
		return usageErr(err)
	}
	act := baseline.Record{Kind: baseline.KindAccept, Case: target.Case, Match: target.Match, Time: target.Time, Build: rundir.Build{Branch: target.Build.Branch}, Act: &stamp}.Normal()
	fmt.Fprintf(h.stdout, "accept the level of run %s (%s, commit %s) of %s\n", target.ID, target.Time.Format("2006-01-02 15:04"), firstOf(short(target.Build.Commit), "-"), printable(target.Case))
	others := 0
	for _, m := range target.Measurements {
		def, _ := metrics.Lookup(m.Metric)
		switch {
		case !stamp.Covers(m.Point, m.Metric):
			continue
		case !def.Gate && len(series) == 0:
			others++
			continue
		}
		from := m.Level
		if from == 0 {
			from = levelBefore(hist.Runs[:at], m.Point, m.Metric)
		}
		fmt.Fprintf(h.stdout, "  %s\n", levelChange(m, from))
	}
	if others > 0 {
		fmt.Fprintf(h.stdout, "  and %d metrics that do not gate by default\n", others)
	}
	if o.dryRun {
		if err := diffLines(h.stdout, "+", act); err != nil {
			return err
		}
		fmt.Fprintln(h.stdout, "dry run: nothing was changed")
		return nil
	}
	return saveAll(ctx, h, store, []baseline.Record{act})
}

// checkSeries refuses names that the run did not measure.
func checkSeries(r baseline.Record, series []string) ([]string, error) {
	for _, s := range series {
		if !slices.ContainsFunc(r.Measurements, func(m baseline.Measurement) bool {
			return s == m.Metric || s == m.Point+"/"+m.Metric
		}) {
			var have []string
			for _, m := range r.Measurements {
				have = append(have, strings.TrimPrefix(m.Point+"/"+m.Metric, "/"))
			}
			return nil, fmt.Errorf("run %s did not measure %s; it has: %s", r.ID, s, strings.Join(have, ", "))
		}
	}
	return series, nil
}

// levelRuns is how many runs make the level that is shown or pinned.
const levelRuns = 7

// levelBefore is the median of the last runs of a series, 0 if there are none.
func levelBefore(runs []baseline.Record, point, name string) float64 {
	var values []float64
	for i := len(runs) - 1; i >= 0 && len(values) < levelRuns; i-- {
		for _, m := range runs[i].Measurements {
			if m.Point == point && m.Metric == name {
				values = append(values, middle(m.Values))
			}
		}
	}
	if len(values) == 0 {
		return 0
	}
	return middle(values)
}

func levelChange(m baseline.Measurement, from float64) string {
	to := middle(m.Values)
	name := strings.TrimPrefix(m.Point+" "+m.Metric, " ")
	if from == 0 {
		return fmt.Sprintf("%s: - → %s %s", name, significant(to), m.Unit)
	}
	return fmt.Sprintf("%s: %s → %s %s (%s)", name, significant(from), significant(to), m.Unit, signedPercent(to/from-1))
}

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
		Use:   "pin [flags] --case ID METRIC[=VALUE]...",
		Short: "Write a value down that a metric is judged against from now on",
		Long: `pin writes values into the file of pins (--pins, or perf.pins of the config): the
metric is then judged by the rule fixed, a percentage of the value, unless the
policy names another rule. A metric without a value gets the level of the last
runs in the store. Comments and everything else in the file stay as they are.`,
		Example: `  ci-disagg baseline pin --pins baselines.yaml --case my_case output_token_throughput=12500 --tolerance 5% --reason "agreed in PERF-77"
  ci-disagg baseline pin --case my_case --point con64 ttft_median_ms --reason "level of release 1.2"`,
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
		return usageErr(err)
	}
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	if cfg.Perf.Pins == "" || o.caseID == "" {
		return usageErr(errors.New("give --case, and --pins or perf.pins in the config"))
	}
	name := cfg.pinsFile(h)
	file, err := absPath(h, name)
	if err != nil {
		return err
	}
	metrics, err := cfg.metrics()
	if err != nil {
		return usageErr(err)
	}
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return usageErr(err)
	}
	entries, err := o.entries(ctx, h, metrics, args)
	if err != nil {
		return err
	}
	text := old
	for _, e := range entries {
		e.By, e.At, e.Why = stamp.By, stamp.At.Format("2006-01-02T15:04:05Z07:00"), stamp.Why
		if text, err = baseline.SetPin(name, text, o.caseID, e, metrics); err != nil {
			return usageErr(err)
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
	return usageErr(rundir.WriteFile(file, text, mode))
}

// entries reads METRIC=VALUE arguments; values that are not given come from the
// store.
func (o pinOptions) entries(ctx context.Context, h host, metrics metric.Table, args []string) ([]baseline.PinEntry, error) {
	match, err := parseMatch(o.match)
	if err != nil {
		return nil, usageErr(err)
	}
	tolerance, err := parseShare(o.tolerance)
	if err != nil {
		return nil, usageErr(err)
	}
	var out []baseline.PinEntry
	var hist *baseline.History
	for _, arg := range args {
		name, text, given := strings.Cut(arg, "=")
		def, ok := metrics.Resolve(name)
		if !ok {
			return nil, usageErr(fmt.Errorf("%q is not a known metric; `ci-disagg baseline show --metrics` lists them", name))
		}
		e := baseline.PinEntry{Metric: def.Name, Point: o.point, Match: match, Tolerance: tolerance}
		if given {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v > 0) {
				return nil, usageErr(fmt.Errorf("%s: %q is not a number above 0", name, text))
			}
			e.Value = &v
			out = append(out, e)
			continue
		}
		if hist == nil {
			if hist, err = o.storedHistory(ctx, h); err != nil {
				return nil, err
			}
		}
		level := levelBefore(hist.Runs, o.point, def.Name)
		if level == 0 {
			return nil, usageErr(fmt.Errorf("no run in the store measured %s of case %s at point %q: give a value, or --point", def.Name, o.caseID, o.point))
		}
		e.Value = &level
		out = append(out, e)
	}
	return out, nil
}

func (o pinOptions) storedHistory(ctx context.Context, h host) (*baseline.History, error) {
	store, _, err := o.openStore(ctx, h, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	match, err := o.findMatch(ctx, store)
	if err != nil {
		return nil, err
	}
	hist, err := store.History(ctx, baseline.Query{Case: o.caseID, Match: match, Branch: o.branch})
	return &hist, storeErr(err)
}

// parseShare reads 5% or 0.05; "" is 0.
func parseShare(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	text, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(text, 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v < 1) {
		return 0, fmt.Errorf("--tolerance %q: write 5%% or 0.05", s)
	}
	return v, nil
}

// baselinePruneOptions are the flags of baseline prune.
type baselinePruneOptions struct {
	seriesFlags
	manualFlags
	run   string
	older string
	mode  string
}

func newBaselinePruneCmd(h host) *cobra.Command {
	var o baselinePruneOptions
	cmd := &cobra.Command{
		Use:   "prune [flags] {--run ID | --older-than AGE}",
		Short: "Take a bad run out of the history, or remove old records for good",
		Long: `prune --run takes one run out of the history: it stays in the store and counts no
more. prune --older-than removes records for good; the store keeps a note of it.`,
		Example: `  ci-disagg baseline prune --run 20261101T030000Z-0123456789abcdef --reason "node gb-17 was throttling"
  ci-disagg baseline prune --older-than 400d --mode pr --reason "retention" --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBaselinePrune(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.seriesFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.run, "run", "", "id of the run that is not to count")
	f.StringVar(&o.older, "older-than", "", "remove records of runs that began before, such as 400d")
	f.StringVar(&o.mode, "mode", "", "with --older-than: only runs of this mode, nightly or pr")
	return cmd
}

func runBaselinePrune(ctx context.Context, h host, o baselinePruneOptions) error {
	stamp, err := o.stamp(h)
	if err != nil {
		return usageErr(err)
	}
	if (o.run == "") == (o.older == "") {
		return usageErr(errors.New("give either --run or --older-than"))
	}
	if o.mode != "" && o.mode != baseline.ModeNightly && o.mode != baseline.ModePR {
		return usageErr(fmt.Errorf("--mode %q is not nightly or pr", o.mode))
	}
	match, err := parseMatch(o.match)
	if err != nil {
		return usageErr(err)
	}
	store, _, err := o.openStore(ctx, h, false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	filter := baseline.Filter{Case: o.caseID, Match: match, Branch: o.branch, Mode: o.mode, Kinds: []baseline.Kind{baseline.KindRun}}
	if o.run != "" {
		filter.IDs = []string{o.run}
		return o.withdraw(ctx, h, store, filter, stamp)
	}
	age, err := parseAge("--older-than", o.older)
	if err != nil {
		return err
	}
	if o.branch == "" && o.mode == "" {
		filter.Kinds = nil // acts about runs that go, go with them
	}
	filter.Before = h.now().Add(-age)
	return o.remove(ctx, h, store, filter, stamp)
}

// withdraw keeps the run and says that it does not count.
func (o baselinePruneOptions) withdraw(ctx context.Context, h host, store baseline.Store, filter baseline.Filter, stamp baseline.Act) error {
	var found []baseline.Record
	_, err := store.Each(ctx, filter, func(r baseline.Record) error {
		found = append(found, r)
		return nil
	})
	if err != nil {
		return storeErr(err)
	}
	if len(found) == 0 {
		return usageErr(fmt.Errorf("%s has no run %s", store, o.run))
	}
	r := found[0]
	stamp.Target = r.ID
	act := baseline.Record{Kind: baseline.KindWithdraw, Case: r.Case, Match: r.Match, Time: r.Time, Build: rundir.Build{Branch: r.Build.Branch}, Act: &stamp}.Normal()
	fmt.Fprintf(h.stdout, "- %s\n", recordLine(r))
	if o.dryRun {
		fmt.Fprintln(h.stdout, "dry run: nothing was changed")
		return nil
	}
	return saveAll(ctx, h, store, []baseline.Record{act})
}

// remove deletes records for good and leaves a note.
func (o baselinePruneOptions) remove(ctx context.Context, h host, store baseline.Store, filter baseline.Filter, stamp baseline.Act) error {
	if o.dryRun {
		n := 0
		_, err := store.Each(ctx, filter, func(r baseline.Record) error {
			n++
			fmt.Fprintf(h.stdout, "- %s\n", recordLine(r))
			return nil
		})
		fmt.Fprintf(h.stdout, "dry run: %d records would be removed, nothing was changed\n", n)
		return storeErr(err)
	}
	n, err := store.Delete(ctx, filter)
	fmt.Fprintf(h.stdout, "%d records removed\n", n)
	if err != nil {
		return storeErr(err)
	}
	stamp.Why = fmt.Sprintf("%s (%d records before %s)", stamp.Why, n, filter.Before.UTC().Format("2006-01-02"))
	_, err = store.Save(ctx, baseline.Record{Kind: baseline.KindPrune, Case: firstOf(o.caseID, "*"), Time: stamp.At, Act: &stamp}.Normal())
	return storeErr(err)
}
