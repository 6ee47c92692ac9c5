package trtllm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
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
	src         *source
	gpusPerNode int
	gpuType     string
	supported   []string
	modelName   string
	mode        string // benchmark.mode
	modeLine    int
	numCtx      int
	numCtxLine  int
	numGen      int
	ctx, gen    parallel
	servers     []server // aggregated
	points      []point
	accuracy    bool
	runtime     time.Duration // slurm.job_time
	noRuntime   int           // line of a placeholder in its place; 0 = none
	timeout     time.Duration // slurm.timeout, the test's own; 0 = upstream's default
	env         envStrings
	precheck    bool
	streaming   bool
}

// server is one entry of server_configs.
type server struct {
	name   string
	line   int
	key    string
	par    parallel
	env    environment
	points []point
}

// envStrings are the environment items of a config.
type envStrings struct {
	worker, ctx, gen, server, benchmark, client environment
}

// readModel reads a config of either schema; disagg says which one the test id
// asks for.
func readModel(src *source, disagg bool) *model {
	top := src.top()
	m := &model{src: src}
	meta, hw := top.sub("metadata"), top.sub("hardware")
	m.modelName = meta.text("model_name")
	if disagg && m.modelName == "" && !meta.bad && top.has("worker_config") {
		src.problem(meta.at("model_name"), "metadata.model_name", "missing: the test looks the model up by it")
	}
	m.supported = meta.texts("supported_gpus")
	m.gpusPerNode = hw.count("gpus_per_node", 0, 1)
	m.gpuType = hw.text("gpu_type")
	if disagg {
		if !top.has("worker_config") && top.has("server_configs") {
			src.problem(top.line, "server_configs", "this is an aggregated config, the test id asks for a disaggregated one: use aggr-<file>")
			return m
		}
		m.readDisagg(top)
		return m
	}
	if !top.has("server_configs") && top.has("worker_config") {
		src.problem(top.line, "worker_config", "this is a disaggregated config, the test id asks for an aggregated one: use disagg-e2e-<file>, disagg-gen_only-<file> or aggr-ctx_only-<file>")
		return m
	}
	m.readAggregated(top)
	return m
}

func (m *model) readDisagg(top section) {
	hw, bench, workers := top.sub("hardware"), top.sub("benchmark"), top.sub("worker_config")
	if !workers.has("gen") && !workers.bad {
		m.src.problem(workers.line, "worker_config.gen", "missing: every disaggregated config has generation servers")
	}
	m.numCtxLine, m.modeLine = hw.at("num_ctx_servers"), bench.at("mode")
	m.numCtx = hw.count("num_ctx_servers", -1, 0)
	m.numGen = hw.count("num_gen_servers", -1, 1)
	if m.numCtx > maxServers || m.numGen > maxServers {
		m.src.problem(hw.at("num_ctx_servers"), "hardware", "%d context and %d generation servers: more than %d of a kind are not supported", m.numCtx, m.numGen, maxServers)
		m.numCtx, m.numGen = min(m.numCtx, 1), 1
	}
	if m.numCtx > 0 && !workers.has("ctx") && !workers.bad {
		m.src.problem(workers.line, "worker_config.ctx", "missing, but hardware.num_ctx_servers is %d", m.numCtx)
	}
	m.gen, m.ctx = readParallel(workers.sub("gen")), readParallel(workers.sub("ctx"))
	m.mode = orDefault(bench.text("mode"), ModeE2E)
	if !slices.Contains([]string{ModeE2E, ModeGenOnly, ModeGenNoContext}, m.mode) {
		m.src.problem(bench.at("mode"), "benchmark.mode", "%q is not one of e2e, gen_only, gen_only_no_context", m.mode)
	}
	isl, osl := bench.count("input_length", 1024, 1), bench.count("output_length", 1024, 1)
	rounds := bench.count("multi_round", 1, 1)
	for _, c := range bench.concurrencies("concurrency_list") {
		m.points = append(m.points, newPoint("", c, rounds, isl, osl))
	}
	m.streaming = bench.flag("streaming")
	m.readAccuracy(top)
	m.readSlurm(top.sub("slurm"))
	m.readEnv(top.sub("environment"))
	m.precheck = top.sub("cache_transceiver_precheck").flag("enabled")
}

