package outcome

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Seen is the last answer of one source. At is zero as long as it has not
// answered; Row is nil when it answered that it does not know the job.
type Seen[T any] struct {
	At  time.Time
	Row *T
}

// Facts is all that Resolve may use. Every time is on the client's clock, except
// those inside rows and records.
type Facts struct {
	Now    time.Time
	Since  time.Time // when this client began to watch the job
	Job    rundir.Job
	Roles  []string       // of the plan (Accountable), each of which has to be accounted for
	Draft  bool           // a team's own script runs in the job: there is no agent
	Budget rundir.Budgets // of the plan; only the queue budget is the client's to watch

	Queue   Seen[slurm.QueueRow]
	Control Seen[slurm.ControlJob]
	Acct    Seen[slurm.AcctRow]       // the job's row; of several restarts, the newest
	AcctOff bool                      // the cluster has no accounting
	Trouble Seen[[]slurm.NodeTrouble] // what slurmctld has against the job's nodes; asked when one may have ended it

	// AbsentSince is the first of the unbroken series of squeue's answers that do
	// not list the job; zero while it is listed.
	AbsentSince time.Time
	// StateSince is when squeue's present state and reason were first seen.
	StateSince time.Time

	Agent        *rundir.AgentRecord
	AgentSeen    time.Time // when a record was first seen
	AgentChanged time.Time // when the record was last seen to change
	EndSeen      time.Time // when its end was first seen
	// Looked is when the last look for its record began that could tell what is there, if only that nothing is.
	Looked time.Time

	Local *Process // the local backend's agent; nil with Slurm

	Bounds Bounds
}

// Silent reports whether squeue has said nothing for so long that another source is asked and believed: accounting goes
// on where the controller answers nobody. About a job whose agent speaks nobody is asked.
func Silent(f Facts) bool {
	return f.Local == nil && !ended(f) && f.Now.Sub(heard(f)) >= f.Bounds.orDefaults().Lost
}

// lastWord is when slurmctld or the agent last said anything about the job. Accounting repeats what it was told.
func lastWord(f Facts) time.Time {
	if at := heard(f); f.Control.Row == nil || at.After(f.Control.At) {
		return at
	}
	return f.Control.At
}

// knownEnd is when a job ended of which squeue says nothing: by the cluster's clock, but not before squeue or the agent
// was last heard of, nor after somebody knew.
func knownEnd(f Facts, v view) time.Time {
	first, last := heard(f), f.toldInstead()
	switch {
	case v.ended.Before(first):
		return first
	case v.ended.After(last):
		return last
	}
	return v.ended
}

// toldInstead is when another source than squeue has last answered.
func (f Facts) toldInstead() time.Time {
	if f.Control.At.After(f.Acct.At) {
		return f.Control.At
	}
	return f.Acct.At
}

// accounting is whom to ask where the controller does not answer squeue.
func (f Facts) accounting() Ask {
	if f.AcctOff {
		return AskControl
	}
	return AskAccounting
}

// others are whom to ask besides squeue how the job stands.
func (f Facts) others() Ask {
	if f.AcctOff {
		return AskControl
	}
	return AskControl | AskAccounting
}

// Accountable are the roles of a plan whose ends green needs. One that may leave may also never have been started: what
// it needs has left, or was not ready before the client was through.
func Accountable(p rundir.Plan) []string {
	var names []string
	for _, r := range p.Roles() {
		if !r.Optional {
			names = append(names, r.Name)
		}
	}
	return names
}

// Process is what is known of the local agent's process.
type Process struct {
	Alive     bool
	GoneSince time.Time // first time it was found gone
	Elsewhere string    // the host on which it cannot be seen from here, whence it counts as alive; "" = it is here
}

// Bounds are the times that Resolve waits before it draws a conclusion. The zero
// value stands for Defaults.
type Bounds struct {
	// Lost is how long every source must have answered that it does not know an
	// end of the job, squeue that it does not know the job at all.
	Lost time.Duration
	// Record is how long the agent's record may trail the job's end: network file
	// systems show a rename late (attribute caches of up to a minute).
	Record time.Duration
	// Accounting is how long sacct may trail slurmctld.
	Accounting time.Duration
	// Stuck is how long a job may stay in Slurm's list after the agent's end.
	Stuck time.Duration
	// Preempted is how long a preempted job must not have come back.
	Preempted time.Duration
	// Never is how long a reason that cannot resolve must stand.
	Never time.Duration
	// Strange is how long a state word that is not known is waited for.
	Strange time.Duration
	// Blind is how long neither slurmctld nor the agent need to have said anything: longer
	// than any maintenance. A login whose right to ask has expired never hears again.
	Blind time.Duration
	// Unread is how long the end of a job is held open because the agent's record cannot be read: a file server that is
	// away mostly comes back.
	Unread time.Duration
	// NeverReasons are the pending reasons that cannot resolve by themselves.
	NeverReasons []string
}

