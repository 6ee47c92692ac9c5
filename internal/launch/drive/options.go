package drive

import (
	"context"
	"io"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Options is everything a drive needs. Clock, environment and the executable's
// path are the caller's.
type Options struct {
	// Access is how the cluster is reached; its Environ is this process's: what sbatch
	// and a local agent start from.
	runs.Access
	Dir   rundir.Dir
	Run   rundir.Run    // a new run's record; Cases in suite order. An existing run.json of the same ID wins
	Plans []rundir.Plan // of every case that is to be launched, joined to Run.Cases by Case.Slug
	Keep  []File        // what a new run was made from, to be kept beside its record

	Backend string // jobs.BackendSlurm or jobs.BackendLocal
	Cluster Cluster
	Binary  Binary

	// Render makes the files of an attempt directory: job.sh, plan.json, the
	// roles' scripts. It is pure; drive writes what it returns.
	Render func(RenderInput) ([]File, error)
	// Decide says what follows an ended attempt; nil = Retry.Decide.
	Decide func(context.Context, Ended) Decision

	Retry    Retry
	MaxJobs  int  // jobs of this run at the same time; 0 = no limit of the run's own
	FailFast bool // the first case that does not pass ends the others
	Detach   bool // return once everything that may run now has been submitted
	Poll     Polling
	Bounds   outcome.Bounds // zero = outcome.Defaults
	Collect  Collect

	// Progress is told every change, from one goroutine; nil = nobody listens.
	Progress func(Update)
	// Console receives what the jobs print (the roles' multiplexed output),
	// each line prefixed with the case when there are several; nil = nothing.
	Console io.Writer

	// spread is a random number from 0 to 1, so that drivers do not ask in step.
	spread func() float64
}

// Cluster is what drive must know of a cluster.
type Cluster struct {
	Name string `yaml:"name"` // key of exclusions, job records and limits
	// Partition is where jobs go, several separated by commas; "" = the cluster's
	// default.
	Partition string `yaml:"partition"`
	// MaxJobs and MaxNodes bound what all runs of ci-disagg of this user have
	// pending or running there, together; 0 = no bound.
	MaxJobs  int `yaml:"max_jobs"`
	MaxNodes int `yaml:"max_nodes"`
}

// Binary is the ci-disagg that runs as agent in the job.
type Binary struct {
	Path string // on this machine: the executable for the job's architecture
	// Dir is the directory behind the login node for everything of ours when
	// there is no shared file system: Dir/bin holds the binary, copied once per
	// checksum, Dir/runs the attempt directories.
	Dir string
	// Shared is the directory here that holds one copy per version for all runs, of which
	// each run has a link: "" = each run has a copy of its own.
	Shared string
	// Self is the running executable, which finishes a cancellation when this
	// process is killed in the middle of it; "" = Path.
	Self string
}

// RenderInput is what an attempt's files depend on.
type RenderInput struct {
	Plan    rundir.Plan
	Backend string
	Attempt rundir.AttemptDir // as the job sees it
	Agent   string            // path of the ci-disagg binary as the job sees it
	Name    string            // unique job name
	Owner   string            // owner tag
	Exclude []string          // nodes
	Run     rundir.Run
	Rep     int
	Number  int // attempt, from 1
}

// File is one rendered file.
type File struct {
	Path string // relative to the attempt directory
	Data []byte
	Exec bool
}

// Collect bounds what is brought home from behind a login node.
type Collect = collect.Rules

// Ended is one attempt that has ended, and what went before it.
type Ended struct {
	Plan     rundir.Plan
	Rep      int
	Attempt  int
	Dir      rundir.AttemptDir
	Outcome  rundir.AttemptOutcome
	Excluded []string         // nodes this attempt was kept from
	History  []rundir.Attempt // all attempts of the case so far, this one last
	Retries  int              // retries of the whole run so far
}

// Action is what follows an ended attempt.
type Action int

// The actions.
const (
	Done       Action = iota + 1 // the case is through
	RetryCase                    // a new attempt of the same repetition: this one does not count
	RepeatCase                   // a new repetition: this one counts
)

// Decision is the answer of Decide.
type Decision struct {
	Action  Action
	Exclude []string      // RetryCase: nodes to keep away from, in addition to earlier ones
	After   time.Duration // wait so long before the next submission
	Why     string        // for people; also Attempt.Why of what follows
}

// Retry is the policy for infrastructure failures.
type Retry struct {
	Max      int             `yaml:"max"`       // further attempts per repetition after an infrastructure failure
	Budget   int             `yaml:"budget"`    // further attempts over the whole run; 0 = no bound of its own
	Backoff  rundir.Duration `yaml:"backoff"`   // before the first retry; doubles each time
	MaxDelay rundir.Duration `yaml:"max_delay"` // bound of the back-off
	Exclude  bool            `yaml:"exclude"`   // keep retries away from the blamed nodes
}

// Polling is how often drive asks. Zero values stand for the defaults.
type Polling struct {
	First   time.Duration // first question after a submission; grows by half each time. 10 s
	Pending time.Duration // bound of the interval while all jobs are pending. 30 s
	Running time.Duration // the same while a job runs: a watchdog only. 30 s
	Agent   time.Duration // between readings of agent.json, which cost Slurm nothing. 1 s, 3 s over ssh
	Lease   time.Duration // between signs of life of this driver. 10 s
	// Abort is how long an interrupted drive waits for the jobs' end before it returns.
	// The cancellation itself does not wait for anything. 45 s
	Abort time.Duration
}

// UpdateKind says what an Update is about.
type UpdateKind string

// The kinds of update.
const (
	Submitted UpdateKind = "submitted"
	Queue     UpdateKind = "queue"  // Slurm's state, reason or estimate changed
	PhaseNow  UpdateKind = "phase"  // the agent entered a phase
	Role      UpdateKind = "role"   // a role's state changed
	EndedNow  UpdateKind = "ended"  // outcome.json is written
	Next      UpdateKind = "next"   // retry or repetition decided
	Status    UpdateKind = "status" // the one line a minute
	Warning   UpdateKind = "warning"
)

// Update is one change, in words for people.
type Update struct {
	At      time.Time
	Kind    UpdateKind
	Case    string // id; "" = the run
	Slug    string
	Rep     int
	Attempt int
	JobID   string
	Phase   rundir.Phase
	Text    string
}
