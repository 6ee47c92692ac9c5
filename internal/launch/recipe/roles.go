package recipe

import (
	"fmt"
	"strconv"
	"strings"
)

// side is one kind of worker.
type side struct {
	name   string // prefill, decode, agg
	flags  string // its name in the backend's config and environment
	groups []group
}

// group is workers that share the nodes that they are on.
type group struct {
	role    string
	workers int
	gpus    int // of each
	with    string
}

// roles are all roles but the client.
func (r *reading) roles(backend, frontend section, c *cluster) []role {
	res := r.top.in("resources")
	r.perNode = res.number("gpus_per_node")
	if r.perNode == 0 {
		r.perNode = 4
	}
	c.GPUs, c.GPUType = r.perNode, strings.ToUpper(res.text("gpu_type"))
	prefill, decode, agg := r.side(res, "prefill", "prefill"), r.side(res, "decode", "decode"), r.side(res, "agg", "aggregated")
	sides := []side{}
	for _, s := range []side{prefill, decode, agg} {
		if len(s.groups) > 0 {
			sides = append(sides, s)
		}
	}
	switch {
	case len(sides) == 0:
		r.bad("resources: no workers: neither prefill_nodes and decode_nodes nor agg_nodes")
	case len(agg.groups) == 0 && len(sides) != 2:
		r.bad("resources: prefill and decode workers belong together")
	}
	var out []role
	if r.frontend == "dynamo" {
		out = append(out, infrastructure()...)
	}
	config := backend.in(r.backend + "_config")
	for _, s := range sides {
		env, flags := backend.in(s.flags+"_environment").pairs(), config.in(s.flags).list()
		for _, f := range flags {
			if has([]pair{f}, "served-model-name") {
				r.served = f.value
			}
		}
		for _, g := range s.groups {
			out = append(out, r.server(s, g, env, flags))
		}
	}
	return append(out, r.front(frontend, sides)...)
}

// side reads how many workers of a kind there are, and of how many GPUs.
func (r *reading) side(res section, name, flags string) side {
	nodes, workers, gpus := res.number(name+"_nodes"), res.number(name+"_workers"), res.number("gpus_per_"+name)
	s := side{name: name, flags: flags}
	if workers == 0 && nodes > 0 {
		workers = 1
	}
	if workers == 0 {
		return s
	}
	if gpus == 0 && nodes > 0 {
		gpus = nodes * r.perNode / workers
	}
	switch {
	case gpus == 0 && name == "decode":
		// It shares the prefill workers' nodes: as many GPUs as those leave.
		before := res.number("prefill_nodes") * r.perNode
		if used := res.number("prefill_workers") * res.number("gpus_per_prefill"); used > 0 && used < before && res.number("prefill_nodes") == 1 {
			s.groups = []group{{name, workers, (before - used) / workers, "prefill"}}
			return s
		}
		r.bad("resources.decode_nodes: 0 shares the prefill workers' nodes, which is taken over for one node with gpus_per_prefill only")
		return s
	case gpus == 0:
		r.bad("resources: how many GPUs has a %s worker? Give %s_nodes or gpus_per_%s", name, name, name)
		return s
	}
	if perNode := r.perNode / gpus; perNode > 1 && workers > 1 {
		for i := 0; workers > 0; i++ {
			n := min(perNode, workers)
			role := name
			if nodes > 1 {
				role += strconv.Itoa(i + 1)
			}
			s.groups = append(s.groups, group{role, n, gpus, role})
			workers -= n
		}
		return s
	}
	s.groups = []group{{name, workers, gpus, ""}}
	return s
}

// infrastructure is what Dynamo's parts find each other by.
func infrastructure() []role {
	return []role{
		{
			Name: "etcd", Kind: "server", Needs: &[]string{}, Ready: &ready{HTTP: "/health"},
			Command: "exec etcd --data-dir {out}/etcd --listen-client-urls http://0.0.0.0:{port} --advertise-client-urls http://{host}:{port} --listen-peer-urls http://127.0.0.1:0",
		},
		{
			Name: "nats", Kind: "server", Needs: &[]string{}, Ready: &ready{TCP: true},
			Command: "exec nats-server --jetstream --addr 0.0.0.0 --port {port} --store_dir {out}",
		},
	}
}

