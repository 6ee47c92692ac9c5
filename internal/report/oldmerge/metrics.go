package merge

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// metricCases makes one case per judged metric: red where it gates and got
// worse, skipped where there is no verdict.
func (m *merger) metricCases() error {
	for ci, c := range m.in.Cases {
		class := m.stage + ".metrics." + dotless(orElse(c.Slug, "run"))
		if err := m.validity(ci, class); err != nil {
			return err
		}
		for _, row := range c.Rows {
			jc := metricCase(row)
			jc.Classname = class
			knownBug(c, jc)
			if jc.Status().Red() {
				m.cases[ci].addRed("metrics", jc)
			}
			m.b.cut.apply(jc, "")
			if err := m.b.put(m.metrics, jc, "", 0, flagSynthetic); err != nil {
				return err
			}
		}
	}
	return m.notStored()
}

// notStored is the case that says why a run is no pass whose measurements are all
// green: they are missing in the history.
func (m *merger) notStored() error {
	if m.in.NotStored == "" {
		return nil
	}
	jc := &junit.Case{Name: "history", Classname: m.stage + ".metrics.run", Results: []junit.Result{{
		Status: junit.Skipped, Type: "ci-disagg.not-stored", Message: "no verdict: not stored: " + m.in.NotStored,
	}}}
	m.b.cut.apply(jc, "")
	return m.b.put(m.metrics, jc, "", 0, flagSynthetic)
}

// validity is the case that says whether the measurement may be trusted at all.
// It is there whenever something was measured, so that it has a history.
func (m *merger) validity(ci int, class string) error {
	c := m.in.Cases[ci]
	if len(c.Problems) == 0 && !measured(c.Rows) {
		return nil
	}
	jc := &junit.Case{Name: "validity", Classname: class}
	switch {
	case len(c.Problems) == 0:
	case c.Advisory:
		jc.SystemOut = []string{"not a measurement: " + strings.Join(c.Problems, "\n")}
	default:
		jc.Results = []junit.Result{{
			Status: junit.Errored, Type: "ci-disagg.invalid-measurement",
			Message: "not a measurement: " + c.Problems[0] + more(len(c.Problems)-1), Text: strings.Join(c.Problems, "\n"),
		}}
	}
	knownBug(c, jc)
	if jc.Status().Red() {
		m.cases[ci].addRed("metrics", jc)
	}
	m.b.cut.apply(jc, "")
	return m.b.put(m.metrics, jc, "", 0, flagSynthetic)
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

func measured(rows []verdict.Row) bool {
	for _, r := range rows {
		if r.Value != nil {
			return true
		}
	}
	return false
}

func metricCase(row verdict.Row) *junit.Case {
	c := &junit.Case{Name: row.Metric, Properties: metricProperties(row)}
	if row.Point != "" {
		c.Name += "[" + row.Point + "]"
	}
	words := metricWords(row)
	switch {
	case row.Verdict == verdict.Regression && row.Gate && !row.Advisory:
		c.Results = []junit.Result{{Status: junit.Failed, Type: "ci-disagg.perf-regression", Message: words, Text: row.Reason}}
	case row.Verdict == verdict.Pass, row.Verdict == verdict.Improvement:
		c.SystemOut = []string{words}
	case row.Verdict == verdict.Regression: // advisory: shown, never red
		c.SystemOut = []string{"advisory: " + words + "\n" + row.Reason}
	case row.Advisory || !row.Gate:
		c.SystemOut = []string{string(row.Verdict) + ": " + orElse(row.Reason, words)}
	default:
		c.Results = []junit.Result{{Status: junit.Skipped, Type: "ci-disagg." + strings.ReplaceAll(string(row.Verdict), "_", "-"), Message: noVerdict(row)}}
	}
	return c
}

// noVerdict says why a metric was not judged.
func noVerdict(row verdict.Row) string {
	if row.Verdict == verdict.Invalid && strings.HasPrefix(row.Reason, "not measured") {
		return row.Reason
	}
	return strings.TrimSuffix(strings.ReplaceAll(string(row.Verdict), "_", " ")+": "+row.Reason, ": ")
}

// metricWords is 18211.4 tok/s is 8.3% below baseline 19850.0.
func metricWords(row verdict.Row) string {
	if row.Value == nil {
		return orElse(row.Reason, "not measured")
	}
	out := strings.TrimSpace(number(*row.Value) + " " + row.Unit)
	if row.Baseline == nil || row.Change == nil {
		return out
	}
	word := "above"
	if *row.Change < 0 {
		word = "below"
	}
	out += fmt.Sprintf(" is %.1f%% %s baseline %s", math.Abs(*row.Change)*100, word, number(*row.Baseline))
	if row.Limit != nil {
		out += " (limit " + number(*row.Limit) + ")"
	}
	return out
}

// number is v with as many digits as a reader can use.
func number(v float64) string {
	if a := math.Abs(v); a >= 10 || a == 0 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func metricProperties(row verdict.Row) []junit.Property {
	out := []junit.Property{{Name: "verdict", Value: string(row.Verdict)}}
	add := func(name string, v *float64) {
		if v != nil {
			out = append(out, junit.Property{Name: name, Value: strconv.FormatFloat(*v, 'g', -1, 64)})
		}
	}
	add("value", row.Value)
	add("baseline", row.Baseline)
	add("change", row.Change)
	add("limit", row.Limit)
	add("p_regression", row.P)
	for _, p := range []junit.Property{{Name: "unit", Value: row.Unit}, {Name: "better", Value: row.Better}, {Name: "rule", Value: row.Rule}} {
		if p.Value != "" {
			out = append(out, p)
		}
	}
	return out
}
