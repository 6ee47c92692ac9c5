package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/generic"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// This file alone knows TensorRT-LLM's producer; .golangci.yml keeps it so.

// Workload is the section workload:. A part of it is TensorRT-LLM's alone, the rest
// holds for the configured pipelines, too.
type Workload = trtllm.Config

// roleVariable tells each process its role's name.
const roleVariable = "DISAGG_SERVING_TYPE"

// roleText is a command with a word for the shell text that is a role's name in it.
func roleText(text string) string {
	return strings.ReplaceAll(text, "${CI_DISAGG_ROLE:-${"+roleVariable+":-AGG}}", "ROLE")
}

// layoutProblem is what is wrong with the layout of output, "" = nothing.
func layoutProblem(w Workload) string {
	if !slices.Contains([]string{"", trtllm.LayoutTRTLLM, trtllm.LayoutNone}, w.OutputLayout) {
		return fmt.Sprintf("%q is not %s or %s", w.OutputLayout, trtllm.LayoutTRTLLM, trtllm.LayoutNone)
	}
	return ""
}

// ReadDraft reads a team's own launch draft, with what it calls.
func ReadDraft(read func(string) ([]byte, error), path string) ([]byte, error) {
	return trtllm.ReadDraft(read, path)
}

// workload is what TensorRT-LLM's producer plans from, environment and clock included.
type workload struct{ input trtllm.Input }

func (w workload) plans() ([]rundir.Plan, error) { return trtllm.Resolve(w.input) }

func (w workload) settings() []trtllm.Setting { return w.input.Settings() }

// workloadOf is the workload with these tests to run.
func (s Suite) workloadOf(tests []string) (workload, error) {
	r := s.request
	in := trtllm.Input{
		Config: r.Config.Workload, ConfigFile: r.Doc.File, At: r.Doc.At, Base: r.Base,
		Cluster: trtllm.Cluster{
			Name: s.Cluster, GPUsPerNode: s.Profile.GPUsPerNode, MaxNodes: s.Profile.MaxNodes,
			GPUType: s.Profile.GPUType, Arch: s.Profile.Arch, Time: s.Profile.Time,
			Elsewhere: s.elsewhere(),
		},
		Local: s.Backend == rundir.BackendLocal, Stage: s.Stage,
		Tests: tests, Lists: absolute(r.WorkDir, r.Lists), Own: r.own(r.Config.IDs()), Waives: absolute(r.WorkDir, r.Waives), Read: r.Read,
		Env: map[string]string{}, Today: r.Now.UTC().Format(time.DateOnly),
		Budgets: r.Config.Budgets, SplitGroup: r.SplitGroup,
	}
	for _, name := range trtllm.EnvNames() {
		if v := r.Getenv(name); v != "" {
			in.Env[name] = v
		}
	}
	var err error
	in.Shard, in.Shards, err = parseShard(r.Shard)
	return workload{in}, err
}

// elsewhere reports whether roles see other files than this machine: behind a login
// node, in a container.
func (s Suite) elsewhere() bool { return s.Profile.Login != "" || s.Profile.Container != nil }

// listed are the lines of the lists that own takes, and the lists that have others, too.
func (r Request) listed(own func(id string) bool) (mine []generic.Listed, others []string) {
	for _, list := range r.Lists {
		entries, rest := testlist.OwnIn(absolute(r.WorkDir, []string{list})[0], r.Read, own)
		for _, e := range entries {
			e.File = list
			mine = append(mine, generic.Listed{ID: e.ID, Place: e.Place(), Timeout: rundir.Duration(e.Timeout), Skip: e.Skip, Isolation: e.Isolation})
		}
		if rest > 0 || len(entries) == 0 {
			others = append(others, list)
		}
	}
	return mine, others
}

// sharedKey reports whether a key of the section holds for the configured pipelines, too.
func sharedKey(key string) bool {
	name, _, _ := strings.Cut(strings.ReplaceAll(key, "[", "."), ".")
	return slices.Contains([]string{"env", "gpu_type", "grace", "hang", "install", "known_failures", "mpi", "secrets", "setup", "versions"}, name)
}

// unused are the keys of the section that are set, hold for TensorRT-LLM's tests alone, and do what a role of a
// pipeline says for itself.
func (w workload) unused() []string {
	c := w.input.Config
	var out []string
	for _, k := range []struct{ key, value string }{
		{"args", c.Args},
		{"command", c.Command},
		{"dir", c.Dir},
		{"launcher", c.Launcher},
		{"precheck", c.Precheck},
		{"pytest", c.Pytest},
		{"ucx", c.UCX},
		{"server_logs", strings.Join(c.ServerLogs, "")},
	} {
		if k.value != "" {
			out = append(out, "workload."+k.key)
		}
	}
	return out
}

// common is what the section says of every workload.
func (w workload) common() (out generic.Workload, warnings []string, err error) {
	c := w.input.Config
	out = generic.Workload{
		Install: c.Install, Setup: c.Setup, MPI: c.MPI, GPUType: c.GPUType, Grace: c.Grace,
		Hang: rundir.Duration(30 * time.Minute),
	}
	if c.Hang != nil {
		out.Hang = *c.Hang
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		out.Env = append(out.Env, rundir.EnvVar{Name: name, Value: c.Env[name]})
	}
	for _, sec := range c.Secrets {
		from := sec.From
		if sec.File == "" {
			from = cmp.Or(from, sec.Name)
		}
		file := sec.File
		if file != "" && !filepath.IsAbs(file) {
			file = filepath.Join(w.input.Base, file)
		}
		out.Secrets = append(out.Secrets, rundir.Secret{Name: sec.Name, From: from, File: file})
	}
	known, warnings, problems := testlist.KnownFailures(c.KnownFailures, w.input.ConfigFile, w.input.Today)
	for i, p := range problems {
		problems[i].Pos = w.input.At(p.Key)
	}
	out.Known = func(id string) string {
		for _, f := range known {
			if testlist.Match(f.Test, id) {
				return f.Text()
			}
		}
		return ""
	}
	return out, warnings, errors.Join(problems.Err(), trtllm.CheckShared(w.input))
}
