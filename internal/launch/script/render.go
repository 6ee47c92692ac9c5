package script

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Variables that our scripts export beside those of the plan.
const (
	envAttempt = "CI_DISAGG_ATTEMPT"  // the attempt directory
	envRun     = "CI_DISAGG_RUN"      // the directory of the run
	envRole    = "CI_DISAGG_ROLE"     // the role's name
	envRoleDir = "CI_DISAGG_ROLE_DIR" // roles/<ROLE> of the run's directory
)

// RunScript is the path of the script that a team's own draft starts per task,
// relative to the attempt directory.
const RunScript = "run.sh"

// TestList is the path of a test list with the attempt's one case, relative to
// the attempt directory.
const TestList = "test_list.txt"

// Attempt is what is known only when a job is about to be submitted.
type Attempt struct {
	Dir       string   // absolute path of the attempt directory, as the nodes see it
	JobName   string   // unique
	Owner     string   // owner tag, for sweep
	Exclude   []string // nodes to avoid, beside the profile's
	AgentPath string   // of the ci-disagg binary on the nodes; empty: the profile's for its architecture
	Draft     []byte   // a team's own launch draft instead of the agent
	DraftName string   // where Draft came from, for people
}

// Apply completes a plan with what the cluster's profile says of every step:
// container, site options, how GPUs are asked for, environment. Call it once on
// what trtllm.Resolve gave; plan.json is the applied plan. A plan for the local
// backend gets the environment only.
func Apply(p rundir.Plan, prof Profile) rundir.Plan {
	p.Env, p.Builds = mergeEnv(prof.Env, p.Env), slices.Clone(p.Builds)
	if p.LocalAgent {
		return p
	}
	if _, lead := prof.warning(); lead > defaultLead {
		p.Warned = rundir.Duration(lead)
	}
	p.Srun = append(slices.Clone(p.Srun), prof.Srun...)
	if prof.AccountArg && prof.Account != "" {
		p.Srun = append(p.Srun, "--account="+prof.Account)
	}
	switch prof.GPUs {
	case GPUsNone:
		p.GPUFlag = ""
	case GPUsGres:
		p.GPUFlag = GPUsGres
	default:
		p.GPUFlag = GPUsPerNode
	}
	if c := prof.Container; c != nil {
		for i := range p.Builds {
			p.Builds[i].Container = &rundir.Container{
				Image: c.Image, Name: c.Name, Workdir: c.Workdir, Mounts: slices.Clone(c.Mounts),
				MountHome: c.MountHome, Args: slices.Clone(c.Args),
			}
		}
	}
	p.Exports = draftUCX(p, prof)
	for i := range p.Builds {
		p.Builds[i].Roles = onCluster(p.Builds[i].Roles, prof)
	}
	return p
}

// onCluster gives roles what the cluster says of each: the MPI type of those that are
// MPI programs, and what is set up for UCX before the command, whose processes a
// router, a client and an aggregated server have, too.
func onCluster(roles []rundir.RolePlan, prof Profile) []rundir.RolePlan {
	out := slices.Clone(roles)
	for i := range out {
		if out[i].MPI != "" {
			out[i].MPI = cmp.Or(prof.MPI, out[i].MPI)
		}
		switch prof.UCX {
		case "":
		case "none":
			out[i].Before = ""
		default:
			out[i].Before = prof.UCX
		}
	}
	return out
}

// mergeEnv puts the profile's variables, sorted, before the plan's; the plan's
// value of a name wins.
func mergeEnv(prof map[string]string, plan []rundir.EnvVar) []rundir.EnvVar {
	var out []rundir.EnvVar
	for _, name := range slices.Sorted(maps.Keys(prof)) {
		if !slices.ContainsFunc(plan, func(e rundir.EnvVar) bool { return e.Name == name }) {
			out = append(out, rundir.EnvVar{Name: name, Value: prof[name]})
		}
	}
	return append(out, plan...)
}

// Render makes the files of one attempt from an applied plan: job.sh, one
// role.sh per role of each run, install.sh where something is to be installed, run.sh where
// a draft needs it, and plan.json.
func Render(p rundir.Plan, prof Profile, a Attempt) ([]rundir.File, error) {
	if err := check(p, a); err != nil {
		return nil, err
	}
	p.Schema, p.Draft = rundir.Schema, len(a.Draft) > 0
	job, err := jobScript(p, prof, a)
	if err != nil {
		return nil, err
	}
	files := []rundir.File{{Path: "job.sh", Data: job, Mode: rundir.ExecMode}}
	scripts, err := runScripts(p, a)
	if err != nil {
		return nil, err
	}
	files = append(files, scripts...)
	data, err := planJSON(p)
	if err != nil {
		return nil, err
	}
	return append(files,
		rundir.File{Path: TestList, Data: []byte(listLine(p.Case)), Mode: rundir.FileMode},
		rundir.File{Path: "plan.json", Data: data, Mode: rundir.FileMode}), nil
}

