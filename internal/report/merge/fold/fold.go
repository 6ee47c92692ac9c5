// Package fold makes one test case of several, and brings the texts of one under
// bounds. It decides nothing about which cases belong together.
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

// Shot is one result of a test on its way into the case that stays.
type Shot struct {
	Label string // where it comes from
	Case  *junit.Case
	N     int           // results that it stands for
	Nth   string        // which of all
	Took  time.Duration // by all of them
}

// Number tells several results of one test which of them they are.
func Number(label string, shots []Shot) {
	n := 0
	for i := range shots {
		s := &shots[i]
		s.Nth = ordinal(n+1, n+s.N)
		n += s.N
		s.Label = cmp.Or(label, s.Label)
		if len(shots) > 1 && label != "" {
			s.Label += " #" + s.Nth
		}
	}
}

// noDetails stands for what pytest-rerunfailures does not tell.
const noDetails = "no details recorded by pytest-rerunfailures"

// Attempts makes one case of attempts of one test, in order: the last is the
// verdict and the earlier ones become rerun elements. A bare earlier attempt is
// how pytest-rerunfailures reports a failed one: it looks passed, and is not.
func Attempts(shots []Shot, flaky Policy) *junit.Case {
	at := len(shots) - 1
	last := shots[at].Case
	if at == 0 {
		return last
	}
	passed := !last.Status().Red()
	n := 0
	for _, s := range shots {
		n += s.N
	}
	var before junit.Case
	last.Time = shots[at].Took
	for _, s := range shots[:at] {
		which := fmt.Sprintf("attempt %s of %d", s.Nth, n)
		before.Reruns = append(before.Reruns, attemptReruns(s, which, passed)...)
		before.Properties = append(before.Properties, s.Case.Properties...)
		before.Extra = append(before.Extra, s.Case.Extra...)
		before.SystemOut = append(before.SystemOut, label(s.Case.SystemOut, which)...)
		before.SystemErr = append(before.SystemErr, label(s.Case.SystemErr, which)...)
		last.Time += s.Took
	}
	last.Reruns = append(before.Reruns, last.Reruns...)
	last.Properties = append(unlike(before.Properties, last.Properties), last.Properties...) // readers take the last of a name
	last.Extra = append(before.Extra, last.Extra...)
	last.SystemOut = append(before.SystemOut, last.SystemOut...)
	last.SystemErr = append(before.SystemErr, last.SystemErr...)
	last.Properties = append(last.Properties, junit.Property{Name: "attempts", Value: strconv.Itoa(n)})
	if passed {
		markFlaky(last, n, flaky)
	}
	return last
}

