// Package asked tells whether a run that exists is the one that a command line asks for, so that the green of a run is
// not given out for what was never run.
//
// In: the run's directory, the caller's config, and how to plan its suite. Out: an error that says what differs. What
// the run keeps of its config is planned here and now, as the caller's is: the two differ in nothing then but what
// was changed, neither in the workspace of another agent nor in the version of ci-disagg. The record, its cases and
// their configs are compared by package runs.
package asked

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/configfile"
	"github.com/ci-disagg/ci-disagg/internal/launch/pipeline"
	"github.com/ci-disagg/ci-disagg/internal/launch/runs"
	"github.com/ci-disagg/ci-disagg/internal/report/bisect"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Run is what a command line asks for.
type Run struct {
	Dir    rundir.Dir // where a run of that id is
	Config configfile.Config
	Draft  string // the team's own launch draft, "" = none
	Read   configfile.ReadFunc
	Getenv func(string) string
	Plan   func(configfile.Config) (pipeline.Suite, rundir.Run, error)
}

// Then is the clock to plan by what is compared with a run: what was planned on its day must not differ from it by the
// date alone. Where the record has no day, it is now.
func Then(run rundir.Run, now func() time.Time) func() time.Time {
	if run.Created.IsZero() {
		return now
	}
	return func() time.Time { return run.Created }
}

// Is refuses a run that exists and is another one. A suite that cannot be planned is refused, too.
func (r Run) Is(run rundir.Run) error {
	s, want, err := r.Plan(r.Config)
	if err != nil {
		return err
	}
	have := runs.New{Dir: r.Dir, Run: run}
	have.Plans, _ = runs.Plans(r.Dir, run) // who goes on with it says which cannot be read
	asks := runs.New{Dir: r.Dir, Run: want, Plans: s.Plans}
	if err := runs.SameRun(have, asks); err != nil {
		return err
	}
	what := otherBase(have, asks, r.workspaces())
	if what == "" {
		what, err = r.otherDraft()
	}
	if what == "" && err == nil {
		what, err = r.otherConfig(run, s)
	}
	switch {
	case what != "":
	case err != nil && runs.MayBeLive(run):
		return nil // not for certain another one; who goes on with it says what cannot be read
	default:
		return err
	}
	return &runs.OtherRunError{Dir: r.Dir, ID: run.ID, What: what}
}

// workspaces are the directories here that stand for others of another agent.
func (r Run) workspaces() []string {
	in := r.Config.Workspace(r.Getenv)
	out := []string{in.Root, in.Named}
	if w := r.Getenv("WORKSPACE"); w != "" {
		out = append(out, w, configfile.Beside(w))
	}
	return out
}

// otherDraft says how the launch draft differs.
func (r Run) otherDraft() (string, error) {
	kept, err := configfile.KeptDraft(r.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && r.Draft != "":
		return "was launched without --draft", nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case r.Draft == "":
		return "was launched by a --draft", nil
	}
	text, err := pipeline.ReadDraft(r.Read, r.Draft)
	if err == nil && string(text) != string(kept) {
		return fmt.Sprintf("was launched by another --draft than %s is now", r.Draft), nil
	}
	return "", err
}

// otherConfig says in which of the parts that count the config that the run was made from is another one. Of one that
// is lost nobody knows.
func (r Run) otherConfig(run rundir.Run, now pipeline.Suite) (string, error) {
	kept, err := configfile.KeptAt(r.Dir, r.Config, r.Config.Workspace(r.Getenv))
	switch none := errors.Is(err, fs.ErrNotExist); {
	case none && (r.Config.Path == "" || run.Config != "" && runs.MayBeLive(run)):
		return "", nil
	case none:
		return "was made without a config, or has lost its copy of that", nil
	case err != nil || kept.Path == r.Config.Path && bytes.Equal(kept.Raw, r.Config.Raw):
		return "", err
	}
	key := kept.FirstOther(r.Config)
	if key == "" && kept.Path == r.Config.Path {
		return "", nil
	}
	files := fmt.Sprintf("it was made from %s, and %s differs from that at %s",
		filepath.Join(string(r.Dir), configfile.Copy), cmp.Or(r.Config.Path, "no config"), key)
	if key == "" {
		files = fmt.Sprintf("it was made from %s, and the same stands at %s now, where paths begin elsewhere", kept.Path, r.Config.Path)
	}
	ids := kept.IDs() // what a job has put there may take long to plan
	if slices.ContainsFunc(now.Plans, func(p rundir.Plan) bool { return p.Case.Pipeline != "" && !slices.Contains(ids, p.Case.ID) }) {
		return "differs in its cases: " + files, nil
	}
	planned := kept
	planned.Perf.Store = r.Config.Perf.Store // jobs can write what is kept: no password goes where that says
	s, _, err := r.Plan(planned)
	switch {
	case err != nil && runs.MayBeLive(run):
		return "", err
	case err != nil:
		return fmt.Sprintf("cannot be planned here any more (%v): %s", err, files), nil
	}
	var parts []string
	if other := differs(asking{s, kept}, asking{now, r.Config}); other != "" {
		parts = append(parts, other)
	}
	if kept.Report.Flaky != r.Config.Report.Flaky {
		parts = append(parts, "report.flaky")
	}
	if len(parts) == 0 {
		return "", nil
	}
	return fmt.Sprintf("differs in %s: %s", strings.Join(parts, "; "), files), nil
}

// asking is a suite with the config that it was planned from.
type asking struct {
	pipeline.Suite
	by configfile.Config
}

// question is a search's, and what counts where a run is to be the one that is asked for: to which nodes of the cluster
// its job goes, and what makes a role ready.
func (a asking) question(p rundir.Plan) bisect.Question {
	q := bisect.Asks(p, a.Backend+" "+a.Cluster, a.by.Builds.Make, a.by.Perf)
	q["the cluster's profile"] = fmt.Sprintf("%q %q %t %t %q", a.Profile.Partition, a.Profile.Sbatch, a.Profile.Exclusive, a.Profile.Segment, a.Profile.ExportEnv)
	for _, b := range p.Builds {
		for _, r := range b.Roles {
			q["when its roles are ready"] += fmt.Sprintf("%+v\n", r.Ready)
		}
	}
	return q
}

// differs names the parts in which the first case that differs does, "" = none does.
func differs(have, want asking) string {
	for _, p := range want.Plans {
		i := slices.IndexFunc(have.Plans, func(old rundir.Plan) bool { return old.Case.Slug == p.Case.Slug })
		if i < 0 {
			return "its cases"
		}
		if parts := want.question(p).Differs(have.question(have.Plans[i])); parts != "" {
			return parts
		}
	}
	return ""
}