// server is the role of a group of workers.
func (r *reading) server(s side, g group, env map[string]string, flags []pair) role {
	out := role{
		Name: g.role, Kind: "server", Count: g.workers, GPUs: g.gpus, With: g.with, Env: map[string]string{}, Ready: &ready{HTTP: "/health"},
	}
	for k, v := range env {
		out.Env[k] = v
	}
	if r.frontend == "dynamo" {
		out.Needs = &[]string{"etcd", "nats"}
		out.Env["ETCD_ENDPOINTS"], out.Env["NATS_SERVER"], out.Env["DYN_SYSTEM_PORT"] = "{etcd.url}", "nats://{nats.address}", "{port}"
	}
	if nodes := g.gpus / r.perNode; nodes > 1 {
		out.Nodes = nodes
	}
	words := r.words(s, flags)
	out.Command = "exec " + strings.Join(words, " \\\n  ")
	switch {
	case r.backend == "trtllm":
		out.Launcher, out.Tasks = "mpi", g.gpus
		out.Command = optionsFile(flags) + "trtllm-llmapi-launch " + strings.Join(words, " \\\n  ")
	case out.Nodes > 1 && r.backend == "vllm":
		r.bad("resources: a vLLM worker over %d nodes is not taken over: its ranks have other commands than its first", out.Nodes)
	case out.Nodes > 1:
		out.Command = "first=$(scontrol show hostnames \"$SLURM_STEP_NODELIST\" | head -n 1)\n" + out.Command +
			fmt.Sprintf(" \\\n  --dist-init-addr \"$first\":$((20000 + {index})) --nnodes %d --node-rank \"$SLURM_NODEID\"", out.Nodes)
	}
	return out
}

// words are the command of a worker.
func (r *reading) words(s side, flags []pair) []string {
	dynamo := r.frontend == "dynamo"
	model := shell(r.model)
	var words []string
	switch {
	case r.backend == "sglang" && dynamo:
		words = []string{"python3 -m dynamo.sglang --model-path " + model}
	case r.backend == "sglang":
		words = []string{"python3 -m sglang.launch_server --model-path " + model, "--host 0.0.0.0 --port {port}"}
	case r.backend == "vllm" && dynamo:
		words = []string{"python3 -m dynamo.vllm --model " + model}
	case r.backend == "vllm":
		words = []string{"vllm serve " + model, "--host 0.0.0.0 --port {port}"}
	case dynamo:
		words = []string{"python3 -m dynamo.trtllm --model-path " + model, "--extra-engine-args {out}/options.$SLURM_PROCID.yaml"}
	default:
		words = []string{"trtllm-serve " + model, "--host 0.0.0.0 --port {port} --backend pytorch", "--extra_llm_api_options {out}/options.$SLURM_PROCID.yaml"}
	}
	if s.name != "agg" && r.backend != "sglang" && dynamo {
		words = append(words, "--disaggregation-mode "+s.name)
	}
	if r.backend == "trtllm" {
		return words
	}
	for _, f := range flags {
		name := "--" + strings.ReplaceAll(f.key, "_", "-")
		switch f.value {
		case "true":
			words = append(words, name)
		case "false": // a switch that is off is not given
		default:
			words = append(words, name+" "+shell(f.value))
		}
	}
	if r.backend == "sglang" && s.name != "agg" && !has(flags, "disaggregation-mode") {
		words = append(words, "--disaggregation-mode "+s.name)
	}
	return words
}

func has(flags []pair, key string) bool {
	for _, f := range flags {
		if strings.ReplaceAll(f.key, "_", "-") == key {
			return true
		}
	}
	return false
}

// optionsFile writes TensorRT-LLM's options, which are no flags; each rank has a file of its own.
func optionsFile(flags []pair) string {
	var b strings.Builder
	b.WriteString("cat >{out}/options.$SLURM_PROCID.yaml <<'EOF'\n")
	for _, f := range flags {
		b.WriteString(f.raw)
	}
	return b.String() + "EOF\n"
}

// shell quotes a word where it needs it.
func shell(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@+%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
