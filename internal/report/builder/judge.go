package builder

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/load"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// judge measures a case and judges it against its baseline.
func (s *Builder) judge(ctx context.Context, run rundir.Run, c results.Case, attempts []results.Ended, setup judging.Setup) (report.Judged, *baseline.Record) {
	if c.Plan.Case.SkipReason != "" || !c.Plan.Measures() {
		return report.Judged{}, nil
	}
	m := s.measure(c, results.Measured(attempts))
	if len(m.repetitions) == 0 {
		return report.Judged{Rows: s.notMeasured(c, report.NotMeasured(attempts))}, nil
	}
	setup.Policy.RerunsUsed = max(0, repetitions(c)-1) // whether or not they gave a value
	j := judging.Case(ctx, setup, judging.Subject{
		Record: s.record(run, c, m), Branch: run.Build.Branch, Sights: judging.Sights{Seen: m.machines, Limits: c.Plan.Limits},
	})
	j.Rows = s.shown(j.Rows)
	AddAnswers(&j, s.answers(c, m.scores))
	out := report.Judged{Rows: j.Rows, Problems: j.Record.Problems, Warnings: append(m.warnings, j.Warnings...), Together: &j.Case, Unverified: m.unverified}
	out.Suspects, out.Changed, out.Machine, out.Lemons = s.suspects(j.Case.Onset), j.Changed, j.Machine, j.Lemons
	if out.Environment = j.Environment.Text; j.OfEnvironment() {
		out.Suspects, out.EnvironmentMoved = nil, true // it explains all, and blames nobody
	}
	out.Machines = map[string]*rundir.Machine{}
	for i, rep := range j.Record.Repetitions {
		out.Machines[m.dirs[i]] = rep.Machine
	}
	if j.Record.Valid && len(j.Record.Measurements) == 0 { // scores that are no metric
		return out, nil
	}
	return out, &j.Record
}

// shown are rows of performance, which decide nothing where that is only shown.
func (s *Builder) shown(rows []verdict.Row) []verdict.Row {
	for i := range rows {
		rows[i].Advisory = rows[i].Advisory || s.o.PerfOff
	}
	return rows
}

// suspects are the commits that a regression may have come with, nil where nothing
// says which.
func (s *Builder) suspects(onset *verdict.Onset) *report.Suspects {
	if onset == nil || onset.Commit == "" || onset.Good == "" || onset.Good == onset.Commit {
		return nil
	}
	out := report.Suspects{Good: onset.Good, Bad: onset.Commit}
	if s.o.CompareURL != "" {
		out.URL = strings.NewReplacer("{good}", url.PathEscape(out.Good), "{bad}", url.PathEscape(out.Bad)).Replace(s.o.CompareURL)
	}
	if s.o.Log != nil {
		out.Commits = s.o.Log(out.Good, out.Bad)
	}
	return &out
}

// repetitions is how many the case has had.
func repetitions(c results.Case) int {
	n := 0
	for _, a := range c.Attempts {
		if a.Counts {
			n++
		}
	}
	return n
}

// measured is what the counting attempts of a case measured.
type measured struct {
	repetitions  []baseline.Repetition
	measurements []baseline.Measurement
	problems     []string
	warnings     []string // what a person should know of a measurement that counts
	unverified   string   // which GPUs nobody could tell, "" = none
	scores       []bench.Score
	machines     []*machine.Seen // of each repetition
	dirs         []string        // of their attempts
	started      time.Time       // of the first repetition
}

// measure reads the benchmark output of attempts that passed. Files are trusted only
// then: their writers have been reaped.
func (s *Builder) measure(c results.Case, attempts []results.Attempt) measured {
	m := measured{}
	var reps [][]bench.Result
	for _, a := range attempts {
		m.addRepetition(a)
		dir := rundir.AttemptDir(filepath.Join(string(s.loader.Dir), filepath.FromSlash(a.Dir)))
		found, problems, warnings := s.results(c.Plan, a, dir)
		for _, w := range warnings {
			m.warnings = append(m.warnings, c.State.Slug+": "+w)
		}
		wrong, unseen := load.Hardware(c.Plan, dir, a.RunIndex())
		m.problems = slices.Concat(m.problems, problems, wrong, a.Interruptions())
		m.unverified = cmp.Or(m.unverified, unseen)
		s.o.Mask.Values(&found)
		s.o.Mask.Values(&m.problems)
		s.o.Mask.Values(&m.warnings)
		for _, r := range found {
			m.scores = append(m.scores, r.Accuracy...)
		}
		reps = append(reps, found)
	}
	var problems []string
	m.measurements, problems = judging.Measurements(reps, s.o.Setup.Metrics, func(found []bench.Result) []string { return pointNames(c.Plan, found) })
	m.problems = append(m.problems, problems...)
	return m
}

func (m *measured) addRepetition(a results.Attempt) {
	rep := baseline.Repetition{JobID: a.JobID(), Started: a.Began(), Nodes: a.Nodes()}
	rep.NodeSet = baseline.NodeGroup(rep.Nodes)
	if m.started.IsZero() && rep.Started != nil {
		m.started = *rep.Started
	}
	m.repetitions = append(m.repetitions, rep)
	m.machines, m.dirs = append(m.machines, a.Machine), append(m.dirs, a.Dir)
}

