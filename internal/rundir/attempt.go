package rundir

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Phase is where an attempt stands. Each phase has a budget; a budget that runs
// out yields the outcome "timeout:<phase>".
type Phase string

// The phases, in order. PhaseDone follows collect once the attempt has ended.
const (
	PhaseQueue     Phase = "queue"
	PhaseSetup     Phase = "setup"
	PhaseReady     Phase = "ready"
	PhaseBenchmark Phase = "benchmark"
	PhaseDrain     Phase = "drain"
	PhaseCollect   Phase = "collect"
	PhaseDone      Phase = "done"
)

// Outcome is how an attempt ended.
type Outcome string

// The outcomes. A phase timeout is TimeoutOf(phase).
const (
	OutcomePassed     Outcome = "passed"
	OutcomeTestFailed Outcome = "test_failed"
	OutcomeInfra      Outcome = "infra"
	OutcomeCancelled  Outcome = "cancelled"
	OutcomeLost       Outcome = "lost"
)

// TimeoutOf is the outcome of an attempt whose phase p ran out of budget.
func TimeoutOf(p Phase) Outcome { return Outcome("timeout:" + string(p)) }

// IsTimeout reports whether a phase ran out of time.
func (o Outcome) IsTimeout() bool { return strings.HasPrefix(string(o), string(TimeoutOf(""))) }

// TestFault reports whether an attempt that ended so counts against the test or the software under test: exit code 1. A
// word that is not known here is neither that nor a success.
func (o Outcome) TestFault() bool {
	switch o {
	case OutcomeTestFailed, TimeoutOf(PhaseReady), TimeoutOf(PhaseBenchmark), TimeoutOf(PhaseDrain):
		return true
	default:
		return false
	}
}

// Job is the client's record of one submission (job.json). Name is on disk
// before sbatch is called, so that a job whose id never arrived can be found.
type Job struct {
	Schema    int        `json:"schema"`
	Backend   string     `json:"backend"` // slurm or local
	Cluster   string     `json:"cluster,omitempty"`
	Name      string     `json:"name"`             // unique job name
	Owner     string     `json:"owner"`            // owner tag, for sweep
	ID        string     `json:"id,omitempty"`     // Slurm job id, or the local agent's pid
	Routed    string     `json:"routed,omitempty"` // cluster that sbatch said it routed the job to
	Host      string     `json:"host,omitempty"`   // machine and pid space that submitted it
	Dir       string     `json:"dir,omitempty"`    // attempt directory as the job sees it
	Intent    time.Time  `json:"intent"`           // before sbatch was started
	Submitted *time.Time `json:"submitted,omitempty"`
	Excluded  []string   `json:"excluded,omitempty"` // nodes excluded after earlier attempts
	Avoided   []string   `json:"avoided,omitempty"`  // those of Excluded that are not bad: this repetition is to run elsewhere
	Cancel    *Cancel    `json:"cancel,omitempty"`   // we asked for the end of the job
}

// Cancel says who ended a job on purpose, when and why.
type Cancel struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Outcome Outcome   `json:"outcome,omitempty"` // what the attempt then counts as; empty: cancelled
	// Cause is what Reason says, for a program; "" in records of before.
	Cause CancelCause `json:"cause,omitempty"`
}

// CancelledAfter is the request to end the run, if it came after that time.
func (d Dir) CancelledAfter(at time.Time) (Cancel, bool) {
	var c Cancel
	err := ReadJSON(d.CancelFile(), &c)
	return c, err == nil && !c.At.Before(at)
}

// CancelCause is why we ended a job.
type CancelCause string

// The causes.
const (
	CauseInterrupted CancelCause = "interrupted"  // the driver was told to stop: resume goes on
	CauseLimit       CancelCause = "limit"        // one job too many for the cluster's limits: it comes again
	CauseRequested   CancelCause = "requested"    // ci-disagg cancel
	CauseFailFast    CancelCause = "fail-fast"    // another case did not pass
	CauseQueueBudget CancelCause = "queue-budget" // not started in time
	CauseNever       CancelCause = "never-starts" // a pending reason that cannot resolve
	CauseRequeued    CancelCause = "requeued"     // Slurm put it back into the queue
	CauseSuspended   CancelCause = "suspended"    // Slurm stopped it
	CauseStays       CancelCause = "stays"        // its agent has ended, and it goes on
	CauseMoved       CancelCause = "moved"        // to another cluster of the federation
	CauseLost        CancelCause = "lost"         // no source knows what became of it
)

