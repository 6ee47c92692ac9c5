package machine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Facts are what can be compared of an attempt's machines and of one of its builds.
func Facts(env rundir.Environment, build string) map[string]string {
	out := map[string]string{}
	for name, of := range nodeFacts() {
		var said, who []string
		for _, n := range env.Nodes {
			if v := of(n); v != "" {
				said, who = append(said, v), append(who, NameOf(n))
			}
		}
		put(out, name, together(said, who))
	}
	variables(out, env.Nodes)
	i := slices.IndexFunc(env.Builds, func(b rundir.BuildFacts) bool { return b.Name == build })
	if i < 0 {
		return out
	}
	b := env.Builds[i]
	put(out, rundir.FactCommit, b.Commit)
	put(out, rundir.FactImage, b.Image)
	put(out, rundir.FactDigest, b.Digest)
	put(out, rundir.FactImageFile, b.ImageFile)
	if b.Dirty != nil {
		out[rundir.FactDirty] = map[bool]string{true: "yes", false: "no"}[*b.Dirty]
	}
	for name, v := range b.Variables {
		put(out, rundir.FactVariable+name, v)
	}
	for _, v := range b.Versions {
		put(out, rundir.FactVersion+v.Name, v.Value)
	}
	return out
}

func put(out map[string]string, name, value string) {
	if value != "" {
		out[name] = value
	}
}

// nodeFacts are the facts of a node, by name.
func nodeFacts() map[string]func(rundir.NodeMachine) string {
	each := func(of func(rundir.GPU) string) func(rundir.NodeMachine) string {
		return func(n rundir.NodeMachine) string {
			var said []string
			for _, g := range n.GPUs {
				if v := of(g); v != "" && !slices.Contains(said, v) {
					said = append(said, v)
				}
			}
			return strings.Join(said, ", ")
		}
	}
	return map[string]func(rundir.NodeMachine) string{
		rundir.FactKernel: func(n rundir.NodeMachine) string { return n.Kernel },
		rundir.FactOS:     func(n rundir.NodeMachine) string { return n.OS },
		rundir.FactCPU:    func(n rundir.NodeMachine) string { return n.CPU.Model },
		rundir.FactCPUSet: func(n rundir.NodeMachine) string { return n.CPU.Set },
		rundir.FactMemory: func(n rundir.NodeMachine) string { return unit(float64(n.MemoryMiB>>10), "GiB") },
		rundir.FactDriver: func(n rundir.NodeMachine) string { return n.Driver },
		rundir.FactCUDA:   func(n rundir.NodeMachine) string { return n.CUDA },
		rundir.FactGPU: func(n rundir.NodeMachine) string {
			kinds := each(func(g rundir.GPU) string { return g.Name })(n)
			if kinds == "" {
				return ""
			}
			return fmt.Sprintf("%d × %s", len(n.GPUs), kinds)
		},
		rundir.FactMIG:        each(func(g rundir.GPU) string { return g.MIG }),
		rundir.FactECC:        each(func(g rundir.GPU) string { return g.ECC }),
		rundir.FactVBIOS:      each(func(g rundir.GPU) string { return g.VBIOS }),
		rundir.FactPowerLimit: each(func(g rundir.GPU) string { return unit(g.PowerLimit, "W") }),
		rundir.FactClocks: each(func(g rundir.GPU) string {
			if g.Clocks.MaxSM == 0 {
				return ""
			}
			return fmt.Sprintf("SM %d, memory %d MHz at most; set: %d, %d", g.Clocks.MaxSM, g.Clocks.MaxMem, g.Clocks.AppSM, g.Clocks.AppMem)
		}),
		rundir.FactNVLink: each(func(g rundir.GPU) string {
			if g.NVLink == nil {
				return ""
			}
			return strings.TrimSpace(fmt.Sprintf("%d of %d links %s", g.NVLink.Active, g.NVLink.Active+g.NVLink.Inactive, g.NVLink.Fabric))
		}),
		rundir.FactNICs: func(n rundir.NodeMachine) string {
			var said []string
			for _, c := range n.NICs {
				said = append(said, strings.TrimSpace(fmt.Sprintf("%s %s %s", c.Name, c.State, unit(float64(c.Speed), "Mb/s"))))
			}
			return strings.Join(said, ", ")
		},
	}
}

func unit(v float64, name string) string {
	if v <= 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + " " + name
}

// variables adds the nodes' variables; which cards a job was given is no difference
// between two.
func variables(out map[string]string, nodes []rundir.NodeMachine) {
	said, who := map[string][]string{}, map[string][]string{}
	for _, n := range nodes {
		for name, v := range n.Variables {
			if !strings.HasSuffix(name, "VISIBLE_DEVICES") {
				said[name], who[name] = append(said[name], v), append(who[name], NameOf(n))
			}
		}
	}
	for name, v := range said {
		put(out, rundir.FactVariable+name, together(v, who[name]))
	}
}

// together is one value for all, or each with the names of the nodes that it is of.
func together(said, who []string) string {
	var values []string
	of := map[string][]string{}
	for i, v := range said {
		if _, ok := of[v]; !ok {
			values = append(values, v)
		}
		of[v] = append(of[v], who[i])
	}
	if len(values) <= 1 {
		return strings.Join(values, "")
	}
	for i, v := range values {
		values[i] = fmt.Sprintf("%s (%s)", v, strings.Join(of[v], ", "))
	}
	return strings.Join(values, ", ")
}
