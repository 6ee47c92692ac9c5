package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/builder"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
)

// The orders in which judge --ab makes pairs.
const (
	orderGiven = "given"
	orderTime  = "time"
)

// abOptions are the flags of judge --ab.
type abOptions struct {
	on    bool
	order string
	cases int
}

// abRuns are the runs of the two builds, and the answers of B that were scored.
type abRuns struct {
	a, b   []ab.Run
	scores []bench.Score
}

// runJudgeAB judges two builds that somebody measured in pairs. The arguments before
// the "--" are the runs of A, those behind it the runs of B.
func runJudgeAB(_ context.Context, h host, o judgeOptions, args []string, dash int) error {
	if err := o.checkAB(args, dash); err != nil {
		return exit.ByUser(err)
	}
	o.caseID = cmp.Or(o.caseID, "paired session")
	cfg, err := o.judged(h)
	if err != nil {
		return err
	}
	setup, err := judgingHere(h, cfg)
	if err != nil {
		return err
	}
	subject, err := o.subjectOf(h, cfg)
	if err != nil {
		return exit.ByUser(err)
	}
	of := subject.Record
	o.caseMode = of.ModeOfCase()
	runs, err := o.abRuns(h, cfg, setup, of, args[:dash], args[dash:])
	if err != nil {
		return exit.ByUser(err)
	}
	pairs, warnings := ab.MakePairs(runs.a, runs.b, o.ab.order == orderTime)
	s := ab.Judge(pairs, builder.Gating(slices.Concat(runs.a, runs.b), setup, of), o.ab.cases, len(pairs))
	s.Warnings = append(warnings, s.Warnings...)
	rows := builder.Promised(s, setup, of)
	if o.accuracy || len(runs.scores) > 0 {
		rows = append(rows, builder.AccuracyRows(o.caseID, runs.scores, cfg.Perf.Accuracy.Gates, cfg.Perf.Accuracy.Advisory)...)
	}
	return o.publish(h, o.outside(cfg).Paired(s, rows, h.now()), nil)
}

func (o judgeOptions) checkAB(args []string, dash int) error {
	const example = "give the runs of A, then --, then those of B: ci-disagg judge --ab a1/ a2/ a3/ a4/ -- b1/ b2/ b3/ b4/"
	switch {
	case dash <= 0 || dash == len(args):
		return errors.New("--ab: " + example)
	case dash != len(args)-dash:
		return fmt.Errorf("--ab: %d runs of A and %d of B are no pairs; %s", dash, len(args)-dash, example)
	case o.save:
		return errors.New("--ab: the runs of a paired session join no history; leave --save away")
	case len(o.reps) > 0:
		return errors.New("--ab: every argument is a run of its own; leave --rep away")
	case o.ab.order != orderGiven && o.ab.order != orderTime:
		return fmt.Errorf("--order %s: use given or time", o.ab.order)
	case o.ab.cases < 1:
		return fmt.Errorf("--cases %d: at least this one", o.ab.cases)
	default:
		return nil
	}
}

// abRuns reads every argument as one run of what of says.
func (o judgeOptions) abRuns(h host, cfg config, setup judging.Setup, of baseline.Record, a, b []string) (abRuns, error) {
	var out abRuns
	of.Time = time.Time{} // each has its own
	for i, arg := range slices.Concat(a, b) {
		run, scores, err := o.abRun(h, cfg, setup, of, arg)
		if err != nil {
			return out, err
		}
		if i < len(a) {
			out.a = append(out.a, run)
			continue
		}
		out.b = append(out.b, run)
		out.scores = append(out.scores, scores...)
	}
	return out, ab.Distinct(slices.Concat(out.a, out.b))
}

func (o judgeOptions) abRun(h host, cfg config, setup judging.Setup, rec baseline.Record, arg string) (ab.Run, []bench.Score, error) {
	also, err := subjectFlags{}.read(h, &rec, cfg, setup, o.expected(), []string{arg})
	if err != nil {
		return ab.Run{}, nil, err
	}
	run := ab.Run{Name: arg, At: &rec.Time, Values: map[ab.Key]float64{}, Problems: rec.Problems}
	for _, m := range rec.Measurements {
		run.Values[ab.Key{Point: m.Point, Metric: m.Metric}] = m.Values[0]
	}
	return run, also.Scores, nil
}
