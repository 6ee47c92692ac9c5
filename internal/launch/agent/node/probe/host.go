package probe

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// maxNICs bounds the interfaces that are listed: a node of containers has hundreds.
const maxNICs = 64

// fingerprint finds out what the node is. A file system that hangs is not waited for.
func (p *Probe) fingerprint(ctx context.Context) {
	began := p.o.Here()
	p.rec.Node, p.rec.At = p.o.Node, p.o.Now()
	host := make(chan rundir.NodeMachine, 1)
	go func() { host <- p.host() }()
	p.gpus(ctx)
	t := time.NewTimer(p.o.Ask)
	defer t.Stop()
	select {
	case h := <-host:
		p.mu.Lock()
		p.rec.Host, p.rec.Kernel, p.rec.OS, p.rec.CPU = h.Host, h.Kernel, h.OS, h.CPU
		p.rec.MemoryMiB, p.rec.LimitMiB, p.rec.NICs, p.rec.Variables = h.MemoryMiB, h.LimitMiB, h.NICs, h.Variables
		p.mu.Unlock()
	case <-t.C:
		p.missing("the host: /proc and /sys did not answer")
	case <-ctx.Done():
	}
	p.rec.Took = rundir.Duration(p.o.Here().Sub(began)) // how far the agent's clock is away is found out meanwhile
}

// read is a small file of /proc or /sys, "" if there is none.
func (p *Probe) read(path string) string {
	b, err := os.ReadFile(filepath.Join(p.o.Root, path))
	if err != nil {
		return ""
	}
	return string(b)
}

// line is a file of one line.
func (p *Probe) line(path string) string { return strings.TrimSpace(p.read(path)) }

// host is what the kernel says.
func (p *Probe) host() rundir.NodeMachine {
	status, info := p.read("proc/self/status"), p.read("proc/cpuinfo")
	m := rundir.NodeMachine{
		Host: p.line("proc/sys/kernel/hostname"), Kernel: p.line("proc/sys/kernel/osrelease"), OS: machine.Field(p.read("etc/os-release"), "PRETTY_NAME"),
		CPU: rundir.CPU{
			Model: machine.Field(info, "model name"), Online: len(machine.ParseSet(p.line("sys/devices/system/cpu/online"))),
			Set: machine.Field(status, "Cpus_allowed_list"), Memory: machine.Field(status, "Mems_allowed_list"),
			NUMA: len(machine.ParseSet(p.line("sys/devices/system/node/online"))),
		},
		NICs: slices.Concat(p.ethernet(), p.infiniband()),
	}
	if kib, err := strconv.ParseInt(strings.TrimSuffix(machine.Field(p.read("proc/meminfo"), "MemTotal"), " kB"), 10, 64); err == nil {
		m.MemoryMiB = kib >> 10
	}
	m.LimitMiB = p.memoryLimit(p.read("proc/self/cgroup"))
	for _, e := range p.o.Env {
		if name, value, _ := strings.Cut(e, "="); machine.Variable(name) {
			if m.Variables == nil {
				m.Variables = map[string]string{}
			}
			m.Variables[name] = rundir.Clip(value, 500)
		}
	}
	return m
}

// memoryLimit is the lowest limit on the way from our control group to the root, in MiB;
// 0 = none.
func (p *Probe) memoryLimit(cgroup string) int64 {
	least := int64(0)
	for l := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSpace(l), ":", 3)
		if len(f) != 3 || f[1] != "" && !slices.Contains(strings.Split(f[1], ","), "memory") {
			continue
		}
		dir, file := "sys/fs/cgroup", "memory.max"
		if f[1] != "" {
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		for at := filepath.Clean("/" + f[2]); ; at = filepath.Dir(at) {
			n, err := strconv.ParseInt(p.line(filepath.Join(dir, at, file)), 10, 64)
			if err == nil && n > 0 && n < 1<<60 && (least == 0 || n>>20 < least) {
				least = n >> 20
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

func (p *Probe) list(dir string) []string {
	entries, err := os.ReadDir(filepath.Join(p.o.Root, dir))
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// ethernet are the interfaces that are devices: not lo, bridges and their like.
func (p *Probe) ethernet() []rundir.NIC {
	var out []rundir.NIC
	for _, name := range p.list("sys/class/net") {
		at := filepath.Join("sys/class/net", name)
		if _, err := os.Stat(filepath.Join(p.o.Root, at, "device")); err != nil || len(out) >= maxNICs {
			continue
		}
		n := rundir.NIC{Name: name, Kind: "ethernet", State: p.line(filepath.Join(at, "operstate"))}
		if p.line(filepath.Join(at, "type")) == "32" {
			n.Kind = "infiniband"
		}
		n.MTU, _ = strconv.Atoi(p.line(filepath.Join(at, "mtu")))
		if speed, err := strconv.Atoi(p.line(filepath.Join(at, "speed"))); err == nil && speed > 0 {
			n.Speed = speed
		}
		if driver, err := os.Readlink(filepath.Join(p.o.Root, at, "device/driver")); err == nil {
			n.Driver = filepath.Base(driver)
		}
		out = append(out, n)
	}
	return out
}

// infiniband are the ports of RDMA devices: "4: ACTIVE", "400 Gb/sec (4X NDR)".
func (p *Probe) infiniband() []rundir.NIC {
	var out []rundir.NIC
	for _, name := range p.list("sys/class/infiniband") {
		for _, port := range p.list(filepath.Join("sys/class/infiniband", name, "ports")) {
			if len(out) >= maxNICs {
				return out
			}
			at := filepath.Join("sys/class/infiniband", name, "ports", port)
			_, state, _ := strings.Cut(p.line(filepath.Join(at, "state")), ": ")
			n := rundir.NIC{Name: name, Kind: "rdma", State: strings.ToLower(state)}
			n.Port, _ = strconv.Atoi(port)
			rate, _, _ := strings.Cut(p.line(filepath.Join(at, "rate")), " ")
			if gb, err := strconv.ParseFloat(rate, 64); err == nil && gb > 0 && gb < 1e6 {
				n.Speed = int(gb * 1000)
			}
			out = append(out, n)
		}
	}
	return out
}
