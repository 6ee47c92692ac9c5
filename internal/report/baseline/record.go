package baseline

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Schema is the version of Record. A reader leaves out records with a higher
// number, with a warning.
const Schema = 1

// Kind is what a record tells.
type Kind string

// The kinds. Everything but a run is an act of a person, and carries an Act.
const (
	KindRun      Kind = "run"      // one run of one case
	KindAccept   Kind = "accept"   // the level that begins with Act.Target is intended
	KindWithdraw Kind = "withdraw" // the run Act.Target is not to be counted
	KindPrune    Kind = "prune"    // old records were removed from the store
	KindImport   Kind = "import"   // records were brought in from elsewhere
	KindSplit    Kind = "split"    // records were given a part of their identity
	KindReplay   Kind = "replay"   // runs were judged afterwards
)

// Modes of a run, as in rundir.Build.
const (
	ModeNightly = "nightly" // a run of a branch: it joins the branch's history
	ModeBisect  = "bisect"  // a search for a commit: kept, never part of a history
	ModePR      = "pr"      // a run of a proposed change: kept, never part of a history
	ModeSession = "ab"      // both builds of a paired session, pair by pair: kept, never part of a history
	// ModeReference is a run of a pinned build that shows what the environment does:
	// kept, never part of a history.
	ModeReference = "reference"
)

// Modes are all of them.
func Modes() []string { return []string{ModeNightly, ModePR, ModeBisect, ModeReference, ModeSession} }

// SourceOwn is the source of runs that this program measured and judged.
const SourceOwn = "ci-disagg"

// DefaultBranch is the branch of runs that name none.
const DefaultBranch = "main"

// Record is one entry of the store: one run of one case with everything that
// was measured, or one act of a person. Records are values: changing the past
// means adding a record that says so.
type Record struct {
	Schema int    `json:"schema"`
	Kind   Kind   `json:"kind"`
	ID     string `json:"id"` // see NewID
	Case   string `json:"case"`
	// Match is the identity of the series beside case, point and metric: GPU
	// type, parallelism, …. Runs with different values are never compared.
	Match map[string]string `json:"match,omitempty"`
	Time  time.Time         `json:"time"` // when the run began; of an act, of the run it is about

	Source    string       `json:"source,omitempty"` // ci-disagg, manual, perf_data, opensearch
	Run       string       `json:"run,omitempty"`    // run id
	Build     rundir.Build `json:"build"`
	Cluster   string       `json:"cluster,omitempty"`
	GPU       string       `json:"gpu,omitempty"`       // GPU type
	Container string       `json:"container,omitempty"` // its image, as the plan names it
	Tool      string       `json:"tool,omitempty"`      // version of ci-disagg

	Repetitions  []Repetition  `json:"repetitions,omitempty"` // where each value of a measurement comes from
	Valid        bool          `json:"valid"`
	Problems     []string      `json:"problems,omitempty"` // why it is not valid
	Verdict      verdict.Word  `json:"verdict,omitempty"`  // worst of the gating metrics
	Measurements []Measurement `json:"measurements,omitempty"`

	Beside

	Act *Act `json:"act,omitempty"`
}

// Beside is what is kept beside what identifies and measures.
type Beside struct {
	CaseMode string `json:"case_mode,omitempty"` // of the case, where the match values do not say it: ModeOfCase
	Changed  string `json:"changed,omitempty"`   // with the regression that the run raised, beside its commit
	Checkout string `json:"checkout,omitempty"`  // of the build that was measured, as the nodes saw it
	// GPUHours are those that the run held for the case, by cause (package cost); none: not recorded.
	GPUHours map[string]float64 `json:"gpu_hours,omitempty"`
}

// Repetition is one job that measured.
type Repetition struct {
	JobID   string     `json:"job_id,omitempty"`
	Nodes   []string   `json:"nodes,omitempty"`
	NodeSet string     `json:"node_set,omitempty"` // group for the node covariate; see NodeGroup
	Started *time.Time `json:"started,omitempty"`
	// Machine is what it ran on, nil where nobody looked.
	Machine *rundir.Machine `json:"machine,omitempty"`
}

