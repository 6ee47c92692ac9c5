package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
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
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newBaselineShowCmd(h), newBaselineAddCmd(h), newBaselinePinCmd(h), newBaselineAcceptCmd(h),
		newBaselineImportCmd(h), newBaselineExportCmd(h), newBaselinePruneCmd(h),
	)
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
	by := firstOf(o.by, h.getenv("BUILD_USER_ID"), h.getenv("USER"), h.getenv("LOGNAME"))
	var errs []error
	if strings.TrimSpace(o.reason) == "" {
		errs = append(errs, errors.New("--reason is missing: it is kept with the change"))
	}
	if by == "" {
		errs = append(errs, errors.New("nothing says who you are: give --by"))
	}
	return baseline.Act{By: by, At: h.now().UTC().Truncate(time.Second), Why: strings.TrimSpace(o.reason)}, errors.Join(errs...)
}

// openStore opens the configured store. The caller closes it.
func (o storeFlags) openStore(ctx context.Context, h host, create bool) (baseline.Store, config, error) {
	cfg, err := o.load(h)
	if err != nil {
		return nil, cfg, err
	}
	url := storeURL(cfg)
	if url == "" {
		return nil, cfg, usageErr(errors.New("which store? Give --store, $CI_DISAGG_STORE, or perf.store in the config"))
	}
	store, err := baseline.Open(ctx, url, create)
	return store, cfg, storeErr(err)
}

// storeErr gives an error of a store its exit code.
func storeErr(err error) error {
	switch {
	case err == nil:
		return nil
	case baseline.IsUnavailable(err):
		return &endError{code: exitNoVerdict, err: err}
	default:
		return usageErr(err)
	}
}

// findMatch is the match values of the case's series: the given ones, else the
// only ones that the store has.
func (o seriesFlags) findMatch(ctx context.Context, store baseline.Store) (map[string]string, error) {
	given, err := parseMatch(o.match)
	if err != nil || len(given) > 0 {
		return given, usageErr(err)
	}
	seen := map[string]map[string]string{}
	var order []string
	_, err = store.Each(ctx, baseline.Filter{Case: o.caseID, Kinds: []baseline.Kind{baseline.KindRun}}, func(r baseline.Record) error {
		key := baseline.MatchKey(r.Match)
		if _, ok := seen[key]; !ok {
			seen[key] = r.Match
			order = append(order, matchText(r.Match))
		}
		return nil
	})
	if err != nil {
		return nil, storeErr(err)
	}
	if len(seen) == 0 {
		return nil, usageErr(fmt.Errorf("%s has no run of case %q", store, o.caseID))
	}
	if len(seen) > 1 {
		return nil, usageErr(fmt.Errorf("case %s has %d series; give --match for one of them:\n  %s", o.caseID, len(seen), strings.Join(order, "\n  ")))
	}
	for _, m := range seen {
		return m, nil
	}
	return nil, nil
}

// matchText is match values as flags.
func matchText(m map[string]string) string {
	if len(m) == 0 {
		return "(none)"
	}
	var parts []string
	for _, k := range sortedKeys(m) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, " ")
}

// parseAge reads 400d, 36h, 90m.
func parseAge(flag, s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, usageErr(fmt.Errorf("%s %q: give an age such as 400d or 36h", flag, s))
	}
	return d, nil
}

// exportOptions are the flags of baseline export.
type exportOptions struct {
	seriesFlags
	mode  string
	since string
	out   string
}

func newBaselineExportCmd(h host) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:     "export [flags]",
		Short:   "Write records as NDJSON, one per line, as import reads them",
		Example: "  ci-disagg baseline export --store dir:/shared/perf -o perf.ndjson\n  ci-disagg baseline export | jq -c 'select(.gpu == \"GB200\")'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBaselineExport(cmd.Context(), h, o) },
	}
	f := cmd.Flags()
	o.AddFlags(f)
	f.StringVar(&o.mode, "mode", "", "only runs of this mode: nightly or pr")
	f.StringVar(&o.since, "since", "", "only the last so much, such as 90d")
	f.StringVarP(&o.out, "output", "o", "", "file to write (default stdout)")
	return cmd
}

func runBaselineExport(ctx context.Context, h host, o exportOptions) error {
	match, err := parseMatch(o.match)
	if err != nil {
		return usageErr(err)
	}
	filter := baseline.Filter{Case: o.caseID, Match: match, Branch: o.branch, Mode: o.mode}
	if o.since != "" {
		age, err := parseAge("--since", o.since)
		if err != nil {
			return err
		}
		filter.Since = h.now().Add(-age)
	}
	store, _, err := o.openStore(ctx, h, false)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	var warnings []string
	n := 0
	write := func(w io.Writer) error {
		var err error
		n, err = baseline.Export(w, func(fn func(baseline.Record) error) error {
			var err error
			warnings, err = store.Each(ctx, filter, fn)
			return err
		})
		return err
	}
	if o.out == "" || o.out == "-" {
		err = write(h.stdout)
	} else {
		var path string
		if path, err = absPath(h, o.out); err == nil {
			err = rundir.WriteStream(path, rundir.FileMode, write)
		}
	}
	for _, w := range warnings {
		fmt.Fprintf(h.stderr, "warning: %s\n", printable(w))
	}
	if err == nil {
		fmt.Fprintf(h.stderr, "%d records exported\n", n)
	}
	return storeErr(err)
}

// importOptions are the flags of baseline import.
type importOptions struct {
	storeFlags
	manualFlags
	caseForm string
	cases    string
	keys     []string
}

