package trtllm

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/ci-disagg/ci-disagg/internal/launch/bashword"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// commands are the shell texts of a case.
type commands struct {
	launcher   bool   // workers run under the launcher: one task per GPU
	base       string // pytestCommand, as given or built
	noLauncher string
	before     string // for workers, before their environment
	gen, ctx   string // what the roles run; environment is exported beside it
	server     string
	benchmark  string
	agg        string

	genPrecheck, ctxPrecheck string
	// What drafts read: with the environment in front, as submit.py wrote them.
	vars []rundir.EnvVar
}

// buildCommands makes every role's command from the given or our own one. It is
// false where the shell texts of the config make none; the problems say why.
func (k *caseBuilder) buildCommands() bool {
	if k.r.badShell {
		return false
	}
	s := k.r.set
	base, err := k.baseCommand()
	if err != nil {
		k.problem(s.commandFrom, "%v", err)
		return false
	}
	o := rewriteOptions{launcher: path.Base(s.Launcher), pytest: path.Base(firstWord(s.Pytest))}
	if s.Launcher == "none" {
		o.launcher = DefaultLauncher
	}
	plain := k.rewrite(base, o)
	o.dropLauncher = true
	bare := k.rewrite(base, o)
	o.redirect = true
	single := k.rewrite(base, o)
	o.dropLauncher = false
	worker := k.rewrite(base, o)
	if left := k.rewrite(bare.text, o); plain.calls > 0 && left.calls == 0 {
		k.problem(s.commandFrom, "nothing is left without the launcher: %s", s.command)
		return false
	}
	k.cmds = commands{launcher: plain.launcher, base: base, noLauncher: bare.text}
	if !worker.pytest {
		k.warn("the command does not call pytest in plain sight: results are asked for through PYTEST_ADDOPTS")
	}
	k.compose(prelude(worker)+worker.text, prelude(single)+single.text)
	return true
}

// prelude is what a command needs in its environment so that roles do not share
// a file that no option names: coverage's data, and the results of a pytest that
// a script of the team's calls.
func prelude(c command) string {
	var out string
	if c.coverage {
		out += "export COVERAGE_FILE=" + roleFile("coverage.${SLURM_PROCID:-0}") + " && "
	}
	if !c.pytest {
		file := strings.Trim(resultsFile(0), `"`)
		out += `export PYTEST_ADDOPTS="${PYTEST_ADDOPTS:-} '--junit-xml=` + file + `'" && `
	}
	return out
}

func (k *caseBuilder) rewrite(text string, o rewriteOptions) command {
	c, err := rewrite(text, o)
	if err != nil {
		k.problem(k.r.set.commandFrom, "%v: %s", err, text)
	}
	return c
}

// compose puts the unset of UCX variables and what bash must expand before the
// commands, and writes the forms that drafts read.
func (k *caseBuilder) compose(worker, single string) {
	k.env = k.envs()
	env := k.env
	ucx := rundir.CommandPrefix(k.r.set.UCX)
	c := &k.cmds
	c.gen = exportDynamic(env.gen) + worker
	c.ctx = exportDynamic(env.ctx) + worker
	c.server = exportDynamic(env.server) + single
	c.benchmark = exportDynamic(env.benchmark) + single
	c.agg = exportDynamic(env.agg) + worker
	if k.r.set.UCX != "none" {
		c.before = k.r.set.UCX
	}
	c.genPrecheck = exportDynamic(env.gen) + k.r.set.Precheck
	c.ctxPrecheck = exportDynamic(env.ctx) + k.r.set.Precheck
	add := func(name, prefix string, e environment, text string) {
		before, err := e.text()
		if err != nil {
			k.problem("environment", "%v", err)
		}
		c.vars = append(c.vars, rundir.EnvVar{Name: name, Value: prefix + before + text})
	}
	none := environment{}
	add("pytestCommandNoLLMAPILaunch", "", none, c.noLauncher)
	if !k.g.Roles {
		add("pytestCommand", "", env.agg, worker)
		return
	}
	add("pytestCommand", "", none, c.base)
	add("pytestCommandWorker", ucx, env.worker, worker)
	add("pytestCommandGENWorker", ucx, env.gen, worker)
	add("pytestCommandCTXWorker", ucx, env.ctx, worker)
	add("pytestCommandDisaggServer", "", env.server, single)
	add("pytestCommandBenchmark", "", env.benchmark, single)
	if k.precheck() {
		add("pytestCommandGENPrecheck", ucx, env.gen, k.r.set.Precheck)
		add("pytestCommandCTXPrecheck", ucx, env.ctx, k.r.set.Precheck)
	}
}

func exportDynamic(e environment) string {
	if len(e.dynamic) == 0 {
		return ""
	}
	return "export " + strings.Join(e.dynamic, " ") + " && "
}

