// Package testcases words what was judged as JUnit test cases. It lays out what others have decided.
package testcases

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
)

// Validity is the case that reports whether what was measured is a measurement.
func Validity(problems []string, judged bool) junit.Case {
	c := junit.Case{Name: "validity"}
	switch {
	case len(problems) == 0:
	case !judged:
		c.SystemOut = []string{"not a measurement: " + strings.Join(problems, "\n")}
	default:
		c.Results = []junit.Result{{
			Status: junit.Skipped, Type: "ci-disagg.invalid-measurement",
			Message: "not a measurement: " + results.First(problems), Text: strings.Join(problems, "\n"),
		}}
	}
	return c
}

// Metric is the case of one judged metric: red where it gates and got worse, skipped where there is no verdict.
func Metric(row verdict.Row) junit.Case {
	c := junit.Case{Name: row.Metric, Properties: metricProperties(row)}
	if row.Point != "" {
		c.Name += "[" + row.Point + "]"
	}
	said := words.Measured(row)
	skip := func(kind string) {
		c.Results = []junit.Result{{Status: junit.Skipped, Type: results.TypePrefix + kind, Message: words.NoVerdict(row)}}
	}
	switch {
	case row.Verdict == verdict.Regression && row.Gate && !row.Advisory:
		c.Results = []junit.Result{{Status: junit.Failed, Type: "ci-disagg.perf-regression", Message: said, Text: words.Reason(row)}}
	case row.Verdict == verdict.Pass, row.Verdict == verdict.Improvement:
		c.SystemOut = []string{said}
	case row.Verdict == verdict.Regression: // advisory: shown, never red
		c.SystemOut = []string{"advisory: " + said + "\n" + words.Reason(row)}
	case words.NotMeasured(row):
		skip("not-measured")
	case row.Advisory || !row.Gate:
		c.SystemOut = []string{string(row.Verdict) + ": " + cmp.Or(words.Reason(row), said)}
	default:
		skip(strings.ReplaceAll(string(row.Verdict), "_", "-"))
	}
	return c
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

// RedSession is the result of a case whose session is red.
func RedSession(s ab.Session) junit.Result {
	kind := "ci-disagg.perf-regression"
	if s.Verdict == paired.Failed {
		kind = results.TypePrefix + "build-failed"
	}
	var text strings.Builder
	fmt.Fprintln(&text, s.Reason)
	if s.Apart != "" {
		fmt.Fprintln(&text, s.Apart)
	}
	for _, f := range s.Series {
		fmt.Fprintf(&text, "%s: %s\n", f.Name(), f.Sentence())
	}
	return junit.Result{Status: junit.Failed, Type: kind, Message: "[ab] " + s.Headline, Text: text.String()}
}

// Session is one case for the session and one for each of its series: red is a red session, the series that it blames
// and what is as surely worse than matters, and what no decision was reached about is skipped.
func Session(s ab.Session, judged bool) []junit.Case {
	session := junit.Case{Name: "session", Properties: sessionProperties(s)}
	skip := func(kind, message string) []junit.Result {
		return []junit.Result{{Status: junit.Skipped, Type: results.TypePrefix + kind, Message: message}}
	}
	decided := s.Verdict == paired.Pass || s.Verdict == paired.Improvement || s.Verdict == paired.Regression
	red := s.Verdict == paired.Regression && judged
	switch {
	case red, s.Verdict == paired.Failed && judged:
		session.Results = []junit.Result{RedSession(s)}
	case decided, !judged:
		session.SystemOut = []string{s.Headline}
	default:
		session.Results = skip(string(s.Verdict), s.Headline)
	}
	out := []junit.Case{session}
	for _, f := range s.Series {
		c := junit.Case{Name: f.Metric, Properties: seriesProperties(f)}
		if f.Point != "" {
			c.Name += "[" + f.Point + "]"
		}
		switch {
		case f.Blamed && judged, red && f.Interval[0] > f.MinEffect:
			c.Results = []junit.Result{{Status: junit.Failed, Type: "ci-disagg.perf-regression", Message: f.Sentence(), Text: s.Headline}}
		case decided, !judged:
			c.SystemOut = []string{f.Sentence()}
		default:
			c.Results = skip(string(s.Verdict), f.Sentence())
		}
		out = append(out, c)
	}
	return out
}

func sessionProperties(s ab.Session) []junit.Property {
	out := []junit.Property{{Name: "verdict", Value: string(s.Verdict)}, {Name: "pairs", Value: strconv.Itoa(s.Pairs)}}
	for _, b := range []*ab.Build{s.Base, s.Head} {
		if b != nil && b.Commit != "" {
			out = append(out, junit.Property{Name: b.Name + "_commit", Value: b.Commit})
		}
	}
	return out
}

func seriesProperties(f ab.Found) []junit.Property {
	var out []junit.Property
	add := func(name string, v float64) {
		out = append(out, junit.Property{Name: name, Value: strconv.FormatFloat(v, 'g', -1, 64)})
	}
	add("a", f.A)
	add("b", f.B)
	add("effect", f.Effect)
	add("effect_low", f.Interval[0])
	add("effect_high", f.Interval[1])
	return append(out, junit.Property{Name: "unit", Value: f.Unit}, junit.Property{Name: "better", Value: f.Better})
}
