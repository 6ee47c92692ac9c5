package trtllm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The names by which upstream's test knows its roles. Those of workers are numbered.
const (
	groupGen   = "GEN"
	groupCtx   = "CTX"
	groupAgg   = "AGG"
	roleRouter = "DISAGG_SERVER"
	roleClient = "BENCHMARK"
)

// casesDir is where --output-dir points: the test adds the case's name to it,
// and that name leads to the attempt's output directory.
const casesDir = "by-case"

// caseBuilder is one case on its way to a plan.
type caseBuilder struct {
	r  *resolver
	e  testlist.Entry
	id testlist.ID

	knownBug string

	g       testlist.Grammar
	cfg     configFile
	m       *model
	mode    string
	numCtx  int
	numGen  int
	servers []server // aggregated: the selected ones
	aggGPUs int
	points  []point

	env      roleEnvs
	cmds     commands
	warnings []string
}

func (k *caseBuilder) problem(key, format string, args ...any) {
	k.r.problem(k.e.File, k.e.Line, key, format, args...)
}

func (k *caseBuilder) configProblem(line int, key, format string, args ...any) {
	k.r.problem(k.cfg.path, line, key, format, args...)
}

func (k *caseBuilder) warn(format string, args ...any) {
	k.warnings = append(k.warnings, fmt.Sprintf(format, args...))
}

func (k *caseBuilder) plan() rundir.Plan {
	p := rundir.Plan{Schema: rundir.Schema, Stage: k.r.in.Stage, LocalAgent: k.r.in.Local}
	p.Case = rundir.Case{
		ID: k.id.Full, Slug: rundir.Slug(k.id.Full), Timeout: rundir.Duration(k.e.Timeout), Isolation: k.e.Isolation,
		SkipReason: k.e.Skip, KnownBug: k.knownBug, Source: k.e.Place(),
	}
	var ok bool
	if k.g, k.cfg, ok = k.r.config(k.id, k.e); !ok {
		return p
	}
	k.m = k.cfg.m
	k.r.problems = append(k.r.problems, k.m.src.Problems()...)
	k.warnings = append(k.warnings, k.m.src.Warnings()...)
	if len(k.m.src.Problems()) > 0 {
		return p
	}
	k.chooseMode()
	k.selectServers()
	p.Case.Mode, p.Case.Config, p.Case.ConfigSHA = k.mode, k.cfg.path, k.cfg.sum
	p.Case.Server = serverNames(k.servers)
	if !k.buildCommands() {
		return p
	}
	k.fill(&p)
	k.validate(&p)
	k.nameWarnings()
	k.idWarning()
	k.precheckWarning()
	p.Warnings = k.warnings
	return p
}

// chooseMode decides which roles run. The test id overrides the file; context
// servers are left out only when there is to be no context, never because the
// mode's name contains gen_only.
func (k *caseBuilder) chooseMode() {
	k.mode = cmp.Or(k.g.Mode, k.m.mode)
	if k.g.Mode == rundir.ModeGenOnly && k.m.mode == rundir.ModeGenNoContext {
		k.mode = rundir.ModeGenNoContext
	}
	if k.g.Roles && k.g.Mode != "" && k.g.Mode != k.m.mode && k.mode != k.m.mode {
		k.warn("%s:%d: benchmark.mode is %s, the test id says %s: the id stands", k.cfg.path, k.m.modeLine, k.m.mode, k.g.Mode)
	}
	k.numCtx, k.numGen = k.m.numCtx, k.m.numGen
	if k.mode == rundir.ModeGenNoContext {
		k.numCtx = 0
	}
	if k.numCtx == 0 && (k.mode == rundir.ModeE2E || k.mode == rundir.ModeGenOnly) {
		k.configProblem(k.m.numCtxLine, "hardware.num_ctx_servers", "0, but mode %s needs context servers: set it, or use mode gen_only_no_context", k.mode)
	}
	k.points = pointsOf(k.mode, k.m.points)
	if n := len(k.m.points); len(k.points) < n {
		k.warn("mode %s measures the first concurrency of benchmark.concurrency_list, %d, and none of the %d others", k.mode, k.points[0].concurrency, n-1)
	}
}

