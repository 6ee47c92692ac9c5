package script

import (
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// draftUCX are the variables that drafts read, with what a cluster sets up for UCX before
// the command of each role, in the place of the workload's, as the agent's roles have it.
func draftUCX(p rundir.Plan, prof Profile) []rundir.EnvVar {
	if prof.UCX == "" {
		return p.Exports
	}
	old := ""
	for _, r := range p.Roles() {
		if old = r.Before; old != "" {
			break
		}
	}
	roles := slices.ContainsFunc(p.Exports, func(e rundir.EnvVar) bool { return e.Name == "pytestCommandWorker" })
	out := slices.Clone(p.Exports)
	for i, e := range out {
		switch {
		case !strings.HasPrefix(e.Name, "pytestCommand"), e.Name == "pytestCommandNoLLMAPILaunch", roles && e.Name == "pytestCommand":
			continue // no command of a role
		}
		out[i].Value = rundir.CommandPrefix(prof.UCX) + strings.TrimPrefix(e.Value, rundir.CommandPrefix(old))
	}
	return out
}
