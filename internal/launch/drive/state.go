package drive

import (
	"maps"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/launch/outcome"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// settings are the constants of one drive.
type settings struct {
	backend  string
	tag      string // owner tag of the run's jobs
	cluster  Cluster
	maxJobs  int
	failFast bool
	detach   bool
	poll     Polling
	bounds   outcome.Bounds
	dir      rundir.Dir
	far      rundir.Dir // the run directory as the jobs see it; dir where the file system is shared
}

// state is all that the scheduler knows. Only next changes it.
type state struct {
	settings
	run   rundir.Run // its Cases are as they were; what became of them stands in cases
	cases []caseState
	mode  mode
	// why and cause say for what reason nothing more is submitted; for people and for the program.
	why      string
	cause    rundir.CancelCause
	stopped  error     // the interruption
	deadline time.Time // when an interrupted drive gives up waiting for its jobs

	queue    queueView
	badNodes []string  // kept from further jobs
	retries  int       // in this run
	reading  time.Time // since when the agents' records are being read, zero = they are not
	status   time.Time
	acctOff  bool // the cluster has no accounting
	calls    int  // of Slurm so far

	unsaved   bool      // run.json is to be written
	unwritten time.Time // since when it could not be
	rewrite   time.Time // when to try again

	over bool
	err  error // of the drive, once it is over
}

// mode is what the drive may still do.
type mode int

const (
	modeRun         mode = iota
	modeEnd              // no further submission: the run was cancelled, or --fail-fast has fired
	modeInterrupted      // likewise; what is left is for resume
)

// stage is where a case stands.
type stage int

const (
	stageOver       stage = iota // nothing follows in this drive
	stageDue                     // an attempt is due; it waits for its time, or for room
	stageRecording               // the attempt is being written into run.json
	stageSubmitting              // a worker submits it
	stageSearching               // the submission left no id: the job is looked for
	stageWatched                 // its job is known
	stageClosing                 // it has ended: its files are collected, outcome.json is written
	stageDeciding                // the policy is asked what follows
)

// caseState is one case under way.
type caseState struct {
	index  int // into run.Cases
	plan   rundir.Plan
	record rundir.CaseState
	stage  stage
	due    due // what is to be submitted; from stageRecording on, what was
	attempt
}

// live reports whether an attempt of the case is under way.
func (c *caseState) live() bool { return c.stage > stageDue }

// watched reports whether the case's job is known and goes on, as far as we know.
func (c *caseState) watched() bool { return c.stage == stageWatched }

// toEnd reports whether the case's job is to end. One that an earlier drive was told to end with it has outlived that.
func (c *caseState) toEnd() bool {
	by := c.job.Cancel
	return by != nil && (by.Cause != rundir.CauseInterrupted || !c.endSent.IsZero())
}

// ending reports whether the attempt is over and being closed.
func (c *caseState) ending() bool { return c.stage == stageClosing || c.stage == stageDeciding }

// due is an attempt that is to be submitted.
type due struct {
	rep, number int
	kind        rundir.Due
	why         string
	after       time.Time
	tries       int // submissions that found Slurm not ready
	since       time.Time
	avoid       []string // nodes to avoid, for a repetition elsewhere
	told        string   // what it waits for, as last told
	// name is the unique name of an earlier submission of this attempt that may
	// still turn up: a second job under it is then seen and ended.
	name string
}

// attempt is one job.
type attempt struct {
	rep, number int
	dir         rundir.AttemptDir // here
	there       rundir.AttemptDir // as the job sees it
	job         rundir.Job
	facts       outcome.Facts
	last        outcome.Resolution
	told        string // Slurm's state and reason as last told
	roles       map[string]string
	searchSince time.Time // since when without an answer
	blindSince  time.Time // since when without one of squeue itself
	unchecked   bool      // just submitted, and not yet held against the cluster's limits
	asking      bool      // a search, or a question of scontrol or sacct, is under way
	askedAt     time.Time
	endSent     time.Time // when scancel was last sent, zero = never
}

// key names an attempt to those who work for it.
func (c *caseState) key(i int) key { return key{i, c.rep, c.number, c.job.ID} }

// key is an attempt and, once there is one, its job. An answer for another one than is under way comes too late.
type key struct {
	cas, rep, number int
	id               string
}

func (s state) clone() state {
	s.cases = slices.Clone(s.cases)
	s.badNodes = slices.Clip(s.badNodes)
	return s
}

// newRecord is run.json as it stands.
func (s state) newRecord() rundir.Run {
	run := s.run
	run.Cases = slices.Clone(run.Cases)
	for _, c := range s.cases {
		run.Cases[c.index] = c.record
	}
	return run
}

// liveCount counts attempts under way.
func (s state) liveCount() int {
	n := 0
	for i := range s.cases {
		if s.cases[i].live() {
			n++
		}
	}
	return n
}

// newAttempt is the attempt that is due for a case.
func (s state) newAttempt(c *caseState, rep, number int, at time.Time) attempt {
	slug := c.plan.Case.Slug
	a := attempt{
		rep: rep, number: number, roles: map[string]string{},
		dir: s.dir.CaseDir(slug).Attempt(rep, number), there: s.far.CaseDir(slug).Attempt(rep, number),
	}
	a.facts = outcome.Facts{
		Since: at, Roles: outcome.Accountable(c.plan), Draft: c.plan.Draft, Budget: c.plan.ForRep(rep).Budgets, Bounds: s.bounds,
	}
	return a
}

// setRole notes a role's state in a map of the step's own.
func (a *attempt) setRole(name, state string) {
	a.roles = maps.Clone(a.roles)
	a.roles[name] = state
}
