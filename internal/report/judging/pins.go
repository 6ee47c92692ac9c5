package judging

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
	"github.com/ci-disagg/ci-disagg/internal/userfile"
)

// pinSchema is the version of the file.
const pinSchema = 1

// Pins is a file of values and thresholds that people wrote down, usually
// baselines.yaml:
//
//	schema: 1
//	cases:
//	  "perf/test_perf_sanity.py::test_e2e[disagg-e2e-x]":
//	    output_token_throughput: 12500            # every point
//	    con64/ttft_median_ms: {value: 81.5, tolerance: 5%}
//	    tpot_median_ms:                           # one per GPU type
//	      - {match: {gpu_type: GB200}, value: 9.1}
//	      - {match: {gpu_type: B200}, value: 11.4}
//	    e2el_median_ms: {rule: upstream, tolerance: 8%}   # a threshold, no value
type Pins struct {
	File  string
	Cases map[string][]PinEntry // by case id, in file order
}

// PinEntry is what the file says about one metric of a case.
type PinEntry struct {
	Metric    string            // canonical name
	Point     string            // "" = every point
	Match     map[string]string // only for runs with these match values
	Value     *float64          // in the metric's unit; nil: only thresholds are set
	Tolerance float64           // relative; 0 = the rule's default
	Rule      verdict.Rule      // "" = fixed when there is a value
	Gate      *bool
	MinEffect float64
	Source    string // file:line:column
	By, Why   string
	At        string
}

// pinFile and pinNode are the file's shape.
type pinFile struct {
	Schema int                             `yaml:"schema"`
	Cases  map[string]map[string]yaml.Node `yaml:"cases"`
}

type pinNode struct {
	Value     *float64          `yaml:"value"`
	Tolerance share             `yaml:"tolerance"`
	Rule      verdict.Rule      `yaml:"rule"`
	Gate      *bool             `yaml:"gate"`
	MinEffect share             `yaml:"min_effect"`
	Match     map[string]string `yaml:"match"`
	By        string            `yaml:"by"`
	At        string            `yaml:"at"`
	Why       string            `yaml:"why"`
}

// share is a relative size: 5% or 0.05.
type share float64

// UnmarshalText refuses 5 without a percent sign: it could mean either.
func (s *share) UnmarshalText(b []byte) error {
	text, percent := strings.CutSuffix(strings.TrimSpace(string(b)), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v >= 1 {
		return fmt.Errorf("%q is not a relative size: write 5%% or 0.05", b)
	}
	*s = share(v)
	return nil
}

// ReadPins reads a file of pins. An absent file is an error that is
// fs.ErrNotExist; everything wrong in it is reported at once, with positions.
func ReadPins(read func(string) ([]byte, error), file string, table metric.Table) (Pins, error) {
	data, err := userfile.Or(read)(file)
	if err != nil {
		return Pins{}, err
	}
	return ParsePins(file, data, table)
}

// ParsePins reads pins from data; file is for messages.
func ParsePins(file string, data []byte, table metric.Table) (Pins, error) {
	var raw pinFile
	doc, err := strictyaml.Read(file, data, &raw)
	if err != nil {
		return Pins{}, err
	}
	pins := Pins{File: file, Cases: map[string][]PinEntry{}}
	var errs []error
	if raw.Schema != pinSchema {
		errs = append(errs, doc.Problem("schema", "must be %d", pinSchema))
	}
	for _, id := range slices.Sorted(maps.Keys(raw.Cases)) {
		for _, key := range slices.Sorted(maps.Keys(raw.Cases[id])) {
			node := raw.Cases[id][key]
			entries, err := parsePin(doc, strictyaml.Path("cases", id, key), key, &node, table)
			errs = append(errs, err)
			pins.Cases[id] = append(pins.Cases[id], entries...)
		}
	}
	return pins, errors.Join(errs...)
}

// parsePin reads the value of one "metric" or "point/metric" key: a number, a
// mapping, or a list of mappings.
func parsePin(doc strictyaml.Document, path, key string, node *yaml.Node, table metric.Table) ([]PinEntry, error) {
	name, point := key, ""
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		point, name = key[:i], key[i+1:]
	}
	def, ok := table.Resolve(name)
	if !ok {
		return nil, doc.Problem(path, "%q is not a known metric%s", name, SuggestMetric(name, table))
	}
	var raw []pinNode
	paths := []string{path}
	var err error
	switch node.Kind {
	case yaml.SequenceNode:
		err = doc.DecodeNode(path, node, &raw)
		paths = nil
		for i := range raw {
			paths = append(paths, path+"["+strconv.Itoa(i)+"]")
		}
	case yaml.MappingNode:
		raw = make([]pinNode, 1)
		err = doc.DecodeNode(path, node, &raw[0])
	default:
		raw = make([]pinNode, 1)
		err = doc.DecodeNode(path, node, &raw[0].Value)
	}
	if err != nil {
		return nil, err
	}
	var out []PinEntry
	var errs []error
	for i, p := range raw {
		e := PinEntry{
			Metric: def.Name, Point: point, Match: p.Match, Value: p.Value, Tolerance: float64(p.Tolerance), Rule: p.Rule,
			Gate: p.Gate, MinEffect: float64(p.MinEffect), Source: doc.At(paths[i]), By: p.By, Why: p.Why, At: p.At,
		}
		if msg := e.problem(); msg != "" {
			errs = append(errs, doc.Problem(paths[i], "%s", msg))
		}
		if slices.ContainsFunc(out, func(o PinEntry) bool { return maps.Equal(o.Match, e.Match) }) {
			errs = append(errs, doc.Problem(paths[i], "is for the same match values as an entry before it"))
		}
		out = append(out, e)
	}
	return out, errors.Join(errs...)
}

