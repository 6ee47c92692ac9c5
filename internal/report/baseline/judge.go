package baseline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Setup is what runs are judged with.
type Setup struct {
	Store    Store // nil: none configured, or StoreErr
	StoreErr error // why the configured store could not be opened
	Pins     Pins
	Policy   verdict.Policy
	Metrics  metric.Table
	Window   time.Duration // how far back the history goes; 0 = DefaultWindow
	Runs     int           // how many runs of it; 0 = what the rules need
}

// Subject is the run to judge.
type Subject struct {
	// Record is the run as it will be stored, without verdicts. Its Build says
	// nightly or pr, and the merge base.
	Record Record
	Mode   string // of the case (rundir.Case.Mode): which metrics gate
	// Branch is the branch to compare with; "" = the record's own. A pull
	// request names its target here.
	Branch string
}

// Judgement is what came out.
type Judgement struct {
	Rows     []verdict.Row // by point and metric, gating metrics first
	Record   Record        // Subject.Record with its verdicts, Normal, ready to be saved
	Warnings []string
}

// upstreamRuns is how many runs the rule upstream gets to see: it has no limit
// of its own beside the 90 days.
const upstreamRuns = 1000

// JudgeCase judges one run of one case against the store's history and the
// pins. A store that fails makes rows of baseline_unavailable, not an error: the
// case still has a result.
func JudgeCase(ctx context.Context, setup Setup, s Subject) Judgement {
	j := judging{Setup: setup, Subject: s}
	j.Record = s.Record.Normal()
	j.Record.Measurements = slices.Clone(j.Record.Measurements)
	j.Policy.Mode = verdict.Nightly
	if j.Record.Build.Mode == ModePR {
		j.Policy.Mode = verdict.PullRequest
	}
	j.gates = map[string]bool{}
	for _, m := range j.defaultGates() {
		j.gates[m.Name] = true
	}
	if j.Record.Valid {
		j.readHistory(ctx)
		if why := j.copied(); why != "" {
			j.Record.Valid, j.Record.Problems = false, []string{why}
		}
	}
	if j.Record.Valid {
		for i := range j.Record.Measurements {
			j.measurement(&j.Record.Measurements[i])
		}
		j.noMeasurement()
		j.missing()
	} else {
		j.invalid()
	}
	j.sortRows()
	j.Record.Verdict = verdict.Worst(j.rows)
	if !j.Record.Valid {
		j.Record.Verdict = verdict.Invalid
	}
	return Judgement{Rows: j.rows, Record: j.Record, Warnings: j.warnings}
}

// judging is one judgement while it is made.
type judging struct {
	Setup
	Subject
	gates       map[string]bool
	history     History
	unavailable error
	other       string // where else the case has a history
	rows        []verdict.Row
	warnings    []string
}

// noMeasurement makes the run invalid where a gating metric's value is none, such
// as 0 tok/s: it is never stored as good.
func (j *judging) noMeasurement() {
	for _, row := range j.rows {
		if row.Gate && row.Verdict == verdict.Invalid {
			j.Record.Valid = false
			j.Record.Problems = append(j.Record.Problems, strings.TrimPrefix(row.Point+" "+row.Metric, " ")+": "+row.Reason)
		}
	}
}

func (j *judging) readHistory(ctx context.Context) {
	if j.Store == nil {
		j.unavailable = j.StoreErr
		return
	}
	window := j.Window
	if window <= 0 {
		window = DefaultWindow
	}
	q := Query{
		Case: j.Record.Case, Match: j.Record.Match, Branch: j.Branch,
		Before: j.Record.Time.Add(time.Microsecond), // that of the same time, too: the run's copy, if not itself
		Except: j.Record.ID, Since: j.Record.Time.Add(-window), Runs: j.Runs,
	}
	if q.Branch == "" {
		q.Branch = j.Record.Branch()
	}
	if j.Policy.Mode == verdict.PullRequest {
		j.endAtMergeBase(&q)
	}
	if q.Runs == 0 && j.usesUpstream() {
		q.Runs = upstreamRuns
	}
	j.history, j.unavailable = j.Store.History(ctx, q)
	j.warnings = append(j.warnings, j.history.Warnings...)
	if j.unavailable == nil && len(j.history.Runs) == 0 {
		j.other = j.elsewhere(ctx, q)
	}
}

// endAtMergeBase ends a pull request's history where it left its branch.
func (j *judging) endAtMergeBase(q *Query) {
	q.MergeBase = j.Record.Build.MergeBase
	at := j.Record.Build.MergeBaseTime
	switch {
	case at != nil && q.MergeBase != "":
		q.MergeBaseTime = *at
	case at != nil:
		if end := at.Add(time.Nanosecond); end.Before(q.Before) {
			q.Before = end
		}
	case q.MergeBase == "":
		j.warnings = append(j.warnings, fmt.Sprintf("the merge base is not given: compared with the newest runs of %s, which may be ahead of this change", NormalBranch(q.Branch)))
	}
}

