package builder

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Outside makes the report of something that was measured outside of a run: one case, and no attempts.
type Outside struct {
	Tool           string // version
	Run            string // id
	Case           string // id
	Mode           string
	Exit           report.ExitPolicy
	FunctionalOnly bool
	Rules          *report.Rules
}

// Judged is the report of a measurement that was judged against history. notStored is why it did not join that.
func (o Outside) Judged(j judging.Judgement, notStored error) *Decided {
	gates := !o.FunctionalOnly && j.Record.Build.Mode != baseline.ModeReference
	run := rundir.Run{ID: j.Record.Run, Build: j.Record.Build, Created: j.Record.Time}
	d := o.decided(report.Judged{
		Rows: j.Rows, Problems: j.Record.Problems, Together: &j.Case, Changed: j.Changed, Machine: j.Machine, Lemons: j.Lemons,
		Environment: j.Environment.Text, EnvironmentMoved: j.OfEnvironment(),
	}, gates, run, j.Warnings)
	if notStored != nil {
		d.Run.NotStored = InALine(notStored)
	}
	return d
}

// InALine is an error in one line: of many that were joined the first three, and how many more there are.
func InALine(err error) string {
	const most = 3
	all := strings.Split(err.Error(), "\n")
	if n := len(all) - most; n > 0 {
		all = append(all[:most], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(all, "; ")
}

// Paired is the report of a paired session. beside are the rows of what is pinned for B, and of its answers.
func (o Outside) Paired(s ab.Session, beside []verdict.Row, at time.Time) *Decided {
	rows, problems := ofAnswers(beside)
	d := o.decided(report.Judged{Rows: rows, Problems: problems, AB: &s}, !o.FunctionalOnly, rundir.Run{ID: o.Run, Created: at}, s.Warnings)
	if o.FunctionalOnly { // shown, though it decides nothing
		d.Cases[0].Verdict = report.PairedWord(s.Verdict)
	}
	return d
}

// decided is the one case, judged as that of a run whose test passed.
func (o Outside) decided(judged report.Judged, gates bool, run rundir.Run, warnings []string) *Decided {
	plan := rundir.Plan{Case: rundir.Case{ID: o.Case, Slug: rundir.Slug(o.Case), Mode: o.Mode}}
	passed := []results.Ended{{Attempt: results.Attempt{Counts: true}, Outcome: rundir.OutcomePassed}}
	c := report.DecideCase(plan, passed, judged, report.Policy{Exit: o.Exit, Judged: gates})
	c.Attempts, c.Outcome = nil, "" // nothing was launched, and no test was run that could have passed
	c.Message = cmp.Or(c.Message, nothingWrong(c, gates))
	run.Stage = "judge"
	return &Decided{
		Run:   report.Run{Run: run, Tool: o.Tool, Rules: o.Rules, Notes: warnings, Advisory: !gates, Alone: true},
		Cases: []report.CaseReport{c},
	}
}

// nothingWrong is the one line for a measurement that no metric speaks against.
func nothingWrong(c report.CaseReport, gates bool) string {
	n := 0
	for _, r := range c.Metrics {
		if r.Decides() {
			n++
		}
	}
	switch {
	case !gates:
		return "functional only: performance is shown, not judged"
	case n == 0:
		return "no metric that gates was measured: nobody looked"
	default:
		return fmt.Sprintf("%d gating metrics passed", n)
	}
}

// Gating are the series of a paired session of a case that gate: those of any run. A run that lacks one is no
// measurement.
func Gating(runs []ab.Run, setup judging.Setup, of baseline.Record) []ab.Series {
	seen := map[ab.Key]bool{}
	for _, run := range runs {
		for k := range run.Values {
			seen[k] = true
		}
	}
	var out []ab.Series
	for _, k := range slices.SortedFunc(maps.Keys(seen), func(x, y ab.Key) int { return strings.Compare(x.String(), y.String()) }) {
		def, ok := setup.Metrics.Lookup(k.Metric)
		if !ok {
			continue
		}
		if gate, minEffect := setup.Gating(of, k.Point, def); gate { // with functional_only, too: judged all the same, and shown
			out = append(out, ab.Series{Key: k, Metric: def, MinEffect: minEffect})
		}
	}
	return out
}

// Promised are the rows of what is pinned for the newer build of a session, B, by the runs that the session took for
// measurements. of is the record of its case.
func Promised(s ab.Session, setup judging.Setup, of baseline.Record) []verdict.Row {
	a, b := of, of
	for _, p := range s.Measured {
		addRun(&a, p.A)
		addRun(&b, p.B)
	}
	return setup.Promised(b, a)
}

// addRun adds what a run measured to a record, nothing where it is no measurement.
func addRun(rec *baseline.Record, r ab.Run) {
	for k, v := range r.Values {
		i := slices.IndexFunc(rec.Measurements, func(m baseline.Measurement) bool { return m.Point == k.Point && m.Metric == k.Metric })
		switch {
		case len(r.Problems) > 0:
		case i < 0:
			rec.Measurements = append(rec.Measurements, baseline.Measurement{Point: k.Point, Metric: k.Metric, Values: []float64{v}})
		default:
			rec.Measurements[i].Values = append(rec.Measurements[i].Values, v)
		}
	}
}

// Beside is what files held beside measurements.
type Beside struct {
	Scores   []bench.Score
	Warnings []string
}

// ReadOutside reads measurements into a record: each group of files and directories is a repetition. The record's time
// is that of the newest file, where it is later. Its case and match values say which metrics gate.
func ReadOutside(rec *baseline.Record, setup judging.Setup, reader points.Reader, want rundir.Expected, groups [][]string) (beside Beside, err error) {
	var reps [][]bench.Result
	for _, paths := range groups {
		found, err := reader.Gather(paths...)
		if err != nil {
			return beside, err
		}
		lost := setup.Unmeasured(*rec, found.Results, judging.PointNames(found.Results))
		for _, p := range slices.Concat(found.Problems, found.Nothing, points.Validate(found.Results, want), lost) {
			rec.Problems = append(rec.Problems, p.String())
		}
		for _, p := range found.Warnings {
			beside.Warnings = append(beside.Warnings, p.String())
		}
		for _, r := range found.Results {
			beside.Scores = append(beside.Scores, r.Accuracy...)
		}
		if rec.Time, err = newest(rec.Time, found.Files); err != nil {
			return beside, err
		}
		reps = append(reps, found.Results)
		rec.Repetitions = append(rec.Repetitions, baseline.Repetition{})
	}
	measurements, problems := judging.Measurements(reps, setup.Metrics, judging.PointNames)
	rec.Measurements = measurements
	rec.Problems = append(rec.Problems, problems...)
	if len(measurements) == 0 && len(rec.Problems) == 0 {
		rec.Problems = append(rec.Problems, "no benchmark result was found in "+strings.Join(groups[0], ", "))
	}
	rec.Valid = len(rec.Problems) == 0
	return beside, nil
}

// newest is when the newest of files was written, or the time given where that is later.
func newest(at time.Time, files []string) (time.Time, error) {
	for _, f := range files {
		info, err := os.Stat(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return at, err
		}
		if info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	return at, nil
}
