package merge

import (
	"io/fs"
	"time"

	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Input is everything that a merged report is made of.
type Input struct {
	Stage      string           // suite prefix
	Properties []junit.Property // of the verdict suite: ci-disagg.version, slurm.job_ids, …
	Cases      []Case           // in plan order
	Root       string           // directory that shown paths are relative to (the run directory)
	NotStored  string           // not empty: what was measured had to join the history and did not, and why
}

// Case is one case of the plan: one logical test, with all its attempts.
type Case struct {
	NodeID   string        // pytest id as planned
	Slug     string        // unique within the run
	Skip     string        // not empty: never launched, and why
	KnownBug string        // not empty: a known failure; red becomes skipped, with this reason
	Runs     []Run         // attempts of all repetitions, in order
	Rows     []verdict.Row // metric verdicts
	Problems []string      // why the measurement is invalid
	Advisory bool          // performance is shown, not judged: an invalid measurement is not red
	Error    string        // failed before any attempt was made: the message
	// Links are properties of the verdict case that point at artifacts: log.GEN_0 → URL or path.
	Links []junit.Property
}

// Run is one attempt (one job) of one repetition.
type Run struct {
	Rep     int  // repetition, from 0
	Attempt int  // from 1
	Counts  bool // the last attempt of its repetition
	JobID   string
	Why     string // why it was made
	Outcome rundir.Outcome
	Reason  string
	Finding *rundir.Finding
	Started *time.Time
	Ended   *time.Time
	// Drained is when the client said it was through; servers that end with 0
	// after it ended as they should.
	Drained  *time.Time
	Roles    []Role
	Timeline []rundir.Event
}

// Role is one planned role of an attempt, whether it started or not.
type Role struct {
	rundir.RoleRecord
	JUnit    bool     // expected to leave results
	Expected []string // pytest ids it is to report; empty = unknown
	Files    []File   // what it left
	Log      string   // path or URL of the kept log, as shown to people
	Tail     []string // last lines of the log
}

// File is one result file of a role.
type File struct {
	Path  string    // to open
	Shown string    // as people read it; default Path
	Rank  int       // srun task id
	Since time.Time // a file last changed before this is stale; zero = not checked
}

// Options are the policy of a merge. The zero value is the default policy.
type Options struct {
	Caps      Caps
	NoCaps    bool   // cut nothing
	StrictXSD bool   // drop what junit-10.xsd does not allow
	Verdict   bool   // only the verdict suite: one red per bug
	Flaky     Flaky  // how a case counts that passed only when repeated
	Spool     string // directory of the temporary spool; default the output's
	Read      junit.ReadOptions
	Mode      fs.FileMode // of the report; default rundir.FileMode
	// Allow lists the verdicts on a gating metric that the policy lets pass
	// although nothing was judged (collecting, no_baseline, …).
	Allow []verdict.Word
}

// Flaky is how a case counts that failed first and passed when repeated.
type Flaky string

// The policies; the zero value is FlakyPass.
const (
	FlakyPass Flaky = "pass"
	FlakyFail Flaky = "fail"
	FlakySkip Flaky = "skip"
)

// Caps bound the text of a report. Zero means the default of junit-facts §8.
type Caps struct {
	PassOut int   // bytes of output of a case that passed; default 1 KiB
	FailOut int   // bytes of output of a case that did not; default 96 KiB
	Body    int   // bytes of a failure's text; default 32 KiB
	Message int   // runes of a message; default 400
	File    int64 // bytes of the report; default 25 MiB
}

// Summary is what a merge did.
type Summary struct {
	Counts    junit.Counts
	Suites    []SuiteSummary
	Cases     []CaseSummary // in plan order
	Files     []FileSummary
	In        int // cases read
	Folded    int // cases that became part of another: In = Out - Synthetic + Folded
	Synthetic int // cases that stand in no file
	Out       int // cases written
	Cut       int64
	Warnings  []string
	Bytes     int64
	Red       []RedCase // the first red cases, in report order
}

// RedCase is one red case of the report.
type RedCase struct{ Suite, Classname, Name, Message string }

// SuiteSummary is one suite of the report.
type SuiteSummary struct {
	Name   string
	Counts junit.Counts
}

// CaseSummary is the verdict case of one case.
type CaseSummary struct {
	Slug    string
	Status  junit.Status
	Message string
	Type    string
	Flaky   bool
}

// FileSummary is one file that was read.
type FileSummary struct {
	Path    string
	Role    string
	Slug    string
	Cases   int
	Problem string // "" = well-formed
}
