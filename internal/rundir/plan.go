package rundir

// Plan is everything known about one case before submission: a plain value,
// stored as plan.json. The launch side renders it into a job, the agent follows
// it, the report side compares what happened with it.
type Plan struct {
	Schema int    `json:"schema"`
	Case   Case   `json:"case"`
	Stage  string `json:"stage"` // the run's name in reports

	Nodes         int  `json:"nodes"`           // whole nodes that the job allocates
	GPUsPerNode   int  `json:"gpus_per_node"`   // GPUs of one node
	AllocatedGPUs int  `json:"allocated_gpus"`  // Nodes × GPUsPerNode
	UsedGPUs      int  `json:"used_gpus"`       // GPUs that a role really computes on
	LocalAgent    bool `json:"local,omitempty"` // planned for the local backend

	Roles    []RolePlan `json:"roles"`               // in start order: GEN, CTX, DISAGG_SERVER, BENCHMARK, or AGG
	PreRoles []RolePlan `json:"pre_roles,omitempty"` // prechecks, on the node slices of the roles they precede
	Install  string     `json:"install,omitempty"`   // shell text run once per node before anything else

	Workdir string    `json:"workdir,omitempty"` // where role commands run; empty: the attempt directory
	Env     []EnvVar  `json:"env,omitempty"`     // exported to every role, in order; values are literal
	Secrets []Secret  `json:"secrets,omitempty"` // by reference only
	Srun    []string  `json:"srun_args,omitempty"`
	Budgets Budgets   `json:"budgets"`
	Hang    Duration  `json:"hang,omitempty"`  // no output and no progress for so long = hang; 0: not watched
	Grace   Duration  `json:"grace,omitempty"` // between TERM and KILL in a teardown
	Drain   DrainRule `json:"drain"`

	// OutputNames maps a role to the file name under which the test's own
	// scripts look for its output (gen_server_0.log), relative to output/.
	OutputNames map[string]string `json:"output_names,omitempty"`
	// DoneNames maps a role to the sentinel that is created after that role's
	// step has been reaped (gen_server_0.done), relative to output/.
	DoneNames map[string]string `json:"done_names,omitempty"`

	Expected Expected          `json:"expected"`
	Match    map[string]string `json:"match,omitempty"` // series identity beside case and metric: GPU type, parallelism, …
	Classes  []ClassRule       `json:"classes,omitempty"` // the user's failure classes, before the built-in ones
	Warnings []string          `json:"warnings,omitempty"`
}

// ClassRule is one failure class of the user's config; see package blame.
type ClassRule struct {
	Name    string `json:"name"`
	Class   string `json:"class"`   // infra or test
	Kind    string `json:"kind"`    // infra.node, infra.network, test.config, …
	Pattern string `json:"pattern"` // RE2, matched against lines of role logs
	Why     string `json:"why,omitempty"`
	Node    bool   `json:"node,omitempty"` // avoid the role's node on a retry
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
}

// RolePlan is one process group of the case: one srun step.
type RolePlan struct {
	Name    string      `json:"name"` // GEN_0, CTX_1, DISAGG_SERVER, BENCHMARK, AGG, GEN_0_PRECHECK
	Kind    string      `json:"kind"` // one of the Kind constants
	Slice   []NodeShare `json:"slice"`
	MPI     string      `json:"mpi,omitempty"` // srun --mpi=…; empty: no flag
	Overlap bool        `json:"overlap,omitempty"`
	Command string      `json:"command"` // shell text, run by bash in role.sh
	Env     []EnvVar    `json:"env,omitempty"`
	Srun    []string    `json:"srun_args,omitempty"` // extra srun options of this role
	Ready   Ready       `json:"ready"`
	JUnit   bool        `json:"junit"` // the role is expected to leave results.<procid>.xml
}

// Role kinds, which decide start order, liveness rules and blame preference.
const (
	KindGen       = "gen"
	KindCtx       = "ctx"
	KindServer    = "server"    // DISAGG_SERVER
	KindBenchmark = "benchmark" // BENCHMARK
	KindAgg       = "agg"
	KindPrecheck  = "precheck"
)

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

// NodeShare is a role's part of one allocated node.
type NodeShare struct {
	Node  int `json:"node"`  // index into the job's node list
	Tasks int `json:"tasks"` // tasks on that node
	GPUs  int `json:"gpus"`  // GPUs taken on that node
}

// EnvVar is one environment variable. Value is literal: no expansion.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
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
// the attempt's output directory; "%j" stands for the Slurm job id.
type Ready struct {
	AddressFile string `json:"address_file,omitempty"` // contains host:port once the server is bound
	HTTPPath    string `json:"http_path,omitempty"`    // GET http://<address><path> answers 200
	LogPattern  string `json:"log_pattern,omitempty"`  // RE2, matched against lines of output.log
}

// DrainRule says how the agent learns that the client is through.
type DrainRule struct {
	Role       string `json:"role"`                  // the client role (BENCHMARK or AGG)
	StatusFile string `json:"status_file,omitempty"` // under output/, "%j" as in Ready; or the role's end
}

// Budgets bound the phases. Zero means no bound of its own: the job's time
// limit then ends it.
type Budgets struct {
	Queue     Duration `json:"queue,omitempty"`
	Setup     Duration `json:"setup,omitempty"`
	Ready     Duration `json:"ready,omitempty"`
	Benchmark Duration `json:"benchmark,omitempty"`
	Drain     Duration `json:"drain,omitempty"`
	Collect   Duration `json:"collect,omitempty"`
	Job       Duration `json:"job"` // the Slurm time limit
}

// Expected is what a complete attempt leaves behind: the contract that the
// validity check of the report holds the observation against.
type Expected struct {
	NodeIDs    []string `json:"node_ids,omitempty"`    // pytest ids each reporting role is to report
	Points     []Point  `json:"points,omitempty"`      // benchmark points
	GPUType    string   `json:"gpu_type,omitempty"`    // "" = unknown, not checked
	Metrics    []string `json:"metrics,omitempty"`     // metrics without which a point is not a measurement
	DeviceStep bool     `json:"device_step,omitempty"` // gen_only: device step time from the gen_server logs
	Accuracy   bool     `json:"accuracy,omitempty"`
}

// Point is one benchmark point: one client run at one concurrency.
type Point struct {
	Name        string `json:"name,omitempty"` // client name, con<C>_iter<I>_isl<ISL>_osl<OSL> by default
	Concurrency int    `json:"concurrency"`
	Requests    int    `json:"requests,omitempty"` // 0 = unknown
	InputLen    int    `json:"input_len,omitempty"`
	OutputLen   int    `json:"output_len,omitempty"`
}
