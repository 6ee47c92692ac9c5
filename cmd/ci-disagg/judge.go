package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// storeTimeout bounds everything that a verb asks of the baseline store.
const storeTimeout = 2 * time.Minute

// storeFlags are the flags by which a verb finds the baselines. The config's
// perf section is what they default to.
type storeFlags struct {
	config string
	store  string
	pins   string
}

// AddFlags registers the flags.
func (o *storeFlags) AddFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.config, "config", "c", "", "config file (default "+defaultConfig+" here, if it exists)")
	f.StringVar(&o.store, "store", "", "baseline store, dir:PATH or postgres://… (default $CI_DISAGG_STORE, else the config's)")
	f.StringVar(&o.pins, "pins", "", "file of pinned baselines (default the config's)")
}

// load reads the config and lays the flags over it.
func (o storeFlags) load(h host) (config, error) {
	cfg, err := loadConfig(h, o.config)
	if err != nil {
		return config{}, err
	}
	if baseline.HasPassword(o.store) {
		return config{}, usageErr(errors.New("--store: a password on a command line can be read by everyone on this host; put the URL into $CI_DISAGG_STORE, or the password into $PGPASSWORD or ~/.pgpass"))
	}
	wd, err := h.getwd()
	if err != nil {
		return config{}, err
	}
	if cfg.path == "" {
		cfg.path = filepath.Join(wd, defaultConfig) // what relative paths are relative to
	}
	if url := firstOf(absStore(h, o.store), envStore(h)); url != "" {
		cfg.Perf.Store = url
	}
	if o.pins != "" {
		if cfg.Perf.Pins, err = absPath(h, o.pins); err != nil {
			return config{}, err
		}
	}
	return cfg, nil
}

// envStore is the store that the environment names, which stands over the
// config's: a URL with a password belongs there and not into a file.
func envStore(h host) string { return absStore(h, h.getenv("CI_DISAGG_STORE")) }

// absStore makes a relative directory store absolute.
func absStore(h host, url string) string {
	dir, ok := strings.CutPrefix(url, "dir:")
	if !ok || dir == "" {
		return url
	}
	if abs, err := absPath(h, dir); err == nil {
		dir = abs
	}
	return "dir:" + dir
}

// pins reads the configured file of pins under the name by which a person here
// knows it.
func (c config) pins(h host, metrics metric.Table) (baseline.Pins, error) {
	if c.Perf.Pins == "" {
		return baseline.Pins{}, nil
	}
	return baseline.ReadPins(c.pinsFile(h), metrics)
}

func (c config) pinsFile(h host) string {
	path := c.Perf.Pins
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(c.path), path)
	}
	return shortPathHere(h, path)
}

// judgeOptions are the flags of judge.
type judgeOptions struct {
	storeFlags
	buildFlags
	caseID     string
	caseMode   string
	match      []string
	reps       []string
	points     []int
	at         string
	runID      string
	out        string
	save       bool
	all        bool
	functional bool
	allow      []string
}

// AddFlags registers the flags.
func (o *judgeOptions) AddFlags(f *pflag.FlagSet) {
	o.storeFlags.AddFlags(f)
	o.buildFlags.AddFlags(f)
	f.StringVar(&o.caseID, "case", "", "id of the case that was measured: names the history")
	f.StringVar(&o.caseMode, "case-mode", "e2e", "e2e, gen_only, ctx_only or aggregated: which metrics gate")
	f.StringArrayVar(&o.match, "match", nil, "key=value that identifies the series beside case and metric, such as gpu_type=GB200 (repeatable)")
	f.StringArrayVar(&o.reps, "rep", nil, "output of a further repetition of the same commit (repeatable)")
	f.IntSliceVar(&o.points, "points", nil, "concurrencies that must have been measured")
	f.StringVar(&o.at, "time", "", "when the run began, RFC 3339 (default when the newest file was written)")
	f.StringVar(&o.runID, "run-id", "", "id of the run (default $BUILD_TAG)")
	f.StringVarP(&o.out, "output", "o", "", "write verdict.json to this file; - is stdout, instead of the table")
	f.BoolVar(&o.save, "save", false, "store the run: a nightly run joins the history of its branch")
	f.BoolVar(&o.all, "all", false, "show every metric, not only those that gate or moved")
	f.BoolVar(&o.functional, "functional-only", false, "show the performance, never fail on it")
	f.StringSliceVar(&o.allow, "allow", nil, "end with 0 in spite of: collecting, no_baseline")
}

