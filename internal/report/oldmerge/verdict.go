package merge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// verdicts makes one case per logical test: did it pass as a whole?
func (m *merger) verdicts() error {
	for ci, c := range m.in.Cases {
		if l := m.cases[ci].logical; l != nil {
			if err := m.logicalVerdicts(ci, l); err != nil {
				return err
			}
			continue
		}
		class, name := split(c.NodeID)
		jc := &junit.Case{Name: name, Classname: m.stage + "." + m.caseClass(c, class)}
		m.judge(ci, jc)
		knownBug(c, jc)
		m.knownGone(c, jc)
		jc.Time = m.verdictTime(ci)
		jc.Properties = append(m.verdictProperties(ci), c.Links...)
		m.b.cut.apply(jc, m.rootLog(ci))
		m.summarize(c.Slug, jc)
		if err := m.b.put(m.verdict, jc, "", 0, flagSynthetic); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) summarize(slug string, jc *junit.Case) {
	s := CaseSummary{Slug: slug, Status: jc.Status(), Flaky: len(jc.Reruns) > 0 && !jc.Status().Red()}
	if len(jc.Results) > 0 {
		s.Message, s.Type = jc.Results[0].Message, jc.Results[0].Type
	}
	m.b.sum.Cases = append(m.b.sum.Cases, s)
}

// judge gives the verdict case its result. What is proven comes first.
func (m *merger) judge(ci int, jc *junit.Case) {
	c := m.in.Cases[ci]
	if c.Skip != "" {
		jc.Results = []junit.Result{{Status: junit.Skipped, Type: "ci-disagg.not-launched", Message: "not launched: " + c.Skip}}
		return
	}
	if c.Error != "" {
		jc.Results = []junit.Result{errorResult("ci-disagg.not-run", c.Error, "")}
		return
	}
	ri := m.worstRun(ci)
	if ri < 0 {
		jc.Results = []junit.Result{errorResult("ci-disagg.not-run", "no attempt was made", "")}
		return
	}
	r := c.Runs[ri]
	switch missing := m.notReported(ci); {
	case r.Outcome != rundir.OutcomePassed, len(m.rolesRed(ci)) > 0:
		jc.Results = []junit.Result{m.failed(ci, ri)}
	case missing != "":
		jc.Results = []junit.Result{errorResult("ci-disagg.not-reported", missing, m.body(ci, ri))}
	case len(m.cases[ci].reds) > 0: // metrics
		red := m.cases[ci].reds[0]
		jc.Results = []junit.Result{{
			Status: red.status, Type: red.kind, Text: red.text,
			Message: "[metrics] " + red.message + more(len(m.cases[ci].reds)-1),
		}}
	default:
		m.green(ci, jc)
	}
	m.flaky(ci, jc)
}

// green is the verdict where nothing is red: passed, unless everything was
// skipped or the metrics allow no verdict.
func (m *merger) green(ci int, jc *junit.Case) {
	c := m.in.Cases[ci]
	for _, row := range c.Rows {
		if !row.Gate || row.Advisory || slices.Contains(m.b.o.Allow, row.Verdict) {
			continue
		}
		switch row.Verdict {
		case verdict.Pass, verdict.Improvement, verdict.Regression:
		default:
			message := "no verdict: " + metricName(row) + ": " + noVerdict(row)
			jc.Results = []junit.Result{{Status: junit.Skipped, Type: "ci-disagg.no-verdict", Message: message}}
			return
		}
	}
	if why, ok := m.allSkipped(ci); ok {
		jc.Results = []junit.Result{{Status: junit.Skipped, Message: why}}
	}
}

func metricName(row verdict.Row) string {
	if row.Point == "" {
		return row.Metric
	}
	return row.Metric + "[" + row.Point + "]"
}

// allSkipped reports whether every role that reported the test skipped it.
func (m *merger) allSkipped(ci int) (string, bool) {
	why, n := "", 0
	for _, r := range m.cases[ci].runs {
		for _, role := range r.roles {
			if role.primary == nil {
				continue
			}
			if role.primary.Status() != junit.Skipped {
				return "", false
			}
			n++
			why = orElse(why, role.primary.Results[0].Message)
		}
	}
	return orElse(why, "skipped by every role"), n > 0
}

func errorResult(kind, message, text string) junit.Result {
	return junit.Result{Status: junit.Errored, Type: kind, Message: message, Text: text}
}

// worstRun is the attempt that decides: the first that counts and did not pass,
// else the last that counts; -1 if none does.
func (m *merger) worstRun(ci int) int {
	last := -1
	for i, r := range m.in.Cases[ci].Runs {
		if !r.Counts {
			continue
		}
		last = i
		if r.Outcome != rundir.OutcomePassed || m.runRed(ci, i) {
			return i
		}
	}
	return last
}

// runRed reports whether a role of the attempt has a red case.
func (m *merger) runRed(ci, ri int) bool {
	return slices.ContainsFunc(m.cases[ci].runs[ri].roles, func(r roleFacts) bool { return r.red > 0 })
}

// rolesRed are the red places that are no metrics.
func (m *merger) rolesRed(ci int) []redPlace {
	return slices.DeleteFunc(slices.Clone(m.cases[ci].reds), func(r redPlace) bool { return r.role == "metrics" })
}

// notReported says which expected test nobody reported.
func (m *merger) notReported(ci int) string {
	c := m.in.Cases[ci]
	for ri, r := range c.Runs {
		if !r.Counts {
			continue
		}
		for i, role := range r.Roles {
			if missing := m.cases[ci].runs[ri].roles[i].missing; len(missing) > 0 {
				return fmt.Sprintf("[%s] %s was expected and not reported%s", role.Name, missing[0], more(len(missing)-1))
			}
		}
	}
	return ""
}

// failed is the result of a test that did not pass: by the finding, and where
// there is none, by all that is red.
func (m *merger) failed(ci, ri int) junit.Result {
	r := m.in.Cases[ci].Runs[ri]
	f, body := r.Finding, m.body(ci, ri)
	reds := m.rolesRed(ci)
	if f == nil || f.Root == "" && (f.Kind == "" || f.Kind == "unattributed") {
		return m.unattributed(r, reds, body)
	}
	name := rootName(f)
	res := errorResult("ci-disagg."+orElse(f.Kind, "failed"), prefixed(name, orElse(f.Message, r.Reason)), body)
	if own := m.ownFailure(ci, ri, name); own != nil && f.Kind == "test-failed" {
		res.Status, res.Type = own.Status, orElse(own.Type, res.Type)
	}
	return res
}

// unattributed is the result where nothing is proven about the cause.
func (m *merger) unattributed(r Run, reds []redPlace, body string) junit.Result {
	if len(reds) == 1 { // the only thing that is wrong needs no proof
		red := reds[0]
		return junit.Result{Status: red.status, Type: orElse(red.kind, "ci-disagg.failed"), Message: prefixed(red.role, red.message), Text: body}
	}
	var names []string
	for _, red := range reds {
		if !slices.Contains(names, red.role) {
			names = append(names, red.role)
		}
	}
	message := orElse(r.Reason, "the attempt ended as "+orElse(string(r.Outcome), "nobody knows"))
	switch {
	case r.Finding != nil && r.Finding.Message != "":
		message = r.Finding.Message
	case len(reds) > 0:
		message = fmt.Sprintf("%d failures, and nothing proves which was first: %s", len(reds), reds[0].message)
	}
	if len(names) > 0 && !strings.HasPrefix(message, "[") {
		message = "[" + strings.Join(names, ", ") + "] " + message
	}
	return errorResult("ci-disagg.unattributed", message, body)
}

// prefixed is message with the role in front that it is about.
func prefixed(role, message string) string {
	if role == jobName || strings.HasPrefix(message, "[") {
		return message
	}
	return "[" + role + "] " + message
}

// ownFailure is the first red result of a role in an attempt, nil if it has none.
func (m *merger) ownFailure(ci, ri int, role string) *junit.Result {
	for i, r := range m.in.Cases[ci].Runs[ri].Roles {
		if c := m.cases[ci].runs[ri].roles[i].first; r.Name == role && c != nil {
			for j := range c.Results {
				if c.Results[j].Status.Red() {
					return &c.Results[j]
				}
			}
		}
	}
	return nil
}

// body is the text of a red verdict: the timeline, what the root's own test
// says, and the end of its log.
func (m *merger) body(ci, ri int) string {
	r := m.in.Cases[ci].Runs[ri]
	var b strings.Builder
	appendTimeline(&b, r)
	root := rootName(r.Finding)
	if root == jobName {
		if reds := m.rolesRed(ci); len(reds) > 0 {
			root = reds[0].role
		}
	}
	if f := r.Finding; f != nil && f.Line != nil {
		on := " on"
		if f.Line.Last {
			on = "; the last line of the log is"
		}
		fmt.Fprintf(&b, "decided by rule %s%s %s:%d\n  %s\n", f.Rule, on, f.Line.File, f.Line.Number, f.Line.Text)
	}
	if own := m.ownFailure(ci, ri, root); own != nil {
		fmt.Fprintf(&b, "what %s reported\n%s\n", root, indent(strings.TrimSpace(own.Message+"\n"+own.Text)))
	}
	for i := range r.Roles {
		if r.Roles[i].Name == root {
			appendTail(&b, &r.Roles[i])
		}
	}
	if f := r.Finding; f != nil && len(f.Collateral) > 0 {
		b.WriteString("collateral\n")
		for _, name := range m.roles {
			if why, ok := f.Collateral[name]; ok {
				fmt.Fprintf(&b, "  %s: %s\n", name, why)
			}
		}
	}
	return b.String()
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// appendTimeline writes the events with their distance from the start.
func appendTimeline(b *strings.Builder, r Run) {
	if len(r.Timeline) == 0 {
		return
	}
	from := r.Timeline[0].At
	if r.Started != nil && r.Started.Before(from) {
		from = *r.Started
	}
	b.WriteString("timeline\n")
	marked := false
	for _, e := range r.Timeline {
		line := fmt.Sprintf("  %+-9.1f %s", e.At.Sub(from).Seconds(), strings.TrimSpace(e.Role+" "+e.What))
		if f := r.Finding; f != nil && !marked && e.Role != "" && e.Role == f.Root && endsRole(r, e) {
			line, marked = line+"   <- root cause", true
		} else if isCollateral(f, e.Role) && endsRole(r, e) {
			line += "   (collateral)"
		}
		fmt.Fprintln(b, line)
	}
}

// endsRole reports whether an event is the end of its role.
func endsRole(r Run, e rundir.Event) bool {
	for _, role := range r.Roles {
		if role.Name == e.Role {
			return role.Ended != nil && !e.At.Before(role.Ended.Add(-time.Second))
		}
	}
	return false
}

// flaky takes over the reruns of the roles' own test: one that passed only when
// repeated is flaky as a whole.
func (m *merger) flaky(ci int, jc *junit.Case) {
	if len(jc.Results) > 0 {
		return
	}
	for ri, r := range m.in.Cases[ci].Runs {
		for i, role := range r.Roles {
			p := m.cases[ci].runs[ri].roles[i].primary
			if !r.Counts || p == nil || len(p.Reruns) == 0 {
				continue
			}
			for _, rerun := range p.Reruns {
				rerun.Message = prefixed(role.Name, rerun.Message)
				jc.Reruns = append(jc.Reruns, rerun)
			}
			jc.Properties = append(jc.Properties, junit.Property{Name: "flaky", Value: "true"})
			jc.SystemOut = append(jc.SystemOut, fmt.Sprintf("ci-disagg: %s passed only on attempt %d of %d", role.Name, len(p.Reruns)+1, len(p.Reruns)+1))
		}
	}
}

// knownGone says so when a known failure does not happen any more.
func (m *merger) knownGone(c Case, jc *junit.Case) {
	if c.KnownBug != "" && jc.Status() == junit.Passed {
		jc.SystemOut = append(jc.SystemOut, "ci-disagg: known failure "+c.KnownBug+" did not happen: the entry may be removed")
	}
}

// verdictTime is the client's own time, else the wall time of the attempt.
func (m *merger) verdictTime(ci int) time.Duration {
	c := m.in.Cases[ci]
	ri := m.worstRun(ci)
	if ri < 0 {
		return 0
	}
	for i, role := range c.Runs[ri].Roles {
		if rundir.Works(role.Kind) {
			if p := m.cases[ci].runs[ri].roles[i].primary; p != nil {
				return p.Time
			}
		}
	}
	if r := c.Runs[ri]; r.Started != nil && r.Ended != nil {
		return max(0, r.Ended.Sub(*r.Started))
	}
	return 0
}

func (m *merger) verdictProperties(ci int) []junit.Property {
	c := m.in.Cases[ci]
	out := []junit.Property{{Name: "nodeid", Value: c.NodeID}}
	add := func(name, value string) {
		if value != "" {
			out = append(out, junit.Property{Name: name, Value: value})
		}
	}
	add("known_bug", c.KnownBug)
	ri := m.worstRun(ci)
	if ri < 0 {
		return out
	}
	r := c.Runs[ri]
	if f := r.Finding; f != nil {
		add("root_cause", f.Root)
		add("class", f.Class)
		add("rule", f.Rule)
	}
	add("outcome", string(r.Outcome))
	add("roles", m.roleWords(ci, ri))
	if len(c.Runs) > 1 {
		add("attempts", fmt.Sprint(len(c.Runs)))
		for _, one := range c.Runs {
			words := orElse(string(one.Outcome), "unfinished") + " " + one.JobID
			add(fmt.Sprintf("rep-%d.attempt-%d", one.Rep, one.Attempt), strings.TrimSpace(strings.TrimSpace(words)+" "+one.Reason))
		}
	} else {
		add("job_id", r.JobID)
	}
	return out
}

// roleWords is GEN_0=crash CTX_0=collateral BENCHMARK=passed.
func (m *merger) roleWords(ci, ri int) string {
	var out []string
	r := m.in.Cases[ci].Runs[ri]
	for _, name := range m.roles {
		for i := range r.Roles {
			if r.Roles[i].Name == name {
				out = append(out, name+"="+roleWord(r, &r.Roles[i], &m.cases[ci].runs[ri].roles[i]))
			}
		}
	}
	return strings.Join(out, " ")
}

func roleWord(r Run, role *Role, facts *roleFacts) string {
	switch {
	case isRoot(r.Finding, role.Name):
		return strings.TrimPrefix(orElse(r.Finding.Kind, "failed"), "role-")
	case isCollateral(r.Finding, role.Name):
		return "collateral"
	case facts.red > 0:
		return "failed"
	}
	if _, message, _ := howEnded(r, role, facts); message != "" {
		return "failed"
	}
	return "passed"
}

// rootLog is the log that a cut text of the verdict stands in.
func (m *merger) rootLog(ci int) string {
	ri := m.worstRun(ci)
	if ri < 0 {
		return ""
	}
	r := m.in.Cases[ci].Runs[ri]
	for _, role := range r.Roles {
		if role.Name == rootName(r.Finding) {
			return role.Log
		}
	}
	return ""
}
