package report

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// measured is what the counting attempts of a case measured.
type measured struct {
	repetitions  []baseline.Repetition
	measurements []baseline.Measurement
	problems     []string
	unverified   string // which GPUs nobody could tell, "" = none
	scores       []bench.Score
	started      time.Time // of the first repetition
}

// measure reads the benchmark output of every counting attempt that passed.
// Files are trusted only then: their writers have been reaped.
func (b Builder) measure(c CaseBundle, views []attemptView) measured {
	m := measured{}
	var reps [][]bench.Result
	for _, v := range views {
		if !v.run.Counts || v.outcome != rundir.OutcomePassed {
			continue
		}
		m.addRepetition(v)
		results, problems := b.results(c.Plan, v)
		wrong, unseen := hardware(c.Plan, v.Dir)
		m.problems = append(append(m.problems, problems...), wrong...)
		m.unverified = cmp.Or(m.unverified, unseen)
		for _, r := range results {
			m.scores = append(m.scores, r.Accuracy...)
		}
		reps = append(reps, results)
	}
	var problems []string
	m.measurements, problems = judging.Measurements(reps, b.Setup.Metrics, func(results []bench.Result) []string {
		names := make([]string, len(results))
		for i, r := range results {
			names[i] = pointName(c.Plan.Expected.Points, r)
		}
		return names
	})
	m.problems = append(m.problems, problems...)
	return m
}

func (m *measured) addRepetition(v attemptView) {
	rep := baseline.Repetition{JobID: v.run.JobID, Started: v.run.Started}
	switch {
	case v.Result != nil && len(v.Result.Nodes) > 0:
		rep.Nodes = v.Result.Nodes
	case v.Agent != nil:
		rep.Nodes = v.Agent.Nodes
	}
	rep.NodeSet = baseline.NodeGroup(rep.Nodes)
	if m.started.IsZero() && rep.Started != nil {
		m.started = *rep.Started
	}
	m.repetitions = append(m.repetitions, rep)
}

// results reads and validates what one attempt measured. The client's own files
// come first; only when they hold nothing is the client role's log read, which
// repeats them.
func (b Builder) results(plan rundir.Plan, a attemptView) ([]bench.Result, []string) {
	found, err := b.gather(plan, a.Dir)
	var problems []string
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, p := range slices.Concat(found.Problems, stale(found.Files, a.run.Started), bench.Validate(found.Results, plan.Expected)) {
		if rel, err := filepath.Rel(string(a.Dir), p.File); err == nil && p.File != "" {
			p.File = rel
		}
		problems = append(problems, p.String())
	}
	return found.Results, problems
}

// gather reads the outputs of an attempt, else its client's log.
func (b Builder) gather(plan rundir.Plan, dir rundir.AttemptDir) (found bench.Found, err error) {
	tree, err := dir.Tree()
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, tree.Close()) }()
	links := map[string]string{}
	for role, name := range plan.OutputNames {
		links[filepath.Join(dir.Output(), name)] = dir.RoleLog(role)
	}
	found, err = b.Reader.GatherTree(tree, links, dir.Output())
	if err == nil && len(found.Results) == 0 && plan.Drain.Role != "" {
		found, err = b.Reader.GatherTree(tree, nil, dir.RoleLog(plan.Drain.Role))
	}
	return found, err
}

// stale are the files that were written before the attempt began: results of
// another one, whoever brought them here.
func stale(files []string, began *time.Time) []bench.Problem {
	var out []bench.Problem
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || began == nil || !info.ModTime().Before(began.Add(-blame.DefaultSkew)) { // clocks of two hosts
			continue // what cannot be read was said by who read it
		}
		out = append(out, bench.Problem{File: f, Text: fmt.Sprintf("last written %s, before the attempt began at %s",
			info.ModTime().UTC().Format(time.RFC3339), began.UTC().Format(time.RFC3339))})
	}
	return out
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
		load := r.Point().Load()
		switch {
		case len(same) == 1: // the plan may leave out a rate that the client names
			load = same[0].Load()
		case load == "" && len(points) == 1:
			load = points[0].Load()
		}
		return cmp.Or(load, r.Name)
	}
	for _, p := range same {
		if p.Name != "" && p.File != "" && r.Wrote(p.File) {
			return p.Name
		}
	}
	for _, p := range same {
		if p.Name != "" && (p.Name == r.Name || strings.HasSuffix(p.Name, r.Name) && r.Name != "" ||
			p.InputLen == r.InputLen && p.OutputLen == r.OutputLen) {
			return p.Name
		}
	}
	return firstOf(r.Name, filepath.Base(r.File))
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