// maxServers bounds the number of servers of one kind.
const maxServers = 1024

func readParallel(c section) parallel {
	p := parallel{
		tp: c.count("tensor_parallel_size", 1, 1), pp: c.count("pipeline_parallel_size", 1, 1),
		cp: c.count("context_parallel_size", 1, 1), ep: c.count("moe_expert_parallel_size", 1, 1),
		maxBatch: c.count("max_batch_size", 0, 0), attentionDP: c.flag("enable_attention_dp"),
		keys: map[string]string{},
	}
	p.gpus = p.tp * p.pp * p.cp
	if p.gpus > maxCount || p.gpus < 1 {
		c.s.problem(c.line, c.key, "tensor × pipeline × context parallel size is %d GPUs: too many", p.gpus)
		p.gpus = 1
	}
	if c.has("world_size") {
		p.gpus = c.count("world_size", 0, 1)
	}
	p.keys["kv_dtype"] = c.quiet("kv_cache_config").text("dtype")
	p.keys["cache_transceiver"] = c.quiet("cache_transceiver_config").text("backend")
	spec := c.quiet("speculative_config")
	p.keys[specType] = spec.text("decoding_type")
	p.keys["spec_layers"] = orDefault(spec.text("num_nextn_predict_layers"), spec.text("max_draft_len"))
	p.keys["eplb_slots"] = c.quiet("moe_config").quiet("load_balancer").text("num_slots")
	return p
}

// specType is the kind of speculative decoding, "" = none.
const specType = "spec_type"

// quiet is sub for keys that may also hold a plain value (load_balancer: a path).
func (c section) quiet(name string) section {
	if n := c.find(name); n == nil || n.Kind != yaml.MappingNode {
		return section{s: c.s, key: join(c.key, name), line: c.line}
	}
	return c.sub(name)
}

func newPoint(name string, con, iter, isl, osl int) point {
	if name == "" {
		name = fmt.Sprintf("con%d_iter%d_isl%d_osl%d", con, iter, isl, osl)
	}
	return point{name: name, concurrency: con, iterations: iter, inputLen: isl, outputLen: osl, requests: con * iter}
}

// readAccuracy knows both forms of the section: tasks as a map, and the legacy
// string with its settings beside it.
func (m *model) readAccuracy(top section) {
	acc := top.sub("accuracy")
	m.accuracy = acc.flag("enable_accuracy_test")
	if n := acc.find("tasks"); n != nil && n.Kind != yaml.MappingNode && n.Kind != yaml.ScalarNode {
		m.src.problem(n.Line, "accuracy.tasks", "is %s, a map of tasks or one task name is expected", kind(n))
	} else if n == nil && m.accuracy {
		m.src.problem(acc.line, "accuracy.tasks", "missing, but accuracy.enable_accuracy_test is true")
	}
}

func (m *model) readSlurm(c section) {
	if v := c.text("job_time"); placeholder(v) {
		m.noRuntime = c.at("job_time")
	} else if v != "" {
		d, err := SlurmDuration(v)
		if err != nil {
			m.src.problem(c.at("job_time"), "slurm.job_time", "%v", err)
		}
		m.runtime = d
	}
	if c.has("timeout") {
		m.timeout = time.Duration(c.count("timeout", 0, 1)) * time.Second
	}
}

func (m *model) readEnv(c section) {
	for key, to := range map[string]*environment{
		"worker_env_var": &m.env.worker, "ctx_worker_env_var": &m.env.ctx, "gen_worker_env_var": &m.env.gen,
		"server_env_var": &m.env.server, "benchmark_env_var": &m.env.benchmark, "client_env_var": &m.env.client,
	} {
		*to = readEnvironment(c, key)
	}
}

