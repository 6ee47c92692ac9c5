package results

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Under a team's own draft nobody watches the roles. The draft ends with its client,
// and Slurm ends whoever is left; a draft that fails cancels its own job. So the
// client's results stand above both what the others left and the job's state.

// owedUnderDraft are an attempt's roles, of whom those that Slurm ended with the job owe
// nothing once the client has passed.
func owedUnderDraft(plan rundir.Plan, roles []Role) []Role {
	i := slices.IndexFunc(roles, func(r Role) bool { return r.Name == plan.Drain.Role })
	if !plan.Draft || i < 0 {
		return roles
	}
	if !passed(readTests(roles[i], plan.Case.ID, fold.Pass)) {
		return roles
	}
	out := slices.Clone(roles)
	for k := range out {
		if k != i && len(out[k].Results) == 0 {
			out[k].JUnit, out[k].Expected = false, nil
		}
	}
	return out
}

// passed reports whether a role's results are complete and green.
func passed(t RoleResult) bool {
	return t.Primary != nil && t.Red == 0 && len(t.Missing) == 0 && len(t.Problems) == 0
}

// judgeDraft says how an attempt ended in which nobody watched the roles. What they left as red stands above a draft
// that passed, failed or used up its time, and above a cancellation that its own user asked for, as a draft does that
// cleans up; above one by anybody else only the client's does. Who passed as the client did has passed, whatever the
// draft then did to its job. Everything else that ended the job as a whole stands.
func (e *Ended) judgeDraft(plan rundir.Plan, classes blame.Classes) {
	kind, rule := "", ""
	if e.Finding != nil {
		kind, rule = e.Finding.Kind, e.Finding.Rule
	}
	own, roles := rule == blame.RuleOwnUser, e.InOrder()
	isClient := func(t *RoleResult) bool { return t.Name == plan.Drain.Role }
	switch {
	case e.Outcome == rundir.OutcomeCancelled && !own:
		roles = slices.DeleteFunc(roles, func(t *RoleResult) bool { return !isClient(t) })
	case e.Outcome != rundir.OutcomeCancelled && e.Outcome != rundir.OutcomePassed && kind != blame.KindDraftFailed && !e.Outcome.IsTimeout():
		return
	}
	found := evidence(roles)
	red := slices.DeleteFunc(slices.Clone(found), func(f blame.Event) bool { return f.Kind != blame.TestFailed })
	client := slices.IndexFunc(roles, isClient)
	switch {
	case len(red) > 0:
		e.Outcome, e.Finding = rundir.OutcomeTestFailed, e.unwatched(red, classes)
		if e.Finding.Class == string(blame.Infra) {
			e.Outcome = rundir.OutcomeInfra
		}
	case e.Outcome == rundir.OutcomePassed && len(found) > 0:
		if mute := slices.IndexFunc(found, func(f blame.Event) bool { return f.Role == plan.Drain.Role }); mute >= 0 {
			found = found[mute : mute+1] // the others were ended with the job
		}
		e.Outcome, e.Finding = rundir.OutcomeTestFailed, unordered(found)
	case own && client >= 0 && passed(*roles[client]):
		e.Was, e.Outcome, e.Finding = e.Outcome, rundir.OutcomePassed, nil
	case kind == blame.KindDraftFailed && !e.begun():
		broken := *e.Finding
		broken.Class, broken.Rule, broken.Message = string(blame.Infra), "draft-broken", broken.Message+" before any role had begun; see slurm.out"
		e.Outcome, e.Finding = rundir.OutcomeInfra, &broken
	}
}

// begun reports whether any role has left a trace of itself.
func (e *Ended) begun() bool {
	return slices.ContainsFunc(e.Roles, func(r Role) bool { return len(r.Results) > 0 }) ||
		slices.ContainsFunc(e.Files, func(f KeptFile) bool { return strings.Contains(f.Label, "/output/") })
}

// unwatched is the finding on what red roles say of themselves and of each other: when they ended, nobody knows.
func (e *Ended) unwatched(red []blame.Event, classes blame.Classes) *rundir.Finding {
	ev := blame.Evidence{Classes: classes}
	for _, t := range e.InOrder() {
		ev.Roles = append(ev.Roles, blame.Role{Name: t.Name, Kind: t.Kind, Nodes: t.Nodes})
	}
	for _, f := range red {
		f.At = time.Unix(0, 0)
		ev.Events = append(ev.Events, f)
		ev.Lines = append(ev.Lines, blame.Line{Role: f.Role, Text: f.Text, First: true})
	}
	judged := blame.Judge(ev)
	if judged.Root == "" || len(judged.MoreRoots) > 0 {
		return unordered(red)
	}
	rec := judged.Record()
	said := red[slices.IndexFunc(red, func(f blame.Event) bool { return f.Role == rec.Root })]
	rec.Line, rec.Message = nil, fmt.Sprintf("[%s] %s", rec.Root, said.Text)
	if blame.PeerLine(said.Text) { // of whom it misses, nobody knows what became
		rec.Class = string(blame.Unknown)
	}
	if rec.Class == string(blame.Unknown) {
		rec.Rule = "results-without-agent"
	}
	for role := range rec.Collateral {
		rec.Collateral[role] = "failed, too, and " + rec.Root + " explains it"
	}
	return rec
}
