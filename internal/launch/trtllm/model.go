package trtllm

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/document"
	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/identity"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// parallel is how one server divides a model over GPUs.
type parallel struct {
	tp, pp, cp, ep int
	gpus           int
	maxBatch       int
	attentionDP    bool
	keys           map[string]string // further series identity
}

// point is one client run.
type point struct {
	name                    string
	concurrency, iterations int
	inputLen, outputLen     int
	requests                int
	file                    string // of its output, as the test names it
}

// model is what a config file says, in either schema.
type model struct {
	src *document.Document
	hardware
	modelName string
	mode      string // benchmark.mode
	modeLine  int
	ctx, gen  parallel
	servers   []server // aggregated
	points    []point
	client    identity.Client
	router    map[string]string // settings of the server in front, by match key
	accuracy  bool
	precheck  bool
	limits    limits
	env       envStrings
}

// hardware is what the servers of a config run on.
type hardware struct {
	gpusPerNode int
	gpuType     string
	supported   []string // types of GPU
	numGen      int
	numCtx      int
	numCtxLine  int
}

// limits are the times that a config names.
type limits struct {
	runtime   time.Duration // slurm.job_time
	noRuntime int           // line of a placeholder in its place; 0 = none
	timeout   time.Duration // slurm.timeout, the test's own; 0 = upstream's default
}

// server is one entry of server_configs.
type server struct {
	name   string
	line   int
	par    parallel
	env    environment
	points []point
	client identity.Client
}

// envStrings are the environment items of a config.
type envStrings struct {
	worker, ctx, gen, server, benchmark, client environment
}

// readModel reads a config of either schema; disagg reports which one the test id
// asks for.
func readModel(src *document.Document, disagg bool) *model {
	top := src.Top()
	m := &model{src: src}
	meta, hw := top.Sub("metadata"), top.Sub("hardware")
	m.modelName = meta.Text("model_name")
	if disagg && m.modelName == "" && !meta.Invalid() && top.Has("worker_config") {
		meta.Problem("model_name", "missing: the test looks the model up by it")
	}
	m.supported = meta.Texts("supported_gpus")
	m.gpusPerNode = hw.Count("gpus_per_node", 0, 1)
	m.gpuType = hw.Text("gpu_type")
	if disagg {
		if !top.Has("worker_config") && top.Has("server_configs") {
			src.Problem(top.Line(), "server_configs", "this is an aggregated config, the test id asks for a disaggregated one: use aggr-<file>")
			return m
		}
		m.readDisagg(top)
		return m
	}
	if !top.Has("server_configs") && top.Has("worker_config") {
		src.Problem(top.Line(), "worker_config", "this is a disaggregated config, the test id asks for an aggregated one: use disagg-e2e-<file>, disagg-gen_only-<file> or aggr-ctx_only-<file>")
		return m
	}
	m.readAggregated(top)
	return m
}

func (m *model) readDisagg(top document.Section) {
	hw, bench, workers := top.Sub("hardware"), top.Sub("benchmark"), top.Sub("worker_config")
	if !workers.Has("gen") && !workers.Invalid() {
		workers.Problem("gen", "missing: every disaggregated config has generation servers")
	}
	m.numCtxLine, m.modeLine = hw.At("num_ctx_servers"), bench.At("mode")
	m.numCtx = hw.Count("num_ctx_servers", -1, 0)
	m.numGen = hw.Count("num_gen_servers", -1, 1)
	if m.numCtx > maxServers || m.numGen > maxServers {
		m.src.Problem(hw.At("num_ctx_servers"), "hardware", "%d context and %d generation servers: more than %d of a kind are not supported", m.numCtx, m.numGen, maxServers)
		m.numCtx, m.numGen = min(m.numCtx, 1), 1
	}
	if m.numCtx > 0 && !workers.Has("ctx") && !workers.Invalid() {
		workers.Problem("ctx", "missing, but hardware.num_ctx_servers is %d", m.numCtx)
	}
	m.gen, m.ctx = readParallel(workers.Sub("gen")), readParallel(workers.Sub("ctx"))
	m.mode = cmp.Or(bench.Text("mode"), rundir.ModeE2E)
	if !slices.Contains([]string{rundir.ModeE2E, rundir.ModeGenOnly, rundir.ModeGenNoContext}, m.mode) {
		bench.Problem("mode", "%q is not one of e2e, gen_only, gen_only_no_context", m.mode)
	}
	isl, osl := bench.Count("input_length", 1024, 1), bench.Count("output_length", 1024, 1)
	rounds := bench.Count("multi_round", 1, 1)
	for _, c := range concurrencies(bench, "concurrency_list") {
		m.points = append(m.points, newPoint("", c, rounds, isl, osl))
	}
	bench.Flag("streaming") // read for what may be wrong with it
	m.client = identity.Client{}
	m.client.Read(bench)
	m.router = identity.Router(top)
	m.readAccuracy(top)
	m.readSlurm(top.Sub("slurm"))
	m.readEnv(top.Sub("environment"))
	m.precheck = top.Sub("cache_transceiver_precheck").Flag("enabled")
}

