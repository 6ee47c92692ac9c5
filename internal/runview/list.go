package runview

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/strictyaml"
	"github.com/ci-disagg/ci-disagg/internal/table"
)

// Schema is the version of what is printed for programs. It grows when a field changes its meaning or goes.
const Schema = 1

// List is what list prints.
type List struct {
	Schema int    `json:"schema"`
	Dir    string `json:"runs_dir"`
	Runs   []Run  `json:"runs"` // the newest first
	others int    // that are not meant
}

// Choice says which runs are meant.
type Choice struct {
	States []string
	Stage  string
	Branch string
	Since  time.Time // zero = always
	Most   int       // 0 = all
}

// Check refuses a state that no run can have.
func (c Choice) Check() error {
	known := []string{
		string(Running), string(Detached), string(Stopped), string(Interrupted), string(Ended),
		report.ResultPassed, report.ResultImprovement, report.ResultTestFailed, report.ResultInfra, report.ResultRegression, report.ResultNoVerdict,
		report.ResultSkipped, report.ResultKnown, notJudged, collecting,
	}
	for _, s := range c.States {
		if !slices.Contains(known, s) {
			return fmt.Errorf("--state %q is neither a state nor a result%s", s, Meant(s, strings.Join(known, "\n"), "there are"))
		}
	}
	return nil
}

// Green runs of which nothing was judged: they are none that passed.
const (
	notJudged  = "not_judged"
	collecting = "collecting" // of them those whose history is still too short
)

// results are those that a run is found by.
func (r Run) results() []string {
	switch r.unjudged {
	case verdict.Collecting:
		return []string{notJudged, collecting}
	case verdict.NoBaseline:
		return []string{notJudged}
	default:
		return []string{r.Result}
	}
}

func (c Choice) has(r Run) bool {
	wanted := func(state string) bool { return slices.Contains(c.States, state) }
	return (len(c.States) == 0 || wanted(string(r.State)) || slices.ContainsFunc(r.results(), wanted)) &&
		(c.Stage == "" || c.Stage == r.Stage) && (c.Branch == "" || c.Branch == r.Branch) && !r.Created.Before(c.Since)
}

// needsResult reports whether only its report tells if a run is meant.
func (c Choice) needsResult() bool {
	return slices.ContainsFunc(c.States, func(s string) bool {
		return !slices.Contains([]State{Running, Detached, Stopped}, State(s))
	})
}

// List are the runs directly below a directory. What is no run is passed over; a run that cannot be read is listed.
func (r Reader) List(parent string, which Choice) (List, error) {
	out := List{Schema: Schema, Dir: parent, Runs: []Run{}}
	names, err := runDirs(parent)
	if err != nil {
		return out, err
	}
	whole := func(dir rundir.Dir) (Run, error) {
		run, _, _, err := r.read(dir)
		return run, err
	}
	cut, look := which.Most > 0 && !which.needsResult(), whole
	if cut { // the reports of those that are not shown need not be read
		look = r.brief
	}
	for _, name := range names {
		dir := rundir.Dir(filepath.Join(parent, name))
		run, err := look(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			run = Run{ID: name, Dir: string(dir), State: Stopped, Problem: err.Error()}
		}
		if !which.has(run) {
			out.others++
			continue
		}
		out.Runs = append(out.Runs, run)
	}
	slices.SortStableFunc(out.Runs, func(a, b Run) int { return b.Created.Compare(a.Created) })
	if which.Most > 0 && len(out.Runs) > which.Most {
		out.Runs = out.Runs[:which.Most]
	}
	for i, run := range out.Runs {
		if !cut {
			break
		}
		if full, err := whole(rundir.Dir(run.Dir)); err == nil { // else it has gone since: what was seen stands
			out.Runs[i] = full
		}
	}
	return out, nil
}

