package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/changed"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// ReportSchema is the version of verdict.json. It grows when a field changes
// its meaning or goes; new fields do not change it.
const ReportSchema = 2

// Report is verdict.json: everything that is decided and said about a run.
type Report struct {
	Schema  int          `json:"schema"`
	Tool    string       `json:"tool"` // ci-disagg version
	RunID   string       `json:"run_id"`
	Stage   string       `json:"stage"`
	Suite   string       `json:"suite,omitempty"`
	Backend string       `json:"backend,omitempty"`
	Cluster string       `json:"cluster,omitempty"`
	Build   rundir.Build `json:"build"`
	Rules   *Rules       `json:"rules,omitempty"` // of a pull request, whose own do not hold
	Started *time.Time   `json:"started,omitempty"`
	Ended   *time.Time   `json:"ended,omitempty"`
	Decision
	Headline string       `json:"headline"` // one sentence
	Counts   Counts       `json:"counts"`
	Cases    []CaseReport `json:"cases"`            // in suite order
	Doubts   []string     `json:"doubts,omitempty"` // why a run proves nothing whose cases are all green
	Warnings []string     `json:"warnings,omitempty"`
	Next     string       `json:"next,omitempty"`  // the one command to run next
	Pages    string       `json:"pages,omitempty"` // web address under which the build server keeps the copy of the report

	Checks []RunCheck `json:"-"` // what junit.xml says of the run as a whole
}

// Rules say what a run was judged by, where that is not just its own config.
type Rules struct {
	From    string   `json:"from,omitempty"`    // a config and its commit; "" = the run's own, because no others could be had
	Changes []string `json:"changes,omitempty"` // key, value that holds, value of the run's own config
	Missing string   `json:"missing,omitempty"` // why no others could be had
}

// Warnings say what a person should know of the rules.
func (r *Rules) Warnings() []string {
	switch {
	case r == nil:
		return nil
	case r.Missing != "":
		return []string{"judged by the pull request's own rules, which its author can loosen: " + r.Missing + "; --policy names others, --require-policy refuses such runs"}
	case len(r.Changes) > 0:
		return []string{fmt.Sprintf("judged by %s, not by this change's own rules: %s", r.From, strings.Join(r.Changes, "; "))}
	default:
		return nil
	}
}

// RunCheck is one test case about the run as a whole, in one of its suites.
type RunCheck struct {
	Suite string // lifecycle or metrics
	Check
}

// Counts are derived from the cases.
type Counts struct {
	Cases     int `json:"cases"`
	Passed    int `json:"passed"`
	Failed    int `json:"failed"`
	Infra     int `json:"infra"`
	Regressed int `json:"regressed"`
	NoVerdict int `json:"no_verdict"`
	Skipped   int `json:"skipped"` // listed as skipped, and those whose tests skipped themselves
	Known     int `json:"known_failures"`
	Improved  int `json:"improved"`

	Interrupted int `json:"interrupted,omitempty"` // the run was ended before they were through
}

// Decision is how a run or a case ended.
type Decision struct {
	Result   string `json:"result"`    // passed, test_failed, infra, regression, no_verdict, skipped, improvement, known_failure, interrupted
	Colour   string `json:"colour"`    // green, amber, red
	ExitCode int    `json:"exit_code"` // of a case: what it alone would end with
	// Unjudged is why it is green and passed for all that nothing was judged, collecting or no_baseline; "" = it did.
	Unjudged verdict.Word `json:"not_judged,omitempty"`
	Fault    string       `json:"fault,omitempty"` // whose turn it is, in a sentence: see package fault
}

// Ending is the decision for an exit code.
func Ending(code int) Decision {
	return Decision{Result: ResultOf(code), Colour: ColourOf(code), ExitCode: code}
}

// CaseReport is everything that is decided and said about one case.
type CaseReport struct {
	ID   string `json:"id"`
	Slug string `json:"slug"`
	Mode string `json:"mode,omitempty"`
	Decision
	Outcome rundir.Outcome `json:"outcome,omitempty"` // of the attempt that counts
	Message string         `json:"message"`           // one line: why
	Measurement
	Finding  *rundir.Finding `json:"finding,omitempty"`
	Known    string          `json:"known_bug,omitempty"`
	Xfail    string          `json:"xfail,omitempty"`    // how the client failed, as expected
	Attempts []AttemptReport `json:"attempts,omitempty"` // all, in order; the last of each repetition counts
	Planned
	Spent  cost.Spent `json:"gpu_hours"`        // of all attempts
	Next   string     `json:"next,omitempty"`   // the one command to run next for this case, or the key to set
	Accept string     `json:"accept,omitempty"` // the command that makes a regression the new level

	Checks Checks `json:"-"` // its tests in junit.xml

	notes notes
}