// Measurement is one metric at one benchmark point.
type Measurement struct {
	Point   string       `json:"point,omitempty"` // con<C>… ; "" = the case has one
	Metric  string       `json:"metric"`          // canonical name, see package metric
	Unit    string       `json:"unit"`
	Values  []float64    `json:"values"` // one per repetition that measured it, in Unit
	Verdict verdict.Word `json:"verdict,omitempty"`
	Open    bool         `json:"open,omitempty"`  // judged while a regression was open
	Level   float64      `json:"level,omitempty"` // that a regression was measured against
	Onset   string       `json:"onset,omitempty"` // run at which the regression that this run raised began
	// Reps are the indexes into Record.Repetitions that Values come from; empty:
	// the first len(Values), in order.
	Reps []int `json:"reps,omitempty"`
}

// Value is the one number that the repetitions stand for: their median.
func (m Measurement) Value() float64 { return verdict.Run{Values: m.Values}.Value() }

// Act says who did something to the history by hand, when and why.
type Act struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Why    string    `json:"why"`
	Target string    `json:"target,omitempty"` // id of the run it is about
	// Series limits the act to some series of the run, as "metric" or
	// "point/metric"; empty = all of them.
	Series []string `json:"series,omitempty"`
}

// Covers reports whether the act is about this metric at this point.
func (a Act) Covers(point, metric string) bool {
	return len(a.Series) == 0 || slices.Contains(a.Series, metric) || slices.Contains(a.Series, point+"/"+metric)
}

// ModeOfCase is the mode of the run's case (rundir.Case.Mode), by which metrics gate: custom of a configured pipeline,
// whatever its variables are called and their values are; "" = that is not known.
func (r Record) ModeOfCase() string {
	switch mode := r.Match["mode"]; {
	case r.Match["pipeline"] != "":
		return rundir.ModeCustom
	case r.CaseMode != rundir.ModeCustom && slices.Contains(rundir.CaseModes(), mode):
		return mode
	default:
		return r.CaseMode
	}
}

// Branch is the branch whose history the record belongs to.
func (r Record) Branch() string { return NormalBranch(r.Build.Branch) }

// NormalBranch takes the decoration off a branch name: refs/heads/main and
// origin/main are main, and so is no name at all.
func NormalBranch(b string) string {
	b = strings.TrimPrefix(b, "refs/heads/")
	b = strings.TrimPrefix(b, "refs/remotes/")
	b = strings.TrimPrefix(b, "origin/")
	if b == "" {
		return DefaultBranch
	}
	return b
}

// NormalMatch is m without empty values: a key without a value and no key are
// the same.
func NormalMatch(m map[string]string) map[string]string {
	out := maps.Clone(m)
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	if len(out) == 0 {
		return nil
	}
	return out
}

// SelectMatch is the part of a run's properties that identifies its series: the
// given keys, or all of them when none are given.
func SelectMatch(all map[string]string, keys []string) map[string]string {
	if len(keys) == 0 {
		return NormalMatch(all)
	}
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(k, _ string) bool { return !slices.Contains(keys, k) })
	return NormalMatch(out)
}

// MatchKey is a short, stable, file-name-safe word for a set of match values:
// the readable GPU type if there is one, and a hash of everything.
func MatchKey(m map[string]string) string {
	m = NormalMatch(m)
	if len(m) == 0 {
		return "any"
	}
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(h, "%d %s=%d %s\n", len(k), k, len(m[k]), m[k])
	}
	word := "match"
	if gpu := m["gpu_type"]; gpu != "" {
		word = strings.Map(func(r rune) rune {
			if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
				return unicode.ToLower(r)
			}
			return -1
		}, gpu)
	}
	return word[:min(len(word), 20)] + "-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// idTime is the first part of an id: ids sort by time.
const idTime = "20060102T150405Z"

