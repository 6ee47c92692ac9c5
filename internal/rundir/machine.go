package rundir

import "time"

// EnvironmentFile is what the attempt's machines and software were.
func (a AttemptDir) EnvironmentFile() string { return a.path("environment.json") }

// MachineFile is what the node helper on one of the job's nodes has found there, and the
// counters of its GPUs before and after each benchmark phase of the run.
func (r RunDir) MachineFile(node string) string { return r.path("nodes", node+".machine.json") }

// TelemetryFile is what the node helper's sampler has seen on one of the job's nodes: CSV
// with the columns of TelemetryColumns.
func (r RunDir) TelemetryFile(node string) string { return r.path("nodes", node+".telemetry.csv") }

// VersionsName is the name of the file in a role's directory with what the commands of
// workload.versions have said there: name, exit code and first line, with tabs between
// them, a line each.
const VersionsName = "versions.tsv"

// VersionsFile is that file.
func (r RunDir) VersionsFile(role string) string { return r.path("roles", role, VersionsName) }

// MaxTelemetryFile bounds the readings of a node, in bytes.
const MaxTelemetryFile = 4 << 20

// TelemetryColumns are those of a TelemetryFile, in this order. A row with a gpu is about
// that card, a row without one about the node; a field that nobody told is empty. A
// reader goes by the names: there may be further ones.
//
//	time          when, on the agent's clock: seconds since 1970 with three decimals
//	gpu           index of the card on its node
//	sm_mhz        clock of the multiprocessors
//	mem_mhz       clock of the memory
//	power_w       power drawn
//	temp_c        temperature
//	util_pct      time in which a kernel ran
//	mem_used_mib  memory in use
//	reasons       why the clock is what it is: the driver's bits, in hexadecimal
//	others        processes on the card that are not the job's
//	steal_pct     CPU time that the hypervisor gave to others
//	load1         load average over one minute
func TelemetryColumns() []string {
	return []string{"time", "gpu", "sm_mhz", "mem_mhz", "power_w", "temp_c", "util_pct", "mem_used_mib", "reasons", "others", "steal_pct", "load1"}
}

// Seeing is what is to be found out of the machines and the software.
type Seeing struct {
	Telemetry Duration `json:"telemetry,omitempty"` // between two samples of a node; 0: none
	// Versions are commands that say a version of something, by its name: shell text that
	// is run in the roles' environment.
	Versions []EnvVar      `json:"versions,omitempty"`
	Limits   MachineLimits `json:"machine_limits,omitzero"`
}

// MachineLimits say from where on a machine makes a measurement suspect. 0 = never.
type MachineLimits struct {
	// Thermal and PowerBrake are parts of the benchmark in which a card was slowed down for
	// its heat, or by its machine's power supply; PowerCap in which its power limit held it
	// for longer than is usual for the case.
	Thermal    float64 `json:"thermal,omitempty" yaml:"thermal"`
	PowerBrake float64 `json:"power_brake,omitempty" yaml:"power_brake"`
	PowerCap   float64 `json:"power_cap,omitempty" yaml:"power_cap"`
	// Clock is how far below its usual a card's clock is, as a part of it.
	Clock float64 `json:"clock,omitempty" yaml:"clock"`
	// Steal is the part of the job's CPU time that the hypervisor gave to others.
	Steal      float64 `json:"steal,omitempty" yaml:"steal"`
	ECC        int     `json:"ecc,omitempty" yaml:"ecc"`               // errors of a card's memories
	Neighbours int     `json:"neighbours,omitempty" yaml:"neighbours"` // processes on a card that are not the job's
}

// DefaultMachineLimits are those of a config that names none.
func DefaultMachineLimits() MachineLimits {
	return MachineLimits{Thermal: 0.01, PowerBrake: 0.01, PowerCap: 0.25, Clock: 0.05, Steal: 0.02, ECC: 1, Neighbours: 1}
}

// Environment is what the machines and the software of an attempt were: one section per
// node, one per build. What nobody could tell is absent.
type Environment struct {
	Schema int           `json:"schema"`
	JobID  string        `json:"job_id,omitempty"`
	Nodes  []NodeMachine `json:"nodes"`
	Builds []BuildFacts  `json:"builds,omitempty"`
}

// NodeRecord is a MachineFile.
type NodeRecord struct {
	Schema int `json:"schema"`
	NodeMachine
	Phases []PhaseCounters `json:"phases,omitempty"`
	Others []Other         `json:"others,omitempty"` // processes on the cards that are not the job's
}

// Other is a process of somebody else that was seen on a card of the job.
type Other struct {
	UUID  string    `json:"uuid"` // of the card
	PID   int       `json:"pid"`
	Name  string    `json:"name,omitempty"`
	First time.Time `json:"first"` // when it was seen
	Last  time.Time `json:"last"`
}

