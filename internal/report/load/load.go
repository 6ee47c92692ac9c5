// Package load reads a run directory into the values of package report: every file
// once. Files are read here and nothing is decided.
package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

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

	// Opened, where it is set, is told of every result file that is opened.
	Opened func(path string)

	kept map[rundir.AttemptDir]results.Attempt
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

// Case reads one case. A case without a plan is an error; a missing or broken record of
// an attempt is part of the result, because the report has to say so.
func (l *Loader) Case(state rundir.CaseState) (results.Case, error) {
	dir := l.Dir.CaseDir(state.Slug)
	c := results.Case{State: state}
	if err := rundir.ReadJSON(dir.PlanFile(), &c.Plan); err != nil {
		return c, fmt.Errorf("case %s: %w", state.ID, err)
	}
	attempts := slices.Clone(state.Attempts)
	slices.SortStableFunc(attempts, func(a, b rundir.Attempt) int { return a.Rep - b.Rep })
	for i, a := range attempts {
		loaded := l.attempt(c.Plan, dir.Attempt(a.Rep, a.Attempt), a)
		loaded.Counts = i == len(attempts)-1 || attempts[i+1].Rep != a.Rep
		c.Attempts = append(c.Attempts, loaded)
	}
	return c, nil
}

// place is where an attempt is, and its run. What the software under test may have put
// into it is read through tree alone, which follows no link and waits for no pipe.
type place struct {
	tree    *rundir.Tree
	attempt rundir.AttemptDir
	run     rundir.RunDir
}

// attempt reads one attempt, or gives what was read of it before.
func (l *Loader) attempt(plan rundir.Plan, dir rundir.AttemptDir, a rundir.Attempt) results.Attempt {
	if kept, ok := l.kept[dir]; ok {
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
	out.Result = readRecord[rundir.AttemptOutcome](tree, dir.OutcomeFile(), &out.Trouble)
	out.Agent = readRecord[rundir.AgentRecord](tree, dir.AgentFile(), &out.Trouble)
	if out.Agent != nil && out.Agent.End != nil && len(out.Agent.End.Evidence) > 0 {
		if err := json.Unmarshal(out.Agent.End.Evidence, &out.Evidence); err != nil {
			out.Trouble = append(out.Trouble, fmt.Sprintf("agent.json: evidence: %v", err))
		}
	}
	at := place{tree: tree, attempt: dir, run: rundir.FindRun(dir, 0)}
	for _, p := range plan.Roles() {
		out.Roles = append(out.Roles, l.role(plan, at, out.Agent, p))
	}
	out.Roles = append(out.Roles, l.steps(plan, at, out)...)
	out.Files = artifacts(l.Dir, at)
	// It is over: nothing of it changes any more, but that a file server may show late what a role has left.
	if out.Result != nil && !slices.ContainsFunc(out.Roles, owes) {
		if l.kept == nil {
			l.kept = map[rundir.AttemptDir]results.Attempt{}
		}
		l.kept[dir] = out
	}
	return out
}

// owes reports whether a role ended well and its results are not there.
func owes(r results.Role) bool {
	return r.JUnit && len(r.Results) == 0 && r.State == rundir.RoleEnded && r.Exit == 0 && r.StoppedBy == ""
}

// readRecord is the record at path, or nil. A file that exists and cannot be read is
// noted in trouble.
func readRecord[T any](tree *rundir.Tree, path string, trouble *[]string) *T {
	v := new(T)
	err := tree.ReadJSON(path, v)
	switch {
	case err == nil:
		return v
	case !errors.Is(err, fs.ErrNotExist):
		*trouble = append(*trouble, fmt.Sprintf("%s is unreadable: %v", filepath.Base(path), err))
	}
	return nil
}
