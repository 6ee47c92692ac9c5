package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/testcases"

	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Types of results that are ours.
const (
	typePrefix = results.TypePrefix
	typeKnown  = typePrefix + "known-failure"
)

// checks are the test cases that stand for the case in a JUnit report.
func (d *decider) checks(skip string) (out Checks) {
	roles := d.roles()
	for _, role := range roles {
		out.Roles = append(out.Roles, d.roleTests(role))
	}
	for _, role := range roles {
		if end, ok := d.roleEnd(role.Name); ok {
			out.Lifecycle = append(out.Lifecycle, end)
		}
	}
	if job, ok := d.jobEnd(); ok {
		d.addRed(results.JobName, &job)
		out.Lifecycle = append(out.Lifecycle, Check{Case: job})
	}
	out.Metrics = d.metricChecks()
	if d.out.AB != nil {
		for _, c := range testcases.Session(*d.out.AB, d.end.Judged) {
			out.Paired = append(out.Paired, Check{Case: c, Gate: true})
		}
	}
	out.Verdict = d.verdictCheck(skip)
	switch {
	case d.out.Result == ResultKnown:
		out.demote(d.asKnown(), typeKnown)
	case d.out.Known != "" && d.out.Result == ResultRegression: // what its numbers say stays
		out.demoteTests(d.asKnown(), typeKnown)
	case d.out.AB != nil && d.out.Colour == Amber: // what a run of a session failed at decided nothing
		out.demote("no verdict: ", typePrefix+"no-verdict")
	}
	return out
}

// asKnown begins the message of what failed as known.
func (d *decider) asKnown() string { return "known failure " + d.out.Known + ": " }

// demote makes all that is red, and the verdict, a skip: a known failure, say.
func (c *Checks) demote(prefix, kind string) {
	c.demoteTests(prefix, kind)
	demoteReds(c.Metrics, prefix, kind)
	demoteReds(c.Paired, prefix, kind)
	line := fold.FirstLine(&c.Verdict.Case)
	if !c.Verdict.Status().Red() && len(c.Verdict.Results) > 0 {
		line = c.Verdict.Results[0].Message
	}
	demote(&c.Verdict.Case, prefix+strings.TrimPrefix(line, prefix), kind)
}

// demoteTests does so with the tests of the roles, and their ends.
func (c *Checks) demoteTests(prefix, kind string) {
	demoteReds(c.Lifecycle, prefix, kind)
	for _, role := range c.Roles {
		demoteReds(role.Tests, prefix, kind)
	}
}

