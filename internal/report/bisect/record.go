package bisect

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Names of the files of a search, in its directory.
const (
	RecordFile = "bisect.json"
	ReportFile = "bisect.md"
)

// Commit is one of those that are searched.
type Commit struct {
	ID   string `json:"id"`
	Line string `json:"line,omitempty"` // its subject
}

// Commits are those of lines "id subject".
func Commits(lines []string) (out []Commit) {
	for _, l := range lines {
		id, subject, _ := strings.Cut(l, " ")
		out = append(out, Commit{ID: id, Line: subject})
	}
	return out
}

// NoWay reports whether no commit lies between two. led reports whether a commit came before another.
func NoWay(good, bad string, led func(commit, to string) bool) error {
	how := ""
	if led(bad, good) && !led(good, bad) {
		how = fmt.Sprintf(": %s is the older one, so they look swapped; --good is the fast commit, --bad the slow one", bad)
	}
	return fmt.Errorf("there is no commit behind %s on the way to %s%s", good, bad, how)
}

// String is the commit as a person reads it.
func (c Commit) String() string { return strings.TrimSpace(fmt.Sprintf("%.10s %s", c.ID, c.Line)) }

// Record is a search as it stands on disk.
type Record struct {
	Schema     int       `json:"schema"`
	Case       string    `json:"case"`
	Commits    []Commit  `json:"commits"`      // the good one first, the bad one last
	Of         Question  `json:"of,omitempty"` // what is measured
	Confidence float64   `json:"confidence"`
	Series     string    `json:"series,omitempty"` // by which commits are told apart: that of the bad one that is worst
	MinEffect  float64   `json:"min_effect,omitempty"`
	Trials     []Measure `json:"trials,omitempty"`
	// Last is when the last measurement was taken in.
	Last time.Time `json:"last,omitzero"`
}

// Measure is a trial with where it was made.
type Measure struct {
	Trial
	Dir    string  `json:"dir"`              // its run directory
	Effect float64 `json:"effect,omitempty"` // relative, above 0 is slower
	Told   string  `json:"told,omitempty"`   // what the session found, in words
}

// search is the record as the arithmetic sees it.
func (r Record) search() Search {
	s := Search{Candidates: len(r.Commits) - 1, MinEffect: r.MinEffect}
	for _, t := range r.Trials {
		s.Trials = append(s.Trials, t.Trial)
	}
	return s
}

// find is the place of a commit, given by its first digits, -1 = it is none of these.
func (r Record) find(commit string) int {
	return slices.IndexFunc(r.Commits, func(c Commit) bool {
		return rundir.SameCommit(c.ID, commit)
	})
}

// load takes up the search that is in dir, where there is one.
func load(dir string, r Record) (Record, error) {
	var old Record
	switch err := rundir.ReadJSON(filepath.Join(dir, RecordFile), &old); {
	case errors.Is(err, fs.ErrNotExist):
		r.Schema = rundir.Schema
		return r, nil
	case err != nil:
		return r, err
	case len(old.Commits) == 0: // cut off, or another program's
		return r, fmt.Errorf("%s names no commits, so it is no record of a search: give another --dir, or remove it", filepath.Join(dir, RecordFile))
	case old.Case != r.Case || !slices.EqualFunc(old.Commits, r.Commits, func(a, b Commit) bool { return a.ID == b.ID }):
		return r, fmt.Errorf("%s holds another search (%s, %.10s to %.10s): give another --dir, or remove it",
			dir, old.Case, old.Commits[0].ID, old.Commits[len(old.Commits)-1].ID)
	}
	// What was measured answers the question that was asked then. As long as there is nothing, the question may be mended.
	if differs := r.Of.Differs(old.Of); differs != "" {
		if len(old.Trials) > 0 || begun(session(dir, 1, old.Commits[len(old.Commits)-1])) {
			return r, fmt.Errorf("%s holds a search that measured something else; what differs: %s. To search anew remove it, or give another --dir", dir, differs)
		}
		old.Of = r.Of
	}
	for _, t := range old.Trials {
		if t.Commit < 1 || t.Commit >= len(old.Commits) {
			return r, fmt.Errorf("%s has a measurement of commit %d, of %d: give another --dir, or remove it", filepath.Join(dir, RecordFile), t.Commit, len(old.Commits)-1)
		}
	}
	old.Confidence = r.Confidence
	return old, nil
}

// session is the run directory of the n-th measurement.
func session(dir string, n int, c Commit) string {
	return filepath.Join(dir, fmt.Sprintf("%02d-%.10s", n, c.ID))
}

// begun reports whether a session was, be it that nothing came of it yet: it goes on as it was planned then.
func begun(dir string) bool {
	tree, err := rundir.OpenTree(dir)
	if err != nil {
		return false
	}
	defer func() { _ = tree.Close() }()
	return !tree.Gone(rundir.Dir(dir).RunFile())
}

// add takes in what a session measured of a commit.
func (r *Record) add(at int, dir string, s *ab.Session, why string) {
	t := Measure{Trial: Trial{Commit: at, Failed: why}, Dir: dir}
	if s != nil && why == "" {
		if r.Series == "" {
			r.Series, r.MinEffect = worst(s.Series)
		}
		t.Failed = "it did not measure " + r.Series
		for _, f := range s.Series {
			if f.Name() == r.Series && len(f.Values) > 0 {
				t.Failed, t.Pairs, t.Effect, t.Told = "", differences(f), f.Effect, f.Sentence()
			}
		}
	}
	r.Trials = append(r.Trials, t)
}

// worst is the series of a session that is worse by the most of its smallest effects.
func worst(series []ab.Found) (name string, minEffect float64) {
	if len(series) == 0 {
		return "", 0
	}
	at := slices.MaxFunc(series, func(a, b ab.Found) int {
		x, y := a.Effect/a.MinEffect, b.Effect/b.MinEffect
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		default:
			return 0
		}
	})
	return at.Name(), at.MinEffect
}
