package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// noDetails stands for what pytest-rerunfailures does not tell.
const noDetails = "no details recorded by pytest-rerunfailures"

// maxFolded bounds how many results of one name are listed in the case that they
// become: of more, the first and the last, and the worst of the others.
const maxFolded = 1000

// thin keeps of very many results of one name what people can look at.
func thin(cases []*junit.Case) []*junit.Case {
	if len(cases) <= maxFolded {
		return cases
	}
	rest := cases[maxFolded/2 : len(cases)-maxFolded/2]
	worst := rest[0]
	for _, c := range rest {
		if c.Status().Worse(worst.Status()) {
			worst = c
		}
	}
	stands := *worst
	stands.Properties = append(slices.Clone(stands.Properties), junit.Property{Name: "ci-disagg.not_listed", Value: fmt.Sprint(len(rest))})
	return slices.Concat(cases[:maxFolded/2], []*junit.Case{&stands}, cases[len(cases)-maxFolded/2:])
}

// foldAttempts makes one case of those that one pytest file lists under one name, in
// order: the last attempt is the verdict and the earlier ones become rerun elements.
// A bare earlier attempt is how pytest-rerunfailures reports a failed one: it looks
// passed, and is not.
func foldAttempts(cases []*junit.Case, flaky Flaky) *junit.Case {
	if len(cases) == 1 {
		return cases[0]
	}
	n := len(cases)
	last := *cases[n-1]
	passed := !last.Status().Red()
	var before junit.Case
	for i, c := range cases[:n-1] {
		which := fmt.Sprintf("attempt %d of %d", i+1, n)
		before.Reruns = append(before.Reruns, attemptRerun(c, which, passed)...)
		before.Properties = append(before.Properties, c.Properties...)
		before.Extra = append(before.Extra, c.Extra...)
		before.SystemOut = append(before.SystemOut, labelled(c.SystemOut, which)...)
		before.SystemErr = append(before.SystemErr, labelled(c.SystemErr, which)...)
		last.Time += c.Time
	}
	last.Reruns = append(before.Reruns, last.Reruns...)
	last.Properties = append(unlike(before.Properties, last.Properties), last.Properties...) // readers take the last of a name
	last.Extra = append(before.Extra, last.Extra...)
	last.SystemOut = append(before.SystemOut, last.SystemOut...)
	last.SystemErr = append(before.SystemErr, last.SystemErr...)
	last.Properties = append(last.Properties, junit.Property{Name: "attempts", Value: fmt.Sprint(n)})
	if passed {
		markFlaky(&last, n, flaky)
	}
	return &last
}

