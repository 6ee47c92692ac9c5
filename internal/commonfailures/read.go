package commonfailures

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Bounds of what is read: of the newest runs the small records only.
const (
	maxEntries  = 20_000 // of the parent directory
	maxRuns     = 100
	maxAttempts = 500
	maxSize     = 1 << 20 // of a record
)

// Read reads how the attempts of the newest runs in a directory ended, within a day
// before until. A directory that cannot be read has no runs.
func Read(parent string, until time.Time) []Fact {
	t, err := rundir.OpenTree(parent)
	if err != nil {
		return nil
	}
	defer func() { _ = t.Close() }()
	r := &reader{tree: t, parent: parent, left: maxAttempts}
	for _, name := range r.newest(until.Add(-Day)) {
		r.run(rundir.Dir(filepath.Join(parent, name)))
	}
	return r.facts
}

// reader collects facts.
type reader struct {
	tree   *rundir.Tree
	parent string
	left   int
	facts  []Fact
}

// newest are the runs that something was written to since then, the newest first.
func (r *reader) newest(since time.Time) []string {
	entries, err := r.tree.List(r.parent)
	if err != nil {
		return nil
	}
	type dir struct {
		name string
		at   time.Time
	}
	var dirs []dir
	for _, e := range entries[:min(len(entries), maxEntries)] {
		if !e.IsDir() {
			continue
		}
		// The lease is written as long as somebody drives the run, run.json at its end.
		for _, file := range []string{"run.json", "lease.json"} {
			info, err := r.tree.Lstat(filepath.Join(r.parent, e.Name(), file))
			if err == nil && !info.ModTime().Before(since) {
				dirs = append(dirs, dir{e.Name(), info.ModTime()})
				break
			}
		}
	}
	slices.SortFunc(dirs, func(a, b dir) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, d := range dirs[:min(len(dirs), maxRuns)] {
		names = append(names, d.name)
	}
	return names
}

func (r *reader) json(path string, v any) bool {
	data, err := r.tree.ReadFile(path, maxSize)
	return err == nil && rundir.Decode(path, data, v) == nil
}

func (r *reader) run(dir rundir.Dir) {
	var run rundir.Run
	if !r.json(dir.RunFile(), &run) {
		return
	}
	for _, c := range run.Cases {
		for _, a := range c.Attempts {
			if r.left--; r.left < 0 {
				return
			}
			var o rundir.AttemptOutcome
			// run.json does not know of an end that was written down after its driver's death.
			if r.json(dir.CaseDir(c.Slug).Attempt(a.Rep, a.Attempt).OutcomeFile(), &o) {
				r.facts = append(r.facts, fact(run.ID, r.parent, o))
			}
		}
	}
}

// cancelled reports whether somebody ended the attempt, which says nothing of where it ran.
func cancelled(o rundir.AttemptOutcome) bool {
	return o.Outcome == rundir.OutcomeCancelled || o.Finding != nil && o.Finding.Kind == blame.KindCancelled
}

// fact is what an outcome says. Others' records are read, so names are taken only if
// they look like some.
func fact(run, parent string, o rundir.AttemptOutcome) Fact {
	f := Fact{Run: run, At: o.Ended, Nodes: slices.DeleteFunc(slices.Clone(o.Nodes), odd)}
	f.Cut = cancelled(o)
	if !f.Cut && o.Finding != nil && o.Finding.Class == string(blame.Infra) && !odd(o.Finding.Rule) {
		f.Rule, f.Kind = o.Finding.Rule, o.Finding.Kind
		if f.Kind == blame.KindNodeFail {
			f.Rule = "node-lost" // whoever noticed
		}
		if bad := slices.DeleteFunc(slices.Clone(o.Finding.BadNodes), odd); len(bad) > 0 {
			f.Nodes = bad
		}
		if storage(f.Kind, f.Rule) {
			f.Storage = parent
		}
	}
	for _, node := range f.Nodes {
		if s := o.Switches[node]; s != "" && !odd(s) && !slices.Contains(f.Switches, s) {
			f.Switches = append(f.Switches, s)
		}
	}
	return f
}

// A length in the expression is compiled for milliseconds, at every start of the program.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func odd(s string) bool { return len(s) > 100 || !name.MatchString(s) }

// Words are the patterns that a run's own failures belong to, for people: as of the last
// of them; zero = it has none, and nobody else's are read.
func Words(dir rundir.Dir, id string, until time.Time) []string {
	if until.IsZero() {
		return nil
	}
	var out []string
	for _, p := range Of(id, Read(filepath.Dir(string(dir)), until)) {
		out = append(out, p.Ordinal())
	}
	return out
}