// Proven reports whether a test that passed stands behind what was measured: else it is no history.
func (c CaseReport) Proven() bool { return c.Outcome == rundir.OutcomePassed && c.Xfail == "" }

// Measurement is what was measured of a case, and what the rules say of it.
type Measurement struct {
	Verdict verdict.Word `json:"verdict,omitempty"` // worst over the gating metrics
	Worst   *MetricRef   `json:"worst,omitempty"`   // the metric that decided the verdict
	// Together is what the gating metrics say together; nil where nothing was judged.
	Together *verdict.Case `json:"case_verdict,omitempty"`
	Suspects *Suspects     `json:"suspects,omitempty"`
	// Changed is what else was different when the regression began.
	Changed *changed.Difference `json:"changed,omitempty"`
	Machine string              `json:"machine,omitempty"` // what suspect machines have to do with it, in sentences
	// Environment is what the reference says of the environment, in a sentence.
	Environment      string `json:"environment,omitempty"`
	EnvironmentMoved bool   `json:"environment_moved,omitempty"` // and explains all that is worse
	// Lemons are the cards and nodes that it ran on and that are known to be slow.
	Lemons []lemons.Lemon `json:"slow_machines,omitempty"`
	AB     *ab.Session    `json:"ab,omitempty"` // what a paired session found
	// Confirmed is what a session of the commits behind a regression found, in a sentence.
	Confirmed string        `json:"confirmed,omitempty"`
	Metrics   []verdict.Row `json:"metrics,omitempty"`
	Problems  []string      `json:"validity_problems,omitempty"` // why a measurement is invalid
}

// Planned is what the plan says of a case, for exports.
type Planned struct {
	Match         map[string]string `json:"match,omitempty"`  // GPU type, parallelism, …
	Points        []rundir.Point    `json:"points,omitempty"` // of the benchmark
	Nodes         int               `json:"nodes,omitempty"`
	AllocatedGPUs int               `json:"allocated_gpus,omitempty"`
	UsedGPUs      int               `json:"used_gpus,omitempty"`
}

// notes are the warnings that a case adds to those of its run.
type notes struct {
	judging, plan []string
	unverified    string // one that other cases are likely to have, too
}

// MetricRef names one metric of a case.
type MetricRef struct {
	Point  string `json:"point,omitempty"`
	Metric string `json:"metric"`
}

// AttemptReport is one job of a case.
type AttemptReport struct {
	Rep          int                `json:"rep"`
	Attempt      int                `json:"attempt"`
	Why          string             `json:"why,omitempty"`
	Counts       bool               `json:"counts"` // the last of its repetition
	JobID        string             `json:"job_id,omitempty"`
	Outcome      rundir.Outcome     `json:"outcome"`
	Reason       string             `json:"reason,omitempty"`
	Finding      *rundir.Finding    `json:"finding,omitempty"`
	Nodes        []string           `json:"nodes,omitempty"`
	Started      *time.Time         `json:"started,omitempty"`
	Ended        *time.Time         `json:"ended,omitempty"`
	GPUHours     float64            `json:"gpu_hours_allocated"`
	GPUHoursUsed float64            `json:"gpu_hours_used"` // on GPUs that a role had, whatever it did
	Spent        cost.Spent         `json:"gpu_hours"`
	Phases       []rundir.PhaseSpan `json:"phases,omitempty"`
	Roles        []RoleReport       `json:"roles,omitempty"`
	Timeline     []rundir.Event     `json:"timeline,omitempty"`
	Machine      *rundir.Machine    `json:"machine,omitempty"` // what it ran on
	Telemetry    *rundir.Telemetry  `json:"telemetry,omitempty"`
	Artifacts    []Link             `json:"artifacts,omitempty"`
}

// What became of a role.
const (
	RolePassed     = "passed"
	RoleFailed     = "failed"
	RoleRoot       = "root"       // it failed first
	RoleCollateral = "collateral" // it failed because the root did
	RoleNotStarted = "not_started"
)

// RoleReport is one role of one attempt.
type RoleReport struct {
	rundir.RoleRecord
	Status string   `json:"status"` // passed, failed, root, collateral, not_started
	Why    string   `json:"why,omitempty"`
	Log    *Link    `json:"log,omitempty"`
	Tail   []string `json:"tail,omitempty"` // last lines of the log, sanitised
}

// Link points at a kept file, relative to the run directory.
type Link struct {
	Label string `json:"label"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes,omitempty"`
}