func newBaselineImportCmd(h host) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import [flags] FILE...",
		Short: "Bring in records: our own export, upstream's perf_data.yaml, OpenSearch NDJSON",
		Long: `import reads records and stores them. What a file holds is recognised by content:
NDJSON written by export; NDJSON of upstream's OpenSearch index (documents, hits
or search responses, one per line); upstream's perf_data.yaml with its history.

Upstream knows a run by a test name, <server>-<client>, not by a test id. The case
becomes perf/test_perf_sanity.py::test_e2e[disagg_upload-<server>] (aggr_upload-
for aggregated servers), the point con<C>; --case-form or --cases say otherwise.
Importing a file twice changes nothing. "-" is standard input.`,
		Example: `  ci-disagg baseline import --reason "moving over" perf_data.yaml
  ci-disagg baseline import --cases names.yaml --reason "history of B200" hits.ndjson`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runBaselineImport(cmd.Context(), h, o, args) },
	}
	f := cmd.Flags()
	o.storeFlags.AddFlags(f)
	o.manualFlags.AddFlags(f)
	f.StringVar(&o.caseForm, "case-form", "", "case id of upstream's records, with {server} for the server's name")
	f.StringVar(&o.cases, "cases", "", "YAML file that maps upstream's test or server names to case ids")
	f.StringArrayVar(&o.keys, "match-key", nil, "property of upstream's records that identifies the series (repeatable; default gpu_type)")
	return cmd
}

func runBaselineImport(ctx context.Context, h host, o importOptions, files []string) error {
	stamp, err := o.stamp(h)
	if err != nil {
		return usageErr(err)
	}
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	opt := baseline.ImportOptions{Case: o.caseForm, Match: o.keys, Stamp: stamp}
	if opt.Metrics, err = cfg.metrics(); err != nil {
		return usageErr(err)
	}
	if o.cases != "" {
		if opt.Cases, err = readNames(h, o.cases); err != nil {
			return usageErr(err)
		}
	}
	var records []baseline.Record
	for _, file := range files {
		got, err := importFile(h, file, opt)
		if err != nil {
			return usageErr(err)
		}
		fmt.Fprintf(h.stdout, "%s: %d read, %d records\n", file, got.Read, len(got.Records))
		for _, why := range sortedKeys(got.Skipped) {
			fmt.Fprintf(h.stdout, "  left out %d times: %s\n", got.Skipped[why], printable(why))
		}
		records = append(records, got.Records...)
	}
	store, _, err := o.openStore(ctx, h, !o.dryRun)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if o.dryRun {
		return printSaves(ctx, h, store, records)
	}
	note := baseline.Record{Kind: baseline.KindImport, Case: "*", Time: stamp.At, Act: &stamp}
	note.Act.Series = files
	return saveAll(ctx, h, store, append(records, note.Normal()))
}

// saveAll stores in portions and says what became of it.
func saveAll(ctx context.Context, h host, store baseline.Store, records []baseline.Record) error {
	const portion = 500
	var total baseline.Saved
	for len(records) > 0 {
		n := min(portion, len(records))
		saved, err := store.Save(ctx, records[:n]...)
		total.Added += saved.Added
		total.Replaced += saved.Replaced
		if err != nil {
			fmt.Fprintf(h.stderr, "%d records were stored before that\n", total.Added+total.Replaced)
			return storeErr(err)
		}
		records = records[n:]
	}
	fmt.Fprintf(h.stdout, "stored in %s: %d new, %d replaced\n", store, total.Added, total.Replaced)
	return nil
}

// printSaves is the diff of a save: + new, ~ replaced.
func printSaves(ctx context.Context, h host, store baseline.Store, records []baseline.Record) error {
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	there := map[string]bool{}
	if len(ids) > 0 {
		_, err := store.Each(ctx, baseline.Filter{IDs: ids}, func(r baseline.Record) error {
			there[r.ID] = true
			return nil
		})
		if err != nil {
			return storeErr(err)
		}
	}
	for _, r := range records {
		sign := "+"
		if there[r.ID] {
			sign = "~"
		}
		fmt.Fprintf(h.stdout, "%s %s\n", sign, recordLine(r))
	}
	fmt.Fprintln(h.stdout, "dry run: nothing was changed")
	return nil
}

// recordLine is a record on one line.
func recordLine(r baseline.Record) string {
	if r.Kind != baseline.KindRun {
		text := fmt.Sprintf("%s %s %s", r.ID, r.Kind, r.Case)
		if r.Act != nil {
			text += fmt.Sprintf(" by %s: %s", r.Act.By, r.Act.Why)
			if r.Act.Target != "" {
				text += " (run " + r.Act.Target + ")"
			}
		}
		return printable(text)
	}
	state := fmt.Sprintf("%d values", len(r.Measurements))
	if !r.Valid {
		state = "invalid"
	}
	return printable(fmt.Sprintf("%s %s %s %s %s %s", r.ID, r.Build.Mode, r.Branch(), firstOf(short(r.Build.Commit), "-"), r.Case, state))
}

func short(commit string) string { return commit[:min(len(commit), 10)] }

func importFile(h host, file string, opt baseline.ImportOptions) (baseline.Imported, error) {
	if file == "-" {
		return baseline.Import(h.stdin, "stdin", opt)
	}
	path, err := absPath(h, file)
	if err != nil {
		return baseline.Imported{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return baseline.Imported{}, err
	}
	got, err := baseline.Import(f, file, opt)
	return got, errors.Join(err, f.Close())
}

// diffLines prints JSON as added lines of a diff.
func diffLines(w io.Writer, sign string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(data)) {
		fmt.Fprintf(w, "%s %s\n", sign, strings.TrimRight(line, "\n"))
	}
	return nil
}

// parseFinite reads a finite number.
func parseFinite(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a finite number", s)
	}
	return v, nil
}
