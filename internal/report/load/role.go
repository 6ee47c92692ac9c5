package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/junit"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of what is kept of a role.
const (
	tailLines = 60
	tailBytes = 64 << 10
	// maxCases bounds the test cases of one file, and its suites; of a file with more the
	// others are lost, and the file is broken. maxParts bounds those of all files of an attempt.
	maxCases = 50_000
	maxParts = 500_000
	// maxText bounds one text of a test case, and lessText each text behind the first
	// allText bytes of an attempt; a file behind mostText is broken.
	maxText  = 4 << 20
	allText  = 64 << 20
	lessText = 4 << 10
	mostText = 1 << 30
)

// role is one planned role with its record and what it left.
func (l *Loader) role(plan rundir.Plan, at place, agent *rundir.AgentRecord, p rundir.RolePlan) results.Role {
	log, _ := filepath.Rel(string(at.attempt), at.run.RoleLog(p.Name)) // one is inside the other
	r := results.Role{JUnit: p.JUnit || len(p.Results) > 0, Globs: p.Results, Optional: p.Optional, Serves: p.Stop == rundir.StopWithClient, Log: filepath.ToSlash(log)}
	r.RoleRecord = rundir.RoleRecord{Name: p.Name, Kind: p.Kind, State: rundir.RoleNeverStarted}
	if rec := roleRecord(at, agent, p.Name); rec != nil {
		r.RoleRecord = *rec
	} else if plan.Draft {
		// Nobody watched this role. What it left, or did not leave, speaks for it.
		r.State = rundir.RoleEnded
	}
	if p.JUnit {
		r.Expected = plan.Expected.NodeIDs
	}
	files, err := resultsOf(at, p)
	if err != nil { // in the place of the role's directory is something else
		r.Results = append(r.Results, results.File{Name: p.Name, Problem: unread("roles/"+p.Name, err)})
	}
	for _, f := range files {
		r.Results = append(r.Results, l.resultFile(at, f, r.Started))
	}
	slices.SortStableFunc(r.Results, func(a, b results.File) int {
		if a.Rank != b.Rank {
			return a.Rank - b.Rank
		}
		return fold.Natural(a.Path, b.Path)
	})
	r.Tail, r.LogBytes = tail(at.tree, at.run.RoleLog(p.Name))
	return r
}

// resultsOf are the result files of a role: those that its plan names, else those that
// have the name and the place of such files.
func resultsOf(at place, p rundir.RolePlan) ([]string, error) {
	if len(p.Results) == 0 {
		return at.tree.RoleResults(at.run, p.Name)
	}
	return Matching(at.tree, at.run.RoleOut(p.Name), p.Results)
}

// Matching are the files below a folder that one of the patterns matches, in their order.
// A folder that is not there has none.
func Matching(tree *rundir.Tree, dir string, globs []string) ([]string, error) {
	var out []string
	var errs []error
	for _, glob := range globs {
		names, err := doublestar.Glob(tree.FS(dir), glob, doublestar.WithFilesOnly(), doublestar.WithNoFollow(), doublestar.WithFailOnIOErrors())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, name := range names {
			out = append(out, filepath.Join(dir, filepath.FromSlash(name)))
		}
	}
	slices.SortFunc(out, fold.Natural)
	return slices.Compact(out), errors.Join(errs...)
}

// roleRecord is the role's record: the agent's, else the role's own status file, which
// is all there is when the agent was killed.
func roleRecord(at place, agent *rundir.AgentRecord, name string) *rundir.RoleRecord {
	if agent != nil {
		for _, r := range agent.Roles {
			if r.Name == name {
				return &r
			}
		}
	}
	return readRecord[rundir.RoleRecord](at.tree, at.run.RoleStatus(name), new(results.Attempt))
}

// steps are the agent's own steps, which no plan lists as roles: the install step.
func (l *Loader) steps(plan rundir.Plan, at place, agent *rundir.AgentRecord, planned []results.Role) []results.Role {
	if agent == nil {
		return nil
	}
	var out []results.Role
	for _, rec := range agent.Roles {
		if !slices.ContainsFunc(planned, func(r results.Role) bool { return r.Name == rec.Name }) {
			out = append(out, l.role(plan, at, agent, rundir.RolePlan{Name: rec.Name, Kind: rec.Kind}))
		}
	}
	return out
}

// rankOf reads the task id from results.<procid>.xml.
func rankOf(path string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "results."), ".xml"))
	if err != nil {
		return 0
	}
	return n
}