// baseCommand is pytestCommand: the given one with its id filled in, or our own.
func (k *caseBuilder) baseCommand() (string, error) {
	s := k.r.set
	if s.command == "" {
		id, err := syntax.Quote(k.id.Full, syntax.LangBash)
		if err != nil {
			return "", fmt.Errorf("test id %q: %w", k.id.Full, err)
		}
		out := s.Pytest + " " + id
		if s.Args != "" {
			out += " " + s.Args
		}
		if s.OutputLayout == LayoutTRTLLM && !strings.Contains(s.Args, "--output-dir") {
			out += " --output-dir=" + outputDir
		}
		if s.Launcher != "none" {
			out = s.Launcher + " " + out
		}
		return out, nil
	}
	if strings.Contains(s.command, testIDMark) {
		return fillTestID(s.command, k.id.Full)
	}
	// A command that takes a list is given one with this case alone.
	if c, err := rewrite(s.command, rewriteOptions{redirect: true}); err == nil && c.listed {
		return s.command, nil
	}
	if !strings.Contains(s.command, k.id.Case) {
		if k.r.ids > 1 {
			return "", fmt.Errorf("the command does not name %s, and the run has %d cases: write {test_id} where the id belongs", k.id.Case, k.r.ids)
		}
		k.warn("the command does not name the case %s: it may run another test than the one that is planned", k.id.Case)
	}
	return s.command, nil
}

// programs are what our own command of a role begins with: the launcher, for workers, and pytest, as far as that is
// known before it runs. A command of the team's may make its PATH by itself.
func (s settings) programs(worker bool) []string {
	if s.command != "" {
		return nil
	}
	var out []string
	if worker && s.Launcher != "none" {
		out = append(out, s.Launcher)
	}
	if p, _, _ := strings.Cut(s.Pytest, " "); plainWord.MatchString(p) {
		out = append(out, p)
	}
	return out
}

// plainWord matches what bash takes as it is, and looks up, if anything, by PATH.
var plainWord = regexp.MustCompile(`^[\w./+-]+$`)

func firstWord(s string) string {
	f, err := parse(s)
	if err != nil || len(f.Stmts) == 0 {
		return s
	}
	if call, ok := f.Stmts[0].Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 {
		v, _ := bashword.Literal(call.Args[0])
		return v
	}
	return s
}

// roleEnvs are the YAML's environment items per role.
type roleEnvs struct{ worker, gen, ctx, server, benchmark, agg environment }

// expandsPath reports whether a role's PATH is made of another one when its command begins.
func (e roleEnvs) expandsPath() bool {
	return slices.ContainsFunc(slices.Concat(e.worker.dynamic, e.gen.dynamic, e.ctx.dynamic, e.server.dynamic, e.benchmark.dynamic, e.agg.dynamic),
		func(text string) bool { return strings.HasPrefix(text, "PATH=") })
}

func (k *caseBuilder) envs() roleEnvs {
	e := k.m.env
	out := roleEnvs{worker: e.worker, gen: e.worker.and(e.gen), ctx: e.worker.and(e.ctx), server: e.server, benchmark: e.benchmark}
	gen, ctx, srv := k.modeEnv()
	out.gen.vars, out.ctx.vars = slices.Concat(gen, out.gen.vars), slices.Concat(ctx, out.ctx.vars)
	out.server.vars = slices.Concat(srv, out.server.vars)
	out.worker.vars = slices.Concat(gen, out.worker.vars)
	switch {
	case k.mode == rundir.ModeCtxOnly:
		out.agg = out.ctx
	case !k.g.Roles && k.mode == rundir.ModeGenNoContext:
		out.agg = out.gen.and(e.server)
	case len(k.servers) == 1:
		// With several servers the test itself sets each one's environment.
		out.agg = e.worker.and(k.servers[0].env)
	}
	return out
}

// modeEnv is what the gen_only modes add
// (docs/facts/trtllm.md#environment-of-the-gen_only-modes).
func (k *caseBuilder) modeEnv() (gen, ctx, srv []rundir.EnvVar) {
	switch k.mode {
	case rundir.ModeGenOnly:
		off := rundir.EnvVar{Name: "TRTLLM_DISABLE_KV_CACHE_TRANSFER_OVERLAP", Value: "1"}
		q := rundir.EnvVar{Name: "TLLM_BENCHMARK_REQ_QUEUES_SIZE", Value: strconv.Itoa(k.queueSize())}
		return []rundir.EnvVar{off, q}, []rundir.EnvVar{off}, nil
	case rundir.ModeGenNoContext:
		only := rundir.EnvVar{Name: "TRTLLM_DISAGG_BENCHMARK_GEN_ONLY", Value: "1"}
		return []rundir.EnvVar{only}, nil, []rundir.EnvVar{only}
	}
	return nil, nil, nil
}

