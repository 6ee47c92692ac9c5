package confirm

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The words of a Result.
const (
	Confirmed    = "confirmed"     // the session finds it too
	NotConfirmed = "not confirmed" // the session passes: the alarm stays open, and somebody has to look
	Unconfirmed  = "unconfirmed"   // nobody can say: it is a regression as before
)

// RecordFile is where the results stand, in the directory of the run that was confirmed.
const RecordFile = "confirm.json"

// Result is what became of one regression.
type Result struct {
	Case    string `json:"case"`
	Outcome string `json:"outcome"`
	Why     string `json:"why"`
	Good    string `json:"good,omitempty"` // the last good commit
	Bad     string `json:"bad,omitempty"`  // the first bad one
	Dir     string `json:"dir,omitempty"`  // run directory of the session
}

// Options are what regressions are confirmed with.
type Options struct {
	Dir rundir.Dir // of the run that found them
	Out io.Writer
	// Session measures two commits of a case in pairs, in a run directory of its own, which may be there already. Its exit
	// code says whether it was interrupted, failed why there is none.
	Session func(ctx context.Context, dir, id, good, bad string) (code int, failed string)
}

// signalled is from where on an exit code is a signal's.
const signalled = 128

// Run confirms the regressions of the run, and returns the exit code: 4 where one is confirmed or nobody can say, 5
// where none is, the run's own where there was none: a run that failed otherwise stays one.
func (o Options) Run(ctx context.Context) (code int, err error) {
	var doc report.Report
	if err := rundir.ReadJSON(filepath.Join(o.Dir.Report(), rundir.ReportVerdict), &doc); err != nil {
		return exit.Usage, err
	}
	var results []Result
	for _, c := range doc.Cases {
		if c.Result != report.ResultRegression {
			continue
		}
		r, code := o.confirm(ctx, c)
		if code >= signalled {
			return code, nil
		}
		results = append(results, r)
		fmt.Fprintf(o.Out, "%s  %s: %s\n", r.Outcome, rundir.ShortID(r.Case), r.Why)
	}
	if len(results) == 0 {
		fmt.Fprintf(o.Out, "%s has no regression to confirm\n", o.Dir)
		return doc.ExitCode, nil
	}
	return worst(results), rundir.WriteJSON(filepath.Join(string(o.Dir), RecordFile), results)
}

// worst is the exit code of all: a regression stays one unless a session clears it.
func worst(results []Result) int {
	code := exit.NoVerdict
	for _, r := range results {
		if r.Outcome != NotConfirmed {
			code = exit.Regression
		}
	}
	return code
}

// confirm makes the session of one regression.
func (o Options) confirm(ctx context.Context, c report.CaseReport) (r Result, code int) {
	r = Result{Case: c.ID, Outcome: Unconfirmed}
	switch {
	case c.AB != nil:
		r.Outcome, r.Why = Confirmed, "it was measured in pairs: "+c.Message
		return r, 0
	case c.Suspects == nil:
		r.Why = "nothing says which commit was the last good one"
		return r, 0
	}
	r.Good, r.Bad = c.Suspects.Good, c.Suspects.Bad
	r.Dir = string(o.Dir) + "-confirm-" + c.Slug
	code, failed := o.Session(ctx, r.Dir, c.ID, r.Good, r.Bad)
	switch {
	case code >= signalled || failed != "":
		r.Why = failed
		return r, code
	case code == exit.Usage: // what is in the directory is another session's, or none
		r.Why = "the session was refused, see above; what is in " + r.Dir + " is not asked: remove it if it is of another session"
		return r, code
	}
	var doc report.Report
	if err := rundir.ReadJSON(filepath.Join(rundir.Dir(r.Dir).Report(), rundir.ReportVerdict), &doc); err != nil {
		r.Why = "the session left no report: " + err.Error()
		return r, code
	}
	r.Why = "the session's report has no such case"
	for _, s := range doc.Cases {
		if s.ID == c.ID {
			r.say(s)
		}
	}
	return r, code
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
	switch s.AB.Verdict {
	case paired.Regression:
		r.Outcome = Confirmed
	case paired.Pass, paired.Improvement:
		r.Outcome, r.Why = NotConfirmed, s.AB.Headline+"; the alarm stays open"
	default:
	}
}
