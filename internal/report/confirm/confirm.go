package confirm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/recheck"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// RecordFile is where the results stand, in the directory of the run that was confirmed.
const RecordFile = "confirm.json"

// Result is what became of one regression.
type Result struct {
	Case string `json:"case"`
	recheck.Answer
	Dir string `json:"dir,omitempty"` // run directory of the session
	// Nodes are those that the regression was measured on, which the session is kept away from.
	Nodes []string `json:"nodes,omitempty"`
}

// record is the file of a run's results.
type record struct {
	Schema  int      `json:"schema"`
	Results []Result `json:"results"`
}

// Read are the results of a run by the ids of its cases; none where nobody has confirmed anything.
func Read(dir rundir.Dir) (map[string]Result, error) {
	var r record
	err := rundir.ReadJSON(filepath.Join(string(dir), RecordFile), &r)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	out := map[string]Result{}
	for _, one := range r.Results {
		out[one.Case] = one
	}
	return out, err
}

// Holds is a result that was read, as far as it can be believed: jobs can write the file. It has to be of the commits
// that the case is suspected of now, and the session beside the run has to say the same.
func (r Result) Holds(dir rundir.Dir, slug string, now *report.Suspects) (Result, bool) {
	if suspects := cmp.Or(now, &report.Suspects{}); r.Good != suspects.Good || r.Bad != suspects.Bad {
		return r, false
	}
	if r.Outcome == recheck.Unconfirmed || now == nil {
		return r, r.Outcome == recheck.Unconfirmed
	}
	again := Result{Case: r.Case, Answer: recheck.Answer{Outcome: recheck.Unconfirmed, Good: r.Good, Bad: r.Bad}, Nodes: r.Nodes, Dir: sessionDir(dir, slug)}
	ok := again.read() == nil && again.Outcome == r.Outcome
	again.among(now)
	return again, ok
}

// sessionDir is the run directory of a case's session.
func sessionDir(dir rundir.Dir, slug string) string { return string(dir) + "-confirm-" + slug }

// read takes over what the session's report says.
func (r *Result) read() error {
	var doc report.Report
	if err := rundir.ReadJSON(filepath.Join(rundir.Dir(r.Dir).Report(), rundir.ReportVerdict), &doc); err != nil {
		return err
	}
	r.Why, r.Report = "the session's report has no such case", filepath.Join(rundir.Dir(r.Dir).Report(), rundir.ReportSummary)
	for _, s := range doc.Cases {
		if s.ID != r.Case {
			continue
		}
		if r.say(s); s.AB != nil && doc.Backend != rundir.BackendLocal { // that has no other nodes
			r.Why += r.where(s.AB.Nodes)
		}
	}
	return nil
}

// Options are what regressions are confirmed with.
type Options struct {
	Dir rundir.Dir // of the run that found them
	Out io.Writer
	// Session measures two commits of a case in pairs, good and bad, away from nodes, in a run directory of its own, which
	// may be there already. Its exit code says whether it was interrupted, failed why there is none.
	Session func(ctx context.Context, wanted Result) (code int, failed string)
	Refused string // why there can be no session of any two commits, "" = there can

	Most  float64 // GPU-hours of all sessions together at their longest; 0 = no bound
	Hours func(id, good, bad string) (float64, error)
	spent float64
}

// Run confirms the regressions among the run's cases, and writes down what came of it: the report is then to be made
// again. cases are what its driver knows; nil = they are read, and those that were asked of before count, too.
// interrupted is the exit code of a session that a signal ended.
func (o Options) Run(ctx context.Context, cases []report.CaseReport) (results []Result, interrupted int, err error) {
	doc, before := report.Report{Cases: cases}, map[string]Result{}
	if cases == nil {
		if err = rundir.ReadJSON(filepath.Join(o.Dir.Report(), rundir.ReportVerdict), &doc); err == nil {
			before, err = Read(o.Dir)
		}
		if err != nil {
			return nil, 0, err
		}
	}
	for _, c := range doc.Cases {
		if _, asked := before[c.ID]; c.Result != report.ResultRegression && (!asked || c.Result != report.ResultNoVerdict) {
			continue
		}
		if c.AB == nil && (c.Together == nil || !c.Together.Alarm) || c.BesidePairs() != nil {
			continue // it was told when it was new, or is a promise, which no session is of
		}
		r, code := o.confirm(ctx, c)
		if code >= exit.Signal {
			return results, code, nil
		}
		results = append(results, r)
		fmt.Fprintf(o.Out, "%s  %s: %s\n", r.Outcome, rundir.ShortID(r.Case), r.Why)
	}
	if len(results) == 0 {
		return nil, 0, nil
	}
	return results, 0, rundir.WriteJSON(filepath.Join(string(o.Dir), RecordFile), record{rundir.Schema, results})
}

