package trtllm

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
)

// settings is Config with every default and override applied.
type settings struct {
	Config
	aggFolder, disaggFolder string // "" = upstream's default folders
	names                   testlist.Names
	command                 string // as given, "" = our own
	commandFrom             string // what to change when it is wrong
	workdir                 string
}

func settingsOf(in Input) settings {
	s := settings{Config: in.Config}
	s.Pytest = cmp.Or(s.Pytest, defaultPytest)
	s.Args = cmp.Or(s.Args, defaultArgs)
	s.Launcher = cmp.Or(s.Launcher, DefaultLauncher)
	s.UCX = cmp.Or(s.UCX, defaultUCX)
	s.MPI = cmp.Or(s.MPI, defaultMPI)
	s.OutputLayout = cmp.Or(s.OutputLayout, LayoutTRTLLM)
	if s.Source != "" {
		s.Source = in.abs(s.Source)
	}
	s.workdir = s.Dir
	if s.workdir == "" && s.Source != "" {
		s.workdir = filepath.Join(s.Source, testlist.TestsDir)
	}
	if s.workdir != "" {
		s.workdir = in.abs(s.workdir)
	}
	if strings.Contains(s.Launcher, "/") {
		s.Launcher = in.abs(s.Launcher)
	}
	s.names = testlist.Names{
		Module:   cmp.Or(in.Env[EnvTestModule], s.TestModule, defaultModule),
		Function: cmp.Or(in.Env[EnvTestFunction], s.TestFunction, defaultFunction),
		Prefix:   cmp.Or(in.Env[EnvTestPrefix], s.TestPrefix, defaultPrefix),
		Rooted:   s.Dir == "",
	}
	s.command = cmp.Or(in.Env[EnvCommand], s.Command)
	s.commandFrom = "workload.command"
	if in.Env[EnvCommand] != "" {
		s.commandFrom = "$" + EnvCommand
	}
	s.aggFolder = s.folder(in, EnvAggFolder, s.AggConfigs)
	s.disaggFolder = s.folder(in, EnvDisaggFolder, s.DisaggConfigs)
	return s
}

// folder is a config folder: from the environment relative to the checkout, as
// upstream reads it; from the config file relative to that file.
func (s settings) folder(in Input, env, conf string) string {
	switch v := in.Env[env]; {
	case v == "" && conf == "":
		return ""
	case v == "":
		return in.abs(conf)
	case filepath.IsAbs(v) || s.Source == "":
		return in.abs(v)
	default:
		return filepath.Join(s.Source, v)
	}
}

func (in Input) abs(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(in.Base, p)
}

// Setting is one effective value of the workload and where it came from.
type Setting struct {
	Key   string // below workload
	Value string
	From  string // "$NAME" of the caller's environment, "config", a flag, or "default"
}

// Settings are the effective values, in the order of the docs. Values that are
// neither set nor have a default are left out, and so are secrets' values, which
// are never here.
func (in Input) Settings() []Setting {
	s := settingsOf(in)
	var out []Setting
	add := func(key, effective, conf, env string) {
		from := "default"
		switch {
		case env != "" && in.Env[env] != "":
			from = "$" + env
		case conf != "":
			from = "config"
		}
		if effective != "" {
			out = append(out, Setting{Key: key, Value: effective, From: from})
		}
	}
	c := in.Config
	add("source", s.Source, c.Source, "")
	add("dir", s.workdir, c.Dir, "")
	add("command", s.command, c.Command, EnvCommand)
	if s.command == "" {
		add("pytest", s.Pytest, c.Pytest, "")
		add("args", s.Args, c.Args, "")
	}
	add("launcher", s.Launcher, c.Launcher, "")
	add("setup", s.Setup, c.Setup, "")
	add("install", s.Install, c.Install, "")
	add("precheck", s.Precheck, c.Precheck, EnvPrecheck)
	add("disagg_configs", s.disaggFolder, c.DisaggConfigs, EnvDisaggFolder)
	add("agg_configs", s.aggFolder, c.AggConfigs, EnvAggFolder)
	add("test_module", s.names.Module, c.TestModule, EnvTestModule)
	add("test_function", s.names.Function, c.TestFunction, EnvTestFunction)
	add("test_prefix", s.names.Prefix, c.TestPrefix, EnvTestPrefix)
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		out = append(out, Setting{Key: "env." + name, Value: c.Env[name], From: "config"})
	}
	for i, sec := range c.Secrets {
		where := "$" + cmp.Or(sec.From, sec.Name)
		if sec.File != "" {
			where = "file " + in.abs(sec.File)
		}
		out = append(out, Setting{Key: fmt.Sprintf("secrets[%d]", i), Value: sec.Name + ", taken from " + where, From: "config"})
	}
	add("output_layout", s.OutputLayout, c.OutputLayout, "")
	add("mpi", s.MPI, c.MPI, "")
	add("ucx", s.UCX, c.UCX, "")
	add("server_logs", strings.Join(c.ServerLogs, ", "), strings.Join(c.ServerLogs, ", "), "")
	add("gpu_type", s.GPUType, c.GPUType, "")
	add("waives", strings.Join(c.Waives, ", "), strings.Join(c.Waives, ", "), "")
	if len(in.Waives) > 0 {
		out = append(out, Setting{Key: "waives", Value: strings.Join(in.Waives, ", "), From: "--waives"})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Facts)) {
		out = append(out, Setting{Key: "facts." + name, Value: c.Facts[name], From: "config"})
	}
	set := ""
	if c.Hang != nil {
		set = c.Hang.String()
	}
	add("hang", s.hang().String(), set, "")
	grace := ""
	if c.Grace > 0 {
		grace = c.Grace.String()
	}
	add("grace", cmp.Or(grace, defaultGrace.String()), grace, "")
	return out
}