// maxServers bounds the number of servers of one kind.
const maxServers = 1024

func readParallel(c document.Section) parallel {
	p := parallel{
		tp: c.Count("tensor_parallel_size", 1, 1), pp: c.Count("pipeline_parallel_size", 1, 1),
		cp: c.Count("context_parallel_size", 1, 1), ep: c.Count("moe_expert_parallel_size", 1, 1),
		maxBatch: c.Count("max_batch_size", 0, 0), attentionDP: c.Flag("enable_attention_dp"),
		keys: map[string]string{},
	}
	p.gpus = p.tp * p.pp * p.cp
	if p.gpus > document.MaxCount || p.gpus < 1 {
		c.Problem("", "tensor × pipeline × context parallel size is %d GPUs: too many", p.gpus)
		p.gpus = 1
	}
	if c.Has("world_size") {
		p.gpus = c.Count("world_size", 0, 1)
	}
	p.keys["serving_backend"] = c.Text("backend")
	p.keys["kv_dtype"] = c.Maybe("kv_cache_config").Text("dtype")
	p.keys["cache_transceiver"] = c.Maybe("cache_transceiver_config").Text("backend")
	spec := c.Maybe("speculative_config")
	p.keys[specType] = spec.Text("decoding_type")
	p.keys["spec_layers"] = cmp.Or(spec.Text("num_nextn_predict_layers"), spec.Text("max_draft_len"))
	p.keys["eplb_slots"] = c.Maybe("moe_config").Maybe("load_balancer").Text("num_slots")
	return p
}

// specType is the kind of speculative decoding, "" = none.
const specType = "spec_type"

func newPoint(name string, con, iter, isl, osl int) point {
	if name == "" {
		name = fmt.Sprintf("con%d_iter%d_isl%d_osl%d", con, iter, isl, osl)
	}
	return point{name: name, concurrency: con, iterations: iter, inputLen: isl, outputLen: osl, requests: con * iter}
}

// concurrencies reads concurrency_list in its four forms: '2048', '1 2 4 8', a
// YAML list, a number. Commas separate as blanks do.
func concurrencies(c document.Section, name string) []int {
	if !c.Has(name) {
		if c.Written(name) {
			c.Problem(name, "has no value: name at least one concurrency, or remove the key")
		}
		return []int{1}
	}
	lines := c.Lines(name, "whole numbers are expected")
	var out []int
	words := 0
	for _, l := range lines {
		for _, w := range strings.Fields(strings.ReplaceAll(l.Text, ",", " ")) {
			words++
			if v, why := concurrency(w, out); why != "" {
				c.ProblemAt(l.Line, name, "%s", why)
			} else {
				out = append(out, v)
			}
		}
	}
	if words == 0 && !c.Map(name) {
		c.Problem(name, "is empty: name at least one concurrency")
	}
	return out
}

// concurrency reads one that comes after others; why is what is wrong with it.
func concurrency(word string, before []int) (v int, why string) {
	v, err := strconv.Atoi(word)
	switch {
	case err != nil || v < 1 || v > document.MaxCount || document.Octal(word):
		return 0, fmt.Sprintf("%q is no concurrency: write whole numbers of at least 1", word)
	case slices.Contains(before, v):
		return 0, fmt.Sprintf("%d is given twice, and the two results could not be told apart: remove one, for more requests raise multi_round", v)
	}
	return v, ""
}

