package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
)

// Rule is how a metric is judged.
type Rule string

// The rules. The empty rule is fixed for a metric with a pinned value and bws
// for every other.
const (
	RuleBWS      Rule = "bws"
	RuleFixed    Rule = "fixed"
	RuleUpstream Rule = "upstream"
)

// RuleAccuracy marks the rows of the accuracy gates, which none of the rules judges.
const RuleAccuracy = "accuracy"

const gateSuffix = "_gate"

// GateName is the n-th name of an accuracy gate beside a metric that has its name.
func GateName(name string, n int) string {
	if name += gateSuffix; n > 1 {
		name += strconv.Itoa(n)
	}
	return name
}

// IsGateOf reports whether a row is an accuracy gate whose score is a metric of its own, at the same point.
func (r Row) IsGateOf(o Row) bool {
	rest, ok := strings.CutPrefix(r.Metric, o.Metric)
	number, suffix := strings.CutPrefix(rest, gateSuffix)
	return ok && r.Rule == RuleAccuracy && o.Rule != RuleAccuracy && r.Point == o.Point && (rest == "" || suffix && strings.Trim(number, "0123456789") == "")
}

// Strictness is how sure bws must be before it says regression or improvement.
type Strictness string

// The strictnesses. The empty one is normal.
const (
	Normal    Strictness = "normal"    // P >= 0.7
	Sensitive Strictness = "sensitive" // P >= 0.5: finds more, twice the false alarms
	Strict    Strictness = "strict"    // P >= 0.85
)

// Mode is what kind of run is judged. The empty one is nightly.
type Mode string

// The modes.
const (
	Nightly     Mode = "nightly" // a run of the main branch: it joins the history
	PullRequest Mode = "pr"      // one run on top of the main branch's history up to its merge base
)

// MaxReruns is how many repetitions beyond the first value the rule can use.
const MaxReruns = 3

// MinHistory is the least number of past runs that bws can judge against.
const MinHistory = 7

// Policy says how to judge. The zero value is the default: bws, normal, nightly,
// no reruns, nothing relaxed.
type Policy struct {
	Rule       Rule       `yaml:"rule" enum:"bws,fixed,upstream"`
	Strictness Strictness `yaml:"strictness" enum:"normal,sensitive,strict"`
	Mode       Mode       `yaml:"mode" enum:"nightly,pr"`
	// FunctionalOnly makes every row advisory: judged and shown, never red.
	FunctionalOnly bool `yaml:"functional_only"`
	// MinHistory is the number of past runs below which bws says collecting;
	// 0 = 7, which is also the least.
	MinHistory int `yaml:"min_history" bounds:"0,"`
	// AllowCollecting and AllowNoBaseline relax exit code 5. The verdict of the
	// row stays what it is: nothing becomes green by silence.
	AllowCollecting bool `yaml:"allow_collecting"`
	AllowNoBaseline bool `yaml:"allow_no_baseline"`
	// Reruns is how many repetitions a suspicious run may have.
	Reruns Reruns `yaml:"reruns"`
	// ForgetOpen ends a regression with the run that raised it: the next run is
	// judged against a level that soon contains it. For histories that nobody
	// curates.
	ForgetOpen bool `yaml:"forget_open"`
	// Threshold of the rule fixed, relative; 0 = 0.05. A pin's own tolerance
	// goes first.
	Threshold float64 `yaml:"threshold" bounds:"0,1"`
	// PostMerge and PreMerge are the thresholds of the rule upstream in mode
	// nightly and pr; 0 = 0.05 and 0.10.
	PostMerge float64 `yaml:"post_merge" bounds:"0,1"`
	PreMerge  float64 `yaml:"pre_merge" bounds:"0,1"`
	// Metrics overrides by canonical metric name.
	Metrics map[string]MetricPolicy `yaml:"metrics"`

	// RerunsUsed is how many repetitions were tried for this run, whether or
	// not they gave a value. RerunsUnavailable says that no further one can run
	// (no nodes, no time, an offline report).
	RerunsUsed        int  `yaml:"-"`
	RerunsUnavailable bool `yaml:"-"`
	// NoReruns says what a person can do so that repetitions run, where none can.
	NoReruns string `yaml:"-"`
}

// Reruns is a number of repetitions, 0 to 3, or AutoReruns.
type Reruns int

// AutoReruns are as many as the rules can use and the backend can run.
const AutoReruns Reruns = -1

// UnmarshalText reads "auto" or a number.
func (r *Reruns) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*r = AutoReruns
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not auto or a number from 0 to %d", text, MaxReruns)
	}
	*r = Reruns(n)
	return nil
}

// Schema is what UnmarshalText accepts, as a JSON Schema.
func (Reruns) Schema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"const": "auto"},
		map[string]any{"type": "integer", "minimum": 0, "maximum": MaxReruns},
	}}
}

// most is how many repetitions there can be.
func (r Reruns) most() int {
	if r == AutoReruns {
		return MaxReruns
	}
	return min(int(r), MaxReruns)
}

// MetricPolicy overrides the policy for one metric. Zero values override nothing.
type MetricPolicy struct {
	Rule       Rule       `yaml:"rule" enum:"bws,fixed,upstream"`
	Strictness Strictness `yaml:"strictness" enum:"normal,sensitive,strict"`
	Gate       *bool      `yaml:"gate"`
	MinEffect  float64    `yaml:"min_effect" bounds:"0,1"` // dmin, relative: 0.02 = 2 %
	Threshold  float64    `yaml:"threshold" bounds:"0,1"`  // of the rules fixed and upstream, both modes
}