// runDirs are the names of directories below parent that may be runs. A directory that is not there has none.
func runDirs(parent string) ([]string, error) {
	tree, err := rundir.OpenTree(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = tree.Close() }() // only read from
	entries, err := tree.List(parent)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries[:min(len(entries), maxRuns)] {
		file := rundir.Dir(filepath.Join(parent, e.Name())).RunFile()
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if _, err := tree.Lstat(file); tree.Has(file) || err == nil { // something else in its place is listed as a run that cannot be read
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// IDs are the ids of the runs below a directory, as far as their records can be read, the newest first.
func IDs(parent string) []string {
	names, err := runDirs(parent)
	if err != nil {
		return nil
	}
	tree, err := rundir.OpenTree(parent)
	if err != nil {
		return nil
	}
	defer func() { _ = tree.Close() }() // only read from
	type record struct {
		ID      string    `json:"id"`
		Created time.Time `json:"created"`
	}
	var all []record
	for _, name := range names {
		var rec record
		path := rundir.Dir(filepath.Join(parent, name)).RunFile()
		if data, err := tree.ReadFile(path, maxVerdict); err == nil && rundir.Decode(path, data, &rec) == nil && rec.ID != "" {
			all = append(all, rec)
		}
	}
	slices.SortStableFunc(all, func(a, b record) int { return b.Created.Compare(a.Created) })
	out := make([]string, len(all))
	for i, rec := range all {
		out[i] = rec.ID
	}
	return out
}

// Find is the run of an id, or of the only id that begins so.
func Find(parent, id string) (rundir.Dir, error) {
	dir := rundir.Dir(filepath.Join(parent, rundir.Slug(id)))
	var rec rundir.Run
	if rundir.ReadJSON(dir.RunFile(), &rec) == nil && rec.ID == id {
		return dir, nil
	}
	ids := IDs(parent)
	var begin []string
	for _, have := range ids {
		if strings.HasPrefix(have, id) && id != "" {
			begin = append(begin, have)
		}
	}
	if len(begin) == 1 {
		return rundir.Dir(filepath.Join(parent, rundir.Slug(begin[0]))), nil
	}
	return "", fmt.Errorf("no run %q in %s%s", id, parent, Meant(id, cmp.Or(strings.Join(begin, "\n"), strings.Join(ids, "\n")), "runs"))
}

// Meant names what was probably meant by an unknown name, else some of what there is, a line each in known.
func Meant(name, known, what string) string {
	const most = 8
	names := strings.FieldsFunc(known, func(r rune) bool { return r == '\n' })
	if meant := strictyaml.DidYouMean(name, names); meant != "" {
		return meant
	}
	switch {
	case len(names) == 0:
		return "; there are no " + what
	case len(names) > most:
		return fmt.Sprintf("; %s: %s, … %d more", what, strings.Join(names[:most], ", "), len(names)-most)
	default:
		return "; " + what + ": " + strings.Join(names, ", ")
	}
}

// Write prints the list for people.
func (l List) Write(w io.Writer, now time.Time) error {
	if len(l.Runs) == 0 && l.others > 0 {
		_, err := fmt.Fprintf(w, "no run in %s is what the flags ask for; others: %d\n", l.Dir, l.others)
		return err
	}
	if len(l.Runs) == 0 {
		_, err := fmt.Fprintf(w, "no runs in %s\n", l.Dir)
		return err
	}
	var t table.Table
	t.Add("run", "state", "age", "verdict", "cases", "GPU-h", "what")
	for _, r := range l.Runs {
		t.Add(clean(r.ID), string(r.State), age(now.Sub(r.Created)), r.verdict(), r.Cases.String(), hours(r.Cost), r.what())
	}
	return t.Write(w)
}

// verdict is the run's result in the console's word, "-" where it has none yet.
func (r Run) verdict() string {
	if r.Exit == nil {
		return "-"
	}
	return fmt.Sprintf("%s (%d)", clean(r.Word), *r.Exit)
}

// what is what the run is of.
func (r Run) what() string {
	if r.Problem != "" {
		return "cannot be read: " + clean(r.Problem)
	}
	text := clean(r.Stage) + ", " + clean(r.Mode)
	if r.Paired {
		text += ", paired"
	}
	if r.Change != "" {
		text += " " + clean(r.Change)
	}
	if r.Branch != "" {
		text += ", " + clean(r.Branch)
	}
	if r.Commit != "" {
		text += fmt.Sprintf(" %.10s", clean(r.Commit))
	}
	return text + ", " + clean(cmp.Or(r.Cluster, r.Backend))
}

// String is the counts for people.
func (c Counts) String() string {
	text := fmt.Sprintf("%d/%d", c.Done+c.Skipped, c.All)
	if c.Running > 0 {
		text += fmt.Sprintf(", %d running", c.Running)
	}
	return text
}

// age is a span in its two largest units.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

func hours(h float64) string {
	if h > 0 && h < 0.05 {
		return "<0.1"
	}
	return fmt.Sprintf("%.1f", h)
}
