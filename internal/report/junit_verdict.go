package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/testcases"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// verdictCheck is the case of the verdict suite: did the test pass as a whole?
func (d *decider) verdictCheck(skip string) Check {
	class, name := results.SplitID(d.plan.Case.ID)
	c := Check{Planned: true, Case: junit.Case{Name: name, Classname: class, Time: d.verdictTime(), Properties: d.properties()}}
	if r, ok := d.verdictResult(skip); ok {
		c.Results = []junit.Result{r}
	} else {
		d.flaky(&c.Case)
	}
	if d.out.AB != nil && len(c.Results) == 0 {
		c.SystemOut = append(c.SystemOut, d.out.AB.Headline)
	}
	if text := d.knownGone(); text != "" {
		c.SystemOut = append(c.SystemOut, text)
	}
	if s := d.deciding(); s != nil {
		for _, r := range s.RoleResults {
			if r.Name == s.RootName() {
				c.Kept = r.Log
			}
		}
	}
	return c
}

// verdictResult is what the case did not pass by, ok = false where it passed.
func (d *decider) verdictResult(skip string) (r junit.Result, ok bool) {
	skipped := func(kind, message string) (junit.Result, bool) {
		return junit.Result{Status: junit.Skipped, Type: typePrefix + kind, Message: message}, true
	}
	errored := func(kind, message, text string) (junit.Result, bool) {
		return junit.Result{Status: junit.Errored, Type: typePrefix + kind, Message: message, Text: text}, true
	}
	switch {
	case d.end.Listed:
		return skipped("not-launched", "not launched: "+d.plan.Case.SkipReason)
	case d.word == ResultInterrupted:
		return errored("interrupted", cmp.Or(d.out.Message, "the run was interrupted"), d.body())
	case len(d.attempts) == 0:
		return errored("not-run", d.out.Message, "")
	case d.word == ResultSkipped && d.out.ExitCode == exit.Passed:
		return skipped("skipped-allowed", skip)
	case d.word == ResultSkipped:
		return skipped("skipped", skip)
	case d.word == ResultNoVerdict:
		return skipped("no-verdict", "no verdict: "+cmp.Or(d.noVerdictMessage(), "nothing was judged"))
	case d.word != ResultRegression && d.end.Outcome != rundir.OutcomePassed:
		return d.failed(), true
	case d.word == ResultTestFailed, d.word == ResultRegression:
		if d.out.AB != nil && d.out.BesidePairs() == nil && (d.word == ResultRegression || !slices.ContainsFunc(d.judged.Rows, verdict.Row.WrongAnswer)) {
			return testcases.RedSession(*d.out.AB), true
		}
		return d.redMetrics(), true
	default:
		return r, false
	}
}

// noVerdictMessage is why nothing could be judged, by the worst metric.
func (d *decider) noVerdictMessage() string {
	if len(d.judged.Problems) > 0 || d.out.AB != nil {
		return d.measuredMessage()
	}
	if row := verdict.WorstRow(d.judged.Rows, d.out.Verdict); row != nil {
		return words.Row(*row) + ": " + words.NoVerdict(*row)
	}
	return ""
}

// redMetrics is the result of a test that passed and whose numbers are worse: the
// worst of them first, by name and point.
func (d *decider) redMetrics() junit.Result {
	red := slices.DeleteFunc(slices.Clone(d.judged.Rows), func(row verdict.Row) bool {
		return !row.Decides() || row.Verdict != verdict.Regression || (d.word == ResultRegression) == row.WrongAnswer()
	})
	if len(red) == 0 {
		return junit.Result{Status: junit.Failed, Type: "ci-disagg.failed", Text: d.body(), Message: d.out.Message}
	}
	verdict.ByWeight(red)
	var text strings.Builder
	if d.out.Machine != "" {
		fmt.Fprintln(&text, d.out.Machine)
	}
	for _, row := range red {
		fmt.Fprintf(&text, "%s: %s\n  %s\n", words.Row(row), words.Measured(row), words.Reason(row))
	}
	message := "[metrics] " + words.Row(red[0]) + ": " + words.Measured(red[0]) + results.AndMore(len(red)-1)
	if began := Began(d.out); began != "" {
		message += "; " + began
	}
	if s := d.out.Suspects; s != nil {
		fmt.Fprintf(&text, "commits behind %s up to %s: %s\n", s.Good, s.Bad, s.URL)
		for _, c := range s.Commits {
			fmt.Fprintf(&text, "  %s\n", c)
		}
	}
	if c := d.out.Changed; c != nil {
		fmt.Fprintf(&text, "%s\n", c.Text)
	}
	return junit.Result{Status: junit.Failed, Type: "ci-disagg.perf-regression", Text: text.String(), Message: message}
}