// Validate returns every problem of the policy at once, each a strictyaml.KeyError.
// Names of metrics are checked where the table of metrics is known.
func (p Policy) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, strictyaml.KeyError{Key: key, Message: fmt.Sprintf(format, args...)})
	}
	checkRule := func(key string, r Rule) {
		if !slices.Contains([]Rule{"", RuleBWS, RuleFixed, RuleUpstream}, r) {
			bad(key, "%q is not a rule: use bws, fixed or upstream%s", r, strictyaml.DidYouMean(string(r), []string{string(RuleBWS), string(RuleFixed), string(RuleUpstream)}))
		}
	}
	checkStrictness := func(key string, s Strictness) {
		if !slices.Contains([]Strictness{"", Normal, Sensitive, Strict}, s) {
			bad(key, "%q is not a strictness: use normal, sensitive or strict%s", s, strictyaml.DidYouMean(string(s), []string{string(Normal), string(Sensitive), string(Strict)}))
		}
	}
	checkShare := func(key string, v float64) {
		if !(v >= 0 && v < 1) { // also NaN
			bad(key, "%v is not a relative size: use 0.05 for 5 %%", v)
		}
	}
	checkRule("rule", p.Rule)
	checkStrictness("strictness", p.Strictness)
	if !slices.Contains([]Mode{"", Nightly, PullRequest}, p.Mode) {
		bad("mode", "%q is not a mode: use nightly or pr", p.Mode)
	}
	if p.MinHistory != 0 && p.MinHistory < MinHistory {
		bad("min_history", "%d is too few to judge anything: use %d or more", p.MinHistory, MinHistory)
	}
	if p.Reruns < AutoReruns || p.Reruns > MaxReruns {
		bad("reruns", "%d is out of range: use 0 to %d, or auto", p.Reruns, MaxReruns)
	}
	checkShare("threshold", p.Threshold)
	checkShare("post_merge", p.PostMerge)
	checkShare("pre_merge", p.PreMerge)
	for _, name := range slices.Sorted(maps.Keys(p.Metrics)) {
		m := p.Metrics[name]
		checkRule("metrics."+name+".rule", m.Rule)
		checkStrictness("metrics."+name+".strictness", m.Strictness)
		checkShare("metrics."+name+".min_effect", m.MinEffect)
		checkShare("metrics."+name+".threshold", m.Threshold)
	}
	return errors.Join(errs...)
}

// settings is the policy as it applies to one series, with all defaults filled in.
type settings struct {
	rule       Rule
	threshold  float64 // P of bws
	sensitive  Strictness
	dmin       float64
	gate       bool
	advisory   bool
	pr         bool
	minHistory int
	reruns     int // that may still run
	tried      int
	noReruns   string // why none can, for people
	forgetOpen bool
	fixed      float64
	postMerge  float64
	preMerge   float64
}

func (p Policy) settings(s Series) settings {
	m := p.Metrics[s.Metric.Name]
	c := settings{
		rule:       cmp.Or(m.Rule, p.Rule),
		sensitive:  cmp.Or(m.Strictness, p.Strictness, Normal),
		dmin:       cmp.Or(m.MinEffect, s.Metric.MinEffect, 0.02),
		gate:       s.Metric.Gate,
		advisory:   p.FunctionalOnly,
		pr:         p.Mode == PullRequest,
		minHistory: max(p.MinHistory, MinHistory),
		tried:      max(p.RerunsUsed, len(s.New.Values)-1),
		forgetOpen: p.ForgetOpen,
		fixed:      cmp.Or(m.Threshold, p.Threshold, 0.05),
		postMerge:  cmp.Or(m.Threshold, p.PostMerge, 0.05),
		preMerge:   cmp.Or(m.Threshold, p.PreMerge, 0.10),
	}
	if m.Gate != nil {
		c.gate = *m.Gate
	}
	if c.rule == "" {
		c.rule = RuleBWS
		if s.Pinned != nil {
			c.rule = RuleFixed
		}
	}
	if badValue(c.dmin) != "" {
		c.dmin = 0.02
	}
	c.dmin = min(c.dmin, 1)
	c.threshold = probability(c.sensitive)
	if !p.RerunsUnavailable {
		c.reruns = max(0, p.Reruns.most()-c.tried)
	}
	if c.noReruns = p.NoReruns; c.noReruns == "" && p.Reruns == 0 {
		c.noReruns = "perf.reruns is 0; auto or 1 to 3 would run them"
	}
	return c
}

// Gating reports whether a metric gates under the policy, and the smallest relative
// change of it that matters.
func (p Policy) Gating(m metric.Metric) (gates bool, minEffect float64) {
	c := p.settings(Series{Metric: m})
	return c.gate && !c.advisory, c.dmin
}

// MayRepeat reports whether a further repetition of the run may be made.
func (p Policy) MayRepeat(s Series) bool { return p.settings(s).reruns > 0 }

// probability is the P from which a strictness says regression.
func probability(s Strictness) float64 {
	switch s {
	case Sensitive:
		return 0.5
	case Strict:
		return 0.85
	default:
		return 0.7
	}
}
