package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
)

// Types of results that are not red.
const (
	typeCollateral = typePrefix + "collateral"
	typeKnown      = typePrefix + "known-failure"
)

// checks are the test cases that stand for the case in a JUnit report.
func (d *decider) checks(skip string) Checks {
	var out Checks
	for _, role := range d.roleNames() {
		out.Roles = append(out.Roles, d.roleTests(role))
	}
	for _, role := range d.roleNames() {
		if end, ok := d.roleEnd(role); ok {
			out.Lifecycle = append(out.Lifecycle, end)
		}
	}
	if job, ok := d.jobEnd(); ok {
		d.addRed(jobName, &job)
		out.Lifecycle = append(out.Lifecycle, Check{Case: job})
	}
	out.Metrics = d.metricChecks()
	out.Verdict = d.verdictCheck(skip)
	if d.out.Result == ResultKnown {
		out.demote(d.out.Known)
	}
	return out
}

// demote makes all that is red, and the verdict, a known failure.
func (c *Checks) demote(bug string) {
	all := []*Check{&c.Verdict}
	for _, list := range [][]Check{c.Lifecycle, c.Metrics} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	for r := range c.Roles {
		for i := range c.Roles[r].Tests {
			all = append(all, &c.Roles[r].Tests[i])
		}
	}
	for _, one := range all {
		if one == &c.Verdict || one.Status().Red() {
			line := firstLine(&one.Case)
			if !one.Status().Red() && len(one.Results) > 0 {
				line = one.Results[0].Message
			}
			demote(&one.Case, "known failure "+bug+": "+line, typeKnown)
		}
	}
}

// demote turns the results of a case into a skip with everything in its body.
func demote(c *junit.Case, message, kind string) {
	var text strings.Builder
	for _, r := range c.Results {
		fmt.Fprintf(&text, "%s: %s\n%s\n", cmp.Or(r.Type, string(r.Status)), r.Message, r.Text)
	}
	c.Results = []junit.Result{{Status: junit.Skipped, Type: kind, Message: message, Text: strings.TrimSpace(text.String())}}
}

// roleNames are the roles of the attempts, in the order of a report.
func (d *decider) roleNames() []string {
	var out []string
	for _, s := range d.attempts {
		for _, r := range s.Roles {
			if !slices.Contains(out, r.Name) {
				out = append(out, r.Name)
			}
		}
	}
	slices.SortFunc(out, RoleOrder)
	return out
}

// each calls f with a role in each attempt that counts.
func (d *decider) each(role string, f func(s *settled, i int)) {
	for a := range d.attempts {
		s := &d.attempts[a]
		i := slices.IndexFunc(s.Roles, func(r Role) bool { return r.Name == role })
		if s.Counts && i >= 0 {
			f(s, i)
		}
	}
}

// roleTests are the tests of one role: repetitions are folded, what is collateral of
// another role is skipped with its own text as the evidence.
func (d *decider) roleTests(role string) RoleChecks {
	out := RoleChecks{Role: role}
	reps := map[testName][]take{}
	kept := map[testName]string{}
	var order []testName
	add := func(t test, rep int) {
		if reps[t.testName] == nil {
			order, kept[t.testName] = append(order, t.testName), t.kept
		}
		reps[t.testName] = append(reps[t.testName], take{fmt.Sprintf("rep %d", rep), t.c})
	}
	d.each(role, func(s *settled, i int) {
		for _, t := range s.facts[i].tests {
			c := *t.c
			if c.Status().Red() && isCollateral(s.finding, role) {
				demote(&c, fmt.Sprintf("collateral of %s: %s", rootOf(s.finding), firstLine(&c)), typeCollateral)
			}
			t.c = &c
			add(t, s.Rep)
		}
		for _, id := range s.facts[i].missing {
			add(d.missing(s, s.Roles[i], id), s.Rep)
		}
		for _, f := range s.Roles[i].Results {
			out.addSuites(f)
		}
	})
	for _, name := range order {
		c := *foldWorst(reps[name])
		oneClass(&c)
		if c.Status().Red() {
			d.addRed(role, &c)
		}
		out.Tests = append(out.Tests, Check{Case: c, Planned: name.planned, Kept: kept[name]})
	}
	return out
}

// missing is the case of a planned test that a role did not report. It is not red: the
// lifecycle or the verdict says why.
func (d *decider) missing(s *settled, role Role, id string) test {
	why := "not reported"
	if f := s.finding; leftByForce(s.outcome, role, d.plan.Drain.Role) {
		why += ": stopped by " + stopper(role) + " after the client was through"
	} else if f != nil && (f.Root != "" || f.Kind != "") {
		why += ": the attempt ended with " + cmp.Or(f.Root, f.Kind)
	}
	class, name := SplitID(id)
	return test{testName{true, class, name}, &junit.Case{
		Name: name, Classname: class, Time: took(role.Started, role.Ended),
		Results: []junit.Result{{Status: junit.Skipped, Type: "ci-disagg.not-reported", Message: why}},
	}, ""}
}

// addSuites keeps what a role's suites say beside their cases.
func (r *RoleChecks) addSuites(f ResultFile) {
	for _, s := range slices.Concat(f.Suites, []*junit.Suite{&f.Outer}) {
		r.Properties = append(r.Properties, unlike(s.Properties, r.Properties)...)
		if host := s.Attr("hostname"); host != "" && !slices.Contains(r.Hosts, host) {
			r.Hosts = append(r.Hosts, host)
		}
		for _, t := range s.SystemOut {
			r.Out = append(r.Out, SuiteText{t, f.Path})
		}
		for _, t := range s.SystemErr {
			r.Err = append(r.Err, SuiteText{t, f.Path})
		}
	}
}

// roleEnd is the end of a role over all repetitions.
func (d *decider) roleEnd(role string) (Check, bool) {
	var takes []take
	kept := ""
	d.each(role, func(s *settled, i int) {
		c := s.ends[i].Case
		takes, kept = append(takes, take{fmt.Sprintf("rep %d", s.Rep), &c}), s.ends[i].Kept
	})
	if len(takes) == 0 {
		return Check{}, false
	}
	c := *foldWorst(takes)
	if c.Status().Red() {
		d.addRed(role, &c)
	}
	return Check{Case: c, Kept: kept}, true
}

func (d *decider) addRed(role string, c *junit.Case) {
	r := c.Results[0]
	d.reds = append(d.reds, redPlace{role: role, status: c.Status(), kind: r.Type, text: r.Message})
}