// NewID is the id of the record, made from what makes it the same record: time,
// case, match values, branch, mode, run; for an act also what was done. Saving a
// record with an id that is already there replaces it, so storing a run twice
// does not double it.
func (r Record) NewID() string {
	h := sha256.New()
	part := func(texts ...string) {
		for _, t := range texts {
			fmt.Fprintf(h, "%d:%s,", len(t), t)
		}
	}
	part(string(r.Kind), r.Case, MatchKey(r.Match), r.Branch(), r.Build.Mode, r.Build.Change, r.Run, stamp(r.Time))
	if r.Act != nil && r.Kind != KindRun {
		part(r.Act.Target, stamp(r.Act.At), r.Act.By, r.Act.Why)
		part(r.Act.Series...)
	}
	return r.Time.UTC().Format(idTime) + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

func stamp(t time.Time) string { return strconv.FormatInt(t.UTC().UnixNano(), 10) }

// Normal is the record as it is stored: schema and id set, times in UTC,
// measurements sorted, texts that come out of benchmark files made printable.
func (r Record) Normal() Record {
	r.Schema = Schema
	r.Match = NormalMatch(r.Match)
	r.Time = r.Time.UTC().Truncate(time.Microsecond) // PostgreSQL's resolution
	r.Measurements = slices.Clone(r.Measurements)
	for i := range r.Measurements {
		r.Measurements[i].Point = clean(r.Measurements[i].Point)
	}
	r.Problems = slices.Clone(r.Problems[:min(len(r.Problems), maxProblems)])
	for i := range r.Problems {
		r.Problems[i] = clean(r.Problems[i])
	}
	slices.SortStableFunc(r.Measurements, func(a, b Measurement) int {
		return strings.Compare(a.Point+"\x00"+a.Metric, b.Point+"\x00"+b.Metric)
	})
	if r.Act != nil {
		act := *r.Act
		act.At = act.At.UTC().Truncate(time.Microsecond)
		if len(act.Series) == 0 {
			act.Series = nil
		}
		r.Act = &act
	}
	r.ID = r.NewID()
	return r
}

// Invalidate makes the run no measurement, because of what it was judged to be.
func (r *Record) Invalidate(why string) {
	r.Valid, r.Verdict = false, verdict.Invalid
	r.Problems = slices.Insert(slices.Clone(r.Problems), 0, clean(why))
}

// Find is what the run measured of one metric at one point.
func (r Record) Find(point, name string) (Measurement, bool) {
	for _, m := range r.Measurements {
		if m.Point == point && m.Metric == name {
			return m, true
		}
	}
	return Measurement{}, false
}

// Unjudged is the run without what it was judged to be.
func (r Record) Unjudged() Record {
	r.Verdict, r.Changed = "", ""
	r.Measurements = slices.Clone(r.Measurements)
	for i := range r.Measurements {
		m := &r.Measurements[i]
		m.Verdict, m.Open, m.Level, m.Onset = "", false, 0, ""
	}
	return r
}

// Counts reports whether the record is a run that a history may contain.
func (r Record) Counts() bool {
	return r.Kind == KindRun && r.Valid && r.Build.Mode == ModeNightly
}

// Bounds of a record. What a benchmark leaves behind stays far below them.
const (
	maxText         = 64 << 10
	maxProblems     = 100
	maxMeasurements = 20_000
	maxValues       = 10_000
)

// Validate says everything that is wrong with the record.
func (r Record) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Schema != Schema {
		bad("schema %d: this ci-disagg understands %d", r.Schema, Schema)
	}
	if r.Case == "" {
		bad("case is missing")
	}
	if r.Time.Year() < 2000 || r.Time.Year() > 2199 {
		bad("time %s is not plausible", r.Time.Format(time.RFC3339))
	}
	if r.ID != r.NewID() {
		bad("id %q is not the id of this content", Shorten(r.ID))
	}
	r.eachText(func(name, s string) {
		if msg := textProblem(s); msg != "" {
			bad("%s %s", name, msg)
		}
	})
	switch r.Kind {
	case KindRun:
		r.validateRun(bad)
	case KindAccept, KindWithdraw, KindPrune, KindImport, KindSplit, KindReplay:
		if r.Act == nil || r.Act.By == "" || r.Act.Why == "" || r.Act.At.IsZero() {
			bad("%s needs who, when and why", r.Kind)
		}
		if (r.Kind == KindAccept || r.Kind == KindWithdraw) && (r.Act == nil || r.Act.Target == "") {
			bad("%s needs the run that it is about", r.Kind)
		}
	default:
		bad("kind %q is unknown", Shorten(string(r.Kind)))
	}
	return errors.Join(errs...)
}