// Defaults of the bounds.
func Defaults() Bounds {
	return Bounds{
		Lost: 5 * time.Minute, Record: 65 * time.Second, Accounting: 10 * time.Second, Stuck: 2 * time.Minute,
		Preempted: 30 * time.Second, Never: 30 * time.Second, Strange: 30 * time.Minute, Blind: 24 * time.Hour, Unread: time.Hour,
		// ReqNodeNotAvail and PartitionNodeLimit are not here: both go away when
		// nodes come back, and both have ended good jobs of others.
		NeverReasons: []string{
			"JobHoldMaxRequeue", "BadConstraints", "PartitionTimeLimit", "InvalidAccount", "InvalidQOS",
			"DependencyNeverSatisfied",
		},
	}
}

func (b Bounds) orDefaults() Bounds {
	d := Defaults()
	set := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&b.Lost, d.Lost)
	set(&b.Record, d.Record)
	set(&b.Accounting, d.Accounting)
	set(&b.Stuck, d.Stuck)
	set(&b.Preempted, d.Preempted)
	set(&b.Never, d.Never)
	set(&b.Strange, d.Strange)
	set(&b.Blind, d.Blind)
	set(&b.Unread, d.Unread)
	if b.NeverReasons == nil {
		b.NeverReasons = d.NeverReasons
	}
	return b
}

// Ask is a question whose answer would settle more.
type Ask int

// The questions, as bits.
const (
	AskControl Ask = 1 << iota
	AskAccounting
	AskNodes // what slurmctld has against the job's nodes
)

// Resolution is where an attempt stands. Outcome and what follows it are set
// when Done is.
type Resolution struct {
	Phase      rundir.Phase
	State      slurm.State // Slurm's word, "" = none
	Why        string      // Slurm's reason
	Done       bool
	Outcome    rundir.Outcome
	Confidence string // the sources that agree, joined by +
	Reason     string
	Finding    *rundir.Finding
	Exit       string
	Nodes      []string
	Queued     *time.Time
	Started    *time.Time
	Ended      time.Time
	Suspended  time.Duration // for how long Slurm had stopped the job in all
	Ask        Ask
	Waits      string // for what there is no end yet although the job is over, where people should know

	// Cancel is why the client should end the job now, "" = it should not: Cause says
	// it for a program, and As is what the attempt then counts as.
	Cancel string
	Cause  rundir.CancelCause
	As     rundir.Outcome
}

// end asks the client to end the job.
func (r *Resolution) end(cause rundir.CancelCause, as rundir.Outcome, why string) {
	r.Cancel, r.Cause, r.As = why, cause, as
}

// The kinds of finding that this package makes. What package blame may find too has its name.
const (
	KindSubmit     = rundir.KindRefused  // sbatch refused; a retry would be refused as well
	KindNever      = "queue-never"       // the queue will never let it run
	KindQueue      = "queue-timeout"     // the queue budget is spent
	KindNode       = blame.KindNodeFail  // a node died
	KindPreempted  = blame.KindPreempted // another job took the nodes
	KindRequeued   = "requeued"          // Slurm restarted the job
	KindSuspended  = "suspended"         // Slurm stopped the job for a while
	KindCancelled  = blame.KindCancelled // somebody ended the job
	KindLaunch     = blame.KindLaunch    // the batch script never ran
	KindAgentDied  = "agent-died"        // the agent ended without its end record
	KindStorage    = blame.KindStorage   // the agent could not write the run directory
	KindOOM        = "job-oom"           // the job ran out of memory
	KindLost       = blame.KindLost      // no source knows what became of the job
	KindTimeLimit  = blame.KindTimeLimit // Slurm ended the job at its limit
	KindIncomplete = "role-missing"      // a planned role is not in the agent's record
	KindUnread     = "record-unread"     // the agent's record could not be read
	KindDisagree   = "sources-disagree"  // Slurm says something else than the agent
)
