package judging

import (
	"cmp"
	"context"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/changed"
	"github.com/ci-disagg/ci-disagg/internal/report/lemons"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Setup is what runs are judged with.
type Setup struct {
	Store     baseline.Store // nil: none configured, or StoreErr
	StoreErr  error          // why the configured store could not be opened
	Pins      Pins
	Policy    verdict.Policy
	Metrics   metric.Table
	Reference Reference      // a pinned build that shows what the environment does
	Machines  *Machines      // knows slow cards and nodes; nil = nobody asks
	Lemons    []lemons.Lemon // that are known to be slow: what they cost is taken out
}

// Subject is the run to judge.
type Subject struct {
	// Record is the run as it will be stored, without verdicts. Its Build says
	// nightly or pr, and the merge base.
	Record baseline.Record
	Mode   string // of the case (rundir.Case.Mode), where its record does not say it: which metrics gate
	// Branch is the branch to compare with; "" = the record's own. A pull
	// request names its target here.
	Branch string
	// Sights are those of the record's repetitions.
	Sights Sights
}

// Judgement is what came out.
type Judgement struct {
	Rows   []verdict.Row   // by point and metric, gating metrics first
	Case   verdict.Case    // what the gating series say together
	Record baseline.Record // Subject.Record with its verdicts, Normal, ready to be saved
	// Changed is what else was different when the regression began, nil if there is none.
	Changed *changed.Difference
	// Machine is what suspect machines have to do with a case that is not green, in
	// sentences; "" = nothing.
	Machine string
	// Environment is what the reference says, where the run is not green.
	Environment Environment
	Lemons      []lemons.Lemon // that this run was on, where it is not green
	Warnings    []string
}

// Case judges one run of one case against the store's history and the pins. A
// store that fails makes rows of baseline_unavailable, not an error: the case
// still has a result.
func Case(ctx context.Context, setup Setup, s Subject) Judgement {
	setup, s = prepare(setup, s)
	var known past
	if s.Record.Valid {
		known = readPast(ctx, setup, s)
		if why := copied(s.Record, known.all); why != "" {
			s.Record.Valid, s.Record.Problems = false, []string{why}
		}
	}
	known.Warnings = append(known.Warnings, s.Sights.judge(&s.Record, known.all)...)
	j := onMachines(ctx, setup, s, known, against(setup, s, known))
	return inEnvironment(ctx, setup, s, j)
}

// prepare makes the record one that may be written to, and the policy that of its mode.
func prepare(setup Setup, s Subject) (Setup, Subject) {
	s.Record = s.Record.Normal()
	s.Record.Measurements = slices.Clone(s.Record.Measurements)
	s.Record.Repetitions = slices.Clone(s.Record.Repetitions)
	s.Mode = cmp.Or(s.Record.ModeOfCase(), s.Mode)
	s.Record.CaseMode = ""
	if cmp.Or(s.Record.ModeOfCase(), rundir.ModeE2E) != s.Mode { // whoever reads the record later has only that
		s.Record.CaseMode = s.Mode
	}
	setup.Policy.Mode = verdict.Nightly
	if s.Record.Build.Mode == baseline.ModeReference { // it is a measure, not what is measured
		setup.Policy.FunctionalOnly = true
	}
	if s.Record.Build.Mode == baseline.ModePR {
		setup.Policy.Mode = verdict.PullRequest
	}
	return setup, s
}

// against judges a run against what is known of its past.
func against(setup Setup, s Subject, known past) Judgement {
	t := trial{Setup: setup, Subject: s, past: known}
	out := Judgement{Record: s.Record}
	if out.Record.Valid {
		t.judge(&out)
	} else {
		t.invalid(&out)
	}
	t.sortRows(out.Rows)
	out.Warnings = append(known.Warnings, out.Warnings...)
	out.Record.Verdict = verdict.Worst(out.Rows)
	if !out.Record.Valid {
		out.Record.Verdict = verdict.Invalid
	}
	return out
}
