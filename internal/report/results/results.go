// Package results says how each attempt of a case ended: its records, held against the
// result files that its roles left. It reads values, and decides nothing about the case
// or about performance.
package results

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Case is one case of a run as its directory tells it: plain values, nothing decided.
type Case struct {
	State    rundir.CaseState
	Plan     rundir.Plan
	Attempts []Attempt // of all repetitions, in order
}

// Attempt is one job: its records, as far as they exist, and what its roles left.
type Attempt struct {
	rundir.Attempt
	Counts   bool                   // the last attempt of its repetition: its case's end depends on it
	Dir      string                 // relative to the run directory
	Result   *rundir.AttemptOutcome // nil: the client never closed the attempt
	Agent    *rundir.AgentRecord    // nil: the agent never wrote, or its file is unreadable (see Trouble)
	Evidence blame.Evidence         // what the agent judged by
	Trouble  []string               // records that exist and cannot be read
	Planted  bool                   // something else was put in the place of one of them
	Roles    []Role                 // planned ones in start order, then the agent's own steps
	Files    []KeptFile
	Machine  *machine.Seen       // what it ran on, nil where nobody looked
	Before   []rundir.RunAccount // of a session: its runs before the one that Agent tells of
	Part     string              // of what it measured, where its client ran several times: a folder; "" = all
}

// Role is one role of an attempt and what it left.
type Role struct {
	rundir.RoleRecord
	JUnit    bool     // it was to leave results
	Globs    []string // of the files in which it was to leave them, where the plan says
	Optional bool     // it may leave, however it ends
	Serves   bool     // it is ended once the client is through
	Expected []string // pytest ids that it was to report
	Results  []File
	Log      string   // path of its log in the attempt directory
	LogBytes int64    // of the log as it was found
	Tail     []string // last lines of the log
}

// File is one JUnit file that a role left, read once.
type File struct {
	Path    string // relative to the run directory
	Name    string // without its directory
	Rank    int    // srun task id
	Cases   []junit.Case
	Suites  []*junit.Suite // that ended, in order; inner ones before those around them
	Outer   junit.Suite    // what stands outside of all suites
	Problem *FileProblem   // nil = well-formed
	Repairs int64          // characters that XML does not allow, or entities it does not know
}

// FileProblem is what is wrong with a result file, or with what stands in it beside
// its test cases.
type FileProblem struct{ Message, Text string }

// KeptFile is a file of an attempt that is still there.
type KeptFile struct {
	Label string
	Path  string // relative to the run directory
	Bytes int64
}

// Ended is an attempt with how it ended, in the light of the result files.
type Ended struct {
	Attempt
	Outcome     rundir.Outcome
	Was         rundir.Outcome // how its job ended, where its session decided in spite of that; "" = as Outcome says
	Finding     *rundir.Finding
	Reason      string
	RoleResults []RoleResult // as Attempt.Roles
}

// RoleResult is what one role of an attempt told of its tests, and how its process ended.
type RoleResult struct {
	Role
	Tests    []Test
	Red      int           // red tests, collateral or not
	First    *junit.Case   // the first of them
	Primary  *junit.Case   // the planned test, as this role reported it
	Problems []FileProblem // of its files
	Missing  []string      // expected ids that it did not report
	Notes    []string      // for people
	End      junit.Case    // did the process end as it should?

	cases int
	other string // a test that nobody had asked for
}

// Test is one test as a role reported it in one attempt: ranks and pytest's own
// attempts are folded.
type Test struct {
	TestName
	Case *junit.Case
	Kept string // the file that it stands in
}

// TestName identifies a test of a role.
type TestName struct {
	Planned     bool
	Class, Name string
}

// JobName stands for the job as a whole, where roles are named.
const JobName = "JOB"

// TypePrefix begins the type of every result that is ours.
const TypePrefix = "ci-disagg."

// TypeOptional is the type of a result that is skipped because its role may leave.
const TypeOptional = TypePrefix + "optional"

// TypeCollateral is the type of a result that is skipped because another role is to
// blame for it.
const TypeCollateral = TypePrefix + "collateral"

// RootName is the role that the finding names as the cause, or the job as a whole.
func (e *Ended) RootName() string {
	if e.Finding == nil || e.Finding.Root == "" {
		return JobName
	}
	return e.Finding.Root
}

// IsRoot reports whether the finding names the role as a cause.
func (e *Ended) IsRoot(role string) bool {
	f := e.Finding
	return f != nil && (f.Root == role || slices.Contains(f.Roots, role))
}

// IsCollateral reports whether the finding proves that the role failed because of
// another one.
func (e *Ended) IsCollateral(role string) bool {
	if e.Finding == nil || e.IsRoot(role) {
		return false
	}
	_, ok := e.Finding.Collateral[role]
	return ok
}

// Unattributed reports whether the finding names no cause.
func (e *Ended) Unattributed() bool {
	f := e.Finding
	return f == nil || f.Root == "" && (f.Kind == "" || f.Kind == blame.KindUnattributed)
}

