package trtllm

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/trtllm/testlist"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Config is the section workload: of ci-disagg.yaml. Relative paths are relative
// to that file.
type Config struct {
	Source string `yaml:"source"` // root of the TensorRT-LLM checkout, as the nodes see it
	Dir    string `yaml:"dir"`    // where pytest runs; default <source>/tests/integration/defs

	Commands `yaml:",inline"`
	Tests    `yaml:",inline"`

	Env          map[string]string `yaml:"env"`                              // exported to every role
	Secrets      []Secret          `yaml:"secrets" policy:"base"`            // by reference only
	OutputLayout string            `yaml:"output_layout" enum:"trtllm,none"` // trtllm (default) or none
	GPUType      string            `yaml:"gpu_type"`                         // for lists and series identity, when the cluster names none
	GPUs         map[string][]int  `yaml:"gpus"`                             // role -> numbers of this machine's GPUs; backend local only
	ServerLogs   []string          `yaml:"server_logs"`                      // files in the output directory that a role's own processes write; {role} stands for its name
	Hang         *rundir.Duration  `yaml:"hang"`                             // no sign of life of any role for so long in the benchmark is a hang; 0 = not watched; default 30m
	Grace        rundir.Duration   `yaml:"grace"`                            // between TERM and KILL; default 30s
}

// Commands are what the roles run.
type Commands struct {
	Pytest   string `yaml:"pytest"`   // how pytest is called: shell text, default "pytest"
	Args     string `yaml:"args"`     // shell text behind the test id, default "-vv"
	Command  string `yaml:"command"`  // the whole command instead, {test_id} stands for the id
	Launcher string `yaml:"launcher"` // put before our own commands for workers: a name or path; default trtllm-llmapi-launch, "none" = none
	Setup    string `yaml:"setup"`    // shell text that every role runs before its command
	Install  string `yaml:"install"`  // shell text run once per node before the roles
	Precheck string `yaml:"precheck"` // command of the network precheck on the workers' nodes
	MPI      string `yaml:"mpi"`      // --mpi of workers under the launcher; default pmix
	UCX      string `yaml:"ucx"`      // shell text before every worker's command; default "unset UCX_TLS", "none" = nothing
	// Versions are commands that say a version of something, by its name, in the roles' environment.
	Versions map[string]string `yaml:"versions"`
}

// Tests are which tests there are, and what is known of them.
type Tests struct {
	DisaggConfigs string                  `yaml:"disagg_configs"`               // folder of the disaggregated YAML files
	AggConfigs    string                  `yaml:"agg_configs"`                  // folder of the aggregated YAML files
	TestModule    string                  `yaml:"test_module"`                  // default perf/test_perf_sanity.py
	TestFunction  string                  `yaml:"test_function"`                // default test_e2e
	TestPrefix    string                  `yaml:"test_prefix"`                  // default disagg_upload
	Waives        []string                `yaml:"waives" policy:"base"`         // files in upstream's form
	KnownFailures []testlist.KnownFailure `yaml:"known_failures" policy:"base"` // reported, do not turn a run red until they expire
	Facts         map[string]string       `yaml:"facts"`                        // for the conditions of test-db lists: stage, backend, cpu, …
}

// Secret names a value that reaches the roles' environment and nothing else.
type Secret struct {
	Name string `yaml:"name"` // variable in the roles' environment
	From string `yaml:"from"` // variable of the calling process; default: the same name
	File string `yaml:"file"` // or a file that only its owner may read
}

// Defaults of Config.
const (
	DefaultLauncher = "trtllm-llmapi-launch"
	defaultPytest   = "pytest"
	defaultArgs     = "-vv"
	defaultModule   = "perf/test_perf_sanity.py"
	defaultFunction = "test_e2e"
	defaultPrefix   = "disagg_upload"
	defaultUCX      = "unset UCX_TLS"
	defaultMPI      = "pmix"
	defaultHang     = rundir.Duration(30 * time.Minute)
	defaultGrace    = rundir.Duration(30 * time.Second)
)

// Layouts of the test's output directory.
const (
	LayoutTRTLLM = "trtllm"
	LayoutNone   = "none"
)

// Variables of the calling process that are read as defaults, as upstream's
// scripts read them. A value in the config file stands below them.
const (
	EnvAggFolder    = "AGG_CONFIG_FOLDER"
	EnvDisaggFolder = "DISAGG_CONFIG_FOLDER"
	EnvTestModule   = "PERF_TEST_MODULE"
	EnvTestFunction = "PERF_TEST_FUNCTION"
	EnvTestPrefix   = "PERF_TEST_PREFIX"
	EnvCommand      = "pytestCommand"
	EnvPrecheck     = "TRTLLM_DISAGG_CT_PRECHECK"
	EnvImex         = "NVIDIA_IMEX_CHANNELS"
	EnvVisible      = "NVIDIA_VISIBLE_DEVICES"
	EnvCoverage     = "coverageConfigFile"
	EnvResources    = "resourcePathNode"
)

// EnvNames are the variables whose values Resolve wants in Input.Env.
func EnvNames() []string {
	return []string{
		EnvAggFolder, EnvDisaggFolder, EnvTestModule, EnvTestFunction, EnvTestPrefix, EnvCommand,
		EnvPrecheck, EnvImex, EnvVisible, EnvCoverage, EnvResources,
	}
}

// Cluster is what planning must know of a cluster. Zero values are not checked.
type Cluster struct {
	Name        string
	GPUsPerNode int
	MaxNodes    int
	GPUType     string
	Arch        string // amd64 or arm64
	Time        rundir.Duration
	// Elsewhere says that its roles see other files than this machine: behind a login
	// node, in a container.
	Elsewhere bool
}

// Input is everything that plans are made of.
type Input struct {
	Config     Config
	ConfigFile string // for messages
	Base       string // absolute directory that relative paths start from
	Cluster    Cluster
	Local      bool   // planned for the local backend
	Stage      string // the run's name in reports

	Tests  []string             // ids or list lines from the command line
	Lists  []string             // files: test lists or test-db YAML
	Own    func(id string) bool // lines of lists that are no tests; nil = none
	Waives []string             // files beside Config.Waives
	Read   func(path string) ([]byte, error)

	// At is the position of a key of ConfigFile, as file:line:column, for
	// messages; nil = the file's name alone.
	At func(key string) string

	Env     map[string]string // values of EnvNames, where set
	Today   string            // YYYY-MM-DD, for known failures
	Budgets rundir.Budgets    // as configured; zero fields get defaults

	Shard, Shards int // --shard i/n, i from 1; 0/0 = everything
	SplitGroup    int // upstream's --split-group: line number from 1; 0 = everything
}