// pointsOf makes of a config's points those that the mode measures.
func pointsOf(mode string, all []point) []point {
	var out []point
	for i, q := range all {
		switch mode {
		case rundir.ModeGenOnly, rundir.ModeGenNoContext:
			q = newPoint("", q.concurrency, 1, q.inputLen, q.outputLen)
		case rundir.ModeCtxOnly:
			q = newPoint("", q.concurrency, q.iterations, q.inputLen, 1)
		}
		q.file = fmt.Sprintf("trtllm-benchmark.0.%d.log", i)
		out = append(out, q)
	}
	if mode == rundir.ModeGenOnly || mode == rundir.ModeGenNoContext {
		return out[:min(1, len(out))]
	}
	return out
}

// selectServers finds what an AGG role runs and how many GPUs that takes.
func (k *caseBuilder) selectServers() {
	switch {
	case k.mode == rundir.ModeAggregated:
		k.servers = k.m.servers
		if k.g.Server != "" {
			var why string
			if k.servers, why = named(k.m.servers, strings.Split(k.g.Server, ",")); why != "" {
				k.problem("", "case %s: %s: %s", k.id.Case, k.cfg.path, why)
			}
		}
		k.runServers()
	case k.g.Roles:
	case k.mode == rundir.ModeCtxOnly:
		k.aggGPUs = k.m.ctx.gpus
	default:
		k.aggGPUs = k.m.gen.gpus
		if k.m.numGen > 1 {
			k.warn("%s: %d generation servers are configured, one process runs one", k.cfg.path, k.m.numGen)
		}
	}
}

// named are the servers of these names; why is what is wrong with the names.
func named(all []server, names []string) (out []server, why string) {
	for n, name := range names {
		i := slices.IndexFunc(all, func(s server) bool { return s.name == name })
		switch {
		case i < 0:
			return out, fmt.Sprintf("no server is called %q: it has %s", name, serverNames(all))
		case slices.Contains(names[:n], name):
			return out, fmt.Sprintf("the server %q is named twice: remove one", name)
		}
		out = append(out, all[i])
	}
	return out, ""
}

// runServers sizes the job for the selected servers, and takes their points.
func (k *caseBuilder) runServers() {
	k.points = nil
	for i, s := range k.servers {
		if k.aggGPUs > 0 && s.par.gpus != k.aggGPUs {
			k.warn("%s:%d: server %s takes %d GPUs, others of this case %d: the job is sized for the largest", k.cfg.path, s.line, s.name, s.par.gpus, k.aggGPUs)
		}
		k.aggGPUs = max(k.aggGPUs, s.par.gpus)
		for j, q := range s.points {
			q.file = fmt.Sprintf("trtllm-benchmark.%d.%d.log", i, j)
			if len(k.servers) > 1 {
				q.name = s.name + "-" + q.name
			}
			k.points = append(k.points, q)
		}
	}
}

func serverNames(list []server) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.name
	}
	return strings.Join(names, ",")
}

// fill puts everything that is known into the plan.
func (k *caseBuilder) fill(p *rundir.Plan) {
	l := k.place(k.cmds.launcher)
	p.Nodes, p.GPUsPerNode = l.nodes, k.m.gpusPerNode
	p.AllocatedGPUs = p.Nodes * p.GPUsPerNode
	p.Workdir = k.r.set.workdir
	roles := k.roles(l)
	for i, r := range roles {
		roles[i].Logs, roles[i].Work = k.serverLogs(r), work(r)
		if !k.env.expandsPath() {
			roles[i].Programs = k.r.set.programs(r.Kind == rundir.KindServer || r.Kind == rundir.KindTask)
		}
		p.UsedGPUs += r.GPUs()
	}
	k.environment(p)
	k.layoutNames(p, roles)
	p.Builds = []rundir.BuildPlan{{
		Name: rundir.HeadBuild, Source: k.r.set.Source, Install: k.r.set.Install, Setup: k.r.set.Setup,
		Roles: append(k.preRoles(roles), roles...),
	}}
	p.Runs = rundir.OneRun()
	p.Budgets = k.budgets()
	p.Hang, p.Served = k.r.set.hang(), k.served()
	p.Grace = k.r.set.Grace
	if p.Grace == 0 {
		p.Grace = min(defaultGrace, p.Budgets.Job/20) // a short job has no 30 s to give away
		if c := p.Budgets.Collect; c > 0 {
			p.Grace = min(p.Grace, c)
		}
	}
	p.Expected = k.expected()
	p.Match = k.match()
}

