package rundir

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Plan is everything known about one case before submission: a plain value,
// stored as plan.json. The launch side renders it into a job, the agent follows
// it, the report side compares what happened with it.
type Plan struct {
	Schema int    `json:"schema"`
	Case   Case   `json:"case"`
	Stage  string `json:"stage"` // the run's name in reports

	Allocation
	LocalAgent bool `json:"local,omitempty"` // planned for the local backend

	// Builds is the software that is run: one, or the two of a comparison. Their
	// roles have the same names and kinds.
	Builds []BuildPlan `json:"builds"`
	// Runs are what the job does, one after the other: each starts all roles of its
	// build once.
	Runs []RunRef `json:"runs"`
	// Pairs is set where the builds are compared in pairs: a session.
	Pairs *PairPlan `json:"pairs,omitempty"`

	Surroundings
	DraftPlan
	Supervision

	Srun []string `json:"srun_args,omitempty"` // site options of every step
	// GPUFlag is how a step asks for its GPUs: "gpus-per-node", "gres", or "" on
	// clusters that do not account for them. See script.StepArgs.
	GPUFlag string `json:"gpu_flag,omitempty"`

	Expected Expected          `json:"expected"`
	Match    map[string]string `json:"match,omitempty"` // series identity beside case and metric: GPU type, parallelism, …
	Warnings []string          `json:"warnings,omitempty"`
}

// Allocation is what the job takes of the cluster.
type Allocation struct {
	Nodes         int `json:"nodes"`          // whole nodes that the job allocates
	GPUsPerNode   int `json:"gpus_per_node"`  // GPUs of one node
	AllocatedGPUs int `json:"allocated_gpus"` // Nodes × GPUsPerNode
	UsedGPUs      int `json:"used_gpus"`      // GPUs that a role really computes on
	// MakeBelieve says that there are none: planned for the local backend, on a machine
	// without any.
	MakeBelieve bool `json:"make_believe_gpus,omitempty"`
	// Avoid are nodes that its jobs keep away from, as far as enough others are left.
	Avoid []string `json:"avoid,omitempty"`
}

// Surroundings are what every role finds when it starts.
type Surroundings struct {
	Workdir string   `json:"workdir,omitempty"` // where role commands run; empty: the run's directory
	Env     []EnvVar `json:"env,omitempty"`     // exported to every role, in order; values are literal
	// Paths are exported by job.sh and to every role as absolute paths: Value is
	// relative to the run's directory ("." is the directory itself, ".." the attempt's).
	Paths []EnvVar `json:"paths,omitempty"`
	// Links are symbolic links that must exist before a role runs.
	Links []Link `json:"links,omitempty"`
	// TokenEnv names the variable that carries the attempt's own token, by which
	// the test tells its coordination files from stale ones.
	TokenEnv string   `json:"token_env,omitempty"`
	Secrets  []Secret `json:"secrets,omitempty"` // by reference only
}

// DraftPlan is what a team's own launch draft runs with.
type DraftPlan struct {
	Draft bool `json:"draft,omitempty"` // a draft runs instead of the agent
	// Exports are exported by job.sh alone: the derived variables that drafts read
	// (numGenServers, pytestCommandWorker, …).
	Exports []EnvVar `json:"exports,omitempty"`
	// DraftRun is the shell text that each task of a step runs which a draft starts.
	DraftRun string `json:"draft_run,omitempty"`
}

// Supervision is how the agent watches over the roles, and what ends them.
type Supervision struct {
	Budgets  Budgets  `json:"budgets"`
	Lifeline Duration `json:"lifeline,omitempty"` // no sign of life of the run's driver for so long ends the job; 0: never
	Warned   Duration `json:"warned,omitempty"`   // that its time limit comes the job is told so long before; 0: two minutes, or never
	Hang     Duration `json:"hang,omitempty"`     // no sign of life of any role for so long in the benchmark = hang; 0: not watched
	// Served are patterns of files below output/: once one is not empty, the first
	// request is being served. Before that, silence is no hang.
	Served []string  `json:"served,omitempty"`
	Grace  Duration  `json:"grace,omitempty"` // between TERM and KILL in a teardown
	Drain  DrainRule `json:"drain"`
	Seeing
	Classes []ClassRule `json:"classes,omitempty"` // the user's failure classes, before the built-in ones
}