// InOrder are the roles in the order in which reports show them.
func (e *Ended) InOrder() []*RoleResult {
	out := make([]*RoleResult, len(e.RoleResults))
	for i := range e.RoleResults {
		out[i] = &e.RoleResults[i]
	}
	slices.SortFunc(out, func(a, b *RoleResult) int { return Order(a.Kind, a.Name, b.Kind, b.Name) })
	return out
}

// Order sorts roles as a run starts its work: what prepares it, servers, router, client.
func Order(kindA, a, kindB, b string) int {
	return cmp.Or(cmp.Compare(rank(kindA), rank(kindB)), fold.Natural(a, b))
}

func rank(kind string) int {
	kinds := []string{rundir.KindInstall, rundir.KindPrecheck, rundir.KindServer, rundir.KindRouter, rundir.KindClient, rundir.KindTask}
	if i := slices.Index(kinds, kind); i >= 0 {
		return i
	}
	return len(kinds)
}

// AppendTail writes the last lines of the role's log.
func (r Role) AppendTail(b *strings.Builder) {
	if len(r.Tail) == 0 {
		return
	}
	fmt.Fprintf(b, "last lines of %s\n", cmp.Or(r.Log, r.Name+"'s log"))
	for _, line := range r.Tail[max(0, len(r.Tail)-tailLines):] {
		fmt.Fprintf(b, "  %s\n", line)
	}
}

// tailLines bounds what is shown of the end of a log.
const tailLines = 60

// RunIndex is which run of the attempt is shown: of a session the one that stands for
// it, else the only one.
func (a Attempt) RunIndex() int {
	if a.Agent == nil {
		return 0
	}
	return a.Agent.Run.Index
}

// outcome is how an attempt ended by its records, "" when nothing says so: that it passed the agent alone cannot say.
func (a Attempt) outcome() rundir.Outcome {
	switch {
	case a.Result != nil:
		return a.Result.Outcome
	case a.Outcome == "" && a.Agent != nil && a.Agent.End != nil && a.Agent.End.Outcome != rundir.OutcomePassed:
		return a.Agent.End.Outcome
	default:
		return a.Outcome
	}
}

// CannotRead notes a record that is there and cannot be read.
func (a *Attempt) CannotRead(name string, err error) {
	a.Trouble = append(a.Trouble, fmt.Sprintf("%s is unreadable: %v", name, err))
	a.Planted = a.Planted || errors.As(err, new(*rundir.NodeError))
}

// finding is the finding that an attempt ended with, nil when there is none.
func (a Attempt) finding() *rundir.Finding {
	switch {
	case a.Result != nil && a.Result.Finding != nil:
		return a.Result.Finding
	case a.Agent != nil && a.Agent.End != nil:
		return a.Agent.End.Finding
	default:
		return nil
	}
}

// Began is when the attempt began to run, nil if it never did.
func (a Attempt) Began() *time.Time {
	switch {
	case a.Result != nil && a.Result.Started != nil:
		return a.Result.Started
	case a.Agent != nil:
		return &a.Agent.Started
	default:
		return nil
	}
}

// EndedAt is when it ended, nil if nobody has closed it.
func (a Attempt) EndedAt() *time.Time {
	if a.Result == nil {
		return nil
	}
	return &a.Result.Ended
}

// JobID is the id of its Slurm job, "" if it never had one.
func (a Attempt) JobID() string {
	if a.Result == nil {
		return ""
	}
	return a.Result.JobID
}

// Nodes are those that the attempt ran on.
func (a Attempt) Nodes() []string {
	switch {
	case a.Result != nil && len(a.Result.Nodes) > 0:
		return a.Result.Nodes
	case a.Agent != nil:
		return a.Agent.Nodes
	default:
		return nil
	}
}

// Interruptions are why what was measured is no measurement of a machine that ran all
// the while: Slurm had stopped the job, or the agent or a server stood still while the
// benchmark went on.
func (a Attempt) Interruptions() []string {
	var out []string
	if a.Result != nil && a.Result.Suspended > 0 {
		out = append(out, fmt.Sprintf("Slurm had suspended the job for %v", a.Result.Suspended.D()))
	}
	if a.Agent == nil {
		return out
	}
	for _, s := range a.Agent.Stalls {
		began := s.At.Add(-s.For.D())
		for _, p := range a.Agent.Phases {
			if p.Phase == rundir.PhaseBenchmark && s.At.After(p.Start) && (p.End == nil || began.Before(*p.End)) {
				who := "the agent, and most likely its node,"
				if s.Role != "" {
					who = "somebody had stopped the server of " + s.Role + ": it"
				}
				out = append(out, fmt.Sprintf("%s stood still for %v until %s while the benchmark ran", who,
					s.For.D().Round(100*time.Millisecond), s.At.UTC().Format(time.TimeOnly)))
			}
		}
	}
	return out
}

// Timeline is what the agent saw happen.
func (a Attempt) Timeline() []rundir.Event {
	if a.Agent == nil {
		return nil
	}
	return a.Agent.Timeline
}

// Took is how long something lasted, 0 if that is not known.
func Took(from, to *time.Time) time.Duration {
	if from == nil || to == nil {
		return 0
	}
	return max(0, to.Sub(*from))
}
