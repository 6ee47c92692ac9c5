package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
	"github.com/ci-disagg/ci-disagg/internal/launch/jobs"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/bench/formats"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/suites"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// defaultConfig is read when --config is not given; it may be absent then.
const defaultConfig = "ci-disagg.yaml"

// fileConfig is ci-disagg.yaml: each package owns its section, this file only
// puts them together. docs/config.md describes every key.
type fileConfig struct {
	Stage    string                    `yaml:"stage"`    // name in reports; --stage stands over it
	RunsDir  string                    `yaml:"runs_dir"` // parent of run directories; must be shared with the nodes
	Backend  string                    `yaml:"backend"`  // slurm (default) or local
	Cluster  string                    `yaml:"cluster"`  // of clusters:, when --cluster is not given
	Workload trtllm.Config             `yaml:"workload"`
	Clusters map[string]script.Profile `yaml:"clusters"`
	Budgets  rundir.Budgets            `yaml:"budgets"`
	Jobs     jobsConfig                `yaml:"jobs"`
	Retry    drive.Retry               `yaml:"retry"`
	Collect  drive.Collect             `yaml:"collect"`
	Classes  []blame.Rule              `yaml:"classes"` // failure classes before the built-in ones
	Perf     perfConfig                `yaml:"perf"`
	Report   reportConfig              `yaml:"report"`
}

// jobsConfig bounds how many jobs a run has at once.
type jobsConfig struct {
	Max      int  `yaml:"max"`       // 0 = no limit of the run's own
	FailFast bool `yaml:"fail_fast"` // the first case that does not pass ends the others
	// Lifeline is after how long without a driver a job ends itself; 0 = never.
	Lifeline rundir.Duration `yaml:"lifeline"`
}

// perfConfig says how performance is judged.
type perfConfig struct {
	Off    bool           `yaml:"off"` // functional runs: measured and shown, not judged
	Policy verdict.Policy `yaml:",inline"`
	// AllowSkipped lets a run pass although a test skipped itself.
	AllowSkipped bool            `yaml:"allow_skipped"`
	Store        string          `yaml:"store"`      // dir:PATH or postgres://…; "" = no history
	Pins         string          `yaml:"pins"`       // file of pinned baselines
	Match        []string        `yaml:"match"`      // properties that identify a series; empty = all
	Define       []metricConfig  `yaml:"define"`     // metrics beside the built-in ones
	Readers      []bench.Generic `yaml:"readers"`    // formats beside the built-in ones
	ColdStart    bench.ColdStart `yaml:"cold_start"` // tell (default), invalid, off
	Accuracy     accuracyConfig  `yaml:"accuracy"`   // the accuracy gate
}

// accuracyConfig is the gate on accuracy results.
type accuracyConfig struct {
	Advisory bool                 `yaml:"advisory"` // shown, never red
	Gates    []bench.AccuracyTest `yaml:"gates"`
}

// metricConfig defines a metric. Unit and direction have no default.
type metricConfig struct {
	Name      string  `yaml:"name"`
	Unit      string  `yaml:"unit"`
	Better    string  `yaml:"better"` // higher or lower
	Gate      bool    `yaml:"gate"`
	MinEffect float64 `yaml:"min_effect"`
}

// reportConfig is how the report is written.
type reportConfig struct {
	NoCaps    bool         `yaml:"no_caps"`
	StrictXSD bool         `yaml:"strict_xsd"`
	Flaky     report.Flaky `yaml:"flaky"` // pass (default), fail, skip
	// MetricsInJUnit says which metrics are test cases: all (default), gating, none.
	MetricsInJUnit suites.Metrics `yaml:"metrics_in_junit"`
}

// config is a loaded file with what is needed to complain about it.
type config struct {
	fileConfig
	path   string // absolute; "" = there is no file
	doc    strictyaml.Document
	raw    []byte
	keptIn rundir.Dir // the run directory that it was found in, "" = it was not
}