// unlike gives the properties that are not in other, each once.
func unlike(props, other []junit.Property) []junit.Property {
	var out []junit.Property
	for _, p := range props {
		if !slices.Contains(other, p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// typeFlaky marks a result that the policy on flaky tests gives.
const typeFlaky = "ci-disagg.flaky"

// markFlaky says that a case passed only on its n-th attempt, in the form that people
// see, and applies the policy.
func markFlaky(c *junit.Case, n int, flaky Flaky) {
	note := fmt.Sprintf("ci-disagg: passed on attempt %d of %d", n, n)
	c.Properties = append(c.Properties, junit.Property{Name: "flaky", Value: "true"})
	c.SystemOut = append([]string{note}, c.SystemOut...)
	switch flaky {
	case FlakyFail:
		c.Results = append(slices.Clone(c.Results), junit.Result{Status: junit.Failed, Type: typeFlaky, Message: note})
	case FlakySkip:
		if c.Status() == junit.Passed {
			c.Results = []junit.Result{{Status: junit.Skipped, Type: typeFlaky, Message: note}}
		}
	default:
	}
}

// attemptRerun is what a failed attempt leaves in the final case.
func attemptRerun(c *junit.Case, which string, passed bool) []junit.Rerun {
	out := slices.Clone(c.Reruns)
	found := false
	for _, r := range c.Results {
		if !r.Status.Red() {
			continue
		}
		found = true
		out = append(out, junit.Rerun{
			Kind: rerunKind(r.Status, passed), Type: cmp.Or(r.Type, "attempt"),
			Message: fmt.Sprintf("[%s] %s", which, r.Message), StackTrace: r.Text,
		})
	}
	if !found {
		why := noDetails
		if len(c.Results) > 0 {
			why = "skipped: " + c.Results[0].Message
		}
		out = append(out, junit.Rerun{Kind: rerunKind(junit.Failed, passed), Type: "ci-disagg.attempt", Message: which + ": " + why})
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

// joinTeardowns puts the error of a teardown, which pytest writes as a second case of
// the same name, into the case of the call.
func joinTeardowns(cases []*junit.Case) []*junit.Case {
	out := []*junit.Case{cases[0]}
	for _, c := range cases[1:] {
		before := out[len(out)-1]
		if !isTeardown(c) || before.Status() == junit.Errored {
			out = append(out, c)
			continue
		}
		call := *before
		var text strings.Builder
		for _, r := range call.Results {
			fmt.Fprintf(&text, "\n\n%s: %s\n%s", r.Status, r.Message, r.Text)
		}
		call.Results = slices.Clone(c.Results)
		call.Results[0].Text += text.String()
		call.Time += c.Time
		call.SystemOut = slices.Concat(call.SystemOut, c.SystemOut)
		call.SystemErr = slices.Concat(call.SystemErr, c.SystemErr)
		call.Properties = slices.Concat(call.Properties, c.Properties)
		call.Reruns = slices.Concat(call.Reruns, c.Reruns)
		call.Extra = slices.Concat(call.Extra, c.Extra)
		out[len(out)-1] = &call
	}
	return out
}

// isTeardown reports whether a case is what pytest writes for an error in a teardown.
func isTeardown(c *junit.Case) bool { return len(c.Results) == 1 && c.Results[0].Teardown() }

// isInterrupted reports whether a case is what pytest leaves of the test during which
// its session ended (Ctrl-C, pytest.exit): a case without a name that looks passed,
// and that pytest itself does not count (docs/facts/pytest.md#interrupted-test).
func isInterrupted(c *junit.Case) bool {
	return c.Name == "" && c.Classname == "" && len(c.Results)+len(c.Attrs)+len(c.Properties)+len(c.Reruns) == 0
}

// take is one of several results of the same test, which all count: of a rank, a
// repetition.
type take struct {
	label string
	c     *junit.Case
}

// numbered are several results of one test in one file.
func numbered(label string, cases []*junit.Case) []take {
	out := make([]take, len(cases))
	for i, c := range cases {
		out[i] = take{label, c}
		if len(cases) > 1 {
			out[i].label = fmt.Sprintf("%s #%d", label, i+1)
		}
	}
	return out
}

// foldWorst makes one case of several that all count. The worst one wins and keeps
// its place; the others are listed in its body, red ones with their text.
func foldWorst(takes []take) *junit.Case {
	if len(takes) == 1 {
		return takes[0].c
	}
	worst := takes[0]
	for _, t := range takes[1:] {
		if t.c.Status().Worse(worst.c.Status()) {
			worst = t
		}
	}
	out := *worst.c
	props := unlike(out.Properties, nil)
	var list, text strings.Builder
	out.SystemOut, out.SystemErr = nil, nil
	for _, t := range takes {
		fmt.Fprintf(&list, "%s=%s ", strings.ReplaceAll(t.label, " ", "_"), t.c.Status())
		out.SystemOut = append(out.SystemOut, labelled(t.c.SystemOut, t.label)...)
		out.SystemErr = append(out.SystemErr, labelled(t.c.SystemErr, t.label)...)
		if t.c == worst.c {
			continue
		}
		out.Time = max(out.Time, t.c.Time)
		props = append(props, unlike(t.c.Properties, props)...)
		out.Extra = slices.Concat(out.Extra, t.c.Extra)
		out.Reruns = slices.Concat(out.Reruns, t.c.Reruns)
		for _, r := range t.c.Results {
			fmt.Fprintf(&text, "\n\n[%s] %s: %s\n%s", t.label, r.Status, r.Message, r.Text)
		}
	}
	results := strings.TrimSpace(list.String())
	out.Properties = append(props, junit.Property{Name: "results", Value: results})
	if len(out.Results) > 0 {
		out.Results = slices.Clone(out.Results)
		first := &out.Results[0]
		first.Text = strings.TrimLeft(first.Text+"\n\n["+worst.label+"] is shown; results: "+results+text.String(), "\n")
	}
	return &out
}

// labelled marks texts with where they come from. Blank ones say nothing and go.
func labelled(texts []string, from string) []string {
	var out []string
	for _, t := range texts {
		if strings.TrimSpace(t) != "" {
			out = append(out, "["+from+"]\n"+t)
		}
	}
	return out
}

// oneClass makes every reader see the same class: Jenkins takes a case with a skipped
// element for skipped, GitLab for failed if there is a failure, too; Jenkins shows the
// first error or failure, others take the last
// (docs/facts/junit.md#precedence-of-results). So there is one, the severest, and the
// others stand in its text; what was skipped beside it goes to the output.
func oneClass(c *junit.Case) {
	if len(c.Results) < 2 {
		return
	}
	s := c.Status()
	at := slices.IndexFunc(c.Results, func(r junit.Result) bool { return r.Status == s })
	kept := c.Results[at]
	var text strings.Builder
	text.WriteString(kept.Text)
	for i, r := range c.Results {
		words := strings.TrimRight("also "+string(r.Status)+": "+r.Message+"\n"+r.Text, " \n")
		switch {
		case i == at:
		case s.Red() && !r.Status.Red():
			c.SystemOut = append(slices.Clone(c.SystemOut), words)
		default:
			text.WriteString("\n\n" + words)
		}
	}
	kept.Text = strings.TrimLeft(text.String(), "\n")
	c.Results = []junit.Result{kept}
}

// firstLine is the first line that a red case says about itself.
func firstLine(c *junit.Case) string {
	for _, r := range c.Results {
		if !r.Status.Red() {
			continue
		}
		for _, text := range []string{r.Message, r.Text, r.Type} {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); line != "" {
					return line
				}
			}
		}
	}
	return "no message"
}

// took is how long a process lived, 0 if that is not known.
func took(from, to *time.Time) time.Duration {
	if from == nil || to == nil {
		return 0
	}
	return max(0, to.Sub(*from))
}
