// Package builder makes the report of one run: it loads each attempt once, judges what
// was measured against the history, has package report decide, and writes what people
// and Jenkins read.
package builder

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/points"
	"github.com/ci-disagg/ci-disagg/internal/report/words"

	"golang.org/x/sync/errgroup"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/commonfailures"
	"github.com/ci-disagg/ci-disagg/internal/mask"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/accuracy"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/confirm"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/junit/fold"
	"github.com/ci-disagg/ci-disagg/internal/report/load"
	"github.com/ci-disagg/ci-disagg/internal/report/publish"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/suites"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Options say how a run is judged and reported.
type Options struct {
	Tool    string // version
	Policy  report.Policy
	Flaky   fold.Policy // how a test counts that failed first and passed when repeated
	Classes blame.Classes
	Suites  suites.Options
	Setup   judging.Setup
	Match   []string // properties of a plan that identify a series; empty = all
	Reader  points.Reader
	Advice  report.Advice
	Rules   *report.Rules

	CompareURL string                          // where two commits are compared, with {good} and {bad} in their places; "" = nowhere
	Log        func(good, bad string) []string // the commits between, in a line each; nil = no checkout

	// Plans are those of the run's cases that are known: jobs can write the files.
	Plans []rundir.Plan

	Mask     *mask.Masker // of what the report says
	Unmasked []string     // names of planned secrets whose values are not here, so that they cannot be masked

	PerfOff          bool            // performance is shown, not judged
	Accuracy         []accuracy.Gate // gates of the answers that cases score
	AccuracyAdvisory bool            // shown, never red
}

// Builder is the report of one run in the making. Its values outlive the attempts that
// they are of: what was loaded when an attempt ended is not loaded again at the end.
type Builder struct {
	o Options

	mu     sync.Mutex // several attempts may end at the same time
	loader load.Loader
	known  *rundir.Run // the run's record as its caller knows it
	begun  *rundir.Run // and as its driver began it

	runs map[string]sessionRun // that gave a measurement, by their directories

	// ReadConfirmed is set where nobody drives the run: what paired sessions said of its regressions is read from its
	// directory. It is believed as far as their reports say the same, and of a pull request's run never.
	ReadConfirmed bool
	confirmed     map[string]confirm.Result // by case
}

// New begins a session on a run directory.
func New(dir rundir.Dir, o Options) *Builder {
	o.Policy.Judged = !o.PerfOff && !o.Setup.Policy.FunctionalOnly
	return &Builder{o: o, runs: map[string]sessionRun{}, loader: load.Loader{Dir: dir, Whole: o.Suites.NoCaps, Mask: o.Mask, Plans: o.Plans}}
}

// Recorded takes the run's record from whoever knows it: it is not read again. That of a run that is over comes from
// its driver, since jobs can write the file.
func (s *Builder) Recorded(run rundir.Run) { s.known = &run }

// Begins takes the run's record as its driver begins it: attempts that end on the way are decided by it, and by what
// the driver says of them.
func (s *Builder) Begins(run rundir.Run) { s.begun = &run }

func (s *Builder) driven() (rundir.Run, error) {
	if s.begun != nil {
		return *s.begun, nil
	}
	return s.recorded()
}

func (s *Builder) recorded() (rundir.Run, error) {
	if s.known != nil {
		return *s.known, nil
	}
	return s.loader.Run()
}

// Decided is a run whose cases are decided, before the report is written.
type Decided struct {
	Run     report.Run
	Cases   []report.CaseReport
	Records []baseline.Record // of the cases that were measured, to be saved

	again []func(confirm.Result) report.CaseReport // each of the cases, decided anew in the light of a session
}

// Confirm decides anew the cases of which a paired session has said something since, by what was measured and asked
// before: the history may not answer a second time.
func (d *Decided) Confirm(found []confirm.Result) {
	for _, r := range found {
		for i, c := range d.Cases {
			if c.ID == r.Case && c.AB == nil {
				d.Cases[i] = d.again[i](r)
			}
		}
	}
}