// roles are the steps in start order: generation, context, router, client.
func (k *caseBuilder) roles(l layout) []rundir.RolePlan {
	if !k.g.Roles {
		return []rundir.RolePlan{{
			Name: groupAgg, Kind: rundir.KindTask, Group: groupAgg, Slice: l.agg, MPI: k.mpi(), JUnit: true,
			Command: k.cmds.agg, Env: k.env.agg.vars,
		}}
	}
	var out []rundir.RolePlan
	trt := k.r.set.OutputLayout == LayoutTRTLLM
	worker := func(group string, i, shown int, command string, slice []rundir.NodeShare, env []rundir.EnvVar) {
		name := fmt.Sprintf("%s_%d", group, i)
		r := rundir.RolePlan{Name: name, Kind: rundir.KindServer, Group: group, Shown: shown, Slice: slice, MPI: k.mpi(), JUnit: true, Before: k.cmds.before, Command: command}
		r.Env = append([]rundir.EnvVar{{Name: roleVariable, Value: name}}, env...)
		if trt {
			r.Ready = rundir.Ready{AddressFile: "hostnames-%j-0/" + name + ".txt", HTTPPath: "/health"} // several front ends start after the address is known
		}
		out = append(out, r)
	}
	for i, s := range l.gen {
		worker(groupGen, i, 2, k.cmds.gen, s, k.env.gen.vars)
	}
	for i, s := range l.ctx {
		worker(groupCtx, i, 1, k.cmds.ctx, s, k.env.ctx.vars)
	}
	single := func(name, kind string, shown int, command string, env []rundir.EnvVar, ready rundir.Ready) {
		out = append(out, rundir.RolePlan{
			Name: name, Kind: kind, Group: name, Shown: shown, Slice: []rundir.NodeShare{{Node: 0, Tasks: 1}}, Overlap: true, JUnit: true, Command: command,
			Env: append([]rundir.EnvVar{{Name: roleVariable, Value: name}}, env...), Ready: ready,
		})
	}
	ready := rundir.Ready{}
	if trt {
		ready = rundir.Ready{AddressFile: "hostnames-%j-0/" + roleRouter + ".0.addr", HTTPPath: "/health"}
	}
	single(roleRouter, rundir.KindRouter, 3, k.cmds.server, k.env.server.vars, ready)
	single(roleClient, rundir.KindClient, 4, k.cmds.benchmark, k.env.benchmark.vars, rundir.Ready{})
	return out
}

// preRoles are the prechecks, on the very slices of the workers.
func (k *caseBuilder) preRoles(roles []rundir.RolePlan) []rundir.RolePlan {
	if !k.precheck() {
		return nil
	}
	var out []rundir.RolePlan
	for _, r := range roles {
		if r.Kind != rundir.KindServer {
			continue
		}
		pre := r
		pre.Name, pre.Kind, pre.Shown, pre.JUnit, pre.Ready = r.Name+"_PRECHECK", rundir.KindPrecheck, 0, false, rundir.Ready{}
		pre.Output, pre.Done, pre.Logs, pre.Work, pre.Programs = "", "", nil, "", nil
		i := strings.TrimPrefix(r.Name, r.Group+"_")
		pre.Env = slices.Clone(r.Env)
		pre.Env[0].Value = r.Group + "_PRECHECK_" + i // the name that upstream's precheck reads
		pre.Command = k.cmds.genPrecheck
		if r.Group == groupCtx {
			pre.Command = k.cmds.ctxPrecheck
		}
		out = append(out, pre)
	}
	return out
}

func (k *caseBuilder) precheck() bool {
	if !k.g.Roles {
		return false
	}
	on := k.m.precheck
	switch k.r.in.Env[EnvPrecheck] {
	case "0":
		on = false
	case "1":
		on = true
	}
	return on && k.r.set.Precheck != ""
}

// precheckWarning says that the config wants a precheck that nobody can run.
func (k *caseBuilder) precheckWarning() {
	if k.g.Roles && k.m.precheck && k.r.set.Precheck == "" && k.r.in.Env[EnvPrecheck] != "0" {
		k.warn("%s: cache_transceiver_precheck is enabled, but workload.precheck is not set: it is left out", k.cfg.path)
	}
}

func (k *caseBuilder) mpi() string {
	if !k.cmds.launcher || k.r.set.MPI == "none" {
		return ""
	}
	return k.r.set.MPI
}

