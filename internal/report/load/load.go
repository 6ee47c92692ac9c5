// Package load reads a run directory into the values of package report: every file
// once. Files are read here and nothing is decided.
package load

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Loader reads the attempts of one run directory. It keeps what it has read of an
// attempt that is over, so that a run that decides each attempt when it ends does not
// read it a second time for its report.
type Loader struct {
	Dir   rundir.Dir
	Read  junit.ReadOptions
	Whole bool // keep texts of any length
	Mask  *mask.Masker
	Plans []rundir.Plan // that are known already, and not read again: jobs can write the files

	// Opened, where it is set, is told of every result file that is opened.
	Opened func(path string)

	kept map[string]results.Attempt // by directory, of an attempt or of a run
}

// Run reads run.json.
func (l *Loader) Run() (rundir.Run, error) {
	var run rundir.Run
	err := rundir.ReadJSON(l.Dir.RunFile(), &run)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is not a run directory: it has no run.json", l.Dir)
	}
	return run, err
}

// Case reads one case. A missing or broken plan, or record of an attempt, is part of the result, because the report has
// to say so: one case hides no other.
func (l *Loader) Case(state rundir.CaseState) results.Case {
	dir := l.Dir.CaseDir(state.Slug)
	c := results.Case{State: state}
	if err := l.plan(state.Slug, &c.Plan); err != nil {
		return l.planless(c, err)
	}
	attempts := slices.Clone(state.Attempts)
	slices.SortStableFunc(attempts, func(a, b rundir.Attempt) int { return a.Rep - b.Rep })
	for i, a := range attempts {
		plan := c.Plan
		if !a.Session {
			plan = plan.SingleRun()
		}
		loaded := l.attempt(plan, dir.Attempt(a.Rep, a.Attempt), a)
		loaded.Counts = i == len(attempts)-1 || attempts[i+1].Rep != a.Rep
		c.Attempts = append(c.Attempts, loaded)
	}
	return c
}

// planless is a case whose plan cannot be read: nothing says what its attempts had to show.
func (l *Loader) planless(c results.Case, err error) results.Case {
	c.Plan = rundir.Plan{Case: rundir.Case{ID: c.State.ID, Slug: c.State.Slug}}
	a := results.Attempt{Counts: true}
	if n := len(c.State.Attempts); n > 0 {
		a.Attempt = c.State.Attempts[n-1]
	}
	a.Outcome = cmp.Or(a.Outcome, rundir.OutcomeInfra)
	a.CannotRead("plan.json", err)
	c.Attempts = []results.Attempt{a}
	return c
}

// plan is a case's plan, as its file has it.
func (l *Loader) plan(slug string, to *rundir.Plan) error {
	i := slices.IndexFunc(l.Plans, func(p rundir.Plan) bool { return p.Case.Slug == slug })
	if i < 0 {
		return rundir.ReadJSON(l.Dir.CaseDir(slug).PlanFile(), to)
	}
	data, err := json.Marshal(l.Plans[i])
	if err != nil {
		return err
	}
	return json.Unmarshal(data, to)
}

// place is where an attempt is, and its run. What the software under test may have put
// into it is read through tree alone, which follows no link and waits for no pipe.
type place struct {
	tree    *rundir.Tree
	attempt rundir.AttemptDir
	run     rundir.RunDir
	kept    *kept
}

// attempt reads one attempt, or gives what was read of it before.
func (l *Loader) attempt(plan rundir.Plan, dir rundir.AttemptDir, a rundir.Attempt) results.Attempt {
	if kept, ok := l.kept[string(dir)]; ok {
		kept.Attempt = a
		return kept
	}
	rel, _ := filepath.Rel(string(l.Dir), string(dir)) // one is inside the other
	out := results.Attempt{Attempt: a, Dir: filepath.ToSlash(rel)}
	tree, err := l.Dir.Tree()
	if err != nil {
		out.Trouble = append(out.Trouble, err.Error())
		return out
	}
	defer func() { _ = tree.Close() }() // only read from
	out.Result = readRecord[rundir.AttemptOutcome](tree, dir.OutcomeFile(), &out)
	out.Agent = readRecord[rundir.AgentRecord](tree, dir.AgentFile(), &out)
	readEvidence(&out, filepath.Base(dir.AgentFile()))
	at := place{tree: tree, attempt: dir, run: rundir.FindRun(dir, out.RunIndex()), kept: &kept{whole: l.Whole}}
	out.Roles = l.roles(plan, at, out.Agent)
	out.Files = artifacts(l.Dir, at)
	out.Machine = machines(at, out.Agent, buildOf(out.Agent))
	out.Before = runsBefore(at, out.Agent)
	l.mask(&out)
	if out.Result != nil { // it is over
		l.keep(string(dir), out)
	}
	return out
}

