package verdict

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
)

// chartRuns is how many past runs a row carries for its chart.
const chartRuns = 90

// Judge gives the verdict on the newest run of a series that stands alone. It is
// total: whatever the numbers are, it answers with a row that has no NaN in it, and
// what is no measurement is invalid.
func Judge(s Series, p Policy) Row {
	j := judge(s, p)
	j.finish()
	return j.Row
}

// judge is the judgement of one series by itself, before its last sentences.
func judge(s Series, p Policy) *judgement {
	c := p.settings(s)
	j := &judgement{subject: subject{settings: c, series: s, sign: s.Metric.Sign()}, Row: Row{
		Case: s.Case, Point: s.Point, Metric: s.Metric.Name, Unit: s.Metric.Unit, Better: s.Metric.Better.String(),
		Gate: c.gate, Advisory: c.advisory || !c.gate, Rule: string(c.rule),
		Values: slices.Clone(s.New.Values),
	}}
	if why := checkValues(s.New.Values); why != "" {
		j.Values = slices.DeleteFunc(j.Values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
		j.Verdict, j.Reason = Invalid, why
		return j
	}
	if s.Metric.Better != metric.HigherIsBetter && s.Metric.Better != metric.LowerIsBetter {
		j.Verdict, j.Reason = Invalid, "the metric has no direction: nobody can say what is worse"
		return j
	}
	j.value = bws.Median(s.New.Values, nil)
	j.Value = number(j.value)
	j.past, j.dropped = past(s)
	j.History = len(j.past)
	j.Series = chart(j.past, s.New)
	switch c.rule {
	case RuleFixed:
		j.judgeFixed()
	case RuleUpstream:
		j.judgeUpstream()
	default:
		j.judgeBWS()
	}
	return j
}

// finish adds what is said whatever the verdict is, and doubts what is too good.
func (j *judgement) finish() {
	if j.Verdict == Invalid {
		return
	}
	for _, text := range []string{j.ofCase, j.ofMain} {
		if text != "" {
			j.say("%s", text)
		}
	}
	if j.Unsteady != nil {
		j.say("%s", j.Unsteady.Sentence())
	}
	if j.scanned != nil {
		j.nameNodes(j.scanned.r, j.scanned.shift)
	}
	j.doubt()
	if j.dropped > 0 {
		j.say("%d past runs without a usable value are left out", j.dropped)
	}
}

// How many times better than its level, or than a value that someone pinned, a run
// may be before its pass is doubted. No nightly LLM run among 5000 was five times better
// than the 30 before it; a promise may be a loose one.
const (
	doubtLevel = 5
	doubtPin   = 100
)

// doubt takes a pass back that is too good: it is more often another unit, or a
// benchmark that did not do its work, than an improvement. It ends as any change of level
// does: someone accepts it, or the runs stay there. One that is as much worse, in a
// series of much noise and a small effect to look for, is no pass either.
func (j *judgement) doubt() {
	if j.Verdict != Pass && j.Verdict != Improvement || j.Advisory || j.series.New.Accepted || j.Baseline == nil {
		return
	}
	most := float64(doubtLevel)
	if j.Rule == string(RuleFixed) {
		most = doubtPin
	}
	base := *j.Baseline
	if j.Unsteady != nil && j.sign*(j.value-base) < 0 {
		base = j.Unsteady.Levels[0]
	}
	times, how := math.Pow(base/j.value, j.sign), "better"
	if times < 1 {
		times, how = 1/times, "worse"
	}
	if times > most {
		j.Verdict = Inconclusive
		j.say("that is %.3g times %s, and more than %g times is not believed before someone accepts it: is it the same unit, and was the work done?", times, how, most)
	}
}

// judgement is a row while it is made.
type judgement struct {
	Row
	subject
	scanned *scannedSeries // by bws, where there was history enough
	// newNodes is the node group that the judged runs are the first on, so that
	// it may be the reason for what they show.
	newNodes string
	over     string // the sentence on the regression that ends with this run
	ofMain   string // the sentence on what main has before a pull request
	ofCase   string // the sentence on what the series of the case say together
}

// say adds a sentence to the reason.
func (j *judgement) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if j.Reason != "" {
		text = ". " + strings.ToUpper(text[:1]) + text[1:]
	}
	j.Reason += text
}

// against sets what the value is compared with.
func (j *judgement) against(baseline float64) {
	if badValue(baseline) != "" { // underflow or overflow of absurd values
		return
	}
	j.Baseline = number(baseline)
	j.Change = number(j.value/baseline - 1)
	j.Worse = number(j.sign * (j.value/baseline - 1))
}

// number is v as an optional number: nil if it is none.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// chart is the recent history with the new run behind it.
func chart(past []Run, newest Run) []Run {
	out := make([]Run, 0, min(len(past), chartRuns)+1)
	out = append(append(out, past[max(0, len(past)-chartRuns):]...), newest)
	for k := range out {
		if badValue(out[k].Level) != "" {
			out[k].Level = 0
		}
	}
	return out
}

// Record is the run as it belongs into the history: with its verdict, whether a
// regression was open, and the level that the runs have to come back to. Only
// bws keeps a regression open; the levels of the other rules do not move.
func (r Row) Record(run Run) Run {
	run.Verdict, run.Open, run.Level, run.Onset = r.Verdict, r.Open, 0, ""
	if r.Alarm && r.Onset != run.ID {
		run.Onset = r.Onset
	}
	if r.Verdict == Regression && r.Rule == string(RuleBWS) && r.Baseline != nil {
		run.Level = *r.Baseline
	}
	return run
}