// Roles are the roles of the case in start order, prechecks included. Their names,
// kinds and places are the same in every build.
func (p Plan) Roles() []RolePlan {
	if len(p.Builds) == 0 {
		return nil
	}
	return p.Builds[0].Roles
}

// MainRoles are the roles without the prechecks.
func (p Plan) MainRoles() []RolePlan {
	return slices.DeleteFunc(slices.Clone(p.Roles()), func(r RolePlan) bool { return r.Kind == KindPrecheck })
}

// Devices are this machine's GPUs that the roles have, none where the plan does not say.
func (p Plan) Devices() []int {
	var out []int
	for _, r := range p.Roles() {
		for _, s := range r.Slice {
			out = append(out, s.Devices...)
		}
	}
	return out
}

// Build is the build that a run is of.
func (p Plan) Build(run RunRef) (BuildPlan, bool) {
	i := slices.IndexFunc(p.Builds, func(b BuildPlan) bool { return b.Name == run.Build })
	if i < 0 {
		return BuildPlan{}, false
	}
	return p.Builds[i], true
}

// BuildPlan is one build of the software under test, and how its roles are run.
type BuildPlan struct {
	Name      string     `json:"name"`
	Source    string     `json:"source,omitempty"`    // checkout it comes from
	Commit    string     `json:"commit,omitempty"`    // "" = unknown
	Workdir   string     `json:"workdir,omitempty"`   // where its role commands run; "" = the plan's
	Install   string     `json:"install,omitempty"`   // shell text run once per node before its first run
	Setup     string     `json:"setup,omitempty"`     // shell text run by every role before its command
	SetupKey  string     `json:"setup_key,omitempty"` // where the config says so; "" = workload.setup
	Env       []EnvVar   `json:"env,omitempty"`       // exported to every role after the plan's
	Container *Container `json:"container,omitempty"` // nil: roles run on the bare node
	Roles     []RolePlan `json:"roles"`               // in start order
}

// HeadBuild is the name of the only build of a case, and of the newer one of two. See
// BaseBuild.
const HeadBuild = "head"

// RunRef is one run of the job.
type RunRef struct {
	Index  int    `json:"index"` // its directory is run-<index>
	Build  string `json:"build"`
	Warmup bool   `json:"warmup,omitempty"` // its measurement is thrown away
	Pair   int    `json:"pair,omitempty"`   // of a session, counted from 1; 0 = of none
	Again  int    `json:"again,omitempty"`  // n-th pair of the session that is measured again; in a plan without Pair: which one it is shows itself
}

// OneRun is the plan of a job that runs its only build once.
func OneRun() []RunRef { return []RunRef{{Build: HeadBuild}} }

// ClassRule is one failure class of the user's config; see package blame.
type ClassRule struct {
	Name    string `json:"name"`
	Class   string `json:"class"`   // infra or test
	Kind    string `json:"kind"`    // infra.node, infra.network, test.config, …
	Pattern string `json:"pattern"` // RE2, matched against lines of role logs
	Why     string `json:"why,omitempty"`
	Node    bool   `json:"node,omitempty"` // avoid the role's node on a retry
	Weak    bool   `json:"weak,omitempty"` // the line is also seen in healthy logs
}

// Container is the pyxis container that the roles run in.
type Container struct {
	Image     string   `json:"image"`          // image reference or .sqsh path
	Name      string   `json:"name,omitempty"` // named container shared by the steps of a node; made unique per attempt
	Workdir   string   `json:"workdir,omitempty"`
	Mounts    []string `json:"mounts,omitempty"` // src:dst[:flags]; the attempt directory is added
	MountHome bool     `json:"mount_home,omitempty"`
	Args      []string `json:"args,omitempty"` // further --container-… options
}

