package report

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bundle is a run directory, read: what the launch side left behind.
type Bundle struct {
	Dir   rundir.Dir
	Run   rundir.Run
	Cases []CaseBundle // in suite order
}

// CaseBundle is one case of a run.
type CaseBundle struct {
	State rundir.CaseState
	Plan  rundir.Plan
	Reps  [][]AttemptBundle // [repetition][attempt]; only the last attempt of a repetition counts
}

// AttemptBundle is one job: its records, as far as they exist.
type AttemptBundle struct {
	rundir.Attempt
	Dir     rundir.AttemptDir
	Result  *rundir.AttemptOutcome // nil: the client never closed the attempt
	Agent   *rundir.AgentRecord    // nil: the agent never wrote, or its file is unreadable (see Trouble)
	Trouble []string               // records that exist and cannot be read
}

// Outcome is how the attempt ended, "" when nothing says so.
func (a AttemptBundle) Outcome() rundir.Outcome {
	if a.Result != nil {
		return a.Result.Outcome
	}
	return a.Attempt.Outcome
}

// Finding is the blame the attempt ended with, nil when there is none.
func (a AttemptBundle) Finding() *rundir.Finding {
	switch {
	case a.Result != nil && a.Result.Finding != nil:
		return a.Result.Finding
	case a.Agent != nil && a.Agent.End != nil:
		return a.Agent.End.Finding
	default:
		return nil
	}
}

// Load reads the run directory dir. A case without a plan or a run without a
// run.json is an error; a missing or broken record of an attempt is part of the
// result, because the report has to say so.
func Load(dir rundir.Dir) (Bundle, error) {
	b := Bundle{Dir: dir}
	if err := rundir.ReadJSON(dir.RunFile(), &b.Run); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return b, fmt.Errorf("%s is not a run directory: it has no run.json", dir)
		}
		return b, err
	}
	for _, state := range b.Run.Cases {
		c, err := loadCase(dir.CaseDir(state.Slug), state)
		if err != nil {
			return b, err
		}
		b.Cases = append(b.Cases, c)
	}
	return b, nil
}

func loadCase(dir rundir.CaseDir, state rundir.CaseState) (CaseBundle, error) {
	c := CaseBundle{State: state}
	if err := rundir.ReadJSON(dir.PlanFile(), &c.Plan); err != nil {
		return c, fmt.Errorf("case %s: %w", state.ID, err)
	}
	for _, a := range state.Attempts {
		for len(c.Reps) <= a.Rep {
			c.Reps = append(c.Reps, nil)
		}
		c.Reps[a.Rep] = append(c.Reps[a.Rep], loadAttempt(dir.Attempt(a.Rep, a.Attempt), a))
	}
	return c, nil
}

func loadAttempt(dir rundir.AttemptDir, a rundir.Attempt) AttemptBundle {
	b := AttemptBundle{Attempt: a, Dir: dir}
	b.Result = readRecord[rundir.AttemptOutcome](dir.OutcomeFile(), &b.Trouble)
	b.Agent = readRecord[rundir.AgentRecord](dir.AgentFile(), &b.Trouble)
	return b
}

// readRecord is the record at path, or nil. A file that exists and cannot be
// read is noted in trouble.
func readRecord[T any](path string, trouble *[]string) *T {
	v := new(T)
	err := rundir.ReadJSON(path, v)
	switch {
	case err == nil:
		return v
	case !errors.Is(err, fs.ErrNotExist):
		*trouble = append(*trouble, fmt.Sprintf("%s is unreadable: %v", filepath.Base(path), err))
	}
	return nil
}

// LoadCase reads one case of a run with the attempts of history, which may be
// ahead of run.json.
func LoadCase(dir rundir.Dir, slug string, history []rundir.Attempt) (Bundle, error) {
	b := Bundle{Dir: dir}
	if err := rundir.ReadJSON(dir.RunFile(), &b.Run); err != nil {
		return b, err
	}
	for _, state := range b.Run.Cases {
		if state.Slug != slug {
			continue
		}
		state.Attempts = history
		c, err := loadCase(dir.CaseDir(slug), state)
		b.Cases = []CaseBundle{c}
		return b, err
	}
	return b, fmt.Errorf("%s has no case %s", dir, slug)
}