// resultFile reads one JUnit file. One that is not there, or is older than it may be,
// is a problem of the file. since is when its role started, nil = not checked.
func (l *Loader) resultFile(at place, path string, since *time.Time) results.File {
	rel, _ := filepath.Rel(string(l.Dir), path)
	f := results.File{Path: filepath.ToSlash(rel), Name: filepath.Base(path), Rank: rankOf(path)}
	if l.Opened != nil {
		l.Opened(path)
	}
	r, err := at.tree.Open(path)
	if err != nil {
		f.Problem = unread(f.Name, err)
		return f
	}
	defer func() { _ = r.Close() }()
	info, err := r.Stat()
	switch {
	case err != nil:
		f.Problem = unread(f.Name, err)
		return f
	case since != nil && info.ModTime().Before(since.Add(-blame.DefaultSkew)): // clocks of two hosts
		f.Problem = &results.FileProblem{Message: fmt.Sprintf("%s is stale: last written %s, before the role started at %s",
			f.Name, info.ModTime().UTC().Format(time.RFC3339), since.UTC().Format(time.RFC3339))}
		return f
	}
	l.parse(r, &f, at.kept)
	return f
}

// What ends the reading of a file that has more than is kept.
var (
	errTooMany = fmt.Errorf("more than %d test cases, or suites", maxCases)
	errOfAll   = fmt.Errorf("more than %d test cases, suites and what they list, or more than 1 GiB of text, in all files of the attempt", maxParts)
)

func (l *Loader) parse(r *os.File, f *results.File, kept *kept) {
	got, err := junit.Read(r, f.Path, l.Read, junit.Visitor{
		Case: func(c *junit.Case) error {
			if len(f.Cases) >= maxCases {
				return errTooMany
			}
			kept.bound(c, f.Path)
			f.Cases = append(f.Cases, *c)
			return kept.add(len(c.Attrs) + len(c.Properties) + len(c.Results) + len(c.Reruns) + len(c.SystemOut) + len(c.SystemErr))
		},
		Suite: func(s *junit.Suite) error {
			if len(f.Suites) >= maxCases {
				return errTooMany
			}
			kept.list(s.SystemOut, f.Path)
			kept.list(s.SystemErr, f.Path)
			f.Suites = append(f.Suites, s)
			return kept.add(len(s.Attrs) + len(s.Properties) + len(s.Results) + len(s.SystemOut) + len(s.SystemErr))
		},
	})
	f.Outer, f.Repairs = got.Outer, got.Repaired
	var p *junit.Problem
	switch {
	case errors.As(err, &p):
		f.Problem = &results.FileProblem{Message: p.Message(f.Name), Text: p.Error()}
	case err != nil:
		f.Problem = &results.FileProblem{Message: f.Name + ": " + err.Error()}
	}
}

func unread(name string, err error) *results.FileProblem {
	var pe *fs.PathError
	var ne *rundir.NodeError
	switch { // the path stands in front already
	case errors.As(err, &ne):
		err = fmt.Errorf("it is %s", ne.Is)
	case errors.As(err, &pe):
		err = pe.Err
	}
	return &results.FileProblem{Message: name + " cannot be read: " + err.Error()}
}

// kept bounds what is kept of the result files of an attempt.
type kept struct {
	whole bool // texts of any length
	parts int  // cases, suites
	text  int
}

// add counts a case or suite with so many details, and says that it is one too many.
func (t *kept) add(details int) error {
	t.parts += 1 + details/16 // most have a few
	if t.parts > maxParts || t.text > mostText && !t.whole {
		return errOfAll
	}
	return nil
}

func (t *kept) bound(c *junit.Case, path string) {
	t.list(c.SystemOut, path)
	t.list(c.SystemErr, path)
	for i := range c.Results {
		t.one(&c.Results[i].Text, path)
	}
	for i := range c.Reruns {
		r := &c.Reruns[i]
		for _, s := range []*string{&r.StackTrace, &r.SystemOut, &r.SystemErr} {
			t.one(s, path)
		}
	}
}

func (t *kept) list(list []string, path string) {
	for i := range list {
		t.one(&list[i], path)
	}
}

func (t *kept) one(s *string, path string) {
	limit := maxText
	if t.text > allText {
		limit = lessText
	}
	if !t.whole {
		*s, _ = fold.Cut(*s, limit, path)
	}
	t.text += len(*s)
}

// tail is the last lines of a log, nil when there is none, and the size of the log. It
// reads a bounded part of the file, whatever its size.
func tail(tree *rundir.Tree, path string) ([]string, int64) {
	f, err := tree.Open(path)
	if err != nil {
		return nil, 0
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, 0
	}
	from := max(0, info.Size()-tailBytes)
	buf := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(buf, from)
	text := strings.ToValidUTF8(string(buf[:n]), "\uFFFD")
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if from > 0 && len(lines) > 1 {
		lines = lines[1:] // begins in the middle
	}
	return lines[max(0, len(lines)-tailLines):], info.Size()
}