// Case is one perf test: a pytest id plus the config it names.
type Case struct {
	ID         string   `json:"id"`     // as given, without list annotations: perf/test_perf_sanity.py::test_e2e[…]
	Slug       string   `json:"slug"`   // safe, unique directory name
	Mode       string   `json:"mode"`   // e2e, gen_only, gen_only_no_context, ctx_only, aggregated
	Config     string   `json:"config"` // path of the YAML
	ConfigSHA  string   `json:"config_sha256"`
	Server     string   `json:"server,omitempty"` // aggregated: the selected server_configs names, comma separated
	Timeout    Duration `json:"timeout,omitempty"`
	Isolation  bool     `json:"isolation,omitempty"`
	SkipReason string   `json:"skip,omitempty"`      // not empty: listed, reported as skipped, never launched
	KnownBug   string   `json:"known_bug,omitempty"` // a known failure: reported, does not turn the run red
	Source     string   `json:"source,omitempty"`    // where the case was listed: file:line, or "command line"
	// Pipeline names the configured pipeline that the case is of; "" = TensorRT-LLM's.
	Pipeline string            `json:"pipeline,omitempty"`
	Vars     map[string]string `json:"vars,omitempty"` // the case's own variables
	Tags     []string          `json:"tags,omitempty"`
}

// RolePlan is one process group of the case: one srun step.
type RolePlan struct {
	Name string `json:"name"` // a file name and a shell word: what the pipeline calls it
	Kind string `json:"kind"` // one of the Kind constants
	// Group is the name without its number: roles of a group are alike.
	Group string `json:"group,omitempty"`
	// Shown orders roles for people, smaller first; start order decides between equals.
	Shown   int         `json:"shown,omitempty"`
	Slice   []NodeShare `json:"slice"`
	MPI     string      `json:"mpi,omitempty"` // srun --mpi=…; empty: no flag
	Overlap bool        `json:"overlap,omitempty"`
	// Before is shell text that runs before the role's environment is set, so
	// that what it unsets can be set again (unset UCX_TLS).
	Before  string   `json:"before,omitempty"`
	Command string   `json:"command"` // shell text, run by bash in role.sh
	Env     []EnvVar `json:"env,omitempty"`
	Srun    []string `json:"srun_args,omitempty"` // extra srun options of this role
	Ready   Ready    `json:"ready"`
	// Work is a regular expression for lines of the role's logs with one group: how
	// many requests the role is working on. "" = it does not say.
	Work string `json:"work,omitempty"`
	// Logs are patterns (path.Match) of the files below output/ that the role's own
	// processes write: its server's log, its client's output.
	Logs  []string `json:"logs,omitempty"`
	JUnit bool     `json:"junit"` // the role is expected to leave results.<procid>.xml
	// Output is another name of the role's output (gen_server_0.log), relative to
	// output/, under which the test's own scripts look for it.
	Output string `json:"output,omitempty"`
	// Done is a file (gen_server_0.done), relative to output/, that is made once the
	// role's step has been reaped.
	Done string `json:"done,omitempty"`
	Lifecycle
	Outfit
	Leaves
}

// The kinds of role. They decide when a role starts, which end of it is a failure,
// and who is to blame where several failed at once.
const (
	KindInstall  = "install"  // the agent's own step before all roles, once per node
	KindPrecheck = "precheck" // must end with 0 before the others start
	KindServer   = "server"   // serves until the client is through
	KindRouter   = "router"   // serves by passing on to servers
	KindClient   = "client"   // measures servers; what it sees of a failure is second-hand
	KindTask     = "task"     // does its work by itself and ends
)

// Works reports whether a role of the kind has work of its own to end, where servers
// and routers only serve.
func Works(kind string) bool { return kind == KindClient || kind == KindTask }

// Tasks is the number of srun tasks of the role, over all its nodes.
func (r RolePlan) Tasks() int {
	n := 0
	for _, s := range r.Slice {
		n += s.Tasks
	}
	return n
}

// GPUs is the number of GPUs the role computes on, over all its nodes.
func (r RolePlan) GPUs() int {
	n := 0
	for _, s := range r.Slice {
		n += s.GPUs
	}
	return n
}

// InOrderShown is roles in the order for people.
func InOrderShown(roles []RolePlan) []RolePlan {
	out := slices.Clone(roles)
	slices.SortStableFunc(out, func(a, b RolePlan) int { return cmp.Compare(a.Shown, b.Shown) })
	return out
}

