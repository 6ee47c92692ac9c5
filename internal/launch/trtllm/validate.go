package trtllm

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// validate holds the plan against the cluster and against itself.
func (k *caseBuilder) validate(p *rundir.Plan) {
	c := k.r.in.Cluster
	line := k.m.src.Top().Sub("hardware").Line()
	if c.GPUsPerNode > 0 && k.m.gpusPerNode > c.GPUsPerNode {
		k.configProblem(line, "hardware.gpus_per_node", "%d, but the nodes of cluster %s have %d: choose a cluster whose nodes have as many, or a config made for %d", k.m.gpusPerNode, c.Name, c.GPUsPerNode, c.GPUsPerNode)
	}
	if c.GPUsPerNode > 0 && k.m.gpusPerNode < c.GPUsPerNode {
		k.warn("%s:%d: hardware.gpus_per_node is %d, the nodes of cluster %s have %d: the others stay idle", k.cfg.path, line, k.m.gpusPerNode, c.Name, c.GPUsPerNode)
	}
	if c.MaxNodes > 0 && p.Nodes > c.MaxNodes && !k.r.in.Local {
		k.problem("", "%s needs %d nodes, cluster %s allows %d (max_nodes): use fewer or smaller servers, or another cluster", k.id.Case, p.Nodes, c.Name, c.MaxNodes)
	}
	if g := k.r.gpuType(); g != "" && len(k.m.supported) > 0 && !slices.ContainsFunc(k.m.supported, func(s string) bool { return strings.EqualFold(s, g) }) {
		k.warn("%s: metadata.supported_gpus is %s, the cluster has %s", k.cfg.path, strings.Join(k.m.supported, ", "), g)
	}
	for _, r := range p.Roles() {
		if (r.Kind == rundir.KindServer || r.Kind == rundir.KindTask) && len(r.Slice) > 1 && !k.cmds.launcher {
			k.problem("pytestCommand", "%s spans %d nodes, but its command does not run under %s: put the launcher before pytest", r.Name, len(r.Slice), cmp.Or(strings.TrimSuffix(k.r.set.Launcher, "none"), DefaultLauncher))
			break
		}
	}
	if idle := p.AllocatedGPUs - p.UsedGPUs; idle > 0 && !k.r.in.Local { // this machine is nobody's but ours
		k.warn("%d of %d allocated GPUs stay idle: servers begin on nodes of their own", idle, p.AllocatedGPUs)
	}
	k.checkTimes(p)
}

// checkTimes holds our own budgets against the time limit (a budget that cannot
// fire is an error) and upstream's against it (a warning).
func (k *caseBuilder) checkTimes(p *rundir.Plan) {
	if k.m.limits.noRuntime > 0 && k.r.in.Budgets.Job == 0 && k.r.in.Cluster.Time == 0 {
		k.configProblem(k.m.limits.noRuntime, "slurm.job_time", "is a placeholder that would be used: fill it in, or set budgets.job or the cluster's time")
	}
	b, job := p.Budgets, p.Budgets.Job.D()
	sum := b.Setup.D() + b.Ready.D() + b.Benchmark.D() + b.Drain.D() + b.Collect.D()
	if sum > job {
		k.r.problem(k.r.in.ConfigFile, 0, "budgets", "setup %s + ready %s + benchmark %s + drain %s + collect %s is %s, more than the job's %s: the last of them can never fire; shorten them or raise budgets.job",
			b.Setup, b.Ready, b.Benchmark, b.Drain, b.Collect, sum, job)
	}
	if h := p.Hang.D(); k.r.in.Config.Hang != nil && h > 0 && h >= cmp.Or(b.Benchmark.D(), job) {
		k.r.problem(k.r.in.ConfigFile, 0, "workload.hang", "%s is not below what bounds the benchmark (%s): it can never fire", p.Hang, cmp.Or(b.Benchmark, b.Job))
	}
	if g := p.Grace.D(); g > 0 && b.Collect > 0 && g > b.Collect.D() {
		k.r.problem(k.r.in.ConfigFile, 0, "workload.grace", "%s is more than budgets.collect (%s): roles could not be ended in time", g, b.Collect)
	}
	if t := k.e.Timeout; t > job {
		k.warn("%s: TIMEOUT (%d) is above the job's time limit of %s: the job ends first", k.e.Place(), int(t.Minutes()), job)
	}
	if k.m.limits.timeout > job {
		k.warn("%s: the test's own timeout is %s, above the job's time limit of %s: it cannot fire", k.cfg.path, k.m.limits.timeout, job)
	}
}

