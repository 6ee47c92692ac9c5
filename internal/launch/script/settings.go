package script

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Setting is one effective value of a profile. Set says that the profile names
// it; otherwise Value is the default.
type Setting struct {
	Key   string // below clusters.<name>
	Value string
	Set   bool
}

// Settings are the profile's effective values, in the order of the docs; goarch is
// this binary's architecture. Values that are neither set nor have a default are
// left out.
func (p Profile) Settings(goarch string) []Setting {
	var out []Setting
	add := func(key, value, def string) {
		switch {
		case value != "":
			out = append(out, Setting{Key: key, Value: value, Set: true})
		case def != "":
			out = append(out, Setting{Key: key, Value: def})
		}
	}
	number := func(key string, n int) {
		if n != 0 {
			add(key, fmt.Sprint(n), "")
		}
	}
	flag := func(key string, on bool) {
		if on {
			add(key, "true", "")
		}
	}
	pairs := func(key string, m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, Setting{Key: key + "." + k, Value: m[k], Set: true})
		}
	}
	add("partition", p.Partition, "")
	add("account", p.Account, "")
	add("qos", p.QOS, "")
	add("reservation", p.Reservation, "")
	if p.Time > 0 {
		add("time", p.Time.String(), "")
	}
	number("gpus_per_node", p.GPUsPerNode)
	add("gpu_type", p.GPUType, "")
	add("arch", p.Arch, goarch)
	number("max_nodes", p.MaxNodes)
	number("max_jobs", p.MaxJobs)
	add("gpus", p.GPUs, GPUsPerNode)
	flag("exclusive", p.Exclusive)
	flag("segment", p.Segment)
	add("exclude", strings.Join(p.Exclude, ","), "")
	add("comment", p.Comment, "")
	add("signal", p.Signal, DefaultSignal)
	add("sbatch", strings.Join(p.Sbatch, " "), "")
	add("srun", strings.Join(p.Srun, " "), "")
	add("export", strings.Join(p.ExportEnv, ","), cmp.Or(strings.Join(p.Passed, ","), "ALL"))
	add("mpi", p.MPI, "")
	flag("step_account", p.AccountArg)
	if c := p.Container; c != nil {
		add("container.image", c.Image, "")
		add("container.name", c.Name, "")
		add("container.workdir", c.Workdir, "")
		add("container.mounts", strings.Join(c.Mounts, ","), "")
		flag("container.mount_home", c.MountHome)
		add("container.args", strings.Join(c.Args, " "), "")
	}
	add("ucx", p.UCX, "")
	pairs("env", p.Env)
	pairs("agent", p.Agent)
	add("login", p.Login, "")
	add("agent_dir", p.AgentDir, "")
	return out
}