// configFlags are the flags by which every verb finds its config.
type configFlags struct {
	path    string
	cluster string
}

// AddFlags registers the flags.
func (o *configFlags) AddFlags(f *pflag.FlagSet) {
	f.StringVarP(&o.path, "config", "c", "", "config file (default "+defaultConfig+" here, if it exists)")
	f.StringVar(&o.cluster, "cluster", "", "cluster of the config's clusters: section")
}

// loadConfig reads the file at path. An empty path means the default file,
// which need not exist; a named one must.
func loadConfig(h host, path string) (config, error) {
	wd, err := h.getwd()
	if err != nil {
		return config{}, err
	}
	named := path != ""
	if !named {
		path = defaultConfig
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(wd, path)
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return config{fileConfig: fileConfig{Retry: drive.DefaultRetry()}}, nil
	}
	if err != nil {
		return config{}, usageErr(fmt.Errorf("config: %w", err))
	}
	c, err := parseConfig(shortPath(wd, path), data)
	c.path = path
	return c, usageErr(err)
}

// parseConfig decodes and checks the text of a config file.
func parseConfig(file string, data []byte) (config, error) {
	c := config{raw: data, fileConfig: fileConfig{Retry: drive.DefaultRetry()}}
	doc, err := strictyaml.Read(file, data, &c.fileConfig)
	c.doc = doc
	if err != nil {
		return c, err
	}
	return c, c.validate()
}

func (c config) validate() error {
	var errs []error
	bad := func(path, format string, args ...any) { errs = append(errs, c.doc.Problem(path, format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		if err := c.Clusters[name].Validate(name); err != nil {
			errs = append(errs, positioned(c.doc, "", err)...)
		}
	}
	if c.Cluster != "" {
		if _, ok := c.Clusters[c.Cluster]; !ok {
			bad("cluster", "%q is not one of clusters: %s", c.Cluster, strings.Join(slices.Sorted(maps.Keys(c.Clusters)), ", "))
		}
	}
	if c.Backend != "" && c.Backend != jobs.BackendSlurm && c.Backend != jobs.BackendLocal {
		bad("backend", "%q is not slurm or local", c.Backend)
	}
	counts := c.counts()
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if counts[key] < 0 {
			bad(key, "%d is negative", counts[key])
		}
	}
	if !slices.Contains([]report.Flaky{"", report.FlakyPass, report.FlakyFail, report.FlakySkip}, c.Report.Flaky) {
		bad("report.flaky", "%q is not pass, fail or skip", c.Report.Flaky)
	}
	if !slices.Contains([]suites.Metrics{"", suites.AllMetrics, suites.GatingMetrics, suites.NoMetrics}, c.Report.MetricsInJUnit) {
		bad("report.metrics_in_junit", "%q is not all, gating or none", c.Report.MetricsInJUnit)
	}
	if baseline.HasPassword(c.Perf.Store) {
		bad("perf.store", "holds a password, and the config is kept with every run: put the URL into $CI_DISAGG_STORE, or the password into $PGPASSWORD or ~/.pgpass")
	}
	if err := c.Perf.Policy.Validate(); err != nil {
		errs = append(errs, positioned(c.doc, "perf.", err)...)
	}
	if _, err := blame.Compile(c.Classes); err != nil {
		bad("classes", "%v", err)
	}
	if table, err := c.metrics(); err != nil {
		bad("perf", "%v", err)
	} else {
		for _, name := range slices.Sorted(maps.Keys(c.Perf.Policy.Metrics)) {
			if _, ok := table.Lookup(name); !ok {
				bad(strictyaml.Path("perf", "metrics", name), "%q is not a metric: use a canonical name such as output_token_throughput, or define it", name)
			}
		}
	}
	for i, gate := range c.Perf.Accuracy.Gates {
		if _, err := gate.Complete(); err != nil {
			bad(strictyaml.Path("perf", "accuracy", "gates", i), "%v", err)
		}
	}
	return errors.Join(errs...)
}

// exitPolicy is what the config relaxes.
func (c config) exitPolicy() report.ExitPolicy {
	p := c.Perf.Policy
	return report.ExitPolicy{AllowCollecting: p.AllowCollecting, AllowNoBaseline: p.AllowNoBaseline, AllowSkipped: c.Perf.AllowSkipped}
}

// counts are the numbers that cannot be negative, by key.
func (c config) counts() map[string]int64 {
	return map[string]int64{
		"jobs.max": int64(c.Jobs.Max), "retry.max": int64(c.Retry.Max), "retry.budget": int64(c.Retry.Budget),
		"collect.max_file": c.Collect.MaxFile, "collect.max_total": c.Collect.MaxTotal, "collect.max_files": int64(c.Collect.MaxFiles),
	}
}

// positioned gives the lines of a joined error the position of the key they
// begin with ("clusters.gb200.gpus: …"), below the section named.
func positioned(doc strictyaml.Document, section string, err error) []error {
	var out []error
	for line := range strings.Lines(err.Error()) {
		key, text, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			key, text = "", strings.TrimSpace(line)
		}
		out = append(out, doc.Problem(section+key, "%s", text))
	}
	return out
}

