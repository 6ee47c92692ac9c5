package script

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// shell collects the lines of a script. The first error sticks.
type shell struct {
	b   bytes.Buffer
	err error
}

func (s *shell) line(format string, args ...any) { fmt.Fprintf(&s.b, format+"\n", args...) }

// word quotes v so that bash reads exactly v. The result begins with a quote or
// a harmless character; it is used behind NAME= or as an array element only, so
// a leading dash is no option.
func (s *shell) word(v string) string {
	q, err := syntax.Quote(v, syntax.LangBash)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("quote %q: %w", v, err)
	}
	return q
}

// shebang begins a script. Values are literal: a dollar between single quotes is
// meant to stay one, wherever shellcheck asks.
func (s *shell) shebang() {
	s.line("#!/bin/bash")
	s.line("# shellcheck disable=SC2016")
}

func (s *shell) export(name, value string) { s.line("export %s=%s", name, s.word(value)) }

func (s *shell) exportAll(env []rundir.EnvVar) {
	for _, e := range env {
		s.export(e.Name, e.Value)
	}
}

func (s *shell) bytes() ([]byte, error) { return s.b.Bytes(), s.err }

// comment makes v safe behind a # on one line.
func comment(v string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, v)
}

// user adds shell text of the user. It stands between braces, so that one line
// can tell shellcheck that these are not our words.
func (s *shell) user(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	s.line("# shellcheck disable=all # as configured")
	s.line("{")
	s.line("%s", strings.TrimSuffix(text, "\n"))
	s.line("}")
}

// setup runs the configured preparation: a command of it that fails ends the role,
// since what is measured in half an environment is no measurement. What a file that it
// sources does inside, and commands of lists and conditions, are left alone.
func (s *shell) setup(text, key string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	s.line("# shellcheck disable=SC2154 # status is set where it is read")
	s.line(`trap 'status=$?; if [ "${#BASH_SOURCE[@]}" -le 1 ]; then echo "ci-disagg: %s: exit $status of: $BASH_COMMAND" >&2; exit 78; fi' ERR`, cmp.Or(key, "workload.setup"))
	s.user(text)
	s.line("trap - ERR")
}

// paths exports what lies in the directories of the attempt and of the run.
func (s *shell) paths(p rundir.Plan, at RunPlace) {
	s.export(envAttempt, string(at.Attempt))
	s.export(envRun, string(at.Run))
	for _, e := range p.Paths {
		s.export(e.Name, path.Join(string(at.Run), e.Value))
	}
}

// programs ends the role where a program is not there that the command begins with: the software under test is not at
// fault then.
func (s *shell) programs(r rundir.RolePlan) {
	for _, p := range r.Programs {
		s.line(`command -v %s >/dev/null || { echo %s >&2; exit 78; }`, s.word(p), s.word("ci-disagg: "+p+" is not to be found: workload.launcher, workload.pytest and PATH, which workload.setup may set"))
	}
}

// links makes the output directory and the plan's symbolic links. Several tasks may
// do so at once: what counts is that the link is there afterwards, and that none is
// made within the directory that it leads to (ln -n).
func (s *shell) links(p rundir.Plan, dir rundir.RunDir) {
	s.line("mkdir -p %s", s.word(dir.Output()))
	for _, l := range p.Links {
		at := path.Join(string(dir), l.Path)
		s.line("mkdir -p %s", s.word(path.Dir(at)))
		s.line("[ -L %s ] || ln -sn %s %s 2>/dev/null || [ -L %s ]", s.word(at), s.word(l.Target), s.word(at), s.word(at))
	}
}

// secrets takes each secret from where the plan says, at run time. Nothing here
// prints a value, and none becomes an argument.
func (s *shell) secrets(p rundir.Plan) {
	for _, sec := range p.Secrets {
		switch {
		case sec.File != "":
			s.line(`if [ -z "${%s:-}" ]; then`, sec.Name)
			s.line(`  if [ ! -r %s ]; then echo "ci-disagg: secret %s: its file cannot be read here" >&2; exit 78; fi`, s.word(sec.File), sec.Name)
			s.line(`  %s=$(cat %s)`, sec.Name, s.word(sec.File))
			s.line(`fi`)
		case sec.From != "" && sec.From != sec.Name:
			s.line(`%s=${%s-}`, sec.Name, sec.From)
		}
		s.line(`if [ -z "${%s:-}" ]; then echo "ci-disagg: secret %s is not set in the job's environment" >&2; exit 78; fi`, sec.Name, sec.Name)
		s.line(`export %s`, sec.Name)
	}
}