// Decide loads and decides all cases. interrupted is the signal that ends the run now,
// 0 = none; one that its record tells of counts as well.
func (s *Builder) Decide(ctx context.Context, interrupted int) (Decided, error) {
	run, err := s.recorded()
	if err != nil {
		return Decided{}, err
	}
	if run.Interrupted != nil && interrupted == 0 {
		interrupted = run.Interrupted.Signal
	}
	out := Decided{Run: report.Run{Run: run, Tool: s.o.Tool, Interrupted: interrupted, Advisory: s.o.Setup.Policy.FunctionalOnly, Advice: s.o.Advice, AllowSkipped: s.o.Policy.Exit.AllowSkipped, Rules: s.o.Rules}}
	out.Run.Advice.RunDir, out.Run.Advice.Cluster = string(s.loader.Dir), run.Cluster
	for _, name := range s.o.Unmasked {
		out.Run.Notes = append(out.Run.Notes, fmt.Sprintf("the value of the secret %s is not to be had here: what the files say of it could not be masked", name))
	}
	out.Run.Advice.NoStore = s.o.Setup.Store == nil && s.o.Setup.StoreErr == nil
	if s.ReadConfirmed && run.Build.Mode != baseline.ModePR {
		if s.confirmed, err = confirm.Read(s.loader.Dir); err != nil {
			out.Run.Notes = append(out.Run.Notes, "what was confirmed cannot be read: "+err.Error())
		}
	}
	var loaded []results.Case
	for _, state := range run.Cases {
		loaded = append(loaded, s.load(state))
	}
	if s.o.Policy.Judged && run.Build.Mode == string(verdict.PullRequest) && unpaired(loaded) {
		out.Run.Notes = append(out.Run.Notes, noteUnpaired)
	}
	policy, setup := s.o.Policy, s.o.Setup
	policy.Interrupted = interrupted
	if run.Build.Mode == baseline.ModeReference { // it is a measure, not what is measured
		policy.Judged, out.Run.Advisory = false, true
	}
	setup.Policy.RerunsUnavailable = true // the run is over
	out.Cases, out.again = make([]report.CaseReport, len(loaded)), make([]func(confirm.Result) report.CaseReport, len(loaded))
	records := make([]*baseline.Record, len(loaded))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0)) // judging a case is arithmetic over its whole history
	for i, c := range loaded {
		group.Go(func() error {
			p := policy
			p.Open = GoesOn(c.State)
			one := s.decide(ctx, run, c, p, setup)
			out.Cases[i], records[i], out.again[i] = one.report, one.record, one.again
			return nil
		})
	}
	_ = group.Wait() // none of them can fail
	for i, r := range records {
		if r != nil {
			r.GPUHours = out.Cases[i].Spent.ByCause()
			out.Records = append(out.Records, *r)
		}
	}
	out.Run.Notes = append(out.Run.Notes, commonfailures.Words(s.loader.Dir, run.ID, lastEnd(out.Cases))...)
	return out, nil
}

// lastEnd is when the last attempt ended that the infrastructure ended, zero = none was.
func lastEnd(cases []report.CaseReport) time.Time {
	var last time.Time
	for _, c := range cases {
		for _, a := range c.Attempts {
			if a.Finding != nil && a.Finding.Class == string(blame.Infra) && a.Ended != nil && a.Ended.After(last) {
				last = *a.Ended
			}
		}
	}
	return last
}

func (s *Builder) load(state rundir.CaseState) results.Case {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loader.Case(state)
}

// GoesOn reports whether something of the case is still to come.
func GoesOn(c rundir.CaseState) bool {
	return c.State != rundir.CaseDone && c.State != rundir.CaseSkipped
}

// decided is one case that is judged and decided.
type decided struct {
	report report.CaseReport
	record *baseline.Record // to be stored, nil = nothing
	again  func(confirm.Result) report.CaseReport
}

// decide judges and decides one case.
func (s *Builder) decide(ctx context.Context, run rundir.Run, c results.Case, p report.Policy, setup judging.Setup) (out decided) {
	attempts := results.Conclude(c, s.o.Flaky, s.o.Classes)
	last, isSession := session(attempts)
	if !isSession {
		c.Plan = c.Plan.SingleRun()
	}
	var judged report.Judged
	if isSession {
		judged = s.judgeSession(run, c, last)
		out.record = s.keep(run, c, last, *judged.AB)
	} else {
		judged, out.record = s.judge(ctx, run, c, attempts, setup)
		if r, ok := s.confirmed[c.State.ID]; ok {
			if r, ok = r.Holds(s.loader.Dir, c.State.Slug, judged.Suspects); ok {
				judged.Recheck = &r.Answer
			}
		}
	}
	publish.KeepCharted(judged.Rows)
	out.report = report.DecideCase(c.Plan, attempts, judged, p)
	out.again = func(r confirm.Result) report.CaseReport {
		now := judged
		now.Recheck = &r.Answer
		return report.DecideCase(c.Plan, attempts, now, p)
	}
	if s.o.PerfOff || !out.report.Proven() {
		out.record = nil // only what was judged, in full, becomes history
	}
	return out
}

