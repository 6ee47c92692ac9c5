package report

import (
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
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
	Counts   bool                   // the last attempt of its repetition
	Dir      string                 // relative to the run directory
	Result   *rundir.AttemptOutcome // nil: the client never closed the attempt
	Agent    *rundir.AgentRecord    // nil: the agent never wrote, or its file is unreadable (see Trouble)
	Evidence blame.Evidence         // what the agent judged by
	Trouble  []string               // records that exist and cannot be read
	Roles    []Role                 // planned ones in start order, then the agent's own steps
	Files    []Link                 // kept files
}

// Role is one role of an attempt and what it left.
type Role struct {
	rundir.RoleRecord
	JUnit    bool     // it was to leave results
	Expected []string // pytest ids that it was to report
	Results  []ResultFile
	Log      string   // path of its log in the attempt directory
	LogBytes int64    // of the log as it was found
	Tail     []string // last lines of the log
}

// ResultFile is one JUnit file that a role left, read once.
type ResultFile struct {
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

// Judged is what was measured and how it was judged.
type Judged struct {
	Rows     []verdict.Row
	Problems []string // why the measurement is invalid
	Together *verdict.Case
	Warnings []string
	// Unverified is a warning that other cases are likely to have, too.
	Unverified string
}

// Policy is what a site decides about deciding. Its zero value relaxes nothing and
// judges no performance.
type Policy struct {
	Exit        ExitPolicy
	Flaky       Flaky
	Judged      bool // performance turns a case red
	Classes     blame.Classes
	Interrupted int // the signal that ended the run early, 0 = none
}

// Flaky is how a case counts that failed first and passed when repeated.
type Flaky string

// The policies; the zero value is FlakyPass.
const (
	FlakyPass Flaky = "pass"
	FlakyFail Flaky = "fail"
	FlakySkip Flaky = "skip"
)

// Check is one test case of a report.
type Check struct {
	junit.Case
	Planned bool   // it is a test that the plan names, under its planned class
	Gate    bool   // of a metric: it counts for the exit code
	Kept    string // where all of a cut text is kept, "" = nowhere
}

// Checks are the test cases that a report has for one case.
type Checks struct {
	Verdict   Check // did it pass as a whole?
	Lifecycle []Check
	Roles     []RoleChecks
	Metrics   []Check
}

// RoleChecks are the tests that one role reported, over all repetitions.
type RoleChecks struct {
	Role       string
	Tests      []Check
	Properties []junit.Property // of its suites
	Hosts      []string         // hostname attributes of its suites
	Out, Err   []SuiteText      // what its suites say beside their cases
}

// SuiteText is text of a suite, and where it is kept.
type SuiteText struct{ Text, Kept string }

// rootOf is the role that a finding names as the cause, or the job as a whole.
func rootOf(f *rundir.Finding) string {
	if f == nil || f.Root == "" {
		return jobName
	}
	return f.Root
}

// jobName stands for the job as a whole.
const jobName = "JOB"

// outcomeOf is how an attempt ended by its records, "" when nothing says so.
func (a Attempt) outcomeOf() rundir.Outcome {
	if a.Result != nil {
		return a.Result.Outcome
	}
	return a.Outcome
}

// findingOf is the finding that an attempt ended with, nil when there is none.
func (a Attempt) findingOf() *rundir.Finding {
	switch {
	case a.Result != nil && a.Result.Finding != nil:
		return a.Result.Finding
	case a.Agent != nil && a.Agent.End != nil:
		return a.Agent.End.Finding
	default:
		return nil
	}
}

// Started is when the attempt began to run, nil if it never did.
func (a Attempt) Started() *time.Time {
	switch {
	case a.Result != nil && a.Result.Started != nil:
		return a.Result.Started
	case a.Agent != nil:
		return &a.Agent.Started
	default:
		return nil
	}
}

func (a Attempt) ended() *time.Time {
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

func (a Attempt) timeline() []rundir.Event {
	if a.Agent == nil {
		return nil
	}
	return a.Agent.Timeline
}