func (d *decider) deciding() *results.Ended { return deciding(d.attempts) }

// failed is the result of a test that did not pass: by the finding, and where there is
// none, by all that is red.
func (d *decider) failed() junit.Result {
	s := d.deciding()
	f, body := s.Finding, d.body()
	if s.Unattributed() {
		return d.unattributed(s, body)
	}
	name := s.RootName()
	res := junit.Result{Status: junit.Errored, Type: typePrefix + cmp.Or(f.Kind, "failed"), Message: prefixed(name, cmp.Or(f.Message, s.Reason)), Text: body}
	if own := ownFailure(s, name); own != nil && f.Kind == blame.KindTestFailed {
		res.Status, res.Type = own.Status, cmp.Or(own.Type, res.Type)
	}
	return res
}

// unattributed is the result where nothing is proven about the cause.
func (d *decider) unattributed(s *results.Ended, body string) junit.Result {
	if len(d.reds) == 1 { // the only thing that is wrong needs no proof
		red := d.reds[0]
		return junit.Result{Status: red.status, Type: cmp.Or(red.kind, "ci-disagg.failed"), Message: prefixed(red.role, red.text), Text: body}
	}
	var names []string
	for _, red := range d.reds {
		if !slices.Contains(names, red.role) {
			names = append(names, red.role)
		}
	}
	message := cmp.Or(s.Reason, "the attempt ended as "+cmp.Or(string(s.Outcome), "nobody knows"))
	switch {
	case s.Finding != nil && s.Finding.Message != "":
		message = s.Finding.Message
	case len(d.reds) > 0:
		message = fmt.Sprintf("%d failures, and nothing proves which was first: %s", len(d.reds), d.reds[0].text)
	}
	if len(names) > 0 && !strings.HasPrefix(message, "[") {
		message = "[" + strings.Join(names, ", ") + "] " + message
	}
	return junit.Result{Status: junit.Errored, Type: "ci-disagg.unattributed", Message: message, Text: body}
}

// prefixed is message with the role in front that it is about.
func prefixed(role, message string) string {
	if role == results.JobName || strings.HasPrefix(message, "[") {
		return message
	}
	return "[" + role + "] " + message
}

// ownFailure is the first red result of a role, nil if it has none.
func ownFailure(s *results.Ended, role string) *junit.Result {
	for _, r := range s.RoleResults {
		if c := r.First; r.Name == role && c != nil {
			for j := range c.Results {
				if c.Results[j].Status.Red() {
					return &c.Results[j]
				}
			}
		}
	}
	return nil
}