func demoteReds(list []Check, prefix, kind string) {
	for i := range list {
		if one := &list[i].Case; one.Status().Red() {
			demote(one, prefix+strings.TrimPrefix(fold.FirstLine(one), prefix), kind)
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

// roles are those of the attempts, in the order of a report.
func (d *decider) roles() (out []rundir.RoleRecord) {
	for _, s := range d.attempts {
		for _, r := range s.RoleResults {
			if !slices.ContainsFunc(out, func(have rundir.RoleRecord) bool { return have.Name == r.Name }) {
				out = append(out, r.RoleRecord)
			}
		}
	}
	slices.SortFunc(out, func(a, b rundir.RoleRecord) int { return results.Order(a.Kind, a.Name, b.Kind, b.Name) })
	return out
}

// each calls f with what a role told in each attempt that counts.
func (d *decider) each(role string, f func(s *results.Ended, t *results.RoleResult)) {
	for a := range d.attempts {
		s := &d.attempts[a]
		i := slices.IndexFunc(s.RoleResults, func(t results.RoleResult) bool { return t.Name == role })
		if s.Counts && i >= 0 {
			f(s, &s.RoleResults[i])
		}
	}
}

// repLabel names a repetition beside others, for people: they count from 1, as on the console and on the pages.
func repLabel(rep int) string { return fmt.Sprintf("rep %d", rep+1) }

// roleTests are the tests of one role: repetitions are folded, what is collateral of
// another role is skipped with its own text as the evidence.
func (d *decider) roleTests(role rundir.RoleRecord) RoleChecks {
	out := RoleChecks{Role: role.Name, Kind: role.Kind}
	reps := map[results.TestName][]fold.Run{}
	kept, hosts := map[results.TestName]string{}, map[string]bool{}
	var order []results.TestName
	add := func(t results.Test, rep int) {
		if reps[t.TestName] == nil {
			order, kept[t.TestName] = append(order, t.TestName), t.Kept
		}
		reps[t.TestName] = append(reps[t.TestName], fold.Runs(repLabel(rep), t.Case)...)
	}
	d.each(role.Name, func(s *results.Ended, told *results.RoleResult) {
		for _, t := range told.Tests {
			c := *t.Case
			switch {
			case !c.Status().Red():
			case told.Optional:
				demote(&c, "of a role that may leave (critical: false): "+fold.FirstLine(&c), results.TypeOptional)
			case s.IsCollateral(role.Name):
				demote(&c, fmt.Sprintf("collateral of %s: %s", s.RootName(), fold.FirstLine(&c)), results.TypeCollateral)
			}
			t.Case = &c
			add(t, s.Rep)
		}
		for _, id := range told.Missing {
			add(d.missing(s, told.Role, id), s.Rep)
		}
		for _, f := range told.Results {
			out.addSuites(f, hosts)
		}
	})
	out.Properties = fold.Unlike(out.Properties, nil)
	for _, name := range order {
		c := *fold.Worst(reps[name])
		fold.OneClass(&c)
		if c.Status().Red() {
			d.addRed(role.Name, &c)
		}
		out.Tests = append(out.Tests, Check{Case: c, Planned: name.Planned, Kept: kept[name]})
	}
	return out
}

// missing is the case of a planned test that a role did not report. It is not red: the
// lifecycle or the verdict says why.
func (d *decider) missing(s *results.Ended, role results.Role, id string) results.Test {
	why := "not reported"
	if f := s.Finding; s.LeftByForce(role, d.plan.Drain.Role) {
		why += ": stopped by " + role.Stopper() + " after the client was through"
	} else if f != nil && (f.Root != "" || f.Kind != "") {
		why += ": the attempt ended with " + cmp.Or(f.Root, f.Kind)
	}
	class, name := results.SplitID(id)
	return results.Test{TestName: results.TestName{Planned: true, Class: class, Name: name}, Case: &junit.Case{
		Name: name, Classname: class, Time: results.Took(role.Started, role.Ended),
		Results: []junit.Result{{Status: junit.Skipped, Type: typePrefix + "not-reported", Message: why}},
	}}
}

// addSuites keeps what a role's suites say beside their cases, of hosts once.
func (r *RoleChecks) addSuites(f results.File, hosts map[string]bool) {
	for _, s := range slices.Concat(f.Suites, []*junit.Suite{&f.Outer}) {
		r.Properties = append(r.Properties, s.Properties...)
		if host := s.Attr("hostname"); host != "" && !hosts[host] {
			r.Hosts, hosts[host] = append(r.Hosts, host), true
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
	takes, kept := []fold.Run(nil), ""
	d.each(role, func(s *results.Ended, t *results.RoleResult) {
		takes, kept = append(takes, fold.Runs(repLabel(s.Rep), &t.End)...), t.Log
	})
	if len(takes) == 0 {
		return Check{}, false
	}
	c := *fold.Worst(takes)
	if c.Status().Red() {
		d.addRed(role, &c)
	}
	return Check{Case: c, Kept: kept}, true
}

func (d *decider) addRed(role string, c *junit.Case) {
	r := c.Results[0]
	d.reds = append(d.reds, redPlace{role: role, status: c.Status(), kind: r.Type, text: r.Message})
}

// jobEnd is the case of the job as a whole. There is one only when the job itself is
// to blame, or when nothing was started at all.
func (d *decider) jobEnd() (junit.Case, bool) {
	switch {
	case d.end.Listed:
		return junit.Case{}, false
	case len(d.attempts) == 0:
		return jobCase(typePrefix+"not-run", d.out.Message), true
	}
	var takes []fold.Run
	for _, s := range d.attempts {
		f := s.Finding
		switch {
		case !s.Counts, s.Outcome == rundir.OutcomePassed, s.Outcome == "" && f == nil, f != nil && f.Root != "":
			continue
		case s.Outcome == rundir.OutcomeTestFailed && (f == nil || s.Unattributed()):
			continue // everything that failed stays red where it is
		}
		message, kind := cmp.Or(s.Reason, string(s.Outcome)), string(s.Outcome)
		if f != nil {
			message, kind = cmp.Or(f.Message, message), cmp.Or(f.Kind, kind)
		}
		c := jobCase(typePrefix+strings.ReplaceAll(kind, ":", "-"), message)
		takes = append(takes, fold.Runs(repLabel(s.Rep), &c)...)
	}
	if len(takes) == 0 {
		return junit.Case{}, false
	}
	return *fold.Worst(takes), true
}

func jobCase(kind, message string) junit.Case {
	return junit.Case{Name: results.JobName, Results: []junit.Result{{Status: junit.Errored, Type: kind, Message: message}}}
}