// results reads and validates what one attempt measured. The client's own files come
// first; only when they hold nothing is the client role's log read, which repeats them.
func (s *Builder) results(plan rundir.Plan, a results.Attempt, dir rundir.AttemptDir) (measured []bench.Result, problems, warnings []string) {
	found, err := s.gather(plan, dir, a)
	if err != nil {
		problems = append(problems, err.Error())
	}
	here := func(p bench.Problem) string {
		if rel, err := filepath.Rel(string(dir), p.File); err == nil && p.File != "" {
			p.File = rel
		}
		return p.String()
	}
	wrong := slices.Concat(
		found.Problems, found.Nothing, stale(dir, found, a.Began()), points.Validate(found.Results, plan.Expected),
		s.o.Setup.Unmeasured(s.recordOf(plan), found.Results, pointNames(plan, found.Results)),
	)
	for _, p := range wrong {
		problems = append(problems, here(p))
	}
	for _, p := range found.Warnings {
		warnings = append(warnings, here(p))
	}
	return found.Results, problems, warnings
}

// gather reads the outputs of an attempt's run, else its client's log.
func (s *Builder) gather(plan rundir.Plan, dir rundir.AttemptDir, a results.Attempt) (found points.Found, err error) {
	tree, err := dir.Tree()
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	links := map[string]string{}
	run := rundir.FindRun(dir, a.RunIndex())
	if plan.Case.Pipeline != "" {
		return s.gatherRoles(tree, plan, run, a.Part)
	}
	for _, r := range plan.Roles() {
		if r.Output != "" {
			links[filepath.Join(run.Output(), r.Output)] = run.RoleLog(r.Name)
		}
	}
	reader := s.o.Reader
	for _, r := range plan.Roles() {
		if r.Steps != "" && !plan.Draft { // a draft has its own names for them
			reader.StepLogs = append(slices.Clip(reader.StepLogs), r.Steps)
		}
	}
	found, err = reader.GatherTree(tree, links, run.Output())
	if err == nil && len(found.Results) == 0 && plan.Drain.Role != "" {
		var said points.Found
		said, err = s.o.Reader.GatherTree(tree, nil, run.RoleLog(plan.Drain.Role))
		said.Problems = slices.Concat(found.Problems, said.Problems)
		found = said
	}
	return found, err
}

// pointName names the benchmark point of a result by its load (con8, rate2.5),
// or by the plan's full name where several points share a load.
func pointName(points []rundir.Point, r bench.Result) string {
	var same []rundir.Point
	for _, p := range points {
		if p.Concurrency == r.Concurrency && (p.Rate == 0 || p.Rate == r.Rate) {
			same = append(same, p)
		}
	}
	if len(same) <= 1 {
		load := r.Load()
		switch {
		case len(same) == 1: // the plan may leave out a rate that the client names
			load = same[0].Load()
		case load == "" && len(points) == 1:
			load = points[0].Load()
		}
		return cmp.Or(load, r.Name)
	}
	same = slices.DeleteFunc(same, func(p rundir.Point) bool { return p.Name == "" })
	at := slices.IndexFunc(same, func(p rundir.Point) bool { return p.File != "" && slices.Contains(r.Sources(), p.File) })
	if at < 0 {
		at = slices.IndexFunc(same, func(p rundir.Point) bool {
			return p.Name == r.Name || strings.HasSuffix(p.Name, r.Name) && r.Name != "" || p.InputLen == r.InputLen && p.OutputLen == r.OutputLen
		})
	}
	if at < 0 {
		return cmp.Or(r.Name, filepath.Base(r.File))
	}
	return same[at].Name
}

// recordOf is what is known of a case's record before anything is measured.
func (s *Builder) recordOf(p rundir.Plan) baseline.Record {
	return baseline.Record{
		Kind: baseline.KindRun, Case: p.Case.ID, Match: baseline.SelectMatch(p.Match, s.o.Match), GPU: p.Match["gpu_type"],
		Beside: baseline.Beside{CaseMode: p.Case.Mode},
	}
}

// record is the measurement as the store keeps it.
func (s *Builder) record(run rundir.Run, c results.Case, m measured) baseline.Record {
	rec := s.recordOf(c.Plan)
	rec.Time, rec.Source, rec.Tool = m.started, baseline.SourceOwn, s.o.Tool
	rec.Run, rec.Build, rec.Cluster = run.ID, run.Build, run.Cluster
	rec.Repetitions, rec.Measurements, rec.Problems, rec.Valid = m.repetitions, m.measurements, m.problems, len(m.problems) == 0
	if rec.Time.IsZero() {
		rec.Time = run.Created
	}
	if b, ok := c.Plan.Build(c.Plan.Runs[0]); ok {
		if rec.Checkout = b.Source; b.Container != nil {
			rec.Container = b.Container.Image
		}
	}
	return rec
}

// notMeasured is a row for each metric that would have been judged, so that the report
// says of each that nobody looked, and why.
func (s *Builder) notMeasured(c results.Case, why string) []verdict.Row {
	var rows []verdict.Row
	for _, p := range c.Plan.Expected.Points {
		point := pointName(c.Plan.Expected.Points, bench.Result{Point: p})
		for _, m := range s.o.Setup.Expects(s.recordOf(c.Plan), point, slices.Contains(c.Plan.Expected.Metrics, metric.DecodedTokens)) {
			rows = append(rows, verdict.Row{
				Case: c.State.ID, Point: point, Metric: m.Name, Unit: m.Unit, Better: m.Better.String(), Gate: true,
				Advisory: !s.o.Policy.Judged, Verdict: verdict.Invalid, Reason: why, Values: []float64{},
			})
		}
	}
	return rows
}