// defaultJob is the time limit where neither we nor the config name one.
const defaultJob = 2 * time.Hour

// budgets are the configured ones. One that nobody has set does not exist: what
// bounds ready and benchmark together is then the list's TIMEOUT, and the time limit
// of the job.
func (k *caseBuilder) budgets() rundir.Budgets {
	b := k.r.in.Budgets
	b.Job = cmp.Or(b.Job, k.r.in.Cluster.Time, rundir.Duration(k.m.limits.runtime), rundir.Duration(defaultJob))
	return b
}

// idWarning says that a test id is of a form that today's test does not collect.
func (k *caseBuilder) idWarning() {
	if !k.g.Roles || k.g.Mode != "" || k.r.set.names.Prefix != defaultPrefix || strings.HasSuffix(filepath.Dir(k.cfg.path), oldConfigs) {
		return
	}
	k.warn("%s has no mode, and only older tests collect it: today's collect disagg_upload-e2e-%s, disagg_upload-gen_only-%s and aggr_upload-ctx_only-%s",
		k.id.Case, k.g.Stem, k.g.Stem, k.g.Stem)
}

// nameWarnings says where the file's name contradicts what is in it. Nothing is
// ever taken from a name.
func (k *caseBuilder) nameWarnings() {
	if !k.g.Disagg {
		return
	}
	number := func(p parallel, key string) int {
		n, _ := strconv.Atoi(p.keys[key])
		return n
	}
	type claim struct {
		what, pattern string
		content       int
		known         bool // the content says something of it
	}
	const width = `\d+_(?:dep|tep|tp|pp)(\d+)(?:_|$)`
	claims := []claim{
		{"context servers", `_ctx(\d+)(?:_|$)`, k.m.numCtx, true},
		{"generation servers", `_gen(\d+)(?:_|$)`, k.m.numGen, true},
		{"GPUs per ctx server", `_ctx` + width, k.m.ctx.gpus, k.m.numCtx > 0},
		{"GPUs per gen server", `_gen` + width, k.m.gen.gpus, true},
		{"generation batch size", `_bs(\d+)(?:_|$)`, k.m.gen.maxBatch, k.m.gen.maxBatch > 0},
		{"MTP layers", `_mtp(\d+)(?:_|$)`, number(k.m.gen, "spec_layers"), true},
		{"EPLB slots", `_eplb(\d+)(?:_|$)`, number(k.m.gen, "eplb_slots"), number(k.m.gen, "eplb_slots") > 0},
	}
	if len(k.m.points) > 0 {
		con := k.m.points[0].concurrency
		const pattern = `_con(\d+)(?:_|-|$)`
		if n, _ := numberIn(k.g.Stem, pattern); slices.ContainsFunc(k.m.points, func(q point) bool { return q.concurrency == n }) {
			con = n
		}
		claims = append(claims, claim{"concurrency", pattern, con, true})
	}
	for _, c := range claims {
		if n, ok := numberIn(k.g.Stem, c.pattern); ok && c.known && n != c.content {
			k.warn("%s: the name says %s %d, the content %d: the content stands", k.cfg.path, c.what, n, c.content)
		}
	}
}

// numberIn is the number that a pattern finds in a name.
func numberIn(name, pattern string) (int, bool) {
	m := regexp.MustCompile(pattern).FindStringSubmatch(name)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return n, err == nil
}