func readEnvironment(c section, key string) environment {
	text := c.text(key)
	if text == "" {
		return environment{}
	}
	if placeholder(text) {
		c.s.problem(c.at(key), join(c.key, key), "%q is a placeholder that would be used: fill it in or remove it", text)
		return environment{}
	}
	env, err := parseEnvironment(text)
	if err != nil {
		c.s.problem(c.at(key), join(c.key, key), "%v", err)
	}
	if env.sets(roleVariable) {
		c.s.problem(c.at(key), join(c.key, key), "%s tells each process its role and is set for each: remove it", roleVariable)
	}
	return env
}

// roleVariable is how a process of the test learns its role.
const roleVariable = "DISAGG_SERVING_TYPE"

func (m *model) readAggregated(top section) {
	m.mode = ModeAggregated
	list := top.list("server_configs")
	if len(list) == 0 {
		m.src.problem(top.line, "server_configs", "missing or empty: name at least one server")
	}
	seen := map[string]int{}
	for _, c := range list {
		s := server{name: c.text("name"), line: c.line, key: c.key, par: readParallel(c), env: readEnvironment(c, "server_env_var")}
		if s.name == "" {
			m.src.problem(c.line, c.key+".name", "missing: the test id selects a server by its name")
		} else if first, ok := seen[s.name]; ok {
			m.src.problem(c.line, c.key+".name", "%q is also the name of the server on line %d", s.name, first)
		}
		seen[s.name] = c.line
		if c.has("gpus") {
			if g := c.count("gpus", 0, 1); g != s.par.gpus {
				m.src.problem(c.at("gpus"), c.key+".gpus", "%d contradicts the parallel sizes, which make %d", g, s.par.gpus)
			}
		}
		clients := map[string]int{}
		for _, cl := range c.list("client_configs") {
			q := newPoint(cl.text("name"), cl.count("concurrency", 1, 1), cl.count("iterations", 1, 1), cl.count("isl", 1024, 1), cl.count("osl", 1024, 1))
			if first, ok := clients[q.name]; ok {
				m.src.problem(cl.at("name"), cl.key+".name", "%q is also the name of the client on line %d: the two results could not be told apart", q.name, first)
			}
			clients[q.name] = cl.line
			s.points = append(s.points, q)
			readEnvironment(cl, "client_env_var")
			m.accuracy = m.accuracy || cl.has("accuracy_config")
		}
		if len(s.points) == 0 {
			m.src.problem(c.line, c.key+".client_configs", "missing or empty: without a client nothing is measured")
		}
		m.servers = append(m.servers, s)
	}
	m.readSlurm(top.sub("slurm"))
	m.readEnv(top.sub("environment"))
}

// placeholder says whether a value is upstream's <like this>.
func placeholder(v string) bool { return strings.HasPrefix(v, "<") && strings.HasSuffix(v, ">") }

// SlurmDuration reads Slurm's time formats. The text is read as it is written:
// some YAML readers turn 12:00:00 into 43200.
func SlurmDuration(v string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no time: write [D-]HH:MM:SS or minutes", v)
	days, rest, hasDays := strings.Cut(v, "-")
	var d time.Duration
	if hasDays {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 365 {
			return 0, bad
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		rest = v
	}
	parts := strings.Split(rest, ":")
	units := []time.Duration{time.Minute, time.Second}
	switch {
	case len(parts) == 3, hasDays:
		units = []time.Duration{time.Hour, time.Minute, time.Second}
	}
	if len(parts) > len(units) {
		return 0, bad
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 1_000_000 {
			return 0, bad
		}
		d += time.Duration(n) * units[i]
	}
	if d <= 0 {
		return 0, bad
	}
	return d, nil
}
