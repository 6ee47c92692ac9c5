// Package fold makes one test case of several and brings the texts of one under bounds. It decides nothing about which
// cases belong together. Cases that it is given are values that others may hold, too: their lists are never changed.
package fold

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Policy is how a thing counts that is neither clearly good nor clearly bad.
type Policy string

// The policies.
const (
	Pass Policy = "pass"
	Fail Policy = "fail"
	Skip Policy = "skip"
)

// OneRun is the longest time that parts of one run can lie apart.
const OneRun = 7 * 24 * time.Hour

// Dotless is s without dots: a dot in a class name is a package level for Jenkins.
func Dotless(s string) string { return strings.ReplaceAll(s, ".", "_") }

// Run is one result of a test, and where it comes from.
type Run struct {
	Label string
	Case  *junit.Case
}

// Runs are the results of one test in one place, numbered where there are several.
func Runs(label string, cases ...*junit.Case) []Run {
	out := make([]Run, len(cases))
	for i, c := range cases {
		out[i] = Run{label, c}
		if len(cases) > 1 {
			out[i].Label = fmt.Sprintf("%s #%d", label, i+1)
		}
	}
	return out
}

// Attempts makes one case of attempts of one test, in order: the last is the verdict and the earlier ones become rerun
// elements. A bare earlier attempt is how pytest-rerunfailures reports a failed one: it looks passed, and is not. One
// that was skipped is no verdict on a failure right before it.
func Attempts(cases []*junit.Case, flaky Policy) *junit.Case {
	n, last := len(cases), len(cases)-1
	if n == 1 {
		return cases[0]
	}
	for last > 0 && cases[last].Status() == junit.Skipped {
		last--
	}
	if !cases[last].Status().Red() {
		last = n - 1
	}
	out, before := *cases[last], junit.Case{}
	for i, c := range cases {
		if i == last {
			continue
		}
		which := fmt.Sprintf("attempt %d of %d", i+1, n)
		before.Reruns = append(before.Reruns, reruns(c, which, out.Status() == junit.Passed)...)
		before.Properties = append(before.Properties, c.Properties...)
		before.SystemOut = append(before.SystemOut, label(c.SystemOut, which)...)
		before.SystemErr = append(before.SystemErr, label(c.SystemErr, which)...)
		out.Time += c.Time
	}
	out.Reruns = append(before.Reruns, out.Reruns...)
	out.Properties = append(Unlike(before.Properties, out.Properties), out.Properties...) // readers take the last of a name
	out.Properties = append(out.Properties, junit.Property{Name: "attempts", Value: strconv.Itoa(n)})
	out.SystemOut = append(before.SystemOut, out.SystemOut...)
	out.SystemErr = append(before.SystemErr, out.SystemErr...)
	markFlaky(&out, n, flaky)
	return &out
}