// metrics is the built-in table with the config's own metrics.
func (c config) metrics() (metric.Table, error) {
	var own []metric.Metric
	for _, m := range c.Perf.Define {
		better := map[string]metric.Direction{"higher": metric.HigherIsBetter, "lower": metric.LowerIsBetter}[m.Better]
		own = append(own, metric.Metric{Name: m.Name, Unit: m.Unit, Better: better, Gate: m.Gate, MinEffect: m.MinEffect})
	}
	table, err := metric.Default().With(own...)
	if err != nil {
		return table, err
	}
	return bench.Extend(table, c.Perf.Readers)
}

// reader reads the outputs of benchmark clients.
func (c config) reader(metrics metric.Table) bench.Reader {
	return bench.Reader{Metrics: metrics, Formats: formats.All(), Generic: c.Perf.Readers, ColdStart: c.Perf.ColdStart}
}

// profile is the cluster's profile and name: the flag's, else the config's, else
// the only one there is. No clusters at all is the empty profile.
func (c config) profile(flag string) (string, script.Profile, error) {
	name := flag
	if name == "" {
		name = c.Cluster
	}
	names := slices.Sorted(maps.Keys(c.Clusters))
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if p, ok := c.Clusters[name]; ok {
		return name, p, nil
	}
	switch {
	case name != "" && c.path == "":
		return "", script.Profile{}, usageErr(fmt.Errorf("--cluster %s: no %s is here that would describe it: name one with --config, or write clusters: {%s: {gpus_per_node: 4}} into it", name, defaultConfig, name))
	case name != "" && len(names) == 0:
		return "", script.Profile{}, usageErr(fmt.Errorf("--cluster %s: %s has no clusters: section: write clusters: {%s: {gpus_per_node: 4}} into it", name, c.doc.File, name))
	case name != "":
		return "", script.Profile{}, usageErr(fmt.Errorf("--cluster %s: the config has no such cluster (it has: %s)", name, strings.Join(names, ", ")))
	case len(names) > 1:
		return "", script.Profile{}, usageErr(fmt.Errorf("which cluster? Give --cluster, or cluster: in the config (it has: %s)", strings.Join(names, ", ")))
	default:
		return "", script.Profile{}, nil
	}
}

// classRules are the config's failure classes as a plan carries them.
func (c config) classRules() []rundir.ClassRule {
	var out []rundir.ClassRule
	for _, r := range c.Classes {
		out = append(out, rundir.ClassRule{Name: r.Name, Class: string(r.Class), Kind: r.Kind, Pattern: r.Pattern, Why: r.Why, Node: r.Node, Weak: r.Weak})
	}
	return out
}

// shortPath is path as a person in wd would write it.
func shortPath(wd, path string) string {
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