func (j *judging) usesUpstream() bool {
	uses := j.Policy.Rule == verdict.RuleUpstream
	for _, m := range j.Policy.Metrics {
		uses = uses || m.Rule == verdict.RuleUpstream
	}
	for _, e := range j.Pins.Cases[j.Record.Case] {
		uses = uses || e.Rule == verdict.RuleUpstream
	}
	return uses
}

// measurement judges one series and notes the verdict in m.
func (j *judging) measurement(m *Measurement) {
	def, ok := j.Metrics.Lookup(m.Metric)
	if !ok {
		j.warnings = append(j.warnings, fmt.Sprintf("metric %s of point %q is not known: not judged", shorten(m.Metric), shorten(m.Point)))
		return
	}
	def.Gate = j.gates[def.Name]
	policy, pin := j.Pins.apply(j.Policy, j.Record, m.Point, def.Name)
	series := verdict.Series{
		Case: j.Record.Case, Point: m.Point, Metric: def, Pinned: pin,
		History: j.seriesOf(m.Point, def.Name), New: j.Record.verdictRun(*m),
	}
	row := verdict.Judge(series, policy)
	if word, why := j.noHistory(policy, pin, def.Name); word != "" && row.Verdict != verdict.Invalid {
		row = withoutBaseline(row, word, why)
	}
	if j.other != "" && (row.Verdict == verdict.Collecting || row.Verdict == verdict.NoBaseline) {
		row.Reason += ". " + strings.ToUpper(j.other[:1]) + j.other[1:]
	}
	judged := row.Record(series.New)
	m.Verdict, m.Open, m.Level = judged.Verdict, judged.Open, judged.Level
	j.rows = append(j.rows, row)
}

// noHistory says why a series cannot be judged, if there is no history to judge
// it by. A fixed value needs none.
func (j *judging) noHistory(policy verdict.Policy, pin *verdict.Pin, name string) (verdict.Word, string) {
	rule := policy.Metrics[name].Rule
	if rule == "" {
		rule = policy.Rule
	}
	if pin != nil && (rule == "" || rule == verdict.RuleFixed) {
		return "", ""
	}
	switch {
	case j.unavailable != nil:
		return verdict.BaselineUnavailable, j.unavailable.Error()
	case j.Store == nil:
		return verdict.NoBaseline, "no baseline store is configured and no value is pinned for it"
	default:
		return "", ""
	}
}

// withoutBaseline keeps of a row what does not need a history.
func withoutBaseline(row verdict.Row, word verdict.Word, why string) verdict.Row {
	return verdict.Row{
		Case: row.Case, Point: row.Point, Metric: row.Metric, Unit: row.Unit, Better: row.Better,
		Gate: row.Gate, Advisory: row.Advisory, Rule: row.Rule, Values: row.Values, Value: row.Value,
		Verdict: word, Reason: why,
	}
}

// seriesOf is the history of one metric at one point.
func (j *judging) seriesOf(point, name string) []verdict.Run {
	accepted := map[string]bool{}
	for _, a := range j.history.Acts {
		if a.Act.Covers(point, name) {
			accepted[j.history.accepted(a)] = true
		}
	}
	var out []verdict.Run
	for _, rec := range j.history.Runs {
		m, ok := rec.find(point, name)
		if !ok {
			continue
		}
		r := rec.verdictRun(m)
		r.Accepted = accepted[rec.ID]
		out = append(out, r)
	}
	return out
}

// accepted is the run that shows the level which someone accepted: the one named,
// or the next one if that was withdrawn since. The acceptance outlives it.
func (h History) accepted(act Record) string {
	at := slices.IndexFunc(h.Runs, func(r Record) bool { return r.ID == act.Act.Target })
	if at < 0 && len(h.Runs) > 0 && act.Branch() == h.Runs[0].Branch() {
		at = slices.IndexFunc(h.Runs, func(r Record) bool { return r.Time.After(act.Time) })
	}
	if at < 0 || h.Runs[0].Time.After(act.Time) { // none yet, or all of this is long after it
		return ""
	}
	return h.Runs[at].ID
}

func (r Record) find(point, name string) (Measurement, bool) {
	for _, m := range r.Measurements {
		if m.Point == point && m.Metric == name {
			return m, true
		}
	}
	return Measurement{}, false
}

// verdictRun is what the verdict sees of one measurement.
func (r Record) verdictRun(m Measurement) verdict.Run {
	run := verdict.Run{
		ID: r.ID, Time: r.Time, Commit: r.Build.Commit, Values: m.Values,
		Verdict: m.Verdict, Open: m.Open, Level: m.Level,
	}
	sets := make([]string, len(m.Values))
	for i := range m.Values {
		rep := i
		if len(m.Reps) > 0 {
			rep = m.Reps[i]
		}
		if rep >= 0 && rep < len(r.Repetitions) {
			sets[i] = r.Repetitions[rep].group()
		}
	}
	if len(sets) > 0 {
		run.NodeSet = sets[0]
	}
	if len(slices.Compact(slices.Clone(sets))) > 1 {
		run.NodeSets = sets
	}
	return run
}

