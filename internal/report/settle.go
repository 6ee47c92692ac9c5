package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Results are the attempts of a case, each with how it ended in the light of the
// result files.
type Results struct {
	attempts []settled
}

// settled is one attempt with its outcome decided.
type settled struct {
	Attempt
	outcome rundir.Outcome
	finding *rundir.Finding
	reason  string
	facts   []roleFacts // as Attempt.Roles
	ends    []Check     // the lifecycle cases of its roles, as Attempt.Roles
}

// Settle decides how each attempt of a case ended.
func Settle(c Case, p Policy) Results {
	var out Results
	for _, a := range c.Attempts {
		out.attempts = append(out.attempts, settle(c.Plan, a, p))
	}
	return out
}

// Measured are the attempts whose benchmark output counts: their writers have been
// reaped, and every role ended well.
func (r Results) Measured() []Attempt {
	var out []Attempt
	for _, s := range r.attempts {
		if s.Counts && s.outcome == rundir.OutcomePassed {
			out = append(out, s.Attempt)
		}
	}
	return out
}

// NotMeasured says why nothing was measured.
func (r Results) NotMeasured() string {
	end := r.end(Case{}.Plan, Policy{})
	if f := r.finding(); f != nil && f.Root != "" {
		return "not measured: root cause " + f.Root
	}
	if end.Outcome != "" {
		return "not measured: the attempt ended as " + string(end.Outcome)
	}
	return "not measured"
}

// finding is that of the first attempt that counts and did not pass.
func (r Results) finding() *rundir.Finding {
	for _, s := range r.attempts {
		if s.Counts && s.outcome != rundir.OutcomePassed && s.finding != nil {
			return s.finding
		}
	}
	return nil
}

// end is what the attempts that count say of the case: the worst outcome, and whether
// one of them shows a failing test.
func (r Results) end(plan rundir.Plan, p Policy) CaseEnd {
	e := CaseEnd{Listed: plan.Case.SkipReason != "", Known: plan.Case.KnownBug != "", Judged: p.Judged, Interrupted: p.Interrupted}
	seen := false
	for _, s := range r.attempts {
		if !s.Counts {
			continue
		}
		if !seen {
			e.Outcome, seen = s.outcome, true
		}
		e.Outcome = worstOutcome(e.Outcome, s.outcome)
		e.Failed = e.Failed || s.outcome == rundir.OutcomeTestFailed
	}
	return e
}

// settle looks at one attempt: its records, then its result files, then whether
// anything was tested at all. An outcome only gets worse by it: a failing test that
// the agent could not see, or a result that is not there, is never green.
func settle(plan rundir.Plan, a Attempt, p Policy) settled {
	a.Roles = owedUnderDraft(plan, a.Roles)
	s := settled{Attempt: a, outcome: a.outcomeOf(), finding: a.findingOf()}
	for _, r := range a.Roles {
		s.facts = append(s.facts, readTests(r, plan.Case.ID, p.Flaky))
	}
	s.judgeAgain(p.Classes)
	s.cancelledByDraft(plan)
	// Under a team's own draft there is no agent: the roles' results have to do.
	if a.Agent == nil && s.outcome == rundir.OutcomePassed && !plan.Draft {
		s.outcome, s.finding = rundir.OutcomeInfra, noRecord(a)
	}
	if s.outcome == rundir.OutcomePassed && a.Agent != nil {
		s.requireServers(plan)
	}
	if s.ends = s.lifecycle(); s.outcome == rundir.OutcomePassed {
		if f := s.redAllTheSame(plan); f != nil {
			s.outcome, s.finding = rundir.OutcomeTestFailed, f
			s.ends = s.lifecycle()
		}
	}
	if a.Result != nil {
		s.reason = a.Result.Reason
	}
	if s.reason == "" || s.outcome != a.outcomeOf() && s.finding != nil {
		s.reason = strings.Join(a.Trouble, "; ")
		if s.finding != nil {
			s.reason = s.finding.Message
		}
	}
	return s
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
	if a.outcomeOf() == rundir.OutcomePassed || a.Result == nil || a.Result.Finding == nil {
		return false
	}
	return a.Agent == nil || a.Agent.End == nil || a.Agent.End.Finding == nil || a.Agent.End.Finding.Rule != a.Result.Finding.Rule
}