// NodeMachine is what one node was.
type NodeMachine struct {
	Node      string            `json:"node"` // as the job names it
	At        time.Time         `json:"at"`
	Took      Duration          `json:"took"` // to find out
	Host      string            `json:"host,omitempty"`
	Kernel    string            `json:"kernel,omitempty"`
	OS        string            `json:"os,omitempty"`
	CPU       CPU               `json:"cpu"`
	MemoryMiB int64             `json:"memory_mib,omitempty"`
	LimitMiB  int64             `json:"memory_limit_mib,omitempty"` // of the job's control group
	Driver    string            `json:"driver,omitempty"`           // of the GPUs
	CUDA      string            `json:"cuda,omitempty"`             // highest version that the driver supports
	GPUs      []GPU             `json:"gpus,omitempty"`             // those of the job
	NICs      []NIC             `json:"nics,omitempty"`
	Variables map[string]string `json:"variables,omitempty"` // of the environment, by allow-list, masked
	Missing   []string          `json:"missing,omitempty"`   // what could not be found out, and why
}

// CPU is the part of a node's processors that the job has.
type CPU struct {
	Model  string `json:"model,omitempty"`
	Online int    `json:"online,omitempty"` // of the node
	Set    string `json:"set,omitempty"`    // those of the job: 0-15
	Memory string `json:"memory,omitempty"` // NUMA nodes whose memory the job may use: 0-1
	NUMA   int    `json:"numa,omitempty"`   // NUMA nodes of the node
}

// GPU is one card.
type GPU struct {
	Index        int     `json:"index"` // on its node
	UUID         string  `json:"uuid,omitempty"`
	Name         string  `json:"name,omitempty"`
	Bus          string  `json:"bus,omitempty"`
	VBIOS        string  `json:"vbios,omitempty"`
	MemoryMiB    int64   `json:"memory_mib,omitempty"`
	MIG          string  `json:"mig,omitempty"` // enabled, disabled
	ECC          string  `json:"ecc,omitempty"` // enabled, disabled
	PowerLimit   float64 `json:"power_limit_w,omitempty"`
	PowerDefault float64 `json:"power_default_w,omitempty"`
	Clocks       Clocks  `json:"clocks"`
	NVLink       *NVLink `json:"nvlink,omitempty"`
	Counters     Counter `json:"counters,omitempty"` // when it was first looked at
}

// Clocks are a card's, in MHz.
type Clocks struct {
	MaxSM  int `json:"max_sm_mhz,omitempty"`
	MaxMem int `json:"max_mem_mhz,omitempty"`
	// AppSM and AppMem are those that were set for applications, if anybody did.
	AppSM  int `json:"app_sm_mhz,omitempty"`
	AppMem int `json:"app_mem_mhz,omitempty"`
}

// NVLink is the state of a card's links.
type NVLink struct {
	Active   int     `json:"active"`
	Inactive int     `json:"inactive,omitempty"`
	Speed    float64 `json:"gb_per_s,omitempty"` // of one link, GB/s
	Fabric   string  `json:"fabric,omitempty"`   // state of the NVLink switches: completed, in progress
}

// Counter are counts by name. One that the driver does not tell is absent.
type Counter map[string]int64

// The counts of a card. Those of throttling are microseconds, and grow while the reason
// lasts.
const (
	CountPowerCap       = "throttle_us.power_cap"    // by its power limit: usual under load
	CountPowerBrake     = "throttle_us.power_brake"  // by the machine: its power supply asks for it
	CountThermal        = "throttle_us.thermal"      // by the driver: it is too hot
	CountThermalHW      = "throttle_us.thermal_hw"   // by the card itself, to half its clock and less
	CountSyncBoost      = "throttle_us.sync_boost"   // with the other cards of its group
	CountCorrected      = "ecc.corrected"            // errors of its memories since the driver was loaded
	CountUncorrected    = "ecc.uncorrected"          // the same
	CountCorrectedAll   = "ecc.corrected_lifetime"   //
	CountUncorrectedAll = "ecc.uncorrected_lifetime" //
	CountRetired        = "memory.retired_pages"     // of its lifetime
	CountRemapped       = "memory.remapped_rows"     // of its lifetime
	CountReplays        = "pcie.replays"             // since it was reset
)

// PhaseCounters are a node's counters before and after one phase.
type PhaseCounters struct {
	Phase  Phase          `json:"phase"`
	Before *CardsCounters `json:"before,omitempty"`
	After  *CardsCounters `json:"after,omitempty"`
}

// CardsCounters are the counters of a node's cards at one moment.
type CardsCounters struct {
	At    time.Time          `json:"at"`
	Cards map[string]Counter `json:"cards"` // by UUID
}