// runsBefore are the accounts of a session's runs but that of which the agent's record tells.
func runsBefore(at place, agent *rundir.AgentRecord) []rundir.RunAccount {
	if agent == nil {
		return nil
	}
	var out []rundir.RunAccount
	for _, end := range agent.Runs {
		var rec rundir.RunRecord
		if end.Run.Index != agent.Run.Index && at.tree.ReadJSON(rundir.FindRun(at.attempt, end.Run.Index).RecordFile(), &rec) == nil {
			out = append(out, rec.RunAccount)
		}
	}
	return out
}

// SessionRun reads one run of a session's attempt, as an attempt of its own: it has roles, results and measurements
// like any other.
func (l *Loader) SessionRun(plan rundir.Plan, dir rundir.AttemptDir, end rundir.RunEnd) results.Attempt {
	run := rundir.FindRun(dir, end.Run.Index)
	if kept, ok := l.kept[string(run)]; ok {
		return kept
	}
	rel, _ := filepath.Rel(string(l.Dir), string(dir)) // one is inside the other
	out := results.Attempt{Attempt: rundir.Attempt{Outcome: end.Outcome}, Dir: filepath.ToSlash(rel), Counts: true}
	tree, err := l.Dir.Tree()
	if err != nil {
		out.Trouble = append(out.Trouble, err.Error())
		return out
	}
	defer func() { _ = tree.Close() }() // only read from
	if rec := readRecord[rundir.RunRecord](tree, run.RecordFile(), &out); rec != nil {
		out.Agent = &rundir.AgentRecord{
			Schema: rec.Schema, JobID: rec.JobID, Token: rec.Token, Nodes: rec.Nodes, Started: rec.Started, RunAccount: rec.RunAccount, End: rec.End,
		}
	}
	readEvidence(&out, filepath.Base(run.RecordFile()))
	at := place{tree: tree, attempt: dir, run: run, kept: &kept{whole: l.Whole}}
	out.Roles = l.roles(plan, at, out.Agent)
	out.Machine = machines(at, out.Agent, buildOf(out.Agent))
	l.mask(&out)
	if out.Agent != nil {
		l.keep(string(run), out)
	}
	return out
}

// mask masks what files say, decoded: it may be escaped there in any way.
func (l *Loader) mask(a *results.Attempt) {
	for _, read := range []any{&a.Result, &a.Agent, &a.Evidence, &a.Trouble, &a.Roles, &a.Files, &a.Machine, &a.Before} {
		l.Mask.Values(read)
	}
}

// roles are the planned roles of a run, then the agent's own steps.
func (l *Loader) roles(plan rundir.Plan, at place, agent *rundir.AgentRecord) []results.Role {
	var out []results.Role
	for _, p := range plan.Roles() {
		out = append(out, l.role(plan, at, agent, p))
	}
	return append(out, l.steps(plan, at, agent, out)...)
}

// keep keeps what nothing changes any more, but that a file server may show late what a role has left.
func (l *Loader) keep(dir string, a results.Attempt) {
	if slices.ContainsFunc(a.Roles, owes) {
		return
	}
	if l.kept == nil {
		l.kept = map[string]results.Attempt{}
	}
	l.kept[dir] = a
}

// readEvidence takes what the agent judged by out of its record, the file of that name.
func readEvidence(a *results.Attempt, name string) {
	if a.Agent == nil || a.Agent.End == nil || len(a.Agent.End.Evidence) == 0 {
		return
	}
	if err := json.Unmarshal(a.Agent.End.Evidence, &a.Evidence); err != nil {
		a.Trouble = append(a.Trouble, fmt.Sprintf("%s: evidence: %v", name, err))
	}
}

// owes reports whether a role ended well and its results are not there.
func owes(r results.Role) bool {
	return r.JUnit && len(r.Results) == 0 && r.State == rundir.RoleEnded && r.Exit == 0 && r.StoppedBy == ""
}

// readRecord is the record at path, or nil. A file that exists and cannot be read is
// noted.
func readRecord[T any](tree *rundir.Tree, path string, to *results.Attempt) *T {
	v := new(T)
	err := tree.ReadJSON(path, v)
	switch {
	case err == nil:
		return v
	case !errors.Is(err, fs.ErrNotExist):
		to.CannotRead(filepath.Base(path), err)
	}
	return nil
}
