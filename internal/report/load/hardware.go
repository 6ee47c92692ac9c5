package load

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxGPUNames bounds what is read of a node's list of GPUs, in bytes.
const maxGPUNames = 64 << 10

// Hardware holds the GPUs that run k of an attempt ran on against the plan's type. wrong
// names the roles on others. unseen, "" when there is none, names those of which
// nobody said what they ran on (no nvidia-smi, a launch draft): not proven, and
// to be told.
func Hardware(plan rundir.Plan, attempt rundir.AttemptDir, k int) (wrong []string, unseen string) {
	if plan.Expected.GPUType == "" {
		return nil, ""
	}
	tree, err := attempt.Tree()
	if err != nil {
		return nil, fmt.Sprintf("%s: gpu_type %s is not verified: %v", plan.Case.ID, plan.Expected.GPUType, err)
	}
	defer func() { _ = tree.Close() }() // only read from
	run := rundir.FindRun(attempt, k)
	var silent []string
	for _, role := range plan.MainRoles() {
		nodes := gpusOf(tree, run.RoleDir(role.Name))
		if len(nodes) == 0 && role.GPUs() > 0 {
			silent = append(silent, role.Name)
		}
		least := fewest(role)
		for _, n := range nodes {
			for _, kind := range slices.Compact(slices.Sorted(slices.Values(n.gpus))) {
				if !isGPU(kind, plan.Expected.GPUType) {
					wrong = append(wrong, fmt.Sprintf("%s ran on %s of %s; planned was %s (gpu_type)", role.Name, kind, n.name, plan.Expected.GPUType))
				}
			}
			if len(n.gpus) < least {
				wrong = append(wrong, fmt.Sprintf("%s takes %d GPUs of a node; %s has shown %d (nvidia-smi)", role.Name, least, n.name, len(n.gpus)))
			}
		}
	}
	if len(silent) > 0 {
		unseen = fmt.Sprintf("%s: gpu_type %s is not verified: no node of %s said which GPUs it has (nvidia-smi)",
			plan.Case.ID, plan.Expected.GPUType, strings.Join(silent, ", "))
	}
	return wrong, unseen
}

// fewest is how many GPUs the role takes of each of its nodes at the least: which
// node has which share is not known here.
func fewest(role rundir.RolePlan) int {
	least := 0
	for i, s := range role.Slice {
		if i == 0 || s.GPUs < least {
			least = s.GPUs
		}
	}
	return least
}

// node is what a node of a role has said of its GPUs: their kinds, one for each.
type node struct {
	name string
	gpus []string
}

// gpusOf are the role's nodes that have said which GPUs they have.
func gpusOf(tree *rundir.Tree, roleDir string) []node {
	entries, err := tree.List(roleDir)
	if err != nil {
		return nil
	}
	var out []node
	for _, e := range entries {
		name, isNames := strings.CutPrefix(e.Name(), rundir.GPUNames)
		if !isNames {
			continue
		}
		data, err := tree.ReadFile(filepath.Join(roleDir, e.Name()), maxGPUNames)
		if err != nil {
			continue
		}
		n := node{name: strings.TrimSuffix(name, ".txt")}
		for line := range strings.Lines(string(data)) {
			if gpu := strings.TrimSpace(line); gpu != "" {
				n.gpus = append(n.gpus, gpu)
			}
		}
		if len(n.gpus) > 0 {
			out = append(out, n)
		}
	}
	return out
}

// isGPU reports whether a GPU of the driver's name ("NVIDIA H100 80GB HBM3") is of the
// configured type ("H100", "H100_SXM"): the type's first word with a digit in it,
// which is the model, stands in the name. B200 is no GB200.
func isGPU(name, kind string) bool {
	words := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	}
	have := words(name)
	for _, w := range words(kind) {
		if strings.ContainsFunc(w, unicode.IsDigit) {
			return slices.Contains(have, w)
		}
	}
	return strings.Contains(strings.ToLower(name), strings.ToLower(kind))
}