// ordinal is "3", or "3-7".
func ordinal(from, to int) string {
	if from == to {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

// unlike gives the properties that are not in other, each once.
func unlike(props, other []junit.Property) (out []junit.Property) {
	for _, p := range props {
		if !slices.Contains(other, p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// markFlaky says that a case passed only on its n-th attempt, in the form that
// people see, and applies the policy.
func markFlaky(c *junit.Case, n int, flaky Policy) {
	note := fmt.Sprintf("ci-disagg: passed on attempt %d of %d", n, n)
	c.Properties = append(c.Properties, junit.Property{Name: "flaky", Value: "true"})
	c.SystemOut = append([]string{note}, c.SystemOut...)
	switch flaky {
	case Fail:
		c.Results = append(c.Results, junit.Result{Status: junit.Failed, Type: "ci-disagg.flaky", Message: note})
	case Skip:
		if c.Status() == junit.Passed {
			c.Results = append(c.Results, junit.Result{Status: junit.Skipped, Type: "ci-disagg.flaky", Message: note})
		}
	case Pass:
	}
}

// attemptReruns is what a failed attempt leaves in the final case.
func attemptReruns(s Shot, which string, passed bool) []junit.Rerun {
	out := append([]junit.Rerun{}, s.Case.Reruns...)
	squeezed := ""
	if s.N > 1 {
		squeezed = fmt.Sprintf("[the worst of %d] ", s.N)
	}
	found := false
	for _, r := range s.Case.Results {
		if !r.Status.Red() {
			continue
		}
		found = true
		out = append(out, junit.Rerun{
			Kind: rerunKind(r.Status, passed), Type: cmp.Or(r.Type, "attempt"),
			Message: fmt.Sprintf("[%s] %s%s", which, squeezed, r.Message), StackTrace: r.Text,
		})
	}
	if !found {
		why := noDetails
		if len(s.Case.Results) > 0 {
			why = "skipped: " + s.Case.Results[0].Message
		}
		out = append(out, junit.Rerun{
			Kind: rerunKind(junit.Failed, passed), Type: "ci-disagg.attempt",
			Message: which + ": " + squeezed + why,
		})
	}
	return out
}

func rerunKind(s junit.Status, passed bool) junit.RerunKind {
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

// JoinTeardown puts the error of a teardown, which pytest writes as a second case
// of the same name, into the case of the call.
func JoinTeardown(call, down *junit.Case) {
	var text strings.Builder
	for _, r := range call.Results {
		fmt.Fprintf(&text, "\n\n%s\n%s", describe(r), r.Text)
	}
	call.Results = slices.Clone(down.Results)
	call.Results[0].Text += text.String()
	call.Time += down.Time
	call.SystemOut = append(call.SystemOut, down.SystemOut...)
	call.SystemErr = append(call.SystemErr, down.SystemErr...)
	call.Properties = append(call.Properties, down.Properties...)
	call.Reruns = append(call.Reruns, down.Reruns...)
	call.Extra = append(call.Extra, down.Extra...)
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
func Worst(shots []Shot) *junit.Case {
	if len(shots) == 1 {
		return shots[0].Case
	}
	at := 0
	for i, s := range shots {
		if s.Case.Status().Worse(shots[at].Case.Status()) {
			at = i
		}
	}
	out := *shots[at].Case
	var list, text strings.Builder
	out.SystemOut, out.SystemErr = nil, nil
	for i, s := range shots {
		fmt.Fprintf(&list, "%s=%s ", strings.ReplaceAll(s.Label, " ", "_"), s.Case.Status())
		out.SystemOut = append(out.SystemOut, label(s.Case.SystemOut, s.Label)...)
		out.SystemErr = append(out.SystemErr, label(s.Case.SystemErr, s.Label)...)
		if i == at {
			continue
		}
		out.Time = max(out.Time, s.Case.Time)
		out.Properties = append(out.Properties, unlike(s.Case.Properties, out.Properties)...)
		out.Extra = append(out.Extra, s.Case.Extra...)
		out.Reruns = append(out.Reruns, s.Case.Reruns...)
		for _, r := range s.Case.Results {
			fmt.Fprintf(&text, "\n\n[%s] %s\n%s", s.Label, describe(r), r.Text)
		}
	}
	results := strings.TrimSpace(list.String())
	out.Properties = append(out.Properties, junit.Property{Name: "results", Value: results})
	if len(out.Results) > 0 {
		out.Results = slices.Clone(out.Results)
		first := &out.Results[0]
		first.Text = strings.TrimLeft(first.Text+"\n\n["+shots[at].Label+"] is shown; results: "+results+text.String(), "\n")
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

// OneClass makes every reader see the same class: Jenkins takes a case with a
// skipped element for skipped, GitLab for failed if there is a failure, too;
// Jenkins shows the first error or failure, go-junit takes the last. So there is
// one, the severest, and the others stand in its text with their types and
// attributes; what was skipped beside it goes to the output.
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
			c.SystemOut = append(c.SystemOut, words)
		default:
			text.WriteString("\n\n" + words)
		}
	}
	kept.Text = strings.TrimLeft(text.String(), "\n")
	c.Results = []junit.Result{kept}
}