// defaultGates are the metrics that gate in the case's mode. What speculative
// decoding yields is measured only where there is any.
func (j *judging) defaultGates() []metric.Metric {
	return j.Metrics.Gates(j.Mode, slices.ContainsFunc(j.Record.Measurements, func(m Measurement) bool { return m.Metric == metric.DecodedTokens }))
}

func (r Repetition) group() string {
	if r.NodeSet != "" {
		return r.NodeSet
	}
	return NodeGroup(r.Nodes)
}

// usually is how many of the last recently runs must have measured a gating
// metric for its absence to be a fault.
const (
	recently = 5
	usually  = 3
)

// seriesKey is a series within a case.
type seriesKey struct{ point, metric string }

// missing makes a row of every gating metric that this run should have: what was
// not measured did not pass.
func (j *judging) missing() {
	for key, why := range j.expected() {
		def, known := j.Metrics.Lookup(key.metric)
		if !known {
			continue
		}
		def.Gate = j.gates[def.Name]
		policy, _ := j.Pins.apply(j.Policy, j.Record, key.point, def.Name)
		row := verdict.Judge(verdict.Series{Case: j.Record.Case, Point: key.point, Metric: def, New: verdict.Run{}}, policy)
		if !row.Gate {
			continue
		}
		row.Verdict, row.Reason = verdict.Invalid, "not measured by this run, but "+why
		j.rows = append(j.rows, row)
	}
}

// expected are the series that this run lacks, and why it should have them: the
// last runs had them, or someone wrote a value down.
func (j *judging) expected() map[seriesKey]string {
	have := map[seriesKey]bool{}
	measured := map[string]bool{} // at any point
	for _, m := range j.Record.Measurements {
		have[seriesKey{m.Point, m.Metric}] = true
		measured[m.Metric] = true
	}
	lacks := map[seriesKey]string{}
	count := map[seriesKey]int{}
	last := j.history.Runs[max(0, len(j.history.Runs)-recently):]
	for _, rec := range last {
		for _, m := range rec.Measurements {
			count[seriesKey{m.Point, m.Metric}]++
		}
	}
	for key, n := range count {
		if !have[key] && n >= usually {
			lacks[key] = fmt.Sprintf("by %d of the last %d runs", n, len(last))
		}
	}
	for _, e := range j.Pins.Cases[j.Record.Case] {
		key := seriesKey{e.Point, e.Metric}
		if have[key] || e.Point == "" && measured[e.Metric] || !e.demands() || !e.fits(j.Record) || lacks[key] != "" {
			continue
		}
		lacks[key] = "pinned at " + e.Source
	}
	return lacks
}

// invalid makes rows of a run that is no measurement: what it measured, and the
// gating metrics, so that nothing is silently absent.
func (j *judging) invalid() {
	why := strings.Join(j.Record.Problems, "; ")
	add := func(point string, def metric.Metric, values []float64) {
		def.Gate = j.gates[def.Name]
		row := verdict.Judge(verdict.Series{
			Case: j.Record.Case, Point: point, Metric: def, New: verdict.Run{Values: values},
		}, j.Policy)
		row = withoutBaseline(row, verdict.Invalid, why)
		j.rows = append(j.rows, row)
	}
	gated := map[string]bool{}
	for i, m := range j.Record.Measurements {
		j.Record.Measurements[i].Verdict = verdict.Invalid
		if def, ok := j.Metrics.Lookup(m.Metric); ok {
			add(m.Point, def, m.Values)
			gated[def.Name] = true
		}
	}
	for _, def := range j.defaultGates() {
		if !gated[def.Name] {
			add("", def, nil)
		}
	}
}

// sortRows orders by point in natural order, gating metrics first, then as the
// table of metrics lists them.
func (j *judging) sortRows() {
	place := map[string]int{}
	for i, m := range j.Metrics.All() {
		place[m.Name] = i
	}
	rank := func(r verdict.Row) int {
		at, ok := place[r.Metric]
		if !ok {
			at = len(place)
		}
		if !r.Gate {
			at += len(place) + 1
		}
		return at
	}
	slices.SortStableFunc(j.rows, func(a, b verdict.Row) int {
		if c := naturalCompare(a.Point, b.Point); c != 0 {
			return c
		}
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		return strings.Compare(a.Metric, b.Metric)
	})
}

// naturalCompare puts con8 before con64.
func naturalCompare(a, b string) int {
	digits := func(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
	for i, k := 0, 0; i < len(a) && k < len(b); {
		na, nb := digits(a[i:]), digits(b[k:])
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[i:i+na], "0"), strings.TrimLeft(b[k:k+nb], "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			i, k = i+na, k+nb
			continue
		}
		if a[i] != b[k] {
			return int(a[i]) - int(b[k])
		}
		i, k = i+1, k+1
	}
	if c := len(a) - len(b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
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

// IsUnavailable says whether err means that a store could not be reached or read.
func IsUnavailable(err error) bool { return errors.As(err, new(*UnavailableError)) }
