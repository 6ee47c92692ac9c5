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
	// bootstrap is the port, as a shell word, at which the i-th prefill worker of a node hands over in SGLang.
	bootstrap string
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
	for i, s := range sides {
		env, flags := backend.in(s.flags+"_environment").pairs(), config.in(s.flags).list()
		for _, f := range flags {
			switch {
			case has([]pair{f}, "served-model-name") && len(f.words) > 0:
				r.served = f.words[0]
			case has([]pair{f}, "disaggregation-bootstrap-port"):
				sides[i].bootstrap = shell(f.value)
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
		out.Env["DYN_REQUEST_PLANE"] = r.plane
	}
	if nodes := g.gpus / r.perNode; nodes > 1 {
		out.Nodes = nodes
	}
	first := "first=$(scontrol show hostnames \"$SLURM_STEP_NODELIST\" | head -n 1)\n"
	words := append(r.words(s, flags), r.sidePorts(s, g, flags)...)
	out.Command = "exec " + strings.Join(words, " \\\n  ")
	switch {
	case r.backend == "trtllm":
		out.Launcher, out.Tasks = "mpi", g.gpus
		numactl := r.numactl
		if s.name == "agg" {
			numactl = ""
		}
		out.Command = optionsFile(flags) + numactl + "trtllm-llmapi-launch " + strings.Join(words, " \\\n  ")
	case out.Nodes > 1 && r.backend == "vllm":
		out.Command = first + out.Command + " \\\n  " + r.vllmNodes(s, out.Nodes, flags)
	case out.Nodes > 1:
		out.Command = first + out.Command +
			fmt.Sprintf(" \\\n  --dist-init-addr \"$first\":$((20000 + {index})) --nnodes %d --node-rank \"$SLURM_NODEID\"", out.Nodes)
	}
	if r.backend == "vllm" && r.frontend == "dynamo" {
		out.Command = vllmPorts(s) + out.Command
	}
	return out
}

// vllmPorts are those of vLLM's that workers of one node would otherwise share: at which they hand over, publish events
// of their caches, and begin to look for free ones. A worker's data-parallel ranks count up from the first two.
func vllmPorts(s side) string {
	return fmt.Sprintf("export VLLM_NIXL_SIDE_CHANNEL_HOST={host} VLLM_NIXL_SIDE_CHANNEL_PORT=$((%d + 32 * {index}))\n", sidePort(5400, s)) +
		fmt.Sprintf("export DYN_VLLM_KV_EVENT_PORT=$((%d + 32 * {index})) VLLM_PORT=$((%d + 50 * {index}))\n", sidePort(5200, s), sidePort(20000, s))
}

// sidePort is the first of the ports of a side's workers, which may be on one node with those of another side.
func sidePort(from int, s side) int {
	if s.name == "decode" {
		return from + 1000
	}
	return from
}

// bootstrapPort is that of the first prefill worker on a node; each has one of its own there.
const bootstrapPort = 7200

// sidePorts are the flags for ports of SGLang's that workers of one node would otherwise share.
func (r *reading) sidePorts(s side, g group, flags []pair) (words []string) {
	if r.backend != "sglang" {
		return nil
	}
	if s.name == "prefill" && !has(flags, "disaggregation-bootstrap-port") {
		words = append(words, fmt.Sprintf("--disaggregation-bootstrap-port $((%d + {index}))", bootstrapPort))
	}
	if g.with != "" && !has(flags, "nccl-port") {
		words = append(words, fmt.Sprintf("--nccl-port $((%d + {index}))", sidePort(17500, s)))
	}
	return words
}

// vllmNodes are the flags of a vLLM worker over several nodes: of a model that is spread over them, or of data-parallel
// replicas of which each node has some.
func (r *reading) vllmNodes(s side, nodes int, flags []pair) string {
	size := func(key string) int {
		for _, f := range flags {
			if has([]pair{f}, key) {
				n, _ := strconv.Atoi(f.value)
				return n
			}
		}
		return 1
	}
	replica := max(1, size("tensor-parallel-size")) * max(1, size("pipeline-parallel-size"))
	if !has(flags, "data-parallel-size") {
		return fmt.Sprintf("--master-addr \"$first\" --nnodes %d --node-rank \"$SLURM_NODEID\" $([ \"$SLURM_NODEID\" = 0 ] || echo --headless)", nodes)
	}
	if r.perNode%replica != 0 || r.frontend != "dynamo" {
		r.bad("backend.vllm_config.%s: data-parallel replicas of %d GPUs over %d nodes of %d are not taken over", s.flags, replica, nodes, r.perNode)
	}
	local := r.perNode / replica
	return fmt.Sprintf("--data-parallel-size-local %d --data-parallel-start-rank $((SLURM_NODEID * %d)) --data-parallel-address \"$first\" "+
		"--data-parallel-rpc-port $((%d + {index})) --data-parallel-hybrid-lb", local, local, sidePort(8400, s))
}

// transfer is vLLM's --kv-transfer-config for a connector, "" = there is none.
func transfer(connector string) string {
	switch strings.ToLower(connector) {
	case "", "none", "null":
		return ""
	case "nixl":
		return `{"kv_connector":"NixlConnector","kv_role":"kv_both"}`
	case "lmcache":
		return `{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}`
	case "kvbm":
		return `{"kv_connector":"DynamoConnector","kv_connector_module_path":"kvbm.vllm_integration.connector","kv_role":"kv_both"}`
	default:
		return connector
	}
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
	connector := r.connector
	for _, f := range flags {
		name := "--" + strings.ReplaceAll(f.key, "_", "-")
		switch {
		case f.off:
		case r.backend == "vllm" && name == "--connector":
			connector = f.value
		default:
			for _, w := range f.words {
				name += " " + shell(w)
			}
			words = append(words, name)
		}
	}
	if json := transfer(connector); json != "" && dynamo && !has(flags, "kv-transfer-config") {
		words = append(words, "--kv-transfer-config "+shell(json))
	}
	if r.backend == "sglang" && s.name != "agg" && !has(flags, "disaggregation-mode") {
		words = append(words, "--disaggregation-mode "+s.name)
	}
	return words
}

// has reports whether a flag is given.
func has(flags []pair, key string) bool {
	for _, f := range flags {
		if !f.off && strings.ReplaceAll(f.key, "_", "-") == key {
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