// Unlike gives the properties that are not in other, each once.
func Unlike(props, other []junit.Property) (out []junit.Property) {
	seen := make(map[junit.Property]bool, len(other))
	for _, p := range other {
		seen[p] = true
	}
	for _, p := range props {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}

// TypeFlaky is the type of a result that the policy on flaky tests gives.
const TypeFlaky = "ci-disagg.flaky"

// Repeated applies the policy to a case whose runner says that it passed only when repeated.
func Repeated(c *junit.Case, flaky Policy) {
	if len(c.Reruns) > 0 && !c.Status().Red() {
		judgeFlaky(c, "ci-disagg: passed only when repeated", flaky)
	}
}

// markFlaky says that a case was not red only on its n-th attempt, in the form that people see, and applies the policy.
func markFlaky(c *junit.Case, n int, flaky Policy) {
	s := c.Status()
	if s.Red() {
		return
	}
	if s == junit.Passed {
		c.Properties = append(c.Properties, junit.Property{Name: "flaky", Value: "true"})
	}
	note := fmt.Sprintf("ci-disagg: %s on attempt %d of %d", s, n, n)
	c.SystemOut = append([]string{note}, c.SystemOut...)
	judgeFlaky(c, note, flaky)
}

func judgeFlaky(c *junit.Case, note string, flaky Policy) {
	switch {
	case flaky == Fail:
		c.Results = append(slices.Clip(c.Results), junit.Result{Status: junit.Failed, Type: TypeFlaky, Message: note})
	case flaky == Skip && c.Status() == junit.Passed:
		c.Results = []junit.Result{{Status: junit.Skipped, Type: TypeFlaky, Message: note}}
	}
}

// reruns are what a failed attempt leaves in the final case.
func reruns(c *junit.Case, which string, passed bool) []junit.Rerun {
	out := slices.Clone(c.Reruns)
	for _, x := range c.Results {
		if !x.Status.Red() {
			continue
		}
		out = append(out, junit.Rerun{
			Kind: RerunKind(x.Status, passed), Type: cmp.Or(x.Type, "attempt"),
			Message: fmt.Sprintf("[%s] %s", which, x.Message), StackTrace: x.Text,
		})
	}
	if len(out) == len(c.Reruns) {
		why := "no details recorded by pytest-rerunfailures"
		if len(c.Results) > 0 {
			why = "skipped: " + c.Results[0].Message
		}
		out = append(out, junit.Rerun{Kind: RerunKind(junit.Failed, passed), Type: "ci-disagg.attempt", Message: which + ": " + why})
	}
	return out
}

// RerunKind is the element for an attempt that ended in s, of a test that passed or not in the end.
func RerunKind(s junit.Status, passed bool) junit.RerunKind {
	switch {
	case passed && s == junit.Errored:
		return junit.FlakyError
	case passed:
		return junit.FlakyFailure
	case s == junit.Errored:
		return junit.RerunError
	default:
		return junit.RerunFailure
	}
}

// IsTeardown reports whether a case is what pytest writes for an error in a teardown.
func IsTeardown(c *junit.Case) bool {
	return len(c.Results) == 1 && c.Results[0].Status == junit.Errored &&
		(strings.HasPrefix(c.Results[0].Message, "failed on teardown") || strings.HasPrefix(c.Results[0].Message, "test teardown failure"))
}

// joinTeardown gives the case of a call with the error of its teardown.
func joinTeardown(call, down *junit.Case) *junit.Case {
	out := *call
	var text strings.Builder
	for _, r := range call.Results {
		fmt.Fprintf(&text, "\n\n%s\n%s", describe(r), r.Text)
	}
	out.Results = slices.Clone(down.Results)
	out.Results[0].Text += text.String()
	out.Time += down.Time
	out.SystemOut = slices.Concat(call.SystemOut, down.SystemOut)
	out.SystemErr = slices.Concat(call.SystemErr, down.SystemErr)
	out.Properties = slices.Concat(call.Properties, down.Properties)
	out.Reruns = slices.Concat(call.Reruns, down.Reruns)
	return &out
}

// describe is a result without its text, in one line.
func describe(r junit.Result) string {
	var b strings.Builder
	b.WriteString(string(r.Status))
	if r.Type != "" {
		fmt.Fprintf(&b, " type=%q", r.Type)
	}
	for _, a := range r.Attrs {
		fmt.Fprintf(&b, " %s=%q", a.Name, a.Value)
	}
	return b.String() + ": " + r.Message
}

// Worst makes one case of several that all count. The worst one wins and
// keeps its place; the others are listed in its body, red ones with their text.
func Worst(runs []Run) *junit.Case {
	if len(runs) == 1 {
		return runs[0].Case
	}
	worst := slices.MaxFunc(runs, func(a, b Run) int { return cmp.Compare(a.Case.Status().Rank(), b.Case.Status().Rank()) })
	out := *worst.Case
	props := Unlike(out.Properties, nil)
	var list, text strings.Builder
	out.SystemOut, out.SystemErr = nil, nil
	for _, r := range runs {
		fmt.Fprintf(&list, "%s=%s ", strings.ReplaceAll(r.Label, " ", "_"), r.Case.Status())
		out.SystemOut = append(out.SystemOut, label(r.Case.SystemOut, r.Label)...)
		out.SystemErr = append(out.SystemErr, label(r.Case.SystemErr, r.Label)...)
		if r.Case == worst.Case {
			continue
		}
		out.Time = max(out.Time, r.Case.Time)
		props = append(props, Unlike(r.Case.Properties, props)...)
		out.Reruns = slices.Concat(out.Reruns, r.Case.Reruns)
		for _, x := range r.Case.Results {
			fmt.Fprintf(&text, "\n\n[%s] %s\n%s", r.Label, describe(x), x.Text)
		}
	}
	results := strings.TrimSpace(list.String())
	out.Properties = append(props, junit.Property{Name: "results", Value: results})
	if len(out.Results) > 0 {
		out.Results = slices.Clone(out.Results)
		first := &out.Results[0]
		first.Text = strings.TrimLeft(first.Text+"\n\n["+worst.Label+"] is shown; results: "+results+text.String(), "\n")
	}
	return &out
}

// label marks texts with where they come from. Blank ones say nothing and go.
func label(texts []string, from string) []string {
	var out []string
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			out = append(out, "["+from+"]\n"+t)
		}
	}
	return out
}

// OneClass makes every reader see the same class: Jenkins takes a case with a skipped element for skipped, GitLab for
// failed if there is a failure, too; Jenkins shows the first error or failure, others take the last
// (docs/facts/junit.md#precedence-of-results). So there is one, the severest, and the others stand in its text with
// their types and attributes; what was skipped beside it goes to the output.
func OneClass(c *junit.Case) {
	if len(c.Results) < 2 {
		return
	}
	s := c.Status()
	at := slices.IndexFunc(c.Results, func(r junit.Result) bool { return r.Status == s })
	kept := c.Results[at]
	var text strings.Builder
	text.WriteString(kept.Text)
	for i, r := range c.Results {
		words := strings.TrimRight("also "+describe(r)+"\n"+r.Text, " \n")
		switch {
		case i == at:
		case s.Red() && !r.Status.Red():
			c.SystemOut = append(slices.Clip(c.SystemOut), words)
		default:
			text.WriteString("\n\n" + words)
		}
	}
	kept.Text = strings.TrimLeft(text.String(), "\n")
	c.Results = []junit.Result{kept}
}

// FirstLine is the first line that a red case says about itself.
func FirstLine(c *junit.Case) string {
	for _, r := range c.Results {
		if !r.Status.Red() {
			continue
		}
		for line := range strings.Lines(r.Message + "\n" + r.Text + "\n" + r.Type) {
			if line = strings.TrimSpace(line); line != "" {
				return OneLine(line)
			}
		}
	}
	return "no message"
}

// OneLine is s with every run of blanks and line ends replaced by one blank, if it has a line end at all.
func OneLine(s string) string {
	if !strings.ContainsAny(s, "\n\r\t") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}