// judgeAgain judges blame with the result files as further evidence.
func (s *settled) judgeAgain(classes blame.Classes) {
	found := evidence(s.Roles, s.facts)
	if len(found) == 0 || slurmDecided(s.Attempt) {
		return
	}
	ev := s.Evidence
	if len(ev.Roles) == 0 {
		if s.outcome == rundir.OutcomePassed {
			s.outcome, s.finding = rundir.OutcomeTestFailed, unordered(found)
		}
		return
	}
	ev.Classes = classes
	ev.Events = slices.Concat(ev.Events, found)
	f := blame.Judge(ev)
	if f.Kind == "" {
		return
	}
	rec := findingRecord(f)
	switch s.outcome {
	case rundir.OutcomePassed:
		s.outcome, s.finding = rundir.OutcomeTestFailed, &rec
	case rundir.OutcomeTestFailed, rundir.OutcomeInfra:
		s.finding, s.outcome = &rec, rundir.OutcomeTestFailed
		if f.Class == blame.Infra {
			s.outcome = rundir.OutcomeInfra
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

// findingRecord is a finding as it stands in a record.
func findingRecord(f blame.Finding) rundir.Finding {
	rec := rundir.Finding{
		Root: f.Root, Class: string(f.Class), Kind: f.Kind, Rule: f.Rule, Message: f.Message,
		Roots: f.MoreRoots, Collateral: f.Collateral, BadNodes: f.BadNodes,
	}
	if f.Line != nil {
		rec.Line = &rundir.LogLine{File: f.Line.File, Number: f.Line.Number, Text: f.Line.Text, Last: f.Line.Last}
	}
	return rec
}

// requireServers makes a client that left with 0 before any server was ready a
// failure: it cannot have tested anything. One that skipped its test says so itself.
func (s *settled) requireServers(plan rundir.Plan) {
	var client *Role
	servers := 0
	for i, r := range s.Roles {
		planned := slices.ContainsFunc(plan.MainRoles(), func(p rundir.RolePlan) bool { return p.Name == r.Name })
		switch {
		case r.Name == plan.Drain.Role:
			client = &s.Roles[i]
			if p := s.facts[i].primary; p != nil && p.Status() == junit.Skipped {
				return
			}
		case planned && r.Ready != nil:
			return
		case planned:
			servers++
		}
	}
	waited := slices.ContainsFunc(s.Agent.Phases, func(p rundir.PhaseSpan) bool { return p.Phase == rundir.PhaseReady })
	if client == nil || servers == 0 || client.Ended == nil || !waited {
		return
	}
	s.outcome = rundir.OutcomeTestFailed
	s.finding = &rundir.Finding{
		Root: client.Name, Class: string(blame.Unknown), Kind: blame.KindEarlyExit, Rule: "client-before-servers",
		Message: fmt.Sprintf("[%s] ended with 0 before any server was ready: it has tested nothing", client.Name),
	}
}

// redAllTheSame is the finding on an attempt that passed by all records, and in which a
// role is red or a planned test was not reported; nil where there is none.
func (s *settled) redAllTheSame(plan rundir.Plan) *rundir.Finding {
	for _, i := range s.inOrder() {
		r, facts := s.Roles[i], s.facts[i]
		f := &rundir.Finding{Root: r.Name, Class: string(blame.Unknown), Rule: "red-results"}
		switch {
		case facts.first != nil:
			f.Kind, f.Message = blame.KindTestFailed, fmt.Sprintf("[%s] %s", r.Name, firstLine(facts.first))
		case s.ends[i].Status().Red():
			end := s.ends[i].Results[0]
			f.Kind, f.Message = strings.TrimPrefix(end.Type, typePrefix), fmt.Sprintf("[%s] %s", r.Name, end.Message)
		case len(facts.missing) > 0 && !leftByForce(s.outcome, r, plan.Drain.Role):
			f.Kind, f.Message = "not-reported", fmt.Sprintf("[%s] %s was expected and not reported%s", r.Name, facts.missing[0], andMore(len(facts.missing)-1))
		default:
			continue
		}
		return f
	}
	return nil
}

// inOrder are the indices of the roles in the order in which reports show them.
func (s *settled) inOrder() []int {
	out := make([]int, len(s.Roles))
	for i := range out {
		out[i] = i
	}
	slices.SortFunc(out, func(x, y int) int { return RoleOrder(s.Roles[x].Name, s.Roles[y].Name) })
	return out
}

// isRoot reports whether the finding names the role as a cause.
func isRoot(f *rundir.Finding, role string) bool {
	return f != nil && (f.Root == role || slices.Contains(f.Roots, role))
}

// isCollateral reports whether the finding proves that the role failed because of
// another one.
func isCollateral(f *rundir.Finding, role string) bool {
	if f == nil || isRoot(f, role) {
		return false
	}
	_, ok := f.Collateral[role]
	return ok
}