// runScripts are the scripts of each run's roles, of each build's install step, and
// of a draft's tasks.
func runScripts(p rundir.Plan, a Attempt) ([]rundir.File, error) {
	var files []rundir.File
	var first error
	add := func(path string, data []byte, err error) {
		if err != nil && first == nil {
			first = err
		}
		files = append(files, rundir.File{Path: path, Data: data, Mode: rundir.ExecMode})
	}
	installed := map[string]bool{}
	for _, run := range p.Runs {
		at, err := Place(p, rundir.AttemptDir(a.Dir), run)
		if err != nil {
			return nil, err
		}
		dir := filepath.Base(string(at.Run))
		for _, r := range at.Build.Roles {
			data, err := roleScript(p, at, r)
			add(path.Join(dir, "roles", r.Name, "role.sh"), data, err)
		}
		if (NeedsInstall(at.Build) || p.Draft) && !installed[at.Build.Name] {
			installed[at.Build.Name] = true
			data, err := nodeScript(p, at, "once on every node, before anything else", "set -e", at.Build.Install)
			add(InstallScript(p, at.Build), data, err)
		}
		if p.Draft && run.Index == 0 {
			data, err := nodeScript(p, at, "one task of a role, started by the draft", at.Build.Setup, p.DraftRun)
			add(RunScript, data, err)
		}
	}
	return files, first
}

// listLine is the line of the case in its own test list. pytest takes the test's
// timeout from there; an isolated test is alone in its session anyway.
func listLine(c rundir.Case) string {
	if c.Timeout <= 0 {
		return c.ID + "\n"
	}
	return fmt.Sprintf("%s TIMEOUT (%d)\n", c.ID, int(math.Ceil(c.Timeout.D().Minutes())))
}

func check(p rundir.Plan, a Attempt) error {
	var errs []error
	if !filepath.IsAbs(a.Dir) || strings.ContainsAny(a.Dir, "\x00\n\r,:$\\") {
		errs = append(errs, fmt.Errorf("attempt directory %q is not an absolute path without comma, colon, dollar, backslash and line break: give another --run-dir, runs_dir or agent_dir", a.Dir))
	}
	if a.JobName == "" || strings.ContainsAny(a.JobName, "\x00\n\r") {
		errs = append(errs, fmt.Errorf("job name %q is empty or has a line break", a.JobName))
	}
	if p.Nodes < 1 && !p.LocalAgent {
		errs = append(errs, fmt.Errorf("plan of %s needs %d nodes", p.Case.ID, p.Nodes))
	}
	if len(p.Runs) == 0 {
		errs = append(errs, fmt.Errorf("plan of %s has no runs", p.Case.ID))
	}
	for _, b := range p.Builds {
		errs = append(errs, checkBuild(b))
	}
	errs = append(errs, checkEnv("plan", p.Env), checkEnv("plan exports", p.Exports), checkEnv("plan paths", p.Paths))
	for _, s := range p.Secrets {
		if !validName(s.Name) || (s.From != "" && !validName(s.From)) {
			errs = append(errs, fmt.Errorf("secret %q from %q: not a variable name", s.Name, s.From))
		}
	}
	return errors.Join(errs...)
}

func checkBuild(b rundir.BuildPlan) error {
	var errs []error
	if !validName(b.Name) {
		errs = append(errs, fmt.Errorf("name %q of a build is not a file name", b.Name))
	}
	for _, r := range b.Roles {
		if !validName(r.Name) {
			errs = append(errs, fmt.Errorf("role name %q is not a file name", r.Name))
		}
		if len(r.Slice) == 0 || r.Tasks() < 1 {
			errs = append(errs, fmt.Errorf("role %s has no task on any node", r.Name))
		}
		errs = append(errs, checkEnv("role "+r.Name, r.Env))
	}
	errs = append(errs, checkOrder(b.Roles))
	return errors.Join(append(errs, checkEnv("build "+b.Name, b.Env))...)
}

func checkEnv(where string, env []rundir.EnvVar) error {
	for _, e := range env {
		if !validName(e.Name) {
			return fmt.Errorf("%s: %q is not a variable name", where, e.Name)
		}
		if strings.ContainsRune(e.Value, 0) {
			return fmt.Errorf("%s: the value of %s has a NUL byte", where, e.Name)
		}
	}
	return nil
}

func planJSON(p rundir.Plan) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("plan of %s: %w", p.Case.ID, err)
	}
	return b.Bytes(), nil
}
