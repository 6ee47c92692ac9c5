package builder

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path"
	"path/filepath"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/machine"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/bench"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/suspect"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Answer says what a session is to do after the runs that have ended so far: the driver's answer to the agent. It is
// the same function of the same measurements that the report is made of in the end.
func (s *Builder) Answer(_ context.Context, slug string, a rundir.Attempt, ended []rundir.RunEnd) (rundir.Answer, error) {
	run, err := s.driven()
	if err != nil {
		return rundir.Answer{}, err
	}
	state, err := s.stateOf(run, slug)
	if err != nil {
		return rundir.Answer{}, err
	}
	state.Attempts = nil // of this one the runs are read, one by one
	c := s.load(state)
	if !c.Plan.IsSession() {
		return rundir.Answer{}, fmt.Errorf("case %s is no paired session", slug)
	}
	m := s.sessionOf(c, s.loader.Dir.CaseDir(slug).Attempt(a.Rep, a.Attempt), ended)
	step := ab.Next(m.pairs, m.series, c.Plan.Pairs.Cases)
	out := rundir.Answer{Schema: rundir.Schema, Pair: step.Pair, Word: string(step.Word), Why: step.Reason}
	switch step.Action {
	case paired.Stop:
		out.Do = rundir.DoStop
	case paired.Again:
		out.Do = rundir.DoAgain
	default:
		out.Do = rundir.DoGo
	}
	if n := len(ended); n > 0 {
		out.After = ended[n-1].Run.Index
	}
	return out, nil
}

// noteUnpaired says what a pull request's single run cannot see, and which keys change that.
const noteUnpaired = "one run against the history misses most slowdowns below 5 %; both builds measured in pairs show 2 %: " +
	"name the other one (builds.base in the config, or --ab-base-source or --ab-base-image), or take the last green nightly's (--ab=suspicious, ab.mode)"

// unpaired reports whether cases were launched and none of them is measured in pairs.
func unpaired(cases []results.Case) bool {
	launched := false
	for _, c := range cases {
		if c.Plan.IsSession() {
			return false
		}
		launched = launched || len(c.Attempts) > 0
	}
	return launched
}

// sessionRuns are the runs of a session as they were measured.
type sessionRuns struct {
	pairs  []ab.Pair
	series []ab.Series
	scores []bench.Score // the answers of the newer build's runs that gave a measurement
	seen   []suspect.Run // what the machines of the runs were that gave one
}

// sessionOf reads the pairs of a session. Its series are those of all runs up to the pair that ended it: one that lacks
// a series is no measurement, whichever it is, and later runs cannot change what was decided after earlier ones.
func (s *Builder) sessionOf(c results.Case, dir rundir.AttemptDir, ended []rundir.RunEnd) sessionRuns {
	var out sessionRuns
	var good []ab.Run
	var known outputs
	read := func(end rundir.RunEnd) ab.Run {
		one := s.sessionRun(c, dir, end)
		run := one.Run
		run.Problems = slices.Concat(run.Problems, known.add(one.gave))
		if len(run.Problems) == 0 {
			good = append(good, run)
			if end.Run.Build == rundir.HeadBuild {
				out.scores = append(out.scores, one.scores...)
			}
			out.seen = append(out.seen, suspect.Run{Name: path.Base(run.Name), B: end.Run.Build == rundir.HeadBuild, Seen: one.seen})
		}
		return run
	}
	names := map[string]string{rundir.BaseBuild: ab.A, rundir.HeadBuild: ab.B}
	out.series = s.seriesOf(c, nil)
	over := false
	for _, p := range rundir.PairsOf(ended) {
		pair := ab.Pair{First: names[p.First]}
		if p.First == rundir.HeadBuild {
			pair.B, pair.A = read(p.Head), read(p.Base)
		} else {
			pair.A, pair.B = read(p.Base), read(p.Head)
		}
		out.pairs = append(out.pairs, pair)
		if !over {
			out.series = s.seriesOf(c, good)
			over = ab.Next(out.pairs, out.series, c.Plan.Pairs.Cases).Action == paired.Stop
		}
	}
	return out
}

// seriesOf are the series of a session by its runs that gave a measurement, without any those that the plan expects.
// What a plan expects and a run lacks is that run's problem.
func (s *Builder) seriesOf(c results.Case, good []ab.Run) []ab.Series {
	out := Gating(good, s.o.Setup, s.recordOf(c.Plan))
	if len(good) == 0 {
		out = s.expected(c)
	}
	for i, one := range out {
		out[i].Noise = c.Plan.Pairs.Noise[one.String()]
	}
	return out
}

