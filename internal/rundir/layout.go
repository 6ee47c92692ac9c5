package rundir

import (
	"fmt"
	"path/filepath"
)

// Dir is the path of a run directory.
type Dir string

// RunFile is the record of the run.
func (d Dir) RunFile() string { return d.path("run.json") }

// LeaseFile says who drives the run.
func (d Dir) LeaseFile() string { return d.path("lease.json") }

// CancelFile is a request to end the run's jobs, written by `ci-disagg cancel`:
// a live driver that finds it submits nothing more.
func (d Dir) CancelFile() string { return d.path("cancel.json") }

// Report is the directory that the published files are in.
func (d Dir) Report() string { return d.path("report") }

// CaseDir holds everything of one case.
func (d Dir) CaseDir(slug string) CaseDir { return CaseDir(d.path("cases", slug)) }

func (d Dir) path(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

// CaseDir is the directory of one case.
type CaseDir string

// PlanFile is the case's plan.
func (c CaseDir) PlanFile() string { return filepath.Join(string(c), "plan.json") }

// Attempt is the directory of one attempt; rep counts from 0, attempt from 1.
func (c CaseDir) Attempt(rep, attempt int) AttemptDir {
	return AttemptDir(filepath.Join(string(c), fmt.Sprintf("rep-%d", rep), fmt.Sprintf("attempt-%d", attempt)))
}

// AttemptDir is the directory of one attempt: one Slurm job.
type AttemptDir string

func (a AttemptDir) path(elem ...string) string {
	return filepath.Join(append([]string{string(a)}, elem...)...)
}

// Dir is the run directory that the attempt is in.
func (a AttemptDir) Dir() Dir { return Dir(a.path("..", "..", "..", "..")) }

// Script is the batch script.
func (a AttemptDir) Script() string { return a.path("job.sh") }

// PlanFile is the attempt's own copy of the plan, which the agent reads.
func (a AttemptDir) PlanFile() string { return a.path("plan.json") }

// JobFile is the client's record of the submission.
func (a AttemptDir) JobFile() string { return a.path("job.json") }

// OutcomeFile is the client's last word on the attempt.
func (a AttemptDir) OutcomeFile() string { return a.path("outcome.json") }

// AgentFile is the agent's record.
func (a AttemptDir) AgentFile() string { return a.path("agent.json") }

// SlurmOut is what the batch script printed.
func (a AttemptDir) SlurmOut() string { return a.path("slurm.out") }

// Run is the directory of one run of the attempt's job; k counts from 0.
func (a AttemptDir) Run(k int) RunDir { return RunDir(a.path(fmt.Sprintf("run-%d", k))) }

// RunDir is the directory of one run: all roles of the case, started once.
type RunDir string

func (r RunDir) path(elem ...string) string {
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// RecordFile is the agent's record of the run, written when it has ended.
func (r RunDir) RecordFile() string { return r.path("record.json") }

// Output is the test's own output directory.
func (r RunDir) Output() string { return r.path("output") }

// GPUNames begins the names of the files in a role's directory in which each of
// its nodes says which GPUs it has: gpus.<node>.txt, a name per line.
const GPUNames = "gpus."

// RoleDir holds everything of one role.
func (r RunDir) RoleDir(role string) string { return r.path("roles", role) }

// RoleScript is the script that each task of the role runs.
func (r RunDir) RoleScript(role string) string { return r.path("roles", role, "role.sh") }

// RoleStatus is the role's own status record.
func (r RunDir) RoleStatus(role string) string { return r.path("roles", role, "status.json") }

// RoleLog is the role's complete output.
func (r RunDir) RoleLog(role string) string { return r.path("roles", role, "output.log") }

// The published files.
const (
	ReportJUnit   = "junit.xml"
	ReportVerdict = "verdict.json"
	ReportSummary = "summary.md"
	ReportIndex   = "index.html"
)
