package script

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// InstallScript is the path of the script that a build's install step runs on every
// node, relative to the attempt directory. Render writes it when the build has an
// install text or a container to warm up.
func InstallScript(p rundir.Plan, b rundir.BuildPlan) string {
	if len(p.Builds) == 1 {
		return "install.sh"
	}
	return "install." + b.Name + ".sh"
}

// NeedsInstall reports whether the first run of a build begins with an install step:
// there is something to install, or a named container to be created once per
// node before several steps attach to it at the same time.
func NeedsInstall(b rundir.BuildPlan) bool {
	return b.Install != "" || (b.Container != nil && b.Container.Name != "")
}

// StepArgs is the argument list of srun (without "srun" itself) that starts the
// role of a run on its node slice. nodes are the job's nodes in the order of
// "scontrol show hostnames"; the attempt's directory is absolute.
//
// A slice with as many tasks on each node uses --ntasks-per-node; one that ends
// in a smaller part (6 tasks as 4+2) uses -m plane=4, because Slurm spreads -N2
// -n6 as 3+3 and ignores --ntasks-per-node there; any other shape names the host
// of each task with -m arbitrary.
func StepArgs(p rundir.Plan, at RunPlace, r rundir.RolePlan, nodes []string) []string {
	args := []string{"--job-name=" + r.Name, "--export=ALL", "--kill-on-bad-exit=1"}
	args = append(args, placement(r, nodes)...)
	if r.MPI != "" {
		args = append(args, "--mpi="+r.MPI)
	}
	if r.Overlap {
		args = append(args, "--overlap")
	}
	args = append(args, stepGPUs(p, r)...)
	args = append(args, containerArgs(inContainer(at.Build, r), at.Attempt, roleNames(p, at.Build, r))...)
	args = append(args, p.Srun...)
	args = append(args, r.Srun...)
	return append(args, "bash", at.Run.RoleScript(r.Name))
}

// RunPlace is one run of an attempt: which build, and where.
type RunPlace struct {
	Attempt rundir.AttemptDir // absolute
	Run     rundir.RunDir
	Build   rundir.BuildPlan
}

// Place is the place of a run below an attempt's directory.
func Place(p rundir.Plan, dir rundir.AttemptDir, run rundir.RunRef) (RunPlace, error) {
	b, ok := p.Build(run)
	if !ok {
		return RunPlace{}, fmt.Errorf("run %d of %s is of the build %q, which the plan does not have", run.Index, p.Case.ID, run.Build)
	}
	return RunPlace{Attempt: dir, Run: dir.Run(run.Index), Build: b}, nil
}

// InstallArgs is the argument list of srun (without "srun") for the install
// step: one task on each of the job's nodes. It overlaps, because Slurm frees a
// step's resources only some time after srun has returned and would keep the
// first role waiting.
func InstallArgs(p rundir.Plan, at RunPlace, nodes []string) []string {
	n := strconv.Itoa(len(nodes))
	args := []string{"--job-name=INSTALL", "--export=ALL", "--kill-on-bad-exit=1", "--overlap", "--nodes=" + n, "--ntasks=" + n, "--ntasks-per-node=1"}
	args = append(args, "--nodelist="+strings.Join(nodes, ","))
	args = append(args, containerArgs(at.Build, at.Attempt, jobNames(p, at.Build))...)
	args = append(args, p.Srun...)
	return append(args, "bash", string(at.Attempt)+"/"+InstallScript(p, at.Build))
}

// HelperArgs is the argument list of srun (without "srun") for the agent's helper on
// one node. It shares the node, with all of its GPUs, with the roles' steps, runs
// outside of their containers, and its end ends nothing else.
func HelperArgs(p rundir.Plan, node string) []string {
	args := []string{"--job-name=node-helper", "--export=ALL", "--overlap", "--nodes=1", "--ntasks=1", "--nodelist=" + node, "--mpi=none"}
	if p.GPUsPerNode > 0 {
		switch p.GPUFlag {
		case GPUsPerNode:
			args = append(args, "--gpus-per-node="+strconv.Itoa(p.GPUsPerNode))
		case GPUsGres:
			args = append(args, "--gres=gpu:"+strconv.Itoa(p.GPUsPerNode))
		}
	}
	return append(args, p.Srun...)
}

func placement(r rundir.RolePlan, nodes []string) []string {
	hosts := make([]string, 0, len(r.Slice))
	for _, s := range r.Slice {
		hosts = append(hosts, nodeName(nodes, s.Node))
	}
	count := []string{"--nodes=" + strconv.Itoa(len(r.Slice)), "--ntasks=" + strconv.Itoa(r.Tasks())}
	list := "--nodelist=" + strings.Join(hosts, ",")
	first := r.Slice[0].Tasks
	switch shapeOf(r.Slice) {
	case shapeEven:
		return append(count, "--ntasks-per-node="+strconv.Itoa(first), list)
	case shapePlane:
		return append(count, "--distribution=plane="+strconv.Itoa(first), list)
	default:
		var each []string
		for i, s := range r.Slice {
			each = append(each, slices.Repeat([]string{hosts[i]}, s.Tasks)...)
		}
		return append(count, "--distribution=arbitrary", "--nodelist="+strings.Join(each, ","))
	}
}