// sessionRun is one run of a session, with what its client gave each time it ran.
type sessionRun struct {
	ab.Run
	seen   *machine.Seen
	gave   outputs
	scores []bench.Score
}

// sessionRun reads one run of a session, one that gave a measurement once: each answer asks for all runs before it.
func (s *Builder) sessionRun(c results.Case, dir rundir.AttemptDir, end rundir.RunEnd) sessionRun {
	at := string(dir.Run(end.Run.Index))
	s.mu.Lock()
	kept, ok := s.runs[at]
	s.mu.Unlock()
	if ok {
		return kept
	}
	one := s.readRun(c, dir, end)
	if len(one.Problems) == 0 {
		s.mu.Lock()
		s.runs[at] = one
		s.mu.Unlock()
	}
	return one
}

// readRun reads one run of a session, loaded as an attempt of its own.
func (s *Builder) readRun(c results.Case, dir rundir.AttemptDir, end rundir.RunEnd) sessionRun {
	s.mu.Lock()
	loaded := s.loader.SessionRun(c.Plan, dir, end)
	s.mu.Unlock()
	name, err := filepath.Rel(string(s.loader.Dir), string(dir.Run(end.Run.Index)))
	if err != nil {
		name = string(dir.Run(end.Run.Index))
	}
	run := ab.Run{Name: filepath.ToSlash(name), At: loaded.Began(), Values: map[ab.Key]float64{}}
	if moved := movedOn(c.Plan, end.Run, loaded.Machine); moved != "" {
		run.Problems = []string{moved}
		return sessionRun{Run: run}
	}
	e := results.ConcludeRun(c.Plan, loaded, s.o.Flaky, s.o.Classes)
	if run.Failed = e.Outcome != rundir.OutcomePassed; run.Failed {
		run.Infra = !e.Outcome.TestFault()
		run.Problems = []string{cmp.Or(e.Reason, "it ended as "+cmp.Or(string(e.Outcome), "nobody knows"))}
		for _, r := range loaded.Roles {
			if e.IsRoot(r.Name) && r.LogBytes > 0 {
				run.Log = path.Join(loaded.Dir, r.Log)
				break
			}
		}
		return sessionRun{Run: run}
	}
	parts := timesOf(c.Plan, loaded)
	m := s.measure(c, parts)
	run.Problems = m.problems
	for _, one := range m.measurements {
		if len(one.Values) != len(parts) {
			if def, ok := s.o.Setup.Metrics.Lookup(one.Metric); !ok || !s.o.Setup.Gates(s.recordOf(c.Plan), one.Point, def) {
				continue // nobody asks
			}
			run.Problems = append(run.Problems, fmt.Sprintf("%s of %s was measured %d of %d times", one.Metric, cmp.Or(one.Point, "the case"), len(one.Values), len(parts)))
			continue
		}
		run.Values[ab.Key{Point: one.Point, Metric: one.Metric}] = mean(one.Values)
	}
	if len(run.Values) == 0 && len(run.Problems) == 0 {
		run.Problems = []string{"it measured nothing"}
	}
	return sessionRun{run, loaded.Machine, outputsOf(run.Name, parts, m.measurements), m.scores}
}

// movedOn is why a run of base was of another build than the plan says, "" = it was not, or nobody knows: hours may lie
// between the plan and the job, and the checkout of a nightly is the next one's, too.
func movedOn(plan rundir.Plan, run rundir.RunRef, seen *machine.Seen) string {
	b, ok := plan.Build(run)
	if !ok || b.Name != rundir.BaseBuild || !plan.Pairs.BaseCheckout || seen == nil {
		return ""
	}
	switch at := seen.Facts[rundir.FactCommit]; {
	case at != "" && b.Commit != "" && !rundir.SameCommit(at, b.Commit):
		return fmt.Sprintf("base's checkout %s was at %.10s when it ran, and not at %.10s of %s any more", b.Source, at, b.Commit, plan.Pairs.BaseFrom)
	case seen.Facts[rundir.FactDirty] == "yes":
		return fmt.Sprintf("base's checkout %s had changes when it ran: it is not %.10s of %s any more", b.Source, b.Commit, plan.Pairs.BaseFrom)
	default:
		return ""
	}
}