// layoutNames are the file names that upstream's scripts expect.
func (k *caseBuilder) layoutNames(p *rundir.Plan, roles []rundir.RolePlan) {
	client := roles[len(roles)-1].Name
	p.Drain = rundir.DrainRule{Role: client}
	if k.r.set.OutputLayout != LayoutTRTLLM {
		return
	}
	p.TokenEnv = "TRTLLM_PERF_RUN_TOKEN"
	p.Links = []rundir.Link{{Path: casesDir + "/" + k.id.Case, Target: "../output"}}
	if !k.g.Roles {
		if k.mode == rundir.ModeGenNoContext {
			roles[0].Output, roles[0].Done = "gen_server_0.log", "gen_server_0.done"
			roles[0].Steps = roles[0].Output
		}
		return
	}
	p.Drain.StatusFile = "benchmark_status.0.txt"
	for at := range roles {
		r := &roles[at]
		i := strings.TrimPrefix(r.Name, r.Group+"_")
		switch r.Group {
		case groupGen:
			r.Output, r.Done = "gen_server_"+i+".log", "gen_server_"+i+".done"
			r.Steps = r.Output
		case groupCtx:
			r.Output = "ctx_server_" + i + ".log"
		case roleRouter:
			r.Output = "disagg_server.log"
		}
	}
}

// expected is the contract that the report holds the attempt against.
func (k *caseBuilder) expected() rundir.Expected {
	x := rundir.Expected{
		NodeIDs: []string{k.id.Full}, GPUType: k.gpuType(), Accuracy: k.m.accuracy,
		DeviceStep: k.mode == rundir.ModeGenOnly || k.mode == rundir.ModeGenNoContext,
	}
	if k.r.set.OutputLayout == LayoutTRTLLM {
		x.Metrics = k.metrics()
	}
	for _, q := range k.points {
		p := rundir.Point{Name: q.name, Concurrency: q.concurrency, Requests: q.requests, InputLen: q.inputLen, OutputLen: q.outputLen}
		if k.r.set.OutputLayout == LayoutTRTLLM {
			p.File = q.file
		}
		x.Points = append(x.Points, p)
	}
	return x
}

// metrics are those without which upstream's test calls a measurement broken:
// its base metrics, as far as the mode has them. A context server alone makes
// one token, which has no time per output token.
func (k *caseBuilder) metrics() []string {
	out := []string{"request_throughput", "output_token_throughput", "total_token_throughput", "ttft_median_ms"}
	if k.mode != rundir.ModeCtxOnly {
		out = append(out, "tpot_median_ms")
	}
	if k.m.speculative(k.servers) && k.mode != rundir.ModeCtxOnly {
		out = append(out, "avg_decoded_tokens_per_iter")
	}
	return out
}

// gpuType is what the cluster has; the config's gpu_type, or its only supported
// GPU, stand in where the cluster does not say.
func (k *caseBuilder) gpuType() string {
	if g := k.r.gpuType(); g != "" {
		return g
	}
	if k.m.gpuType != "" || len(k.m.supported) != 1 {
		return k.m.gpuType
	}
	return k.m.supported[0]
}

// match is the identity of the case's series beside case and metric.
func (k *caseBuilder) match() map[string]string {
	out := map[string]string{
		"cluster": k.r.in.Cluster.Name, "gpu_type": k.gpuType(), "model": k.m.modelName, "mode": k.mode, "gpus_per_node": fmt.Sprint(k.m.gpusPerNode),
	}
	client := k.m.client
	add := func(prefix string, p parallel) {
		for key, n := range map[string]int{"tp": p.tp, "pp": p.pp, "cp": p.cp, "ep": p.ep, "gpus": p.gpus, "max_batch_size": p.maxBatch} {
			out[prefix+key] = fmt.Sprint(n)
		}
		out[prefix+"attention_dp"] = fmt.Sprint(p.attentionDP)
		for key, v := range p.keys {
			out[prefix+key] = v
		}
	}
	switch {
	case k.g.Roles:
		maps.Copy(out, k.m.router)
		out["num_gen_servers"], out["num_ctx_servers"] = fmt.Sprint(k.numGen), fmt.Sprint(k.numCtx)
		add("gen_", k.m.gen)
		if k.numCtx > 0 {
			add("ctx_", k.m.ctx)
		}
	case k.mode == rundir.ModeCtxOnly:
		add("ctx_", k.m.ctx)
	case k.mode == rundir.ModeGenNoContext:
		add("gen_", k.m.gen)
	case len(k.servers) == 1:
		add("", k.servers[0].par)
		out["server"], client = k.servers[0].name, k.servers[0].client
	}
	for key, v := range client {
		out["client_"+key] = v
	}
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}
