package load

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxGPUNames bounds what is read of a node's list of GPUs, in bytes.
const maxGPUNames = 64 << 10

// Hardware holds the GPUs that an attempt ran on against the plan's type. wrong
// names the roles on others. unseen, "" when there is none, names those of which
// nobody said what they ran on (no nvidia-smi, a launch draft): not proven, and
// to be told.
func Hardware(plan rundir.Plan, attempt rundir.AttemptDir) (wrong []string, unseen string) {
	if plan.Expected.GPUType == "" {
		return nil, ""
	}
	tree, err := attempt.Tree()
	if err != nil {
		return nil, fmt.Sprintf("%s: gpu_type %s is not verified: %v", plan.Case.ID, plan.Expected.GPUType, err)
	}
	defer func() { _ = tree.Close() }() // only read from
	run := rundir.FindRun(attempt, 0)
	var silent []string
	for _, role := range plan.MainRoles() {
		gpus := gpuNames(tree, run.RoleDir(role.Name))
		if len(gpus) == 0 && role.GPUs() > 0 {
			silent = append(silent, role.Name)
		}
		for _, gpu := range gpus {
			if !isGPU(gpu.name, plan.Expected.GPUType) {
				wrong = append(wrong, fmt.Sprintf("%s ran on %s of %s; planned was %s (gpu_type)", role.Name, gpu.name, gpu.node, plan.Expected.GPUType))
			}
		}
	}
	if len(silent) > 0 {
		unseen = fmt.Sprintf("%s: gpu_type %s is not verified: no node of %s said which GPUs it has (nvidia-smi)",
			plan.Case.ID, plan.Expected.GPUType, strings.Join(silent, ", "))
	}
	return wrong, unseen
}

type nodeGPU struct{ node, name string }

// gpuNames are the kinds of GPU that the role's nodes have said they have.
func gpuNames(tree *rundir.Tree, roleDir string) []nodeGPU {
	entries, err := tree.List(roleDir)
	if err != nil {
		return nil
	}
	var out []nodeGPU
	for _, e := range entries {
		node, isNames := strings.CutPrefix(e.Name(), rundir.GPUNames)
		if !isNames {
			continue
		}
		data, err := tree.ReadFile(filepath.Join(roleDir, e.Name()), maxGPUNames)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(data) {
			gpu := nodeGPU{strings.TrimSuffix(node, ".txt"), strings.TrimSpace(string(line))}
			if gpu.name != "" && !slices.Contains(out, gpu) {
				out = append(out, gpu)
			}
		}
	}
	return out
}

// isGPU says that a GPU of the driver's name ("NVIDIA H100 80GB HBM3") is of the
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