// timesOf are the times that the client of a run has run, each as an attempt of its own.
func timesOf(plan rundir.Plan, a results.Attempt) []results.Attempt {
	times := 1
	for _, r := range plan.Roles() {
		times = max(times, plan.Repeats(r))
	}
	if times == 1 {
		return []results.Attempt{a}
	}
	var out []results.Attempt
	for n := range times {
		a.Part = rundir.RepeatDir(n + 1)
		out = append(out, a)
	}
	return out
}

// mean is that of the logs, by which runs are compared; of one value it is that value.
func mean(values []float64) float64 {
	if len(values) == 1 {
		return values[0]
	}
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}

// expected are the series that the plan's points would have.
func (s *Builder) expected(c results.Case) []ab.Series {
	run := ab.Run{Values: map[ab.Key]float64{}}
	for _, row := range s.notMeasured(c, "") {
		run.Values[ab.Key{Point: row.Point, Metric: row.Metric}] = 1
	}
	return Gating([]ab.Run{run}, s.o.Setup, s.recordOf(c.Plan))
}

// judgeSession judges the session that a case ended with.
func (s *Builder) judgeSession(run rundir.Run, c results.Case, last results.Ended) report.Judged {
	var ended []rundir.RunEnd
	if last.Agent != nil {
		ended = last.Agent.Runs
	}
	m := s.sessionOf(c, rundir.AttemptDir(filepath.Join(string(s.loader.Dir), filepath.FromSlash(last.Dir))), ended)
	found := ab.Judge(m.pairs, m.series, c.Plan.Pairs.Cases, c.Plan.Pairs.MaxPairs)
	found.Base, found.Head, found.Nodes = buildOf(c.Plan, rundir.BaseBuild), buildOf(c.Plan, rundir.HeadBuild), last.Nodes()
	for _, one := range m.seen { // A's checkout and B's may be of one commit
		if b := map[bool]*ab.Build{false: found.Base, true: found.Head}[one.B]; b != nil && one.Seen != nil {
			b.Dirty = b.Dirty || one.Seen.Facts[rundir.FactDirty] == "yes"
		}
	}
	for _, b := range []*ab.Build{found.Base, found.Head} {
		if b != nil {
			s.o.Mask.Values(b)
		}
	}
	found.Apart = c.Plan.Pairs.Apart
	if most := c.Plan.Pairs; found.Verdict == paired.Inconclusive && most.Time > 0 && len(found.Used) > 0 && len(found.Used) < most.MaxPairs && ranOut(last) {
		found.CutBy(most.Time.Short())
	}
	out := report.Judged{AB: &found}
	odd, probably := suspect.Session(m.seen, c.Plan.Limits)
	if out.Warnings = slices.Concat(found.Warnings, odd); found.Verdict == paired.Regression || found.Verdict == paired.Inconclusive {
		out.Machine = probably
	}
	of := s.recordOf(c.Plan)
	if of.Run, of.Build = run.ID, run.Build; last.Began() != nil {
		of.Time = *last.Began()
	}
	out.Rows, out.Problems = ofAnswers(append(s.shown(Promised(found, s.o.Setup, of)), s.answers(c, m.scores)...))
	return out
}

// ranOut reports whether the job of a session that is not decided ended by itself or by its time limit: it measures
// pairs as long as there is time.
func ranOut(last results.Ended) bool {
	return last.Outcome == rundir.OutcomePassed || last.Finding != nil && last.Finding.Kind == blame.KindTimeLimit
}

// buildOf is what a plan says of one of its builds.
func buildOf(p rundir.Plan, name string) *ab.Build {
	b, ok := p.Build(rundir.RunRef{Build: name})
	if !ok {
		return nil
	}
	out := &ab.Build{Name: b.Name, Commit: b.Commit, Source: b.Source}
	if b.Container != nil {
		out.Image = b.Container.Image
	}
	if name == rundir.BaseBuild && p.Pairs != nil {
		out.From = p.Pairs.BaseFrom
	}
	for _, v := range b.Env {
		alike := slices.ContainsFunc(p.Builds, func(other rundir.BuildPlan) bool { return other.Name != name && slices.Contains(other.Env, v) })
		if !alike && v.Value != b.Source {
			out.Env = append(out.Env, v.Name+"="+v.Value)
		}
	}
	return out
}

// session is the attempt that counts, where its job was a paired session.
func session(attempts []results.Ended) (results.Ended, bool) {
	for _, e := range slices.Backward(attempts) {
		if e.Counts {
			return e, e.Session
		}
	}
	return results.Ended{}, false
}
