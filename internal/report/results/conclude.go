package results

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Conclude decides how each attempt of a case ended. A further repetition that the
// infrastructure took does not count where another one passed: what that measured stands.
func Conclude(c Case, flaky fold.Policy, classes blame.Classes) []Ended {
	var out []Ended
	for _, a := range c.Attempts {
		out = append(out, ConcludeRun(c.Plan, a, flaky, classes))
	}
	if len(Measured(out)) > 0 {
		for i := range out {
			out[i].Counts = out[i].Counts && !out[i].lostRepetition()
		}
	}
	return out
}

// lostRepetition reports whether a further repetition says nothing of its case: neither its test nor anybody ended it.
func (e *Ended) lostRepetition() bool {
	own := e.Outcome == "" || e.Outcome == rundir.OutcomePassed || e.Outcome == rundir.OutcomeCancelled || e.Outcome.TestFault()
	return e.Rep > 0 && !e.Session && !own
}

// Measured are the attempts whose benchmark output counts: their writers have been
// reaped, and every role ended well.
func Measured(all []Ended) []Attempt {
	var out []Attempt
	for _, e := range all {
		if e.Counts && e.Outcome == rundir.OutcomePassed {
			out = append(out, e.Attempt)
		}
	}
	return out
}

// ConcludeRun looks at one attempt, or one run of a session that is loaded as an attempt: its records, then its result
// files, then whether anything was tested at all. A passed attempt can only become worse by it: a failing test that the
// agent could not see, or a result that is not there, is never green. A failed one can get another class, when the
// result files show an infrastructure failure.
func ConcludeRun(plan rundir.Plan, a Attempt, flaky fold.Policy, classes blame.Classes) Ended {
	a.Roles = owedUnderDraft(plan, a.Roles)
	e := Ended{Attempt: a, Outcome: a.outcome(), Finding: a.finding()}
	for _, r := range a.Roles {
		e.RoleResults = append(e.RoleResults, readTests(r, plan.Case.ID, flaky))
	}
	if plan.Draft && a.Agent == nil {
		e.judgeDraft(plan, classes)
	} else {
		e.judgeAgain(classes)
	}
	// Under a team's own draft there is no agent: the roles' results have to do.
	// Who makes a record unreadable must not gain by it.
	planted := blame.Planted(e.Outcome, strings.Join(a.Trouble, "; "))
	switch {
	case a.Planted && planted != nil:
		e.Outcome, e.Finding = rundir.OutcomeTestFailed, planted
	case (a.Agent == nil && !plan.Draft || len(a.Trouble) > 0) && e.Outcome == rundir.OutcomePassed:
		e.Outcome, e.Finding = rundir.OutcomeInfra, noRecord(a)
	}
	if e.Outcome == rundir.OutcomePassed && a.Agent != nil {
		e.requireServers(plan)
	}
	e.end()
	if e.Outcome == rundir.OutcomePassed {
		if f := e.redAllTheSame(plan); f != nil {
			e.Outcome, e.Finding = rundir.OutcomeTestFailed, f
			e.end()
		}
	}
	if a.Result != nil {
		e.Reason = a.Result.Reason
	}
	if e.Reason == "" || e.Outcome != a.outcome() && e.Finding != nil {
		e.Reason = strings.Join(a.Trouble, "; ")
		if e.Finding != nil {
			e.Reason = e.Finding.Message
		}
	}
	return e
}

// noRecord is the finding on a pass that nothing proves any more.
func noRecord(a Attempt) *rundir.Finding {
	return &rundir.Finding{
		Class: string(blame.Infra), Kind: "no-record", Rule: "agent-record-missing",
		Message: cmp.Or(strings.Join(a.Trouble, "; "), "agent.json is missing") + ": nothing proves that every role ended well",
	}
}

// slurmDecided reports whether the finding rests on what Slurm told the client after
// the agent's last word (a dead node, a preemption): result files cannot add to it.
func slurmDecided(a Attempt) bool {
	if a.outcome() == rundir.OutcomePassed || a.Result == nil || a.Result.Finding == nil {
		return false
	}
	if a.Agent == nil || a.Agent.End == nil || a.Agent.End.Finding == nil {
		return true
	}
	said := a.Agent.End.Finding
	return said.Rule != a.Result.Finding.Rule || said.Kind != a.Result.Finding.Kind
}

