package script

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// jobScript is job.sh: what Slurm reads, what a draft reads, and then the agent
// or the draft.
func jobScript(p rundir.Plan, prof Profile, a Attempt) ([]byte, error) {
	s := new(shell)
	s.shebang()
	if !p.LocalAgent {
		for _, opt := range sbatchOptions(p, prof, a) {
			d, err := directive(opt)
			if err != nil {
				return nil, err
			}
			s.line("#SBATCH %s", d)
		}
	}
	s.line("# %s (%s). Written by ci-disagg.", comment(p.Case.ID), p.Case.Mode)
	if !p.Draft {
		s.line("set -euo pipefail")
	}
	if !p.LocalAgent {
		s.line("unset SLURM_JWT # the submitting client's way in; a job needs none")
	}
	at, err := Place(p, rundir.AttemptDir(a.Dir), p.Runs[0])
	if err != nil {
		return nil, err
	}
	s.paths(p, at)
	if p.TokenEnv != "" {
		s.line(`export %s="${SLURM_JOB_ID:-local}.${SLURM_RESTART_COUNT:-0}.$$"`, p.TokenEnv)
	}
	s.exportAll(p.Env)
	if len(p.Builds) == 1 {
		s.exportAll(at.Build.Env) // of two builds, the roles of each have their own alone
	}
	s.exportAll(p.Exports)
	s.secrets(p)
	s.links(p, at.Run)
	s.srunArgs(p, at)
	if p.Draft {
		s.line("# From here on: the launch draft %s.", comment(a.DraftName))
		s.b.Write(a.Draft)
		s.b.WriteString("\n")
		return s.bytes()
	}
	agent := a.AgentPath
	if agent == "" {
		agent = prof.Agent[prof.Arch]
	}
	if agent == "" {
		return nil, fmt.Errorf("no ci-disagg binary for the nodes' architecture %q: set clusters.<name>.agent.%s", prof.Arch, prof.Arch)
	}
	if !filepath.IsAbs(agent) {
		return nil, fmt.Errorf("path of the agent %q is not absolute", agent)
	}
	s.line("# A step whose tasks are not spread evenly must not inherit the job's tasks per node.")
	s.line("unset SLURM_NTASKS_PER_NODE")
	s.line("exec %s agent %s", s.word(agent), s.word(a.Dir))
	return s.bytes()
}

// srunArgs is the array that launch drafts pass to every srun.
func (s *shell) srunArgs(p rundir.Plan, at RunPlace) {
	names := append(jobNames(p, at.Build), draftNames(at.Build)...)
	slices.Sort(names)
	args := append(containerArgs(at.Build, at.Attempt, slices.Compact(names)), p.Srun...)
	if !p.LocalAgent {
		args = append([]string{"--export=ALL"}, args...)
	}
	s.line("# shellcheck disable=SC2034 # read by launch drafts")
	s.line("srunArgs=(")
	for _, arg := range args {
		s.line("  %s", s.word(arg))
	}
	s.line(")")
}

// draftNames are variables that a draft sets for each role itself.
func draftNames(b rundir.BuildPlan) []string {
	var names []string
	for _, r := range b.Roles {
		for _, e := range r.Env {
			names = append(names, e.Name)
		}
	}
	return names
}

// sbatchOptions are the job's options, in a fixed order.
func sbatchOptions(p rundir.Plan, prof Profile, a Attempt) []string {
	dir := rundir.AttemptDir(a.Dir)
	opts := []string{"--job-name=" + a.JobName, "--output=" + sbatchPath(dir.SlurmOut()), "--open-mode=append", "--no-requeue"}
	add := func(name, value string) {
		if value != "" {
			opts = append(opts, "--"+name+"="+value)
		}
	}
	add("nodes", strconv.Itoa(p.Nodes))
	add("time", slurmTime(p.Budgets.Job.D()))
	add("partition", prof.Partition)
	add("account", prof.Account)
	add("qos", prof.QOS)
	add("reservation", prof.Reservation)
	if p.GPUsPerNode > 0 {
		switch prof.GPUs {
		case GPUsNone:
		case GPUsGres:
			add("gres", "gpu:"+strconv.Itoa(p.GPUsPerNode))
		default:
			add("gpus-per-node", strconv.Itoa(p.GPUsPerNode))
		}
	}
	if prof.Exclusive {
		opts = append(opts, "--exclusive")
	}
	add("ntasks-per-node", strconv.Itoa(max(1, mostTasks(p))))
	if prof.Segment {
		add("segment", strconv.Itoa(p.Nodes))
	}
	exclude := slices.Concat(prof.Exclude, a.Exclude)
	slices.Sort(exclude)
	add("exclude", strings.Join(slices.Compact(exclude), ","))
	add("comment", strings.ReplaceAll(prof.Comment, "{owner}", a.Owner))
	signal, _ := prof.warning()
	add("signal", signal)
	export := "ALL"
	if names := prof.seen(); names != nil {
		export = strings.Join(append(slices.Clone(names), secretSources(p)...), ",")
	}
	add("export", export)
	return append(opts, prof.Sbatch...)
}

func secretSources(p rundir.Plan) []string {
	var out []string
	for _, s := range p.Secrets {
		if s.From != "" {
			out = append(out, s.From)
		}
	}
	return out
}

// mostTasks is the largest number of tasks that one node has to hold at a time.
func mostTasks(p rundir.Plan) int {
	most := 0
	for _, b := range p.Builds {
		for _, r := range b.Roles {
			for _, n := range r.Slice {
				most = max(most, n.Tasks)
			}
		}
	}
	return most
}

// sbatchPath keeps sbatch from reading % in a path as a pattern.
func sbatchPath(p string) string { return strings.ReplaceAll(p, "%", "%%") }

// slurmTime is D-HH:MM:SS, rounded up to a minute: Slurm counts no seconds.
func slurmTime(d time.Duration) string {
	m := int((d + time.Minute - 1) / time.Minute)
	if m < 1 {
		m = 1
	}
	if m >= 24*60 {
		return fmt.Sprintf("%d-%02d:%02d:00", m/(24*60), m/60%24, m%60)
	}
	return fmt.Sprintf("%02d:%02d:00", m/60, m%60)
}

// directive quotes an option the way sbatch reads its lines: blanks end a word,
// double quotes group, a backslash takes the next character as it is. The line
// is a comment to bash.
func directive(opt string) (string, error) {
	if strings.ContainsAny(opt, "\n\r\x00") {
		return "", fmt.Errorf("sbatch option %q has a line break", opt)
	}
	if !strings.ContainsAny(opt, " \t\"'\\#") {
		return opt, nil
	}
	name, value, ok := strings.Cut(opt, "=")
	if !ok || strings.ContainsAny(name, " \t\"'\\#") {
		return "", fmt.Errorf("sbatch option %q: write it as --name=value", opt)
	}
	return name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`, nil
}