// queueSize is how many requests must be queued before the generation servers
// begin. More than their executor can hold would never come together: the gate
// would stay shut.
func (k *caseBuilder) queueSize() int {
	q := 1
	if len(k.points) > 0 {
		q = k.points[0].concurrency
	}
	room := k.m.gen.maxBatch
	if k.m.gen.attentionDP {
		room *= k.m.gen.tp // every attention rank schedules its own batch
	}
	if room > 0 && room < q {
		k.warn("TLLM_BENCHMARK_REQ_QUEUES_SIZE is %d, not the concurrency %d: the executor holds no more (max_batch_size %d)", room, q, k.m.gen.maxBatch)
		q = room
	}
	return q
}

// environment fills the variables that every role and every draft sees.
func (k *caseBuilder) environment(p *rundir.Plan) {
	s, in := k.r.set, k.r.in
	folder := EnvAggFolder
	if k.g.Disagg {
		folder = EnvDisaggFolder
	}
	p.Env = append(p.Env, rundir.EnvVar{Name: folder, Value: filepath.Dir(k.cfg.path)})
	p.Env = append(p.Env, rundir.EnvVar{Name: "configYamlPath", Value: k.cfg.path}, rundir.EnvVar{Name: "stageName", Value: p.Stage})
	if k.mode == rundir.ModeGenNoContext {
		p.Env = append(p.Env, rundir.EnvVar{Name: "TRTLLM_DISAGG_BENCHMARK_GEN_ONLY", Value: "1"})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		p.Env = slices.DeleteFunc(p.Env, func(e rundir.EnvVar) bool { return e.Name == name })
		p.Env = append(p.Env, rundir.EnvVar{Name: name, Value: s.Env[name]})
	}
	for _, sec := range s.Secrets {
		from := sec.From
		if from == "" && sec.File == "" {
			from = sec.Name
		}
		out := rundir.Secret{Name: sec.Name, From: from}
		if sec.File != "" {
			out.File = in.abs(sec.File)
		}
		p.Secrets = append(p.Secrets, out)
	}
	p.Paths = []rundir.EnvVar{
		{Name: "testOutputDir", Value: "output"},
		{Name: "jobWorkspace", Value: ".."},
		{Name: "runScript", Value: "../run.sh"},
		{Name: "precheckRunScript", Value: "../run.sh"},
		{Name: "installScript", Value: "../install.sh"},
	}
	p.DraftRun = `eval "${pytestCommand:?a launch draft sets it for each role}"`
	add := func(name, value string) { p.Exports = append(p.Exports, rundir.EnvVar{Name: name, Value: value}) }
	add("llmSrcNode", s.Source)
	add("perfMode", "true")
	add("resourcePathNode", cmp.Or(in.Env[EnvResources], s.Source))
	add("coverageConfigFile", in.Env[EnvCoverage])
	add("NVIDIA_IMEX_CHANNELS", cmp.Or(in.Env[EnvImex], "0"))
	add("NVIDIA_VISIBLE_DEVICES", cmp.Or(in.Env[EnvVisible], deviceList(k.m.gpusPerNode)))
	k.sizes(p, add)
	p.Exports = append(p.Exports, k.cmds.vars...)
}

func deviceList(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return strings.Join(ids, ",")
}

// sizes are the numbers that drafts compute their srun options from. The old
// draft reads two of them under misspelled names.
func (k *caseBuilder) sizes(p *rundir.Plan, add func(name, value string)) {
	num := func(name string, n int) { add(name, strconv.Itoa(n)) }
	per := k.m.gpusPerNode
	num("gpusPerNode", per)
	num("totalNodes", p.Nodes)
	num("totalGpus", p.AllocatedGPUs)
	if !k.g.Roles {
		num("world_size", k.aggGPUs)
		num("nodesPerServer", nodesFor(k.aggGPUs, per))
		num("gpusPerServer", k.aggGPUs)
		num("gpusPerNodePerServer", min(k.aggGPUs, per))
		return
	}
	num("numCtxServers", k.numCtx)
	num("numGenServers", k.numGen)
	for _, w := range []struct {
		name string
		gpus int
	}{{"Ctx", k.m.ctx.gpus}, {"Gen", k.m.gen.gpus}} {
		num("gpusPer"+w.name+"Server", w.gpus)
		num("nodesPer"+w.name+"Server", nodesFor(w.gpus, per))
		num("gpusPerNodePer"+w.name+"Server", min(w.gpus, per))
		num("gpusPerfNodePerf"+w.name+"Server", min(w.gpus, per))
	}
	enabled := "0"
	if k.precheck() {
		enabled = "1"
	}
	add("ctPrecheckEnabled", enabled)
	add("ctPrecheckTimeout", "900")
}