// NodeShare is a role's part of one allocated node.
type NodeShare struct {
	Node  int `json:"node"`  // index into the job's node list
	Tasks int `json:"tasks"` // tasks on that node
	GPUs  int `json:"gpus"`  // GPUs taken on that node
	// Devices are which of this machine's GPUs these are, under the local backend.
	Devices []int `json:"devices,omitempty"`
}

// EnvVar is one environment variable. Value is literal: no expansion.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Link is a symbolic link in the run's directory. Path is relative to that
// directory; Target is relative to the link, as ln -s takes it.
type Link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Secret names a value that reaches the roles' environment without ever being
// part of a plan, a script, an argument or a log.
type Secret struct {
	Name string `json:"name"`           // variable in the role's environment
	From string `json:"from,omitempty"` // variable in the client's environment
	File string `json:"file,omitempty"` // or a 0600 file, read where the role starts
}

// Ready says when a server role counts as ready. All given conditions must
// hold; none given means ready as soon as the step runs. Paths are relative to
// the run's output directory, unless said otherwise; "%j" stands for the Slurm job id.
type Ready struct {
	AddressFile string `json:"address_file,omitempty"` // contains host:port once the server is bound
	HTTPPath    string `json:"http_path,omitempty"`    // GET http://<address><path> answers 200
	LogPattern  string `json:"log_pattern,omitempty"`  // RE2, matched against lines of output.log
	TCP         bool   `json:"tcp,omitempty"`          // the published address takes connections
	File        string `json:"file,omitempty"`         // pattern below the role's own output folder: a file that is not empty
}

// DrainRule says how the agent learns that the client is through.
type DrainRule struct {
	Role       string `json:"role"`                  // the client, or the task that is all there is
	StatusFile string `json:"status_file,omitempty"` // under output/, "%j" as in Ready; or the role's end
}

// Budgets bound the phases. Zero means no bound of its own: the job's time
// limit then ends it.
type Budgets struct {
	Queue     Duration `json:"queue,omitempty" yaml:"queue"`
	Setup     Duration `json:"setup,omitempty" yaml:"setup"`
	Ready     Duration `json:"ready,omitempty" yaml:"ready"`
	Benchmark Duration `json:"benchmark,omitempty" yaml:"benchmark"`
	Drain     Duration `json:"drain,omitempty" yaml:"drain"`
	Collect   Duration `json:"collect,omitempty" yaml:"collect"`
	Job       Duration `json:"job" yaml:"job"` // the Slurm time limit
}

// Expected is what a complete attempt leaves behind: the contract that the
// validity check of the report holds the observation against.
type Expected struct {
	NodeIDs    []string `json:"node_ids,omitempty"`    // pytest ids each reporting role is to report
	Points     []Point  `json:"points,omitempty"`      // benchmark points
	GPUType    string   `json:"gpu_type,omitempty"`    // "" = unknown, not checked
	Metrics    []string `json:"metrics,omitempty"`     // metrics without which a point is not a measurement
	DeviceStep bool     `json:"device_step,omitempty"` // gen_only: device step time from the servers' iteration logs
	Accuracy   bool     `json:"accuracy,omitempty"`
}

// Point is one benchmark point: one client run at one concurrency, one request
// rate, or both.
type Point struct {
	Name        string  `json:"name,omitempty"` // client name, con<C>_iter<I>_isl<ISL>_osl<OSL> by default
	Concurrency int     `json:"concurrency"`
	Rate        float64 `json:"rate,omitempty"`     // requests per second that the client sends; 0 = as fast as it can, or unknown
	Requests    int     `json:"requests,omitempty"` // 0 = unknown
	InputLen    int     `json:"input_len,omitempty"`
	OutputLen   int     `json:"output_len,omitempty"`
	// File is the client's output below output/, where the layout fixes it: it
	// tells points of several servers apart that are alike otherwise.
	File string `json:"file,omitempty"`
}

// Load names what the client did: con8, rate2.5, or con8_rate2.5; "" = unknown.
func (p Point) Load() string {
	var load []string
	if p.Concurrency > 0 {
		load = append(load, "con"+strconv.Itoa(p.Concurrency))
	}
	if p.Rate > 0 {
		load = append(load, "rate"+strconv.FormatFloat(p.Rate, 'g', -1, 64))
	}
	return strings.Join(load, "_")
}