// speculative reports whether every server that decodes does so speculatively.
func (m *model) speculative(selected []server) bool {
	if m.gen.keys[specType] != "" {
		return true
	}
	return len(selected) > 0 && !slices.ContainsFunc(selected, func(s server) bool { return s.par.keys[specType] == "" })
}

// readAccuracy knows both forms of the section: tasks as a map, and the legacy
// string with its settings beside it.
func (m *model) readAccuracy(top document.Section) {
	acc := top.Sub("accuracy")
	m.accuracy = acc.Flag("enable_accuracy_test")
	switch {
	case !acc.Has("tasks") && m.accuracy:
		acc.Problem("tasks", "missing, but accuracy.enable_accuracy_test is true")
	case !acc.Scalar("tasks") && !acc.Map("tasks"):
		acc.Problem("tasks", "is a list, a map of tasks or one task name is expected")
	}
}

func (m *model) readSlurm(c document.Section) {
	if v := c.Text("job_time"); document.Placeholder(v) {
		m.limits.noRuntime = c.At("job_time")
	} else if v != "" {
		d, err := slurm.Duration(v)
		if err != nil {
			c.Problem("job_time", "%v", err)
		}
		m.limits.runtime = d
	}
	if c.Has("timeout") {
		m.limits.timeout = time.Duration(c.Count("timeout", 0, 1)) * time.Second
	}
}

func (m *model) readEnv(c document.Section) {
	for key, to := range map[string]*environment{
		"worker_env_var": &m.env.worker, "ctx_worker_env_var": &m.env.ctx, "gen_worker_env_var": &m.env.gen,
		"server_env_var": &m.env.server, "benchmark_env_var": &m.env.benchmark, "client_env_var": &m.env.client,
	} {
		*to = readEnvironment(c, key)
	}
}

func readEnvironment(c document.Section, key string) environment {
	text := c.Text(key)
	if text == "" {
		return environment{}
	}
	if document.Placeholder(text) {
		c.Problem(key, "%q is a placeholder that would be used: fill it in or remove it", text)
		return environment{}
	}
	env, err := parseEnvironment(text)
	if err != nil {
		c.Problem(key, "%v", err)
	}
	if env.sets(roleVariable) {
		c.Problem(key, "%s tells each process its role and is set for each: remove it", roleVariable)
	}
	return env
}

// roleVariable is how a process of the test learns its role.
const roleVariable = "DISAGG_SERVING_TYPE"

func (m *model) readAggregated(top document.Section) {
	m.mode = rundir.ModeAggregated
	list := top.List("server_configs")
	if len(list) == 0 {
		m.src.Problem(top.Line(), "server_configs", "missing or empty: name at least one server")
	}
	seen := map[string]int{}
	for _, c := range list {
		s := server{name: c.Text("name"), line: c.Line(), par: readParallel(c), env: readEnvironment(c, "server_env_var"), client: identity.Client{}}
		if s.name == "" {
			c.Problem("name", "missing: the test id selects a server by its name")
		} else if first, ok := seen[s.name]; ok {
			m.src.Problem(c.Line(), c.Key()+".name", "%q is also the name of the server on line %d", s.name, first)
		}
		seen[s.name] = c.Line()
		if c.Has("gpus") {
			if g := c.Count("gpus", 0, 1); g != s.par.gpus {
				c.Problem("gpus", "%d contradicts the parallel sizes, which make %d", g, s.par.gpus)
			}
		}
		clients := map[string]int{}
		for _, cl := range c.List("client_configs") {
			q := newPoint(cl.Text("name"), cl.Count("concurrency", 1, 1), cl.Count("iterations", 1, 1), cl.Count("isl", 1024, 1), cl.Count("osl", 1024, 1))
			if first, ok := clients[q.name]; ok {
				cl.Problem("name", "%q is also the name of the client on line %d: the two results could not be told apart", q.name, first)
			}
			clients[q.name] = cl.Line()
			s.points = append(s.points, q)
			readEnvironment(cl, "client_env_var")
			s.client.Read(cl)
			m.accuracy = m.accuracy || cl.Has("accuracy_config")
		}
		if len(s.points) == 0 {
			c.Problem("client_configs", "missing or empty: without a client nothing is measured")
		}
		m.servers = append(m.servers, s)
	}
	m.readSlurm(top.Sub("slurm"))
	m.readEnv(top.Sub("environment"))
}