// confirm makes the session of one regression.
func (o *Options) confirm(ctx context.Context, c report.CaseReport) (r Result, code int) {
	r = Result{Case: c.ID, Answer: recheck.Answer{Outcome: recheck.Unconfirmed}}
	switch {
	case c.AB != nil:
		r.Outcome, r.Why = recheck.Confirmed, "it was measured in pairs: "+c.Message
		return r, 0
	case c.Suspects == nil:
		r.Why = "nothing says which commit was the last good one"
		return r, 0
	}
	r.Good, r.Bad = c.Suspects.Good, c.Suspects.Bad
	for _, commit := range []string{r.Good, r.Bad} { // of the history's records; they get into shell text
		if commit == "" || !rundir.IsCommit(commit) {
			r.Why = fmt.Sprintf("%q is not the id of a commit", commit)
			return r, 0
		}
	}
	if r.Why = cmp.Or(o.Refused, o.tooMuch(r)); r.Why != "" {
		return r, 0
	}
	r.Dir, r.Nodes = sessionDir(o.Dir, c.Slug), nodesOf(c)
	code, failed := o.Session(ctx, r)
	switch {
	case code >= exit.Signal || failed != "":
		r.Why = failed
		return r, code
	case code == exit.Usage: // what is in the directory is another session's, or none
		r.Why = "the session was refused, see above; what is in " + r.Dir + " is not asked: remove it if it is of another session"
		return r, code
	case code == exit.Overtaken:
		r.Why = "another driver has the session in " + r.Dir + ": call again when it is over"
		return r, code
	}
	if err := r.read(); err != nil {
		r.Why = "the session left no report: " + err.Error()
	}
	r.among(c.Suspects)
	return r, code
}

// among says of how many commits one is to blame.
func (r *Result) among(s *report.Suspects) {
	if n := len(s.Commits); n > 1 && r.Outcome == recheck.Confirmed {
		r.Why = fmt.Sprintf("%s; it came with one of %d commits, and `ci-disagg bisect` finds which", strings.TrimSuffix(r.Why, "."), n)
	}
}

// nodesOf are the nodes that a case was measured on.
func nodesOf(c report.CaseReport) (nodes []string) {
	for _, a := range c.Attempts {
		if a.Counts {
			nodes = append(nodes, a.Nodes...)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// tooMuch is why a session is more than may be spent, "" = it is not.
func (o *Options) tooMuch(r Result) string {
	if o.Most == 0 {
		return ""
	}
	hours, err := o.Hours(r.Case, r.Good, r.Bad)
	if err != nil {
		return err.Error()
	}
	if o.spent+hours > o.Most {
		return fmt.Sprintf("ab.max_gpu_hours: its session may take %.1f GPU-hours, and those before it may take %.1f of the %g", hours, o.spent, o.Most)
	}
	o.spent += hours
	return ""
}

// say takes over what the session found.
func (r *Result) say(s report.CaseReport) {
	r.Why = cmp.Or(s.Message, "the session says nothing")
	if s.AB == nil {
		return
	}
	if s.AB.Verdict != "" && !s.AB.Compares(r.Good, r.Bad) {
		r.Why = fmt.Sprintf("%s holds a session of other commits than %.10s and %.10s (%s): remove it", r.Dir, r.Good, r.Bad, s.AB.Commits())
		return
	}
	for _, f := range s.AB.Series {
		r.Series = append(r.Series, ab.Key{Point: f.Point, Metric: f.Metric}.String())
	}
	switch s.AB.Verdict {
	case paired.Regression:
		r.Outcome = recheck.Confirmed
	case paired.Pass, paired.Improvement:
		r.Outcome, r.Why = recheck.NotConfirmed, s.AB.Headline+"; the alarm stays open"
	default:
	}
}

// where says on which nodes the session ran, against those that the regression was found on.
func (r *Result) where(ran []string) string {
	if len(ran) == 0 || len(r.Nodes) == 0 {
		return ""
	}
	again := slices.DeleteFunc(slices.Clone(ran), func(n string) bool { return !slices.Contains(r.Nodes, n) })
	if len(again) == 0 {
		return fmt.Sprintf("; on other nodes (%s) than the run (%s)", list(ran), list(r.Nodes))
	}
	return fmt.Sprintf("; on %s, as the run: there were too few others", list(again))
}

// list is names, as many as there is room for in a sentence.
func list(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
