package results

import (
	"slices"

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
	client := readTests(roles[i], plan.Case.ID, fold.Pass)
	if client.Primary == nil || client.Red > 0 || len(client.Missing) > 0 || len(client.Problems) > 0 {
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

// cancelledByDraft makes a failed test of an attempt whose job was cancelled and whose
// client says in its own results that its test had failed.
func (e *Ended) cancelledByDraft(plan rundir.Plan) {
	if !plan.Draft || e.Outcome != rundir.OutcomeCancelled {
		return
	}
	i := slices.IndexFunc(e.Told, func(t Told) bool { return t.Name == plan.Drain.Role })
	if i < 0 || e.Told[i].First == nil {
		return
	}
	e.Outcome, e.Finding = rundir.OutcomeTestFailed, unordered(evidence([]*Told{&e.Told[i]}))
}