// judgeAgain judges blame with the result files as further evidence.
func (e *Ended) judgeAgain(classes blame.Classes) {
	found := evidence(e.InOrder())
	if len(found) == 0 || slurmDecided(e.Attempt) {
		return
	}
	ev := e.Evidence
	if len(ev.Roles) == 0 {
		if e.Outcome == rundir.OutcomePassed {
			e.Outcome, e.Finding = rundir.OutcomeTestFailed, unordered(found)
		}
		return
	}
	ev.Classes = classes
	ev.Events = slices.Concat(ev.Events, found)
	f := blame.Judge(ev)
	if f.Kind == "" {
		return
	}
	switch e.Outcome {
	case rundir.OutcomePassed:
		e.Outcome, e.Finding = rundir.OutcomeTestFailed, f.Record()
	case rundir.OutcomeTestFailed, rundir.OutcomeInfra:
		e.Finding, e.Outcome = f.Record(), rundir.OutcomeTestFailed
		if f.Class == blame.Infra {
			e.Outcome = rundir.OutcomeInfra
		}
	default: // how the job ended as a whole stands
	}
}

// unordered is the finding on red result files that no agent's facts put in order (a
// team's own draft ran the roles): with one role there is no doubt.
func unordered(found []blame.Event) *rundir.Finding {
	f := &rundir.Finding{Class: string(blame.Unknown), Kind: "no-record", Rule: "results-without-agent", Root: found[0].Role}
	f.Message = fmt.Sprintf("%s: %s", f.Root, found[0].Text)
	if slices.ContainsFunc(found, func(e blame.Event) bool { return e.Role != found[0].Role }) {
		f.Root = ""
		f.Message += "; other roles failed too, and nothing proves which was first"
	}
	return f
}

// requireServers makes a client that left with 0 before any server was ready a
// failure: it cannot have tested anything. One that skipped its test says so itself.
func (e *Ended) requireServers(plan rundir.Plan) {
	var client *RoleResult
	servers := 0
	for i := range e.RoleResults {
		r := &e.RoleResults[i]
		planned := slices.ContainsFunc(plan.MainRoles(), func(p rundir.RolePlan) bool { return p.Name == r.Name })
		switch {
		case r.Name == plan.Drain.Role:
			client = r
			if p := r.Primary; p != nil && p.Status() == junit.Skipped {
				return
			}
		case planned && r.Ready != nil:
			return
		case planned:
			servers++
		}
	}
	waited := slices.ContainsFunc(e.Agent.Phases, func(p rundir.PhaseSpan) bool { return p.Phase == rundir.PhaseReady })
	if client == nil || servers == 0 || client.Ended == nil || !waited {
		return
	}
	e.Outcome = rundir.OutcomeTestFailed
	e.Finding = &rundir.Finding{
		Root: client.Name, Class: string(blame.Unknown), Kind: blame.KindEarlyExit, Rule: "client-before-servers",
		Message: fmt.Sprintf("[%s] ended with 0 before any server was ready: it has tested nothing", client.Name),
	}
}

// redAllTheSame is the finding on an attempt that passed by all records, and in which a
// role is red or a planned test was not reported; nil where there is none.
func (e *Ended) redAllTheSame(plan rundir.Plan) *rundir.Finding {
	for _, r := range e.InOrder() {
		f := &rundir.Finding{Root: r.Name, Class: string(blame.Unknown), Rule: "red-results"}
		switch {
		case r.Optional: // it may leave, however it ends
			continue
		case r.First != nil:
			f.Kind, f.Message = blame.KindTestFailed, fmt.Sprintf("[%s] %s", r.Name, fold.FirstLine(r.First))
		case r.End.Status().Red():
			end := r.End.Results[0]
			f.Kind, f.Message = strings.TrimPrefix(end.Type, TypePrefix), fmt.Sprintf("[%s] %s", r.Name, end.Message)
		case len(r.Missing) > 0 && !e.LeftByForce(r.Role, plan.Drain.Role):
			f.Kind, f.Message = "not-reported", fmt.Sprintf("[%s] %s was expected and not reported%s", r.Name, r.Missing[0], AndMore(len(r.Missing)-1))
		default:
			continue
		}
		return f
	}
	return nil
}

// AndMore tells that a list of which one is shown has n more.
func AndMore(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// First is the first of several reasons and how many more there are, or both of two that have room in a line: the
// second may be the one that matters.
func First(reasons []string) string {
	const room = 300
	if len(reasons) == 2 && len(reasons[0])+len(reasons[1]) <= room {
		return reasons[0] + "; " + reasons[1]
	}
	return reasons[0] + AndMore(len(reasons)-1)
}

// Rank orders the outcomes of several repetitions, the worst highest: a test failure is
// proven by one of them, whatever befell the others.
func Rank(o rundir.Outcome) int {
	switch {
	case o == rundir.OutcomePassed:
		return 0
	case o == rundir.OutcomeTestFailed:
		return 4
	case o.TestFault():
		return 3
	case o.IsTimeout():
		return 2
	default:
		return 1
	}
}
