package trtllm

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

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
	s := settle(in)
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
	add("test_module", s.module, c.TestModule, EnvTestModule)
	add("test_function", s.function, c.TestFunction, EnvTestFunction)
	add("test_prefix", s.prefix, c.TestPrefix, EnvTestPrefix)
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		out = append(out, Setting{Key: "env." + name, Value: c.Env[name], From: "config"})
	}
	for i, sec := range c.Secrets {
		where := "$" + orDefault(sec.From, sec.Name)
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
	add("grace", orDefault(grace, defaultGrace.String()), grace, "")
	return out
}
