package report

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	junit "github.com/ci-disagg/ci-disagg/internal/report/oldjunit"
	merge "github.com/ci-disagg/ci-disagg/internal/report/oldmerge"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Builder holds what a report is made with, beside the run directory.
type Builder struct {
	Tool    string // version
	Off     bool   // performance is shown, not judged
	Setup   judging.Setup
	Match   []string // properties of a plan that identify a series; empty = all
	Reader  bench.Reader
	Classes blame.Classes
	Merge   merge.Options
	Exit    ExitPolicy

	Accuracy         []bench.AccuracyTest // gates of cases that test accuracy
	AccuracyAdvisory bool                 // shown, never red
}

// Built is a report before it is written.
type Built struct {
	Document Report
	JUnit    merge.Input
	Records  []baseline.Record // of the cases that were measured, to be saved
}

// Build makes the report of a run. interrupted is the signal that ended the run
// early, 0 = none.
func (b Builder) Build(ctx context.Context, bundle Bundle, interrupted syscall.Signal) Built {
	out := Built{
		Document: Report{
			Schema: ReportSchema, Tool: b.Tool, RunID: bundle.Run.ID, Stage: bundle.Run.Stage,
			Suite: bundle.Run.Suite, Backend: bundle.Run.Backend, Cluster: bundle.Run.Cluster, Build: bundle.Run.Build,
		},
		JUnit: merge.Input{Stage: bundle.Run.Stage, Root: string(bundle.Dir)},
	}
	d := &out.Document
	var codes []int
	var jobs, planned, unverified []string
	for _, r := range b.buildCases(ctx, bundle) {
		if interrupted != 0 {
			cutShort(&r.doc, interrupted)
		}
		codes = append(codes, r.doc.ExitCode)
		d.Cases = append(d.Cases, r.doc)
		d.Warnings = append(d.Warnings, r.warnings...)
		planned = append(planned, r.planned...)
		if r.unverified != "" {
			unverified = append(unverified, r.unverified)
		}
		out.JUnit.Cases = append(out.JUnit.Cases, r.junit)
		if r.record != nil {
			out.Records = append(out.Records, *r.record)
		}
		for _, a := range r.doc.Attempts {
			if a.JobID != "" && bundle.Run.Backend != "local" {
				jobs = append(jobs, a.JobID)
			}
			span(d, a)
		}
	}
	d.ExitCode = ExitCode(codes, interrupted)
	d.Result = ResultOf(d.ExitCode)
	count(d)
	d.Headline = headline(*d)
	out.JUnit.Properties = properties(b.Tool, bundle.Run, jobs)
	d.Warnings = append(d.Warnings, folded(unverified)...)
	slices.Sort(d.Warnings)
	slices.Sort(planned) // after the others: they were seen before the run
	d.Warnings = append(slices.Compact(d.Warnings), slices.Compact(planned)...)
	return out
}

// folded is one warning for all cases that have the like.
func folded(cases []string) []string {
	if len(cases) < 2 {
		return cases
	}
	return []string{fmt.Sprintf("%d cases like this: %s", len(cases), slices.Min(cases))}
}

// buildCases makes the report of each case, several at the same time: judging a
// case is arithmetic over its whole history.
func (b Builder) buildCases(ctx context.Context, bundle Bundle) []caseReport {
	out := make([]caseReport, len(bundle.Cases))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range bundle.Cases {
		group.Go(func() error {
			out[i] = b.buildCase(ctx, bundle, c)
			return nil
		})
	}
	_ = group.Wait() // none of them can fail
	return out
}

// cutShort makes a case that an interrupted run did not get through say so: who
// ends a run is no infrastructure.
func cutShort(c *CaseReport, by syscall.Signal) {
	if c.ExitCode == ExitInfra && (c.Outcome == "" || c.Outcome == rundir.OutcomeCancelled) {
		c.ExitCode = ExitCode(nil, by)
		c.Result = ResultOf(c.ExitCode)
	}
}

// properties describe the run in the verdict suite.
func properties(tool string, run rundir.Run, jobs []string) []junit.Property {
	out := []junit.Property{{Name: "ci-disagg.version", Value: tool}, {Name: "ci-disagg.run_id", Value: run.ID}}
	if len(jobs) > 0 {
		out = append(out, junit.Property{Name: "slurm.job_ids", Value: strings.Join(jobs, " ")})
	}
	for _, p := range []junit.Property{
		{Name: "build.commit", Value: run.Build.Commit}, {Name: "build.url", Value: run.Build.URL}, {Name: "cluster", Value: run.Cluster},
	} {
		if p.Value != "" {
			out = append(out, p)
		}
	}
	return out
}

// span widens the run's times by one attempt.
func span(d *Report, a AttemptReport) {
	if a.Started != nil && (d.Started == nil || a.Started.Before(*d.Started)) {
		d.Started = a.Started
	}
	if a.Ended != nil && (d.Ended == nil || a.Ended.After(*d.Ended)) {
		d.Ended = a.Ended
	}
}