// AgentRecord is the agent's account of one attempt (agent.json), rewritten by
// rename on every change and at least once per Heartbeat interval.
type AgentRecord struct {
	Schema    int       `json:"schema"`
	Version   string    `json:"version"` // of the ci-disagg that ran as agent
	JobID     string    `json:"job_id"`
	Token     string    `json:"token"` // TRTLLM_PERF_RUN_TOKEN
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Restart   int       `json:"restart"` // SLURM_RESTART_COUNT; above 0 the agent refuses
	Nodes     []string  `json:"nodes"`   // allocated nodes, in slice order
	Started   time.Time `json:"started"`
	Heartbeat time.Time `json:"heartbeat"`
	// Switches are those that the nodes hang on, as far as Slurm knows its network.
	Switches   map[string]string `json:"switches,omitempty"`
	RunAccount                   // of the run under way, or of the last
	Runs       []RunEnd          `json:"runs,omitempty"` // those that have ended; each has a RunRecord in its directory
	End        *AgentEnd         `json:"end,omitempty"`  // set once, last; without it the attempt did not end properly
}

// RunRecord is the agent's account of one run that has ended (run-<k>/record.json).
type RunRecord struct {
	Schema  int       `json:"schema"`
	JobID   string    `json:"job_id"`
	Token   string    `json:"token"`
	Nodes   []string  `json:"nodes"` // in slice order
	Started time.Time `json:"started"`
	RunAccount
	End *AgentEnd `json:"end"`
}

// RunAccount is what happened in one run.
type RunAccount struct {
	Run      RunRef       `json:"run"`
	Phase    Phase        `json:"phase"`
	Phases   []PhaseSpan  `json:"phases"`
	Roles    []RoleRecord `json:"roles"`
	Timeline []Event      `json:"timeline"`
	Stalls   []Stall      `json:"stalls,omitempty"` // of the agent, and so most likely of all on its node, or of a role's server
}

// Stall is a time for which the agent stood still, as its clock showed afterwards, or a server, as its helper saw.
type Stall struct {
	At   time.Time `json:"at"` // its end
	For  Duration  `json:"for"`
	Role string    `json:"role,omitempty"` // whose server it was, "" = it was the agent
}

// RunEnd is how one run of a job ended.
type RunEnd struct {
	Run     RunRef    `json:"run"`
	At      time.Time `json:"at"`
	Outcome Outcome   `json:"outcome"`
}

// PhaseSpan is the time an attempt spent in one phase.
type PhaseSpan struct {
	Phase Phase      `json:"phase"`
	Start time.Time  `json:"start"`
	End   *time.Time `json:"end,omitempty"`
}

// Role states.
const (
	RolePending      = "pending"
	RoleRunning      = "running"
	RoleReady        = "ready"
	RoleEnded        = "ended"
	RoleNeverStarted = "never_started"
)

// AttemptName names an attempt for people, who count repetitions from 1.
func AttemptName(rep, attempt int) string {
	return fmt.Sprintf("repetition %d, attempt %d", rep+1, attempt)
}

// KindRefused is the finding of a submission that sbatch refused: a retry would be refused as well.
const KindRefused = "submit-refused"

// Who asked for the end of a role.
const (
	StoppedByAgent = "agent"
	StoppedBySlurm = "slurm"
)