type shape int

const (
	shapeEven shape = iota
	shapePlane
	shapeAny
)

// shapeOf says how a slice's tasks can be described to srun. Plane fills nodes
// in the allocation's order, so it serves only when the last node has the rest.
func shapeOf(slice []rundir.NodeShare) shape {
	first, last := slice[0].Tasks, len(slice)-1
	got := shapeEven
	for i, s := range slice {
		switch {
		case i > 0 && s.Node <= slice[i-1].Node:
			return shapeAny
		case s.Tasks == first:
		case i == last && s.Tasks > 0 && s.Tasks < first:
			got = shapePlane
		default:
			return shapeAny
		}
	}
	return got
}

func nodeName(nodes []string, i int) string {
	if i >= 0 && i < len(nodes) {
		return nodes[i]
	}
	return fmt.Sprintf("no-such-node-%d", i) // the job holds fewer nodes than planned: srun refuses it by name
}

// stepGPUs asks for the largest share of a node that the role takes. Where the
// shares differ, role.sh hides the rest of the smaller ones. Steps that compute
// on no GPU (router, client) ask for none and see the node's, because the test's
// client queries the GPU type.
func stepGPUs(p rundir.Plan, r rundir.RolePlan) []string {
	most := 0
	for _, s := range r.Slice {
		most = max(most, s.GPUs)
	}
	if most == 0 || r.Overlap {
		return nil
	}
	switch p.GPUFlag {
	case GPUsPerNode:
		return []string{"--gpus-per-node=" + strconv.Itoa(most)}
	case GPUsGres:
		return []string{"--gres=gpu:" + strconv.Itoa(most)}
	default:
		return nil
	}
}

// containerArgs are the pyxis options. The attempt directory is mounted at its
// own path, and every variable that we export is named, so that it wins over one
// of the same name in the image.
func containerArgs(b rundir.BuildPlan, dir rundir.AttemptDir, names []string) []string {
	c, attemptDir := b.Container, string(dir)
	if c == nil {
		return nil
	}
	args := []string{"--container-image=" + c.Image}
	if c.Name != "" {
		args = append(args, "--container-name="+containerName(c.Name+ofBuild(b), attemptDir))
	}
	if c.Workdir != "" {
		args = append(args, "--container-workdir="+c.Workdir)
	}
	mounts := append(slices.Clone(c.Mounts), attemptDir+":"+attemptDir)
	args = append(args, "--container-mounts="+strings.Join(mounts, ","))
	if !c.MountHome {
		args = append(args, "--no-container-mount-home")
	}
	if len(names) > 0 {
		args = append(args, "--container-env="+strings.Join(names, ","))
	}
	return append(args, c.Args...)
}

// ofBuild tells the containers of two builds apart.
func ofBuild(b rundir.BuildPlan) string {
	if b.Name == rundir.BaseBuild {
		return "-" + b.Name
	}
	return ""
}

// inContainer is the build as a role finds it: in its own container, if it has one. A
// named one is not shared with other roles: they might make it at the same time.
func inContainer(b rundir.BuildPlan, r rundir.RolePlan) rundir.BuildPlan {
	if r.Container != nil {
		c := *r.Container
		if c.Name != "" {
			c.Name += "-" + r.Name
		}
		b.Container = &c
	}
	return b
}

// containerName is unique per attempt: named containers outlive their step, and
// two jobs may share a node.
func containerName(name, attemptDir string) string {
	sum := sha256.Sum256([]byte(attemptDir))
	return name + "-" + hex.EncodeToString(sum[:4])
}

// jobNames are the variables that job.sh exports, sorted and without repeats.
func jobNames(p rundir.Plan, b rundir.BuildPlan) []string {
	names := []string{envAttempt, envRun}
	for _, list := range [][]rundir.EnvVar{p.Env, b.Env, p.Exports, p.Paths} {
		for _, e := range list {
			names = append(names, e.Name)
		}
	}
	for _, s := range p.Secrets {
		names = append(names, s.Name)
		if s.From != "" {
			names = append(names, s.From)
		}
	}
	if p.TokenEnv != "" {
		names = append(names, p.TokenEnv)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func roleNames(p rundir.Plan, b rundir.BuildPlan, r rundir.RolePlan) []string {
	names := append(jobNames(p, b), envRole, envRoleDir)
	for _, e := range r.Env {
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
