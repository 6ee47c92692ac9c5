package drive

import (
	"context"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/collect"
	"github.com/ci-disagg/ci-disagg/internal/launch/follow"
	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/launch/retry"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/launch/submit"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Options is everything a drive needs. Clock, environment and the executable's path are the caller's.
type Options struct {
	// Access is how the cluster is reached; its Environ is this process's: what sbatch and a local agent start from.
	runs.Access
	Dir   rundir.Dir
	Run   rundir.Run    // a new run's record; Cases in suite order. An existing run.json of the same ID wins
	Plans []rundir.Plan // of every case that is to be launched, joined to Run.Cases by Case.Slug
	Keep  []rundir.File // what a new run was made from, to be kept beside its record

	Backend string // rundir.BackendSlurm or rundir.BackendLocal
	Cluster Cluster
	Binary  submit.Binary
	Self    string // the running executable, which finishes a cancellation when this process is killed in it; "" = Binary.Path

	// Render makes the files of an attempt directory: job.sh, plan.json, the
	// roles' scripts. It is pure; drive writes what it returns.
	Render func(submit.Input) ([]rundir.File, error)
	// Decide says what follows an ended attempt; nil = nothing ever does.
	Decide func(context.Context, retry.Ended) retry.Decision

	MaxJobs  int  // jobs of this run at the same time; 0 = no limit of the run's own
	FailFast bool // the first case that does not pass ends the others
	Detach   bool // return once everything that may run now has been submitted
	Poll     Polling
	Bounds   outcome.Bounds // zero = outcome.Defaults
	Collect  Collect

	// Progress is told every change, from one goroutine; nil = nobody listens.
	Progress         func(Update)
	follow.Listeners // what the agents write

	// spread is a random number from 0 to 1, so that drivers do not ask in step.
	spread func() float64
}

// Cluster is what drive must know of a cluster.
type Cluster struct {
	Name string `yaml:"name"` // key of exclusions, job records and limits
	// Partition is where jobs go, several separated by commas; "" = the cluster's default.
	Partition string `yaml:"partition"`
	// MaxJobs and MaxNodes bound what all runs of ci-disagg of this user have
	// pending or running there, together; 0 = no bound.
	MaxJobs  int `yaml:"max_jobs"`
	MaxNodes int `yaml:"max_nodes"`
}

// Collect bounds what is brought home from behind a login node.
type Collect = collect.Rules

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
	Outcome rundir.Outcome // of EndedNow
	Text    string
}