// roleScript is the script that every task of the role runs.
func roleScript(p rundir.Plan, at RunPlace, r rundir.RolePlan) ([]byte, error) {
	s := new(shell)
	s.shebang()
	s.line("# %s of %s: every task of the role's step runs this file. Written by ci-disagg.", r.Name, comment(p.Case.ID))
	s.paths(p, at)
	s.export(envRole, r.Name)
	s.export(envRoleDir, at.Run.RoleDir(r.Name))
	s.user(r.Before)
	s.exportAll(p.Env)
	s.exportAll(at.Build.Env)
	s.exportAll(r.Env)
	s.secrets(p)
	s.links(p, at.Run)
	s.ownOutput(p, at, r)
	s.gpuShare(p, r)
	if r.MPI == "" {
		s.line("# Not an MPI program: what imports an MPI library must not take itself for a rank.")
		s.line(`unset -v "${!PMI_@}" "${!PMIX_@}" "${!OMPI_@}" "${!MPI_@}"`)
	}
	s.enter(p, at, r)
	s.setup(at.Build.Setup, at.Build.SetupKey)
	s.gpuNames(p, r) // setup may be what brings nvidia-smi
	s.versions(p, at, r)
	s.meet(p, at, r) // and what knows the node's address
	s.programs(r)
	s.endsWithItsChildren(p)
	s.command(p, r)
	return s.bytes()
}

// gpuNames notes which GPUs a node has, where the plan says which it should have.
func (s *shell) gpuNames(p rundir.Plan, r rundir.RolePlan) {
	if p.Expected.GPUType == "" || r.GPUs() == 0 {
		return
	}
	s.line("# Which GPUs these are: what was measured on others than planned is no measurement.")
	s.line(`if [ "${SLURM_LOCALID:-0}" = 0 ] && command -v nvidia-smi >/dev/null; then`)
	s.line(`  timeout 30 nvidia-smi --query-gpu=name --format=csv,noheader >"$%s/%s${SLURMD_NODENAME:-node}.txt" 2>/dev/null || true`, envRoleDir, rundir.GPUNames)
	s.line("fi")
}

// enter goes to the workload's directory. Where it is not to be had, the first
// line of output says so: a container without a mount is the usual reason.
func (s *shell) enter(p rundir.Plan, at RunPlace, r rundir.RolePlan) {
	workdir, hint := cmp.Or(r.Dir, at.Build.Workdir, p.Workdir, string(at.Run)), "it must be on every node"
	if inContainer(at.Build, r).Container != nil {
		hint = "mount it into the container (container.mounts of the cluster)"
	}
	s.line(`cd %s 2>/dev/null || { echo %s >&2; exit 78; }`, s.word(workdir), s.word("ci-disagg: cannot enter the workload's directory "+workdir+": "+hint))
}

// gpuShare hides GPUs of a node that are not the role's: where the shares of its
// nodes differ, or where Slurm was not asked for them.
func (s *shell) gpuShare(p rundir.Plan, r rundir.RolePlan) {
	if r.GPUs() == 0 || r.Overlap {
		return
	}
	most, least := 0, r.Slice[0].GPUs
	shares := make([]string, 0, len(r.Slice))
	for _, n := range r.Slice {
		most, least = max(most, n.GPUs), min(least, n.GPUs)
		shares = append(shares, fmt.Sprint(n.GPUs))
	}
	if most == least && (p.GPUFlag != "" || most >= p.GPUsPerNode) {
		return
	}
	all := make([]string, max(p.GPUsPerNode, most))
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	s.line("# The first of this node's GPUs, as many as the role takes here.")
	s.line("ci_disagg_gpus() {")
	s.line("  local -a shares=(%s) gpus", strings.Join(shares, " "))
	s.line("  local share=${shares[${SLURM_NODEID:-0}]:-%d}", least)
	s.line(`  IFS=, read -r -a gpus <<<"${CUDA_VISIBLE_DEVICES:-%s}"`, strings.Join(all, ","))
	s.line(`  local IFS=,`)
	s.line(`  CUDA_VISIBLE_DEVICES="${gpus[*]:0:share}"`)
	s.line("  export CUDA_VISIBLE_DEVICES")
	s.line("}")
	s.line("ci_disagg_gpus")
}

// nodeScript is a script of its own: the job's environment, then texts.
func nodeScript(p rundir.Plan, at RunPlace, what string, texts ...string) ([]byte, error) {
	s := new(shell)
	s.shebang()
	s.line("# %s: %s. Written by ci-disagg.", comment(p.Case.ID), what)
	s.paths(p, at)
	s.exportAll(p.Env)
	s.exportAll(at.Build.Env)
	s.secrets(p)
	s.enter(p, at, rundir.RolePlan{})
	for _, t := range texts {
		s.user(t)
	}
	return s.bytes()
}