// DecideCase decides a case as far as it has come: history is its attempts so far. The
// second value is why another repetition of the same commit would settle its verdict,
// "" where none would.
func (s *Builder) DecideCase(ctx context.Context, slug string, history []rundir.Attempt) (r report.CaseReport, repeat string, err error) {
	run, err := s.driven()
	if err != nil {
		return r, "", err
	}
	state, err := s.stateOf(run, slug)
	if err != nil {
		return r, "", err
	}
	state.Attempts = history
	c := s.load(state)
	r = s.decide(ctx, run, c, s.o.Policy, s.o.Setup).report
	return r, s.again(c.Plan, history, r), nil
}

// Stands is how a case that is through ended, as far as its tests and the infrastructure go. What failed as known has
// passed, and how fast it is, is decided in the end.
func Stands(c report.CaseReport) rundir.Outcome {
	switch c.ExitCode {
	case exit.TestFailed:
		return rundir.OutcomeTestFailed
	case exit.Infra:
		return rundir.OutcomeInfra
	default:
		return rundir.OutcomePassed
	}
}

// stateOf is where the case of that slug stands.
func (s *Builder) stateOf(run rundir.Run, slug string) (rundir.CaseState, error) {
	i := slices.IndexFunc(run.Cases, func(c rundir.CaseState) bool { return c.Slug == slug })
	if i < 0 {
		return rundir.CaseState{}, fmt.Errorf("%s has no case %s", s.loader.Dir, slug)
	}
	return run.Cases[i], nil
}

// suspicious tells why a repetition of the same commit would settle the verdict.
func suspicious(r report.CaseReport) string {
	if r.Outcome != rundir.OutcomePassed {
		return ""
	}
	for _, row := range r.Metrics {
		if row.Suspicious {
			return fmt.Sprintf("repeat: %s looks slower than before: %s", words.Row(row), row.Reason)
		}
	}
	return ""
}

// Write writes all files of the report. What cannot be written is part of what is
// decided: the report that comes back, and the files that can be written, say so.
func (s *Builder) Write(d *Decided) (report.Report, error) {
	dir := s.loader.Dir.Report()
	run := d.Run
	var errs []error
	fails := func(what string, err error) {
		errs = append(errs, d.NotWritten(what, err))
		run.Unwritten = d.Run.Unwritten
	}
	junitXML := func() (notes []string, err error) {
		return suites.Write(filepath.Join(dir, rundir.ReportJUnit), fault.Decide(run, d.Cases), s.o.Suites)
	}
	notes, err := junitXML()
	run.Notes = slices.Concat(notes, d.Run.Notes)
	if err != nil {
		fails("junit.xml", err)
	}
	if failed := publish.Write(dir, fault.Decide(run, d.Cases)); failed != nil {
		fails("report", failed)
		errs = append(errs, publish.Tell(dir, fault.Decide(run, d.Cases)))
		if err == nil {
			_, err = junitXML()
			errs = append(errs, err)
		}
	}
	return fault.Decide(run, d.Cases), errors.Join(errs...)
}

// Report is what is decided of the run so far.
func (d *Decided) Report() report.Report { return fault.Decide(d.Run, d.Cases) }

// NotWritten notes a part of the report that could not be written.
func (d *Decided) NotWritten(what string, err error) error {
	err = fmt.Errorf("%s: %w", what, err)
	if text := strings.ReplaceAll(err.Error(), "\n", "; "); !slices.Contains(d.Run.Unwritten, text) {
		d.Run.Unwritten = append(d.Run.Unwritten, text)
	}
	return err
}

// Unwritten writes the report once more: something beside its files could not be
// written, and they say so.
func (s *Builder) Unwritten(d *Decided, what string, err error) (report.Report, error) {
	err = d.NotWritten(what, err)
	rep, again := s.Write(d)
	return rep, errors.Join(err, again)
}
