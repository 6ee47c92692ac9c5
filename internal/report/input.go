package report

import (
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/changed"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/recheck"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Judged is what was measured and how it was judged.
type Judged struct {
	Rows     []verdict.Row
	Problems []string // why the measurement is invalid
	Together *verdict.Case
	AB       *ab.Session // what a paired session found: it decides, beside rows of accuracy and of pinned values
	Suspects *Suspects   // of a regression that has begun
	Changed  *changed.Difference
	Machine  string // what suspect machines have to do with it, for people; "" = nothing
	// Environment is what the reference says of it, for people; "" = none.
	Environment      string
	EnvironmentMoved bool                       // and explains all that is worse
	Recheck          *recheck.Answer            // what a session of the commits behind a regression found; nil = there was none
	Lemons           []lemons.Lemon             // slow machines that it ran on
	Machines         map[string]*rundir.Machine // of the attempts that measured, by their directories
	Warnings         []string
	Unverified       string // a warning that other cases are likely to have, too
}

// Policy is what a site decides about deciding. Its zero value relaxes nothing and judges no performance.
type Policy struct {
	Exit        ExitPolicy
	Judged      bool // performance turns a case red
	Interrupted int  // the signal that ended the run early, 0 = none
	Open        bool // something of the case is still to come
}

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
	Paired    []Check // of a paired session: one for each series
}

// RoleChecks are the tests that one role reported, over all repetitions.
type RoleChecks struct {
	Role, Kind string
	Tests      []Check
	Properties []junit.Property // of its suites
	Hosts      []string         // hostname attributes of its suites
	Out, Err   []SuiteText      // what its suites say beside their cases
}

// SuiteText is text of a suite, and where it is kept.
type SuiteText struct{ Text, Kept string }
