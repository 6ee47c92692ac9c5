package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// variables are those of a configured pipeline's case, and its tags.
func variables(c rundir.Case) string {
	var out string
	for _, name := range slices.Sorted(maps.Keys(c.Vars)) {
		out += ", " + name + " " + c.Vars[name]
	}
	if len(c.Tags) > 0 {
		out += ", tags " + strings.Join(c.Tags, " ")
	}
	return out
}

// pipelineTable has one line for each run of roles of a group, in start order.
func pipelineTable(p rundir.Plan) string {
	var b strings.Builder
	var t table.Table
	t.Add("   role", "kind", "tasks", "GPUs", "nodes (tasks on each)", "port", "starts after", "ready when")
	roles := p.Roles()
	for i := 0; i < len(roles); {
		r, j := roles[i], i
		var names []string
		var slice []rundir.NodeShare
		for ; j < len(roles) && roles[j].Group == r.Group; j++ {
			names = append(names, roles[j].Name)
			slice = append(slice, roles[j].Slice...)
		}
		t.Add("   "+roleList(names), r.Kind+lifeNote(r), each(len(names), r.Tasks()), each(len(names), r.GPUs()), nodesOf(slice), port(r, roles),
			cmp.Or(strings.Join(r.Needs, ", "), "-"), readyWhen(r.Ready))
		i = j
	}
	_ = t.Write(&b)
	return b.String()
}

func lifeNote(r rundir.RolePlan) string {
	switch {
	case r.Optional:
		return ", may leave"
	case r.Stop == "" && !rundir.Works(r.Kind):
		return ", ends by itself"
	}
	return ""
}

// nodesOf joins what instances have of one node: 0 (2), and neighbours as a range.
func nodesOf(slice []rundir.NodeShare) string {
	tasks := map[int]int{}
	for _, s := range slice {
		tasks[s.Node] += s.Tasks
	}
	var all rundir.RolePlan
	for _, node := range slices.Sorted(maps.Keys(tasks)) {
		all.Slice = append(all.Slice, rundir.NodeShare{Node: node, Tasks: tasks[node]})
	}
	return nodeRanges(all)
}

// port is where a role listens. One that is published for its host's sake alone does not.
func port(r rundir.RolePlan, all []rundir.RolePlan) string {
	asked := func(o rundir.RolePlan) bool {
		return slices.ContainsFunc(o.Refs, func(ref rundir.AddressRef) bool {
			return ref.Part != rundir.PartHost && slices.Contains(ref.Roles, r.Name)
		})
	}
	switch {
	case r.FixedPort > 0:
		return strconv.Itoa(r.FixedPort)
	case r.Port && (r.Ready.TCP || r.Ready.HTTPPath != "" || strings.Contains(r.Command, "CI_DISAGG_PORT") || slices.ContainsFunc(all, asked)):
		return "free"
	}
	return "-"
}

// readyWhen says what must hold for a role to be ready.
func readyWhen(r rundir.Ready) string {
	var out []string
	if r.HTTPPath != "" {
		out = append(out, "GET "+r.HTTPPath)
	}
	if r.TCP {
		out = append(out, "its port answers")
	}
	if r.LogPattern != "" {
		out = append(out, "it prints "+r.LogPattern)
	}
	if r.File != "" {
		out = append(out, r.File+" is there")
	}
	return cmp.Or(strings.Join(out, ", "), "-")
}

// leaves says what the roles of a configured pipeline are to leave behind.
func leaves(p rundir.Plan) string {
	var out []string
	for _, r := range p.Roles() {
		if len(r.Results) > 0 {
			out = append(out, "results of "+r.Name+" ("+strings.Join(r.Results, ", ")+")")
		}
		for _, f := range r.Bench {
			out = append(out, "measurements of "+r.Name+" ("+strings.Join(f.Files, ", ")+")")
		}
	}
	if len(p.Expected.Points) > 0 {
		out = append(out, plain.Count(len(p.Expected.Points), "benchmark point")+" ("+pointNames(p.Expected.Points)+")")
	}
	return cmp.Or(strings.Join(out, ", "), "that every role ends well")
}

// inLines is a role's command, line below line: joined in one they would be another.
func inLines(command string) string {
	return strings.ReplaceAll(strings.TrimSpace(command), "\n", "\n"+strings.Repeat(" ", 13))
}