func newJudgeCmd(h host) *cobra.Command {
	var o judgeOptions
	cmd := &cobra.Command{
		Use:   "judge [flags] FILE_OR_DIR...",
		Short: "Judge benchmark outputs against a baseline; needs no Slurm",
		Long: `judge reads what benchmark clients wrote (TensorRT-LLM, vLLM, SGLang, AIPerf, …;
recognised by content), compares each metric with the history of its series in a
baseline store or with a pinned value, and prints the verdict. It ends with

  0  pass or improvement
  2  usage, config or input is wrong
  4  performance regression
  5  no verdict: invalid measurement, inconclusive, no baseline, store unavailable,
     or too little history yet (collecting)`,
		Example: `  ci-disagg judge --store dir:/shared/perf --case my_case --save out/benchmark.log
  ci-disagg judge --case my_case --match gpu_type=GB200 --mode pr --merge-base "$BASE" out/
  ci-disagg judge --case my_case --rep out2/ --rep out3/ -o verdict.json out1/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runJudge(cmd.Context(), h, o, args) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runJudge(ctx context.Context, h host, o judgeOptions, args []string) error {
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	if err := o.policy(&cfg); err != nil {
		return usageErr(err)
	}
	metrics, err := cfg.metrics()
	if err != nil {
		return usageErr(err)
	}
	pins, err := cfg.pins(h, metrics)
	if err != nil {
		return usageErr(err)
	}
	subject, err := o.subject(h, cfg, metrics, args)
	if err != nil {
		return usageErr(err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	setup := baseline.Setup{Pins: pins, Policy: cfg.Perf.Policy, Metrics: metrics}
	if url := storeURL(cfg); url != "" {
		setup.Store, setup.StoreErr = baseline.Open(ctx, url, o.save)
		if setup.StoreErr != nil && !baseline.IsUnavailable(setup.StoreErr) {
			return usageErr(setup.StoreErr)
		}
	}
	if setup.Store != nil {
		defer func() { _ = setup.Store.Close() }()
	}
	j := baseline.JudgeCase(ctx, setup, subject)
	doc := o.document(j, cfg, subject)
	var failed error
	if o.save {
		if err := saveRecords(ctx, setup, j.Record); err != nil {
			report.NotStored(&doc, err, cfg.Perf.Policy.FunctionalOnly)
			failed = fmt.Errorf("not stored: %w", err)
		}
	}
	code := doc.ExitCode
	if err := o.publish(h, doc); err != nil { // what was judged stands, whatever became of the file
		failed = errors.Join(failed, err)
		code = report.ExitCode([]int{code, exitInfra}, 0)
	}
	return endWith(h, code, failed)
}

// policy lays the flags over the config's policy. There is nobody to run a
// repetition: what would need one and has none is inconclusive.
func (o judgeOptions) policy(cfg *config) error {
	p := &cfg.Perf.Policy
	p.FunctionalOnly = p.FunctionalOnly || o.functional || cfg.Perf.Off
	p.RerunsUnavailable = true
	p.RerunsUsed = len(o.reps)
	for _, word := range o.allow {
		switch verdict.Word(word) {
		case verdict.Collecting:
			p.AllowCollecting = true
		case verdict.NoBaseline:
			p.AllowNoBaseline = true
		default:
			return fmt.Errorf("--allow %s: only collecting and no_baseline can be allowed", word)
		}
	}
	modes := []string{"e2e", "gen_only", "gen_only_no_context", "ctx_only", "aggregated"}
	if !slices.Contains(modes, o.caseMode) {
		return fmt.Errorf("--case-mode %s: use %s", o.caseMode, strings.Join(modes, ", "))
	}
	if o.caseID == "" {
		return errors.New("which case was measured? Give --case: it names the history")
	}
	return nil
}

// subject reads the files and says what was measured, when, and of what.
func (o judgeOptions) subject(h host, cfg config, metrics metric.Table, args []string) (baseline.Subject, error) {
	s, err := o.subjectOf(h)
	if err != nil {
		return s, err
	}
	at := s.Record.Time
	err = o.read(h, &s.Record, bench.Reader{Metrics: metrics, Generic: cfg.Perf.Readers}, args)
	if !at.IsZero() {
		s.Record.Time = at
	}
	return s, err
}

// subjectOf is the run that the flags and the environment describe, without
// measurements. Its time is zero unless a flag gives it.
func (o judgeOptions) subjectOf(h host) (baseline.Subject, error) {
	build, err := o.build(h)
	if err != nil {
		return baseline.Subject{}, err
	}
	match, err := parseMatch(o.match)
	if err != nil {
		return baseline.Subject{}, err
	}
	s := baseline.Subject{Mode: o.caseMode, Record: baseline.Record{
		Kind: baseline.KindRun, Case: o.caseID, Match: match, Source: "ci-disagg", Tool: buildVersion(),
		Run: firstOf(o.runID, h.getenv("BUILD_TAG")), Build: build, GPU: match["gpu_type"], Cluster: match["cluster"],
	}}
	s.Record.Time, err = parseTime("--time", o.at)
	return s, err
}

// read gathers the repetitions: the arguments are the first, each --rep another.
func (o judgeOptions) read(h host, rec *baseline.Record, reader bench.Reader, args []string) error {
	want := rundir.Expected{}
	for _, c := range o.points {
		want.Points = append(want.Points, rundir.Point{Concurrency: c})
	}
	var reps [][]bench.Result
	groups := [][]string{args}
	for _, r := range o.reps {
		groups = append(groups, []string{r})
	}
	for _, paths := range groups {
		for i, p := range paths {
			abs, err := absPath(h, p)
			if err != nil {
				return err
			}
			if paths[i] = shortPathHere(h, abs); paths[i] == "" {
				paths[i] = abs
			}
		}
		found, err := reader.Gather(paths...)
		if err != nil {
			return err
		}
		for _, p := range append(found.Problems, bench.Validate(found.Results, want)...) {
			rec.Problems = append(rec.Problems, p.String())
		}
		newest, err := newestFile(found.Files)
		if err != nil {
			return err
		}
		if newest.After(rec.Time) {
			rec.Time = newest
		}
		reps = append(reps, found.Results)
		rec.Repetitions = append(rec.Repetitions, baseline.Repetition{})
	}
	measurements, problems := baseline.Measurements(reps, reader.Metrics, baseline.PointNames)
	rec.Measurements = measurements
	rec.Problems = append(rec.Problems, problems...)
	if len(measurements) == 0 && len(rec.Problems) == 0 {
		rec.Problems = append(rec.Problems, "no benchmark result was found in "+strings.Join(args, ", "))
	}
	rec.Valid = len(rec.Problems) == 0
	if rec.Time.IsZero() {
		rec.Time = h.now()
	}
	return nil
}

// shortPathHere is path as a person here would write it.
func shortPathHere(h host, path string) string {
	wd, err := h.getwd()
	if err != nil {
		return path
	}
	return shortPath(wd, path)
}

func newestFile(files []string) (time.Time, error) {
	var newest time.Time
	for _, f := range files {
		info, err := os.Stat(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return newest, err
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest, nil
}

// parseMatch reads key=value flags.
func parseMatch(pairs []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pairs {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("--match %q: give key=value, such as gpu_type=GB200", p)
		}
		out[k] = v
	}
	return out, nil
}

// parseTime reads RFC 3339 or Unix seconds; "" is the zero time.
func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if sec, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(sec, 0).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return at, fmt.Errorf("%s %q: give a time such as 2026-01-31T08:00:00Z, or Unix seconds", flag, s)
	}
	return at, nil
}

// saveRecords stores runs with their verdicts.
func saveRecords(ctx context.Context, setup baseline.Setup, records ...baseline.Record) error {
	if setup.Store == nil {
		return cmp.Or(setup.StoreErr, errors.New("no baseline store is configured"))
	}
	_, err := setup.Store.Save(ctx, records...)
	return err
}

// document is verdict.json of this one case.
func (o judgeOptions) document(j baseline.Judgement, cfg config, s baseline.Subject) publish.Document {
	end := report.CaseEnd{Outcome: rundir.OutcomePassed, Judged: !cfg.Perf.Policy.FunctionalOnly}
	for _, row := range j.Rows {
		if row.Gate && !row.Advisory {
			end.Words = append(end.Words, row.Verdict)
		}
	}
	p := cfg.Perf.Policy
	code := report.CaseExit(end, report.ExitPolicy{AllowCollecting: p.AllowCollecting, AllowNoBaseline: p.AllowNoBaseline})
	c := publish.Case{
		ID: s.Record.Case, Slug: rundir.Slug(s.Record.Case), Mode: s.Mode, ExitCode: code, Result: report.ResultOf(code),
		Verdict: verdict.Worst(j.Rows), Metrics: j.Rows, Problems: s.Record.Problems,
	}
	c.Message = judgeMessage(c, end)
	started := j.Record.Time
	return publish.Document{
		Schema: publish.DocumentSchema, Tool: buildVersion(), RunID: j.Record.Run, Stage: "judge", Build: j.Record.Build,
		Started: &started, ExitCode: code, Result: report.ResultOf(code), Headline: c.Message,
		Counts: judgeCounts(code, c.Verdict), Cases: []publish.Case{c}, Warnings: j.Warnings,
	}
}

// judgeMessage is the one line that says why.
func judgeMessage(c publish.Case, end report.CaseEnd) string {
	if len(c.Problems) > 0 {
		return "not a valid measurement: " + c.Problems[0]
	}
	if !end.Judged {
		return "functional only: performance is shown, not judged"
	}
	for _, row := range c.Metrics {
		if row.Gate && !row.Advisory && row.Verdict == c.Verdict && row.Verdict != verdict.Pass {
			return fmt.Sprintf("%s: %s", strings.TrimPrefix(row.Point+" "+row.Metric, " "), row.Reason)
		}
	}
	if len(end.Words) == 0 {
		return "no metric that gates was measured: nobody looked"
	}
	return fmt.Sprintf("%d gating metrics passed", len(end.Words))
}

func judgeCounts(code int, worst verdict.Word) publish.Counts {
	n := publish.Counts{Cases: 1}
	switch {
	case code == exitRegression:
		n.Regressed = 1
	case code != exitPassed:
		n.NoVerdict = 1
	default:
		n.Passed = 1
		if worst == verdict.Improvement {
			n.Improved = 1
		}
	}
	return n
}

// publish prints the table and writes verdict.json where it is wanted. The table
// comes first: a file that cannot be written does not hide it.
func (o judgeOptions) publish(h host, doc publish.Document) error {
	if o.out == "-" {
		return writeIndented(h.stdout, doc)
	}
	t := newTable(h)
	t.verdict(doc, o.all)
	if o.out == "" {
		return nil
	}
	path, err := absPath(h, o.out)
	if err != nil {
		return err
	}
	return rundir.WriteJSON(path, doc)
}
