package builder

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/accuracy"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/suites"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Perf is the section perf: of ci-disagg.yaml: how performance is judged. A pull request has no say in what is tagged
// policy.
type Perf struct {
	Off    bool           `yaml:"off" policy:"base"` // functional runs: measured and shown, not judged
	Policy verdict.Policy `yaml:",inline" policy:"base"`
	// RerunDelay is how long a repetition waits: a bad night is not measured once more.
	RerunDelay rundir.Duration `yaml:"rerun_delay" policy:"base"`
	// Reference is CASE@COMMIT, a pinned build: where it becomes worse, the environment did.
	Reference string `yaml:"reference" policy:"base"`
	// AllowSkipped lets a run pass although a test skipped itself.
	AllowSkipped bool             `yaml:"allow_skipped" policy:"base"`
	Store        string           `yaml:"store" policy:"base"`                              // dir:PATH or postgres://…; "" = no history
	Pins         string           `yaml:"pins" policy:"base"`                               // file of pinned baselines
	Match        []string         `yaml:"match" policy:"base"`                              // properties that identify a series; empty = all
	Define       []Metric         `yaml:"define" policy:"named"`                            // metrics beside the built-in ones
	Readers      []bench.Generic  `yaml:"readers" policy:"named"`                           // formats beside the built-in ones
	ColdStart    points.ColdStart `yaml:"cold_start" enum:"tell,invalid,off" policy:"base"` // tell (default), invalid, off
	// DiscardFirst drops the first of several runs of a client at one point.
	DiscardFirst bool     `yaml:"discard_first" policy:"base"`
	Accuracy     Accuracy `yaml:"accuracy" policy:"base"` // the accuracy gate
}

// DefaultPerf is the section of an empty file.
func DefaultPerf() Perf { return Perf{Policy: verdict.Policy{Reruns: verdict.AutoReruns}} }

// Accuracy is the gate on accuracy results.
type Accuracy struct {
	Advisory bool            `yaml:"advisory"` // shown, never red
	Gates    []accuracy.Gate `yaml:"gates"`
}

// Metric defines a metric. Unit and direction have no default.
type Metric struct {
	Name      string  `yaml:"name"`
	Unit      string  `yaml:"unit"`
	Better    string  `yaml:"better" enum:"higher,lower"` // higher or lower
	Gate      bool    `yaml:"gate"`
	MinEffect float64 `yaml:"min_effect"`
}

// SCM is the section scm: where the commits are that are measured.
type SCM struct {
	// CompareURL shows what is between two commits, {good} and {bad}.
	CompareURL string `yaml:"compare_url"`
}

// Validate returns every problem of the section, at its place in doc.
func (s SCM) Validate(doc strictyaml.Document) []error {
	u, err := url.Parse(s.CompareURL)
	web := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
	if s.CompareURL == "" || web && strings.Contains(s.CompareURL, "{good}") && strings.Contains(s.CompareURL, "{bad}") {
		return nil
	}
	return []error{doc.Problem("scm.compare_url", "%q is no web address with {good} and {bad} in it, such as https://github.com/NVIDIA/TensorRT-LLM/compare/{good}...{bad}", s.CompareURL)}
}

// Output is the section report: how the report is written.
type Output struct {
	NoCaps    bool        `yaml:"no_caps"`
	StrictXSD bool        `yaml:"strict_xsd"`                                // has no effect: merge bases and kept configs have it
	Flaky     fold.Policy `yaml:"flaky" enum:"pass,fail,skip" policy:"base"` // pass (default), fail, skip
	// MetricsInJUnit says which metrics are test cases: all (default), gating, none.
	MetricsInJUnit suites.Metrics `yaml:"metrics_in_junit" enum:"all,gating,none"`
}

// Validate returns every problem of the section, at its place in doc.
func (p Perf) Validate(doc strictyaml.Document) []error {
	errs := doc.Locate("perf.", p.Policy.Validate())
	bad := func(path, format string, args ...any) { errs = append(errs, doc.Problem(path, format, args...)) }
	if baseline.HasPassword(p.Store) {
		bad("perf.store", "holds a password, and the config is kept with every run: put the URL into $CI_DISAGG_STORE, or the password into $PGPASSWORD or ~/.pgpass")
	}
	if _, err := judging.ParseReference(p.Reference); err != nil {
		bad("perf.reference", "%v", err)
	}
	if p.RerunDelay < 0 {
		bad("perf.rerun_delay", "%s is negative", p.RerunDelay.D())
	}
	for i, m := range p.Define {
		if _, ok := metric.ParseDirection(m.Better); m.Better != "" && !ok {
			bad(strictyaml.Path("perf", "define", i, "better"), "%q is neither higher nor lower", m.Better)
		}
	}
	table, err := p.Metrics()
	if err != nil {
		bad("perf", "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Policy.Metrics)) {
		if _, ok := table.Lookup(name); !ok && err == nil {
			bad(strictyaml.Path("perf", "metrics", name), "%q is not a known metric, and perf.define has none of that name%s", name, judging.SuggestMetric(name, table))
		}
	}
	for i, gate := range p.Accuracy.Gates {
		if _, err := gate.Complete(); err != nil {
			bad(strictyaml.Path("perf", "accuracy", "gates", i), "%v", err)
		}
	}
	return errs
}

// Validate returns every problem of the section, at its place in doc.
func (o Output) Validate(doc strictyaml.Document) []error {
	var errs []error
	if !slices.Contains([]fold.Policy{"", fold.Pass, fold.Fail, fold.Skip}, o.Flaky) {
		errs = append(errs, doc.Problem("report.flaky", "%q is not pass, fail or skip", o.Flaky))
	}
	if !slices.Contains([]suites.Metrics{"", suites.AllMetrics, suites.GatingMetrics, suites.NoMetrics}, o.MetricsInJUnit) {
		errs = append(errs, doc.Problem("report.metrics_in_junit", "%q is not all, gating or none", o.MetricsInJUnit))
	}
	return errs
}

// ParsedReference is the pinned build that shows what the environment does.
func (p Perf) ParsedReference() judging.Reference {
	ref, _ := judging.ParseReference(p.Reference) // Validate has told what is wrong with it
	return ref
}

// Metrics is the built-in table with the section's own metrics.
func (p Perf) Metrics() (metric.Table, error) {
	var own []metric.Metric
	for _, m := range p.Define {
		better := map[string]metric.Direction{"higher": metric.HigherIsBetter, "lower": metric.LowerIsBetter}[m.Better]
		own = append(own, metric.Metric{Name: m.Name, Unit: m.Unit, Better: better, Gate: m.Gate, MinEffect: m.MinEffect})
	}
	table, err := metric.Default().With(own...)
	if err != nil {
		return table, err
	}
	return bench.Extend(table, p.Readers)
}

// Reader reads the outputs of benchmark clients.
func (p Perf) Reader(metrics metric.Table) points.Reader {
	return points.Reader{Reader: bench.Reader{Metrics: metrics, Generic: p.Readers}, ColdStart: p.ColdStart, DiscardFirst: p.DiscardFirst}
}

// Discards says, behind what a case is judged against, that a warm-up is dropped.
func (p Perf) Discards() string {
	if !p.DiscardFirst {
		return ""
	}
	return "; where the client repeats a point, the first repetition is discarded"
}

// Exit is what the section relaxes.
func (p Perf) Exit() report.ExitPolicy {
	return report.ExitPolicy{AllowCollecting: p.Policy.AllowCollecting, AllowNoBaseline: p.Policy.AllowNoBaseline, AllowSkipped: p.AllowSkipped}
}
