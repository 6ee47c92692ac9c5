package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/session"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
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
		return usageErr(err)
	}
	cfg, err := o.load(h)
	if err != nil {
		return err
	}
	o.caseID = cmp.Or(o.caseID, "paired session")
	if err := o.policy(&cfg); err != nil {
		return usageErr(err)
	}
	setup, err := cfg.judging(h)
	if err != nil {
		return err
	}
	runs, err := o.abRuns(h, cfg.reader(setup.Metrics), args[:dash], args[dash:])
	if err != nil {
		return usageErr(err)
	}
	pairs, warnings := makePairs(runs, o.ab.order)
	s := ab.Judge(pairs, abSeries(runs, setup, o.caseMode), o.ab.cases)
	s.Warnings = append(warnings, s.Warnings...)
	rows := session.AccuracyRows(o.caseID, runs.scores, cfg.Perf.Accuracy.Gates, cfg.Perf.Accuracy.Advisory)
	if !o.accuracy && len(runs.scores) == 0 {
		rows = nil
	}
	doc := o.abDocument(h, cfg, s, rows)
	return endWith(h, doc.ExitCode, o.publish(h, doc))
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

// abRuns reads every argument as one run.
func (o judgeOptions) abRuns(h host, reader bench.Reader, a, b []string) (abRuns, error) {
	var out abRuns
	for i, arg := range slices.Concat(a, b) {
		run, scores, err := o.abRun(h, reader, arg)
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
	return out, out.copied()
}

func (o judgeOptions) abRun(h host, reader bench.Reader, arg string) (ab.Run, []bench.Score, error) {
	one := subjectFlags{caseID: o.caseID}
	subject := judging.Subject{}
	also, err := one.read(h, &subject.Record, reader, o.expected(), []string{arg})
	if err != nil {
		return ab.Run{}, nil, err
	}
	run := ab.Run{Name: arg, At: &subject.Record.Time, Values: map[ab.Key]float64{}, Problems: subject.Record.Problems}
	for _, m := range subject.Record.Measurements {
		run.Values[ab.Key{Point: m.Point, Metric: m.Metric}] = m.Values[0]
	}
	return run, also.scores, nil
}

// copied refuses one output given as two runs: it would count as two.
func (r abRuns) copied() error {
	all := slices.Concat(r.a, r.b)
	for i, x := range all {
		for _, y := range all[:i] {
			if len(x.Values) > 1 && maps.Equal(x.Values, y.Values) {
				return fmt.Errorf("%s and %s are the same output to the last digit: every run has to be measured", y.Name, x.Name)
			}
		}
	}
	return nil
}

// makePairs takes the first run of A with the first of B, and so on.
func makePairs(r abRuns, order string) (pairs []ab.Pair, warnings []string) {
	byTime := func(x, y ab.Run) int { return x.At.Compare(*y.At) }
	if order == orderTime {
		slices.SortStableFunc(r.a, byTime)
		slices.SortStableFunc(r.b, byTime)
	} else if !slices.IsSortedFunc(r.a, byTime) || !slices.IsSortedFunc(r.b, byTime) {
		warnings = append(warnings, "the files were written in another order than they are given in: if that is the one they were measured in, say --order time")
	}
	for i := range r.a {
		p := ab.Pair{A: r.a[i], B: r.b[i]}
		switch byTime(p.A, p.B) {
		case -1:
			p.First = ab.A
		case 1:
			p.First = ab.B
		default:
		}
		pairs = append(pairs, p)
	}
	return pairs, warnings
}

// abSeries are the series that gate: those of any run. A run that lacks one is no
// measurement.
func abSeries(r abRuns, setup judging.Setup, mode string) []ab.Series {
	seen := map[ab.Key]bool{}
	speculative := false
	for _, run := range slices.Concat(r.a, r.b) {
		for k := range run.Values {
			seen[k] = true
			speculative = speculative || k.Metric == metric.DecodedTokens
		}
	}
	gates := setup.Metrics.Gates(mode, speculative)
	policy := setup.Policy
	policy.FunctionalOnly = false // judged all the same, and shown
	var out []ab.Series
	for _, k := range slices.SortedFunc(maps.Keys(seen), func(x, y ab.Key) int { return strings.Compare(x.String(), y.String()) }) {
		def, ok := setup.Metrics.Lookup(k.Metric)
		if !ok {
			continue
		}
		def.Gate = slices.ContainsFunc(gates, func(m metric.Metric) bool { return m.Name == def.Name })
		if gate, minEffect := policy.Gating(def); gate {
			out = append(out, ab.Series{Key: k, Metric: def, MinEffect: minEffect})
		}
	}
	return out
}

// abDocument is verdict.json of a paired session.
func (o judgeOptions) abDocument(h host, cfg config, s ab.Session, accuracy []verdict.Row) report.Report {
	end := report.CaseEnd{Outcome: rundir.OutcomePassed, Judged: !cfg.Perf.Policy.FunctionalOnly, Failed: s.Verdict == paired.Failed}
	end.Count(accuracy)
	if end.Judged {
		end.Words = append(end.Words, report.PairedWord(s.Verdict))
	}
	ending := report.CaseExit(end, cfg.Perf.Exit())
	if end.Failed && s.Verdict != paired.Failed {
		s.Headline = "the answers of B are wrong; " + s.Headline
	}
	now := h.now()
	c := report.CaseReport{
		ID: o.caseID, Slug: rundir.Slug(o.caseID), Mode: o.caseMode, Decision: ending, Message: s.Headline,
		Measurement: report.Measurement{Verdict: report.PairedWord(s.Verdict), Metrics: accuracy, AB: &s},
	}
	return report.Report{
		Schema: report.ReportSchema, Tool: buildVersion(), RunID: o.runID, Stage: "judge", Started: &now, Headline: s.Headline,
		Counts: judgeCounts(ending.ExitCode, c.Verdict), Cases: []report.CaseReport{c}, Warnings: s.Warnings,
		Decision: report.Ending(ending.ExitCode),
	}
}
