package rundir

import "time"

// Run is the record of the whole run (run.json): what was asked for and where
// each case stands. Its one writer is the process that holds the lease.
type Run struct {
	Schema  int         `json:"schema"`
	ID      string      `json:"id"` // --run-id, default $BUILD_TAG
	Version string      `json:"version"`
	Stage   string      `json:"stage"`
	Suite   string      `json:"suite,omitempty"`
	Backend string      `json:"backend"`
	Cluster string      `json:"cluster,omitempty"`
	Config  string      `json:"config,omitempty"` // the effective ci-disagg.yaml, kept beside run.json
	Created time.Time   `json:"created"`
	Ended   *time.Time  `json:"ended,omitempty"`
	Build   Build       `json:"build"`
	Cases   []CaseState `json:"cases"` // in suite order

	// Interrupted is set while the last driver of the run was told to stop by a signal
	// and nobody has gone on with it.
	Interrupted *Interruption `json:"interrupted,omitempty"`
}

// Interruption is the signal that ended a run before it was through.
type Interruption struct {
	Signal int       `json:"signal"`
	At     time.Time `json:"at"`
}

// Backends of a run.
const (
	BackendSlurm = "slurm"
	BackendLocal = "local"
)

// Backends are all of them.
func Backends() []string { return []string{BackendSlurm, BackendLocal} }

// Modes of a case: what its client measures.
const (
	ModeE2E          = "e2e"
	ModeGenOnly      = "gen_only"
	ModeGenNoContext = "gen_only_no_context"
	ModeCtxOnly      = "ctx_only"
	ModeAggregated   = "aggregated"
	ModeCustom       = "custom" // a pipeline of the user's own
)

// CaseModes are all of them.
func CaseModes() []string {
	return []string{ModeE2E, ModeGenOnly, ModeGenNoContext, ModeCtxOnly, ModeAggregated, ModeCustom}
}

// Build is what CI knows about the run.
type Build struct {
	Mode      string `json:"mode"` // nightly, pr, bisect or reference
	Commit    string `json:"commit,omitempty"`
	MergeBase string `json:"merge_base,omitempty"`
	// MergeBaseTime is the commit time of the merge base: where the history of a
	// pull request ends when that commit was never measured. nil = unknown.
	MergeBaseTime *time.Time `json:"merge_base_time,omitempty"`
	// CommitTime and Depth, the commit's distance from the root along first
	// parents, are its place in the branch's history; nil and 0 = not known.
	CommitTime *time.Time `json:"commit_time,omitempty"`
	Depth      int        `json:"first_parent_depth,omitempty"`
	Branch     string     `json:"branch,omitempty"`
	Change     string     `json:"change,omitempty"` // pull request id
	URL        string     `json:"url,omitempty"`
	Tag        string     `json:"tag,omitempty"`
}

// CaseState is where one case of the run stands.
type CaseState struct {
	ID       string    `json:"id"`
	Slug     string    `json:"slug"`
	State    string    `json:"state"` // waiting, running, done, skipped
	Attempts []Attempt `json:"attempts,omitempty"`
}

// Case states.
const (
	CaseWaiting = "waiting"
	CaseRunning = "running"
	CaseDone    = "done"
	CaseSkipped = "skipped"
)

// Attempt is one Slurm job for one repetition of a case.
type Attempt struct {
	Rep     int     `json:"rep"`               // repetition, from 0
	Attempt int     `json:"attempt"`           // from 1; only the last of a repetition counts
	Outcome Outcome `json:"outcome,omitempty"` // "" while it goes on
	Why     string  `json:"why,omitempty"`     // for people
	Due     Due     `json:"due,omitempty"`     // what Why says, for a program; "" in records of before
	Session bool    `json:"session,omitempty"` // its job is a paired session, see PairPlan
}

// Due is why an attempt was made.
type Due string

// The reasons for an attempt.
const (
	DueFirst   Due = "first"
	DueRetry   Due = "retry"   // the attempt before does not count
	DueRepeat  Due = "repeat"  // a further repetition
	DueResumed Due = "resumed" // the attempt before was interrupted: no retry
	DueAgain   Due = "again"   // the job before was one too many for a limit: no retry
)

// Lease says who drives the run now (lease.json). A driver renews Heartbeat;
// another may take over once it is older than LeaseTTL.
type Lease struct {
	Schema    int       `json:"schema"`
	Owner     string    `json:"owner"` // random per process
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Acquired  time.Time `json:"acquired"`
	Heartbeat time.Time `json:"heartbeat"`
	// Released is when the driver gave the lease back; Detached says that it left
	// jobs behind on purpose (run --detach), so that sweep does not take them for
	// orphans.
	Released *time.Time `json:"released,omitempty"`
	Detached bool       `json:"detached,omitempty"`
}