// NIC is one network interface.
type NIC struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"` // ethernet, infiniband, rdma: a port of an RDMA device
	State  string `json:"state,omitempty"`
	Speed  int    `json:"mb_per_s,omitempty"` // megabits a second
	MTU    int    `json:"mtu,omitempty"`
	Driver string `json:"driver,omitempty"`
	Port   int    `json:"port,omitempty"` // of an RDMA device
}

// Version is what a command of workload.versions said.
type Version struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"` // first line
	Error string `json:"error,omitempty"` // why there is none
}

// BuildFacts is what is known of one build of the software under test.
type BuildFacts struct {
	Name   string `json:"name"`
	Source string `json:"source,omitempty"` // checkout
	Commit string `json:"commit,omitempty"`
	Dirty  *bool  `json:"dirty,omitempty"` // the checkout has changes that no commit holds; nil = not known
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
	// ImageFile is size and time of an image that is a file, which may be another one
	// under the same name.
	ImageFile string            `json:"image_file,omitempty"`
	Variables map[string]string `json:"variables,omitempty"` // that the plan sets, by allow-list, masked
	Versions  []Version         `json:"versions,omitempty"`
}

// Machine is what is kept of an attempt's machines with a measurement, in the store and
// in verdict.json: enough to compare two of them, and to tell the cards apart.
type Machine struct {
	// Facts are what can be compared between two measurements, by the Fact names. Where the
	// nodes differ, the values stand beside each other: "580.95.05 (n1), 580.126.09 (n2)".
	Facts    map[string]string `json:"facts,omitempty"`
	Cards    []Card            `json:"cards,omitempty"`
	Suspects []Suspicion       `json:"suspects,omitempty"` // why the measurement may be the machine's
}

// The facts of a Machine. Those with a dot at their end begin the names of several.
const (
	FactKernel     = "kernel"
	FactOS         = "os"
	FactCPU        = "cpu"
	FactCPUSet     = "cpu_set"
	FactMemory     = "memory"
	FactGPU        = "gpu" // "8 × NVIDIA H200, 143771 MiB"
	FactDriver     = "driver"
	FactCUDA       = "cuda"
	FactMIG        = "mig"
	FactECC        = "ecc"
	FactPowerLimit = "power_limit"
	FactClocks     = "clocks" // the highest, and those set for applications
	FactVBIOS      = "vbios"
	FactNVLink     = "nvlink"
	FactNICs       = "nics"
	FactImage      = "image"
	FactDigest     = "image_digest"
	FactImageFile  = "image_file"
	FactCommit     = "commit"
	FactDirty      = "dirty"    // yes, no
	FactVersion    = "version." // version.torch
	FactVariable   = "env."     // env.NCCL_DEBUG
)

// Card is one card under a benchmark.
type Card struct {
	Node  string `json:"node"`
	Index int    `json:"index"`
	UUID  string `json:"uuid,omitempty"`
	Name  string `json:"name,omitempty"`
	// Medians over the benchmark; of the clocks, over the samples in which it worked. 0 =
	// nobody sampled.
	SM    float64 `json:"sm_mhz,omitempty"`
	Mem   float64 `json:"mem_mhz,omitempty"`
	Power float64 `json:"power_w,omitempty"`
	Temp  float64 `json:"temp_c,omitempty"` // the highest
	Util  float64 `json:"util_pct,omitempty"`
	// Capped is the part of the benchmark in which its power limit held it, 0..1; nil = not known.
	Capped *float64 `json:"capped,omitempty"`
}

// Suspicion is one reason why a measurement may be the machine's and not the software's.
type Suspicion struct {
	Kind string `json:"kind"` // one of the Suspect constants
	Node string `json:"node"`
	GPU  *int   `json:"gpu,omitempty"` // index on the node
	UUID string `json:"uuid,omitempty"`
	Text string `json:"text"` // for people: "GPU 3 of node07 ran at 1,410 MHz of 1,980 for 62 % of the benchmark"
}

// The kinds of suspicion.
const (
	SuspectThermal    = "thermal"
	SuspectPowerBrake = "power_brake"
	SuspectPowerCap   = "power_cap" // much more than is usual for the case
	SuspectClock      = "clock"     // well below the card's usual
	SuspectNeighbour  = "neighbour" // another process on the card
	SuspectECC        = "ecc"
	SuspectSteal      = "cpu_steal"
)

// Telemetry is what the cards of an attempt were seen at, as it is drawn.
type Telemetry struct {
	From   time.Time         `json:"from"`
	Step   Duration          `json:"step"` // between two points
	Series []TelemetrySeries `json:"series"`
}

// TelemetrySeries is one measure over all cards.
type TelemetrySeries struct {
	Name string    `json:"name"`
	Unit string    `json:"unit"`
	At   []int     `json:"at"`  // which points there are, in steps from the first
	Low  []float64 `json:"low"` // of all cards
	Mid  []float64 `json:"mid"`
	High []float64 `json:"high"`
}
