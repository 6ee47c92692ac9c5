package blame

import "time"

// Class is who has to act on a failure.
type Class string

// The classes. What is unknown is never retried and stays red as a test failure:
// a retry could turn a rare fault of the change green.
const (
	Infra   Class = "infra"   // the machine, the network, the scheduler
	Test    Class = "test"    // the change under test
	Unknown Class = "unknown" // not proven
)

// Kind is what happened to a role.
type Kind string

// The kinds of event.
const (
	RoleEnd      Kind = "role-end"      // a role's step ended (Exit, Signal, ByUs)
	NotReady     Kind = "not-ready"     // a readiness deadline passed
	Hang         Kind = "hang"          // no output and no progress for the configured time
	TestFailed   Kind = "test-failed"   // a test case of the role's own results.xml failed
	NeverStarted Kind = "never-started" // its step could not be started
	InstallFail  Kind = "install-failed"
	PhaseTimeout Kind = "phase-timeout" // Text says which phase took longer than what, and who was not through
	NoResult     Kind = "no-result"     // results.xml missing, stale, truncated or not XML (Text says which)
	NoStatus     Kind = "no-status"     // the client ended with 0 and left no status file (Text = its name)
	Signalled    Kind = "signalled"     // the agent itself was signalled (Text = signal)
	Abandoned    Kind = "abandoned"     // the agent saw no sign of life of its driver any more (Text)
	Storage      Kind = "storage"       // the run directory could not be written (Text = error)
	ServerGone   Kind = "server-gone"   // the server that the role runs went while it was serving (Signal if known, Text = how that was seen)
	ServerSick   Kind = "server-sick"   // its server answered its health check with an error (Text = status)
	NodeLost     Kind = "node-lost"     // Slurm lost the node (Node) under the role's step
	Unkillable   Kind = "unkillable"    // a step did not go away after SIGKILL
	Unreached    Kind = "unreached"     // Slurm took no signal for its step: nobody could end it
)

// Inside is how a role came to an exit code 137, or a server to a SIGKILL, perhaps without a kill from outside.
type Inside string

// The ways.
const (
	OwnTimeout Inside = "timeout" // timeout(1) killed its command
	OwnTest    Inside = "test"    // ServerGone: the role's test had waited in vain for its server to be ready
)

// Sent is what is known of who ended a role's step (RoleEnd).
type Sent struct {
	// Forced: Slurm said that it was ending the step: its signal proves nothing about outsiders.
	Forced bool
	// Outside: somebody else has ended it: Slurm says so, and nobody here had asked for it.
	Outside bool `json:",omitempty"`
	// Interrupted: its pytest says that it was.
	Interrupted bool `json:",omitempty"`
	// Inside: what reads like a SIGKILL is the role's own doing.
	Inside Inside `json:",omitempty"`
}

// Event is one observed fact about a role.
type Event struct {
	Role    string // "" = the job as a whole
	Kind    Kind
	At      time.Time // on the agent's clock; zero = time unknown
	Exit    int       // RoleEnd: exit code, 128+signal when killed
	Signal  int       // RoleEnd: 0 = none
	Stopped time.Time // RoleEnd: when the agent first signalled the role, zero = never
	Killed  time.Time `json:",omitzero"` // RoleEnd: when the agent sent it SIGKILL, zero = never
	Task    int       // RoleEnd: the task that ended first, when the step had several
	ByUs    bool      // asked for by the agent, or sent by Slurm because of another event
	Sent
	OOM bool
	// Expected: RoleEnd with exit 0 at a time when that is no fault (a client, a
	// precheck, a server after the client was through).
	Expected bool
	Drained  bool   // after the client said it was through
	Node     string // where, if known
	Text     string // first line of a failure, a reason
	Lacks    string `json:",omitempty"` // NotReady: what it still lacks, as far as that was seen
	Assert   bool   // TestFailed: an assertion on measured data
	Own      bool   `json:",omitempty"` // TestFailed: the test itself has raised it to say what it has found wrong
	// Planted: what failed is no failure of the machine: the run directory has something else where the agent had made
	// a directory or file, which only what runs in the job can have put there.
	Planted bool `json:",omitempty"`
	// Weak: of whom somebody may have missed, no failure by itself. It counts only where all who failed merely say that
	// somebody else has gone.
	Weak bool `json:",omitempty"`
}