func (r Record) validateRun(bad func(string, ...any)) {
	if !slices.Contains(Modes(), r.Build.Mode) {
		bad("build.mode %q is not nightly, pr, bisect, reference or ab", Shorten(r.Build.Mode))
	}
	if r.Valid && len(r.Measurements) == 0 {
		bad("a valid run has measurements; this one has none")
	}
	if r.Valid == (len(r.Problems) > 0) {
		bad("a run is invalid exactly when it has problems")
	}
	if len(r.Measurements) > maxMeasurements {
		bad("%d measurements are more than %d", len(r.Measurements), maxMeasurements)
		return
	}
	seen := make(map[[2]string]bool, len(r.Measurements))
	for _, m := range r.Measurements {
		key := [2]string{m.Point, m.Metric}
		if seen[key] {
			bad("%s is there twice", strings.TrimPrefix(Shorten(m.Point)+"/"+Shorten(m.Metric), "/"))
		}
		seen[key] = true
		m.validate(bad)
	}
}

func (m Measurement) validate(bad func(string, ...any)) {
	switch {
	case m.Metric == "" || m.Unit == "":
		bad("a measurement at point %q lacks its metric or unit", Shorten(m.Point))
	case len(m.Values) == 0:
		bad("%s has no value", m.Metric)
	case len(m.Values) > maxValues:
		bad("%s has %d values, more than %d", m.Metric, len(m.Values), maxValues)
	case len(m.Reps) > 0 && len(m.Reps) != len(m.Values):
		bad("%s has %d values of %d repetitions", m.Metric, len(m.Values), len(m.Reps))
	}
	finite := !math.IsNaN(m.Level) && !math.IsInf(m.Level, 0)
	for _, v := range m.Values {
		finite = finite && !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	if !finite {
		bad("%s has a value that is not finite", m.Metric)
	}
}

// eachText gives fn every text of the record that came from outside.
func (r Record) eachText(fn func(name, s string)) {
	b := r.Build
	for _, t := range [...][2]string{
		{"case", r.Case},
		{"source", r.Source},
		{"run", r.Run},
		{"cluster", r.Cluster},
		{"gpu", r.GPU},
		{"container", r.Container},
		{"checkout", r.Checkout},
		{"tool", r.Tool},
		{"branch", b.Branch},
		{"commit", b.Commit},
		{"change", b.Change},
		{"build url", b.URL},
		{"merge base", b.MergeBase},
		{"build tag", b.Tag},
		{"changed", r.Changed},
		{"case mode", r.CaseMode},
	} {
		fn(t[0], t[1])
	}
	for k, v := range r.Match {
		fn("match", k)
		fn("match", v)
	}
	for _, m := range r.Measurements {
		fn("point", m.Point)
		fn("metric", m.Metric)
		fn("unit", m.Unit)
		fn("onset", m.Onset)
	}
	for _, rep := range r.Repetitions {
		fn("job id", rep.JobID)
		fn("node set", rep.NodeSet)
		for _, n := range rep.Nodes {
			fn("node", n)
		}
	}
	for _, p := range r.Problems {
		fn("problem", p)
	}
	if r.Act != nil {
		fn("who", r.Act.By)
		fn("why", r.Act.Why)
		fn("target", r.Act.Target)
		for _, s := range r.Act.Series {
			fn("series", s)
		}
	}
}

// textProblem refuses what a file name, a terminal or a jsonb column would
// choke on.
func textProblem(s string) string {
	switch {
	case len(s) > maxText:
		return fmt.Sprintf("is too long (%d bytes)", len(s))
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return "has control characters"
		}
	}
	return ""
}

// clean makes text from a file fit for a record.
func clean(s string) string {
	const most = 2000
	s = strings.ToValidUTF8(s[:min(len(s), most)], "·")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '·'
		}
		return r
	}, s)
}

// Shorten is s for a message: not longer than a line.
func Shorten(s string) string { return plain.Cut(s, 80) }

// NodeGroup is the group that a set of nodes belongs to, for the node
// covariate: the names without their last number (the rack of gb-035-node04 is
// gb-035-node), several groups joined. "" when there are no nodes.
func NodeGroup(nodes []string) string {
	var groups []string
	for _, n := range nodes {
		n, _, _ = strings.Cut(n, ".")
		g := strings.TrimRight(n, "0123456789")
		if g == "" {
			g = n
		}
		groups = append(groups, g)
	}
	slices.Sort(groups)
	return strings.Join(slices.Compact(groups), "+")
}
