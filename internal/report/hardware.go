package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxGPUNames bounds what is read of a node's list of GPUs, in bytes.
const maxGPUNames = 64 << 10

// wrongHardware names the roles that ran on other GPUs than planned. A node that
// could not say what it has (no nvidia-smi, a launch draft) is not in doubt.
func wrongHardware(plan rundir.Plan, attempt rundir.AttemptDir) []string {
	if plan.Expected.GPUType == "" {
		return nil
	}
	var problems []string
	for _, role := range plan.Roles {
		for _, gpu := range gpuNames(attempt.RoleDir(role.Name)) {
			if !isGPU(gpu.name, plan.Expected.GPUType) {
				problems = append(problems, fmt.Sprintf("%s ran on %s of %s; planned was %s (gpu_type)", role.Name, gpu.name, gpu.node, plan.Expected.GPUType))
			}
		}
	}
	return problems
}

type nodeGPU struct{ node, name string }

// gpuNames are the kinds of GPU that the role's nodes have said they have.
func gpuNames(roleDir string) []nodeGPU {
	entries, err := os.ReadDir(roleDir)
	if err != nil {
		return nil
	}
	var out []nodeGPU
	for _, e := range entries {
		node, isNames := strings.CutPrefix(e.Name(), rundir.GPUNames)
		if !isNames || !e.Type().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(roleDir, e.Name()))
		if err != nil || len(data) > maxGPUNames {
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