func (e PinEntry) problem() string {
	switch {
	case e.Value != nil && !(*e.Value > 0):
		return fmt.Sprintf("the value %v is not above 0: nothing can be so many percent worse than it", *e.Value)
	case !slices.Contains([]verdict.Rule{"", verdict.RuleBWS, verdict.RuleFixed, verdict.RuleUpstream}, e.Rule):
		return fmt.Sprintf("%q is not a rule: use bws, fixed or upstream", e.Rule)
	case e.Rule == verdict.RuleFixed && e.Value == nil:
		return "the rule fixed needs a value"
	case e.Value == nil && e.Tolerance == 0 && e.Rule == "" && e.Gate == nil && e.MinEffect == 0:
		return "says nothing: give a value, a tolerance, a rule, gate or min_effect"
	}
	return ""
}

// SuggestMetric names the metric that was probably meant, or how to see them all.
func SuggestMetric(name string, table metric.Table) string {
	var known []string
	for _, m := range table.All() {
		known = append(known, m.Name)
	}
	return cmp.Or(strictyaml.DidYouMean(name, known), "; `ci-disagg baseline show --metrics` lists them")
}

// find is the entry for one series of a run: the most specific of those that
// fit, a point before match values before the general one.
func (p Pins) find(r baseline.Record, point, name string) (PinEntry, bool) {
	best, bestRank := PinEntry{}, -1
	for _, e := range p.Cases[r.Case] {
		if e.Metric != name || e.Point != "" && e.Point != point {
			continue
		}
		rank := len(e.Match)
		if e.Point != "" {
			rank += 1000
		}
		if e.fits(r) && rank > bestRank {
			best, bestRank = e, rank
		}
	}
	return best, bestRank >= 0
}

// fits reports whether the entry is about runs with these match values.
func (e PinEntry) fits(r baseline.Record) bool {
	for k, v := range e.Match {
		if r.Match[k] != v {
			return false
		}
	}
	return true
}

// demands reports whether the entry expects its metric to be measured: there is a
// value to hold it against, or it is said to gate.
func (e PinEntry) demands() bool {
	if e.Gate != nil {
		return *e.Gate
	}
	return e.Value != nil
}

// apply is the policy for one series, with what the file says about it, and its
// pinned value if it has one.
func (p Pins) apply(policy verdict.Policy, r baseline.Record, point, name string) (verdict.Policy, *verdict.Pin) {
	e, ok := p.find(r, point, name)
	if !ok {
		return policy, nil
	}
	own := policy.Metrics[name]
	if e.Rule != "" {
		own.Rule = e.Rule
	}
	if e.Gate != nil {
		own.Gate = e.Gate
	}
	if e.MinEffect > 0 {
		own.MinEffect = e.MinEffect
	}
	if e.Tolerance > 0 {
		own.Threshold = e.Tolerance
	}
	policy.Metrics = maps.Clone(policy.Metrics)
	if policy.Metrics == nil {
		policy.Metrics = map[string]verdict.MetricPolicy{}
	}
	policy.Metrics[name] = own
	if e.Value == nil {
		return policy, nil
	}
	return policy, &verdict.Pin{Value: *e.Value, Tolerance: e.Tolerance, Source: e.Source}
}

// Doubt says why the entry's value does not decide, "" if it does.
func (e PinEntry) Doubt(policy verdict.Policy) string {
	own := policy.Metrics[e.Metric].Rule
	if e.Value == nil || cmp.Or(e.Rule, own, policy.Rule) != verdict.RuleBWS {
		return ""
	}
	key := "perf.rule"
	switch {
	case e.Rule != "":
		key = "the pin's own rule"
	case own != "":
		key = "perf.metrics." + e.Metric + ".rule"
	}
	return fmt.Sprintf("the value pinned for %s decides only until there are 7 past runs: %s is bws, which then goes by the history. Leave that out (a pin is then judged by the rule fixed), or write rule: fixed into the pin",
		SeriesName(e.Point, e.Metric), key)
}
