package judging

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// trial is one run with everything that it is judged by.
type trial struct {
	Setup
	Subject
	past past
}

// define is a metric as it gates in this case.
func (t *trial) define(name string) (metric.Metric, bool) {
	def, ok := t.Metrics.Lookup(name)
	return define(t.Record, def), ok
}

// judge makes the rows of a valid run, and notes their verdicts in its record.
func (t *trial) judge(out *Judgement) {
	var questions []verdict.Question
	var at []int // of each question, the measurement
	where := placesOf(t.past.Runs, t.Lemons)
	for i, m := range out.Record.Measurements {
		def, ok := t.define(m.Metric)
		if !ok {
			out.Warnings = append(out.Warnings, fmt.Sprintf("metric %s of point %q is not known: not judged", baseline.Shorten(m.Metric), baseline.Shorten(m.Point)))
			continue
		}
		policy, pin := t.Pins.apply(t.Policy, out.Record, m.Point, def.Name)
		questions = append(questions, verdict.Question{Policy: policy, Series: verdict.Series{
			Case: out.Record.Case, Point: m.Point, Metric: def, Pinned: pin,
			History: where.series(t.past.History, m.Point, def.Name), New: where.run(out.Record, m),
		}})
		at = append(at, i)
	}
	out.Rows, out.Case = verdict.JudgeCase(questions)
	if out.Changed = t.whatChanged(out.Case.Onset, out.Record); out.Changed != nil && out.Case.Alarm {
		out.Record.Changed = out.Changed.Text
	}
	for k, row := range out.Rows {
		row = t.withMachine(t.withPast(row, questions[k]), questions[k])
		m := &out.Record.Measurements[at[k]]
		judged := row.Record(questions[k].Series.New)
		m.Verdict, m.Open, m.Level, m.Onset = judged.Verdict, judged.Open, judged.Level, judged.Onset
		out.Rows[k] = row
		if row.Gate && row.Verdict == verdict.Invalid { // such as 0 tok/s: never stored as good
			out.Record.Valid = false
			out.Record.Problems = append(out.Record.Problems, strings.TrimPrefix(row.Point+" "+row.Metric, " ")+": "+row.Reason)
		}
	}
	out.Machine = t.machine(out)
	for _, e := range t.Pins.Cases[t.Record.Case] {
		if doubt := e.Doubt(t.Policy); doubt != "" && e.fits(t.Record) {
			out.Warnings = append(out.Warnings, e.Source+": "+doubt)
		}
	}
	out.Rows = append(out.Rows, t.missing()...)
}

// withPast is the row in the light of what became of the history.
func (t *trial) withPast(row verdict.Row, q verdict.Question) verdict.Row {
	if word, why := t.noHistory(q); word != "" && row.Verdict != verdict.Invalid {
		row = withoutBaseline(row, word, why)
	}
	if t.past.elsewhere != "" && row.Verdict.Unjudged() {
		row.Reason += ". " + strings.ToUpper(t.past.elsewhere[:1]) + t.past.elsewhere[1:]
	}
	return row
}

// noHistory says why a series cannot be judged, if there is no history to judge it by. A pinned value needs none. Where
// there may be one that cannot be read, that holds for the rule fixed alone: the others would have gone by it.
func (t *trial) noHistory(q verdict.Question) (verdict.Word, string) {
	pinned := q.Series.Pinned != nil
	rule := ruleOf(q.Policy, q.Series.Metric.Name)
	switch {
	case pinned && rule == verdict.RuleFixed:
		return "", ""
	case t.past.unavailable != nil:
		return verdict.BaselineUnavailable, t.past.unavailable.Error()
	case !pinned && t.Store == nil && len(t.past.all) == 0:
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

// expected are the series that this run lacks, and why it should have them: runs before it had them, or someone wrote a
// value down.
func (t *trial) expected() map[seriesKey]string {
	have := map[seriesKey]bool{}
	measured := map[string]bool{} // at any point
	for _, m := range t.Record.Measurements {
		have[seriesKey{m.Point, m.Metric}] = true
		measured[m.Metric] = true
	}
	lacks := map[seriesKey]string{}
	for key, h := range habits(t.past.History) {
		if !have[key] && h.expected() {
			lacks[key] = h.String()
		}
	}
	for _, e := range t.Pins.Cases[t.Record.Case] {
		key := seriesKey{e.Point, e.Metric}
		if have[key] || e.Point == "" && measured[e.Metric] || !e.demands() || !e.fits(t.Record) || lacks[key] != "" {
			continue
		}
		lacks[key] = "pinned at " + e.Source
	}
	return lacks
}

// missing makes a row of every gating metric that this run should have: what was
// not measured did not pass.
func (t *trial) missing() []verdict.Row {
	var rows []verdict.Row
	for key, why := range t.expected() {
		def, known := t.define(key.metric)
		if !known {
			continue
		}
		policy, _ := t.Pins.apply(t.Policy, t.Record, key.point, def.Name)
		row := verdict.Judge(verdict.Series{Case: t.Record.Case, Point: key.point, Metric: def, New: verdict.Run{}}, policy)
		if !row.Gate {
			continue
		}
		row.Verdict, row.Reason = verdict.Invalid, "not measured by this run, but "+why
		rows = append(rows, row)
	}
	return rows
}

// invalid makes rows of a run that is no measurement: what it measured, and the
// gating metrics, so that nothing is silently absent.
func (t *trial) invalid(out *Judgement) {
	why := strings.Join(out.Record.Problems, "; ")
	add := func(point string, def metric.Metric, values []float64) {
		policy, _ := t.Pins.apply(t.Policy, t.Record, point, def.Name)
		row := verdict.Judge(verdict.Series{Case: out.Record.Case, Point: point, Metric: def, New: verdict.Run{Values: values}}, policy)
		out.Rows = append(out.Rows, withoutBaseline(row, verdict.Invalid, why))
	}
	measured := map[string]bool{}
	for i, m := range out.Record.Measurements {
		out.Record.Measurements[i].Verdict = verdict.Invalid
		if def, ok := t.define(m.Metric); ok {
			add(m.Point, def, m.Values)
			measured[def.Name] = true
		}
	}
	for _, def := range t.Expects(t.Record, "", false) {
		if !measured[def.Name] {
			add("", define(t.Record, def), nil)
		}
	}
}

// sortRows orders by point in natural order, gating metrics first, then as the
// table of metrics lists them.
func (t *trial) sortRows(rows []verdict.Row) {
	place := map[string]int{}
	for i, m := range t.Metrics.All() {
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
	slices.SortStableFunc(rows, func(a, b verdict.Row) int {
		if c := fold.Natural(a.Point, b.Point); c != 0 {
			return c
		}
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		return strings.Compare(a.Metric, b.Metric)
	})
}