// caseReport is everything that is said about one case.
type caseReport struct {
	doc      CaseReport
	junit    merge.Case
	record   *baseline.Record
	warnings []string
	planned  []string // warnings of the plan
	// unverified is a warning that other cases are likely to have, too.
	unverified string
}

func (b Builder) buildCase(ctx context.Context, bundle Bundle, c CaseBundle) caseReport {
	views := b.views(c)
	end := CaseEnd{Skipped: c.Plan.Case.SkipReason != "", Known: c.Plan.Case.KnownBug != "", Judged: b.gates()}
	end.Outcome, end.Failed = worst(views)
	r := caseReport{
		doc: CaseReport{
			ID: c.State.ID, Slug: c.State.Slug, Mode: c.Plan.Case.Mode, Known: c.Plan.Case.KnownBug, Outcome: end.Outcome,
			Match: c.Plan.Match, Points: c.Plan.Expected.Points,
			Nodes: c.Plan.Nodes, AllocatedGPUs: c.Plan.AllocatedGPUs, UsedGPUs: c.Plan.UsedGPUs,
		},
		junit: merge.Case{NodeID: c.State.ID, Slug: c.State.Slug, Skip: c.Plan.Case.SkipReason, KnownBug: c.Plan.Case.KnownBug},
	}
	for _, v := range views {
		r.doc.Attempts = append(r.doc.Attempts, b.attempt(bundle.Dir, c.Plan, v))
		r.junit.Runs = append(r.junit.Runs, v.run)
		if v.run.Counts && v.outcome != rundir.OutcomePassed && r.doc.Finding == nil {
			r.doc.Finding = v.finding
		}
	}
	if !end.Skipped {
		r.planned = c.Plan.Warnings
		b.judge(ctx, bundle, c, views, &r)
	}
	end.Count(r.doc.Metrics)
	r.doc.Verdict = worstWord(end.Words)
	r.doc.ExitCode = CaseExit(end, b.Exit)
	r.doc.Result = caseResult(end, r.doc)
	r.doc.Message = caseMessage(c, r.doc)
	if len(views) == 0 && !end.Skipped {
		r.junit.Error = r.doc.Message
	}
	KeepCharted(r.doc.Metrics)
	r.junit.Rows, r.junit.Problems, r.junit.Advisory = r.doc.Metrics, r.doc.Problems, !b.gates()
	return r
}

// gates says whether performance can turn a case red.
func (b Builder) gates() bool { return !b.Off && !b.Setup.Policy.FunctionalOnly }

// views looks at every attempt, in order.
func (b Builder) views(c CaseBundle) []attemptView {
	var views []attemptView
	for _, attempts := range c.Reps {
		for i, a := range attempts {
			views = append(views, b.view(c, a, i == len(attempts)-1))
		}
	}
	return views
}

// worst is the outcome of a case: the worst of the attempts that count, and
// whether one of them shows a failing test.
func worst(views []attemptView) (rundir.Outcome, bool) {
	var out rundir.Outcome
	seen, failed := false, false
	for _, v := range views {
		if !v.run.Counts {
			continue
		}
		if !seen {
			out, seen = v.outcome, true
		}
		out = worstOutcome(out, v.outcome)
		failed = failed || v.outcome == rundir.OutcomeTestFailed
	}
	return out, failed
}

// judge measures the case and judges it against its baseline.
func (b Builder) judge(ctx context.Context, bundle Bundle, c CaseBundle, views []attemptView, r *caseReport) {
	m := b.measure(c, views)
	if len(m.repetitions) == 0 {
		r.doc.Metrics = b.notMeasured(c, r.doc)
		return
	}
	r.doc.Problems = m.problems
	rec := b.record(bundle.Run, c, m)
	j := judging.Case(ctx, b.setup(len(c.Reps)), judging.Subject{Record: rec, Mode: c.Plan.Case.Mode, Branch: bundle.Run.Build.Branch})
	r.warnings, r.unverified = j.Warnings, m.unverified
	r.doc.Metrics, r.doc.Together = j.Rows, &j.Case
	if b.Off {
		for i := range r.doc.Metrics {
			r.doc.Metrics[i].Advisory = true
		}
	}
	if c.Plan.Expected.Accuracy {
		r.doc.Metrics = append(r.doc.Metrics, AccuracyRows(c.State.ID, m.scores, b.Accuracy, b.AccuracyAdvisory)...)
	}
	if !b.Off && r.doc.Outcome == rundir.OutcomePassed {
		r.record = &j.Record // only what was judged, in full, becomes history
	}
}

// setup is the judging set-up with the repetitions this case has had, whether
// or not they gave a value.
func (b Builder) setup(repetitions int) judging.Setup {
	s := b.Setup
	s.Policy.RerunsUsed = max(0, repetitions-1)
	return s
}