// Line is one line of a log that may explain an end.
type Line struct {
	Role   string
	File   string // relative to the attempt directory
	Number int
	Text   string
	First  bool // the first line of its log that looks like an error
	// More is the next line of a message that ends with a colon: to be shown, it proves nothing.
	More string `json:",omitempty"`
	// Server: of a log that the role's server writes itself. What stands there is
	// nearer to the cause than what the role says of its server.
	Server bool `json:",omitempty"`
	// Behind is how many lines follow in its log, not counting those that repeat
	// the one before them.
	Behind int `json:",omitempty"`
	// Own: the test itself has raised it to say what it has found wrong. Shown: pytest shows it below the failure, as
	// output that came before that.
	Own   bool `json:",omitempty"`
	Shown bool `json:",omitempty"`
	Died  bool `json:",omitempty"` // an exception that ended a traceback, the last of its log, or a test: of a chain each
	Since int  `json:",omitempty"` // of such a traceback: where the first of those begins that directly follow each other
	Last  bool `json:",omitempty"` // of a finding: merely the end of the log, it explains nothing
}

// Job is what is known about the Slurm job as a whole. Zero = nothing known
// (local backend, accounting off).
type Job struct {
	State       string // Slurm's base state word, e.g. CANCELLED, PREEMPTED, NODE_FAIL
	CancelledBy string // uid, from "CANCELLED by <uid>"
	ByUs        bool   // we asked for the cancellation
	Reason      string
	FailedNodes []string
	TimeUp      bool // its time limit has come or is about to
	At          time.Time
}

// Rule is one failure class as data: a line of a role's log that matches
// Pattern puts the failure into Class.
type Rule struct {
	Name    string `yaml:"name"`
	Class   Class  `yaml:"class" enum:"infra,test"`
	Kind    string `yaml:"kind"`           // infra.node, infra.network, config, …
	Pattern string `yaml:"pattern"`        // RE2
	Why     string `yaml:"why"`            // shown to people
	Node    bool   `yaml:"node,omitempty"` // the node of the role is to be avoided on a retry
	// Weak marks a line that also stands in healthy logs: it explains a failure
	// only when no other rule does.
	Weak bool `yaml:"weak,omitempty"`
}

// Evidence is all that Judge may use.
type Evidence struct {
	Roles  []Role
	Events []Event
	Lines  []Line // candidate lines (first errors and tails), in file order per role
	Job    Job
	Skew   time.Duration // events closer than this have no proven order; default 5 s

	Classes Classes `json:"-"` // compiled failure classes; the zero value has none
}

// Role is what blame needs to know of a role.
type Role struct {
	Name    string
	Kind    string // install, precheck, server, router, client, task
	Nodes   []string
	Started time.Time // zero = never
	Address string    // host:port of its server, as it published it; "" = unknown
}

// Finding is the answer. The zero value says that nothing in the evidence went
// wrong.
type Finding struct {
	Root       string // role; "" = the job itself, or nothing proven
	Class      Class
	Kind       string            // one of the Kind… constants of a finding: role-crash, hang, ready-timeout, …
	Rule       string            // name of the rule that fired
	Why        string            // what that rule means, for people
	Line       *Line             // the line it fired on
	Message    string            // one line for people: "[decode_0] killed by SIGKILL …"
	MoreRoots  []string          // independent further failures, in order
	Collateral map[string]string // role → its own evidence for being collateral
	BadNodes   []string
}