// body is the text of a red verdict: the timeline, what the root's own test says, and
// the end of its log.
func (d *decider) body() string {
	s := d.deciding()
	if s == nil {
		return ""
	}
	var b strings.Builder
	appendTimeline(&b, s)
	root := s.RootName()
	if root == results.JobName && len(d.reds) > 0 {
		root = d.reds[0].role
	}
	if f := s.Finding; f != nil && f.Line != nil {
		on := " on"
		if f.Line.Last {
			on = "; the last line of the log is"
		}
		fmt.Fprintf(&b, "decided by rule %s%s %s:%d\n  %s\n", f.Rule, on, f.Line.File, f.Line.Number, f.Line.Text)
	}
	if own := ownFailure(s, root); own != nil {
		fmt.Fprintf(&b, "what %s reported\n%s\n", root, indent(strings.TrimSpace(own.Message+"\n"+own.Text)))
	}
	for _, r := range s.RoleResults {
		if r.Name == root {
			r.AppendTail(&b)
		}
	}
	if f := s.Finding; f != nil && len(f.Collateral) > 0 {
		b.WriteString("collateral\n")
		for _, role := range d.roles() {
			if why, ok := f.Collateral[role.Name]; ok {
				fmt.Fprintf(&b, "  %s: %s\n", role.Name, why)
			}
		}
	}
	return b.String()
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// appendTimeline writes the events with their distance from the start.
func appendTimeline(b *strings.Builder, s *results.Ended) {
	events := s.Timeline()
	if len(events) == 0 {
		return
	}
	from := events[0].At
	if at := s.Began(); at != nil && at.Before(from) {
		from = *at
	}
	b.WriteString("timeline\n")
	marked := false
	for _, e := range events {
		line := fmt.Sprintf("  %+-9.1f %s", e.At.Sub(from).Seconds(), strings.TrimSpace(e.Role+" "+e.What))
		if f := s.Finding; f != nil && !marked && e.Role != "" && e.Role == f.Root && endsRole(s, e) {
			line, marked = line+"   <- root cause", true
		} else if s.IsCollateral(e.Role) && endsRole(s, e) {
			line += "   (collateral)"
		}
		fmt.Fprintln(b, line)
	}
}

// endsRole reports whether an event is the end of its role.
func endsRole(s *results.Ended, e rundir.Event) bool {
	for _, role := range s.RoleResults {
		if role.Name == e.Role {
			return role.Ended != nil && !e.At.Before(role.Ended.Add(-time.Second))
		}
	}
	return false
}

// flaky takes over the reruns of the roles' own test: one that passed only when
// repeated is flaky as a whole.
func (d *decider) flaky(c *junit.Case) {
	for _, s := range d.attempts {
		for _, role := range s.RoleResults {
			p := role.Primary
			if !s.Counts || p == nil || len(p.Reruns) == 0 {
				continue
			}
			for _, rerun := range p.Reruns {
				rerun.Message = prefixed(role.Name, rerun.Message)
				c.Reruns = append(c.Reruns, rerun)
			}
			c.Properties = append(c.Properties, junit.Property{Name: "flaky", Value: "true"})
			c.SystemOut = append(c.SystemOut, fmt.Sprintf("ci-disagg: %s passed only on attempt %d of %d", role.Name, len(p.Reruns)+1, len(p.Reruns)+1))
		}
	}
}

// verdictTime is the client's own time, else the wall time of the attempt.
func (d *decider) verdictTime() time.Duration {
	s := d.deciding()
	if s == nil {
		return 0
	}
	for _, role := range s.RoleResults {
		if p := role.Primary; role.Name == d.plan.Drain.Role && p != nil {
			return p.Time
		}
	}
	return results.Took(s.Began(), s.EndedAt())
}

func (d *decider) properties() []junit.Property {
	out := []junit.Property{{Name: "nodeid", Value: d.plan.Case.ID}}
	add := func(name, value string) {
		if value != "" {
			out = append(out, junit.Property{Name: name, Value: value})
		}
	}
	add("known_bug", d.out.Known)
	s := d.deciding()
	if s == nil {
		return out
	}
	if f := s.Finding; f != nil {
		add("root_cause", f.Root)
		add("class", f.Class)
		add("rule", f.Rule)
	}
	add("outcome", string(s.Outcome))
	add("roles", roleWords(s))
	if len(d.attempts) == 1 {
		add("job_id", s.JobID())
		return out
	}
	add("attempts", fmt.Sprint(len(d.attempts)))
	for _, one := range d.attempts {
		words := strings.TrimSpace(cmp.Or(string(one.Outcome), "unfinished") + " " + one.JobID())
		add(fmt.Sprintf("rep-%d.attempt-%d", one.Rep, one.Attempt.Attempt.Attempt), strings.TrimSpace(words+" "+one.Reason))
	}
	return out
}

// roleWords is server=crash router=collateral client=passed.
func roleWords(s *results.Ended) string {
	var out []string
	for _, role := range s.InOrder() {
		word, _ := roleStatus(s, role)
		if s.IsRoot(role.Name) {
			word = strings.TrimPrefix(cmp.Or(s.Finding.Kind, "failed"), "role-")
		}
		out = append(out, role.Name+"="+word)
	}
	return strings.Join(out, " ")
}