// record is the measurement as the store keeps it.
func (b Builder) record(run rundir.Run, c CaseBundle, m measured) baseline.Record {
	rec := baseline.Record{
		Kind: baseline.KindRun, Case: c.State.ID, Match: baseline.SelectMatch(c.Plan.Match, b.Match), Time: m.started, Source: "ci-disagg", Run: run.ID,
		Build: run.Build, Cluster: run.Cluster, GPU: c.Plan.Match["gpu_type"], Tool: b.Tool,
		Repetitions: m.repetitions, Measurements: m.measurements, Problems: m.problems, Valid: len(m.problems) == 0,
	}
	if rec.Time.IsZero() {
		rec.Time = run.Created
	}
	if c.Plan.Container != nil {
		rec.Container = c.Plan.Container.Image
	}
	return rec
}

// notMeasured is a row for each metric that would have been judged, so that the
// report says of each that nobody looked, and why.
func (b Builder) notMeasured(c CaseBundle, doc CaseReport) []verdict.Row {
	why := "not measured"
	switch {
	case doc.Finding != nil && doc.Finding.Root != "":
		why += ": root cause " + doc.Finding.Root
	case doc.Outcome != "":
		why += ": the attempt ended as " + string(doc.Outcome)
	}
	var rows []verdict.Row
	for _, p := range c.Plan.Expected.Points {
		for _, m := range b.Setup.Metrics.Gates(c.Plan.Case.Mode, slices.Contains(c.Plan.Expected.Metrics, metric.DecodedTokens)) {
			rows = append(rows, verdict.Row{
				Case: c.State.ID, Point: pointName(c.Plan.Expected.Points, bench.Result{Name: p.Name, Concurrency: p.Concurrency, Rate: p.Rate, InputLen: p.InputLen, OutputLen: p.OutputLen}),
				Metric: m.Name, Unit: m.Unit, Better: m.Better.String(), Gate: true, Advisory: !b.gates(), Verdict: verdict.Invalid, Reason: why, Values: []float64{},
			})
		}
	}
	return rows
}

// Suspicious says why a repetition of the same commit would settle the case's
// verdict, "" when it would not.
func (b Builder) Suspicious(ctx context.Context, bundle Bundle, c CaseBundle) string {
	r := b.buildCase(ctx, bundle, c)
	if r.doc.Outcome != rundir.OutcomePassed {
		return ""
	}
	for _, row := range r.doc.Metrics {
		if row.Suspicious {
			return fmt.Sprintf("repeat: %s at %s looks slower than before: %s", row.Metric, row.Point, row.Reason)
		}
	}
	return ""
}

// attempt is one attempt as verdict.json shows it.
func (b Builder) attempt(dir rundir.Dir, plan rundir.Plan, v attemptView) AttemptReport {
	a := AttemptReport{
		Rep: v.Rep, Attempt: v.Attempt.Attempt, Why: v.Why, Counts: v.run.Counts, JobID: v.run.JobID,
		Outcome: v.outcome, Reason: v.run.Reason, Finding: v.finding, Started: v.run.Started, Ended: v.run.Ended, Timeline: v.run.Timeline,
	}
	if v.Agent != nil {
		a.Nodes, a.Phases = v.Agent.Nodes, v.Agent.Phases
	}
	if v.Result != nil && len(v.Result.Nodes) > 0 {
		a.Nodes = v.Result.Nodes
	}
	if a.Started != nil && a.Ended != nil {
		hours := a.Ended.Sub(*a.Started).Hours()
		a.GPUHours, a.GPUHoursUsed = hours*float64(plan.AllocatedGPUs), hours*float64(plan.UsedGPUs)
	}
	a.Artifacts = artifacts(dir, v.Dir)
	rel, _ := filepath.Rel(string(dir), string(v.Dir)) // both are absolute, one inside the other
	for _, r := range v.run.Roles {
		role := RoleReport{RoleRecord: r.RoleRecord, Tail: r.Tail}
		role.Status, role.Why = roleStatus(v, r)
		if r.LogBytes > 0 || len(r.Tail) > 0 {
			role.Log = &Link{Label: r.Name, Path: filepath.Join(rel, r.Log), Bytes: r.LogBytes}
		}
		a.Roles = append(a.Roles, role)
	}
	return a
}

// roleStatus says what became of a role in the light of the finding.
func roleStatus(v attemptView, r merge.Role) (status, why string) {
	f := v.finding
	switch {
	case f != nil && (f.Root == r.Name || slices.Contains(f.Roots, r.Name)):
		return "root", f.Message
	case f != nil && f.Collateral[r.Name] != "":
		return "collateral", f.Collateral[r.Name]
	case r.State == rundir.RoleNeverStarted || r.State == rundir.RolePending:
		return "not_started", r.Error
	case r.State == rundir.RoleEnded && (r.Exit == 0 || r.StoppedBy != "" && v.outcome == rundir.OutcomePassed):
		return "passed", ""
	default:
		return "failed", ""
	}
}