// RoleRecord is what became of one role's step (also roles/<ROLE>/status.json).
type RoleRecord struct {
	Name       string     `json:"name"`
	Kind       string     `json:"kind"`
	State      string     `json:"state"`
	Step       string     `json:"step,omitempty"` // Slurm step id, 123.4
	Nodes      []string   `json:"nodes,omitempty"`
	Started    *time.Time `json:"started,omitempty"`
	Ready      *time.Time `json:"ready,omitempty"`
	Ended      *time.Time `json:"ended,omitempty"`
	Exit       int        `json:"exit"`                  // valid once State is ended; 128+signal when killed
	Signal     int        `json:"signal,omitempty"`      // that ended it, 0 = none
	StoppedBy  string     `json:"stopped_by,omitempty"`  // when the end was asked for; "" = of its own
	StopSent   *time.Time `json:"stop_sent,omitempty"`   // first signal sent by the agent
	OOM        bool       `json:"oom,omitempty"`         // the step ended out of memory
	FirstError *LogLine   `json:"first_error,omitempty"` // first line of output.log that looks like an error
	Error      string     `json:"error,omitempty"`       // why it never started
	LogBytes   int64      `json:"log_bytes"`
	LostBytes  int64      `json:"lost_bytes,omitempty"` // output that could not be written (disk full)
	FirstTask  *TaskEnd   `json:"first_task,omitempty"` // the task whose bad end ended the step
	Lines      []LogLine  `json:"lines,omitempty"`      // candidate lines for blame: first error, first match of each failure class
}

// RoleStatus is the file that a RoleRecord has of its own.
type RoleStatus struct {
	Schema int `json:"schema"`
	RoleRecord
}

// TaskEnd is how one task of a step ended.
type TaskEnd struct {
	Task   int    `json:"task"` // SLURM_PROCID
	Node   string `json:"node,omitempty"`
	Exit   int    `json:"exit"`
	Signal int    `json:"signal,omitempty"`
}

// LogLine points at one line of a log.
type LogLine struct {
	File   string `json:"file"` // relative to the attempt directory
	Number int    `json:"line"` // 1-based
	Text   string `json:"text"`
	// Last: of a finding, merely the end of the log; nothing in it explains the failure.
	Last bool `json:"last,omitempty"`
}

// Event is one entry of the attempt's timeline, on the agent's clock.
type Event struct {
	At   time.Time `json:"at"`
	Role string    `json:"role,omitempty"`
	What string    `json:"what"` // short, in words a reader understands: "exit 1", "ready", "teardown: decode_0 ended before drain"
}

// AgentEnd closes the agent's record.
type AgentEnd struct {
	At      time.Time `json:"at"`
	Outcome Outcome   `json:"outcome"`
	Reason  string    `json:"reason"`
	Finding *Finding  `json:"finding,omitempty"`
	// Evidence is what the finding was made from, a blame.Evidence: the report
	// judges again, with what the roles' result files say.
	Evidence json.RawMessage `json:"evidence,omitempty"`
}

// Finding is blame in words that fit a record: who was first, of which class,
// and what that claim rests on. See package blame for the rules.
type Finding struct {
	Root       string            `json:"root"`  // role, or "" when nothing is proven
	Class      string            `json:"class"` // infra, test, unknown
	Kind       string            `json:"kind"`  // what happened: role-crash, hang, ready-timeout, …
	Rule       string            `json:"rule"`  // the rule that fired
	Line       *LogLine          `json:"line,omitempty"`
	Message    string            `json:"message"`              // one line for people
	Roots      []string          `json:"more_roots,omitempty"` // further independent failures
	Collateral map[string]string `json:"collateral,omitempty"` // role → evidence
	BadNodes   []string          `json:"bad_nodes,omitempty"`  // nodes to avoid on a retry
}

// AttemptOutcome is the client's last word on an attempt (outcome.json).
type AttemptOutcome struct {
	Schema     int               `json:"schema"`
	Outcome    Outcome           `json:"outcome"`
	Phase      Phase             `json:"phase"`      // reached
	Confidence string            `json:"confidence"` // how it is known: agent+sacct, sacct, agent, …
	Reason     string            `json:"reason"`
	Finding    *Finding          `json:"finding,omitempty"`
	JobID      string            `json:"job_id,omitempty"`
	State      string            `json:"state,omitempty"` // Slurm's word
	ExitCode   string            `json:"exit_code,omitempty"`
	Nodes      []string          `json:"nodes,omitempty"`
	Switches   map[string]string `json:"switches,omitempty"` // by node, as the agent had it
	Queued     *time.Time        `json:"queued,omitempty"`
	Started    *time.Time        `json:"started,omitempty"`
	Ended      time.Time         `json:"ended"`
	Suspended  Duration          `json:"suspended,omitempty"` // for how long Slurm had stopped the job
	SlurmCalls int               `json:"slurm_calls"`
}
