package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The value of a run whose client ran several times is their mean, of the logs; one that is not there is a problem.
func TestRunOfARepeatedClient(t *testing.T) {
	t.Parallel()
	dir := rundir.Dir(t.TempDir())
	client := rundir.RolePlan{Name: "client", Kind: rundir.KindClient, Leaves: rundir.Leaves{Bench: []rundir.BenchFiles{{Reader: "redis-benchmark", Files: []string{"b.csv"}}}}}
	c := results.Case{Plan: rundir.Plan{
		Case: rundir.Case{Pipeline: "redis"}, Pairs: &rundir.PairPlan{Repeat: 2}, Runs: rundir.OneRun(), Builds: []rundir.BuildPlan{{Name: rundir.HeadBuild, Roles: []rundir.RolePlan{client}}},
	}}
	out := rundir.AttemptDir(dir).Run(0).RoleOut("client")
	for n, rps := range []int{1000, 4000} {
		writeText(t, filepath.Join(out, rundir.RepeatDir(n+1), "b.csv"), fmt.Sprintf(`"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"SET","%d","1","1","1","1","1","1"
`, rps))
	}
	s := New(dir, builder(t, 0))
	parts := timesOf(c.Plan, results.Attempt{})
	require.Len(t, parts, 2)
	m := s.measure(c, parts)
	require.Empty(t, m.problems)
	i := slices.IndexFunc(m.measurements, func(m baseline.Measurement) bool { return m.Metric == "request_throughput" })
	require.Equal(t, []float64{1000, 4000}, m.measurements[i].Values)
	require.InDelta(t, 2000, mean(m.measurements[i].Values), 1e-9)
	require.NoError(t, os.Remove(filepath.Join(out, rundir.RepeatDir(2), "b.csv")))
	require.Contains(t, s.measure(c, parts).problems[0], "client has left no file that matches b.csv")
}

// runSpec is one run of a made-up session: what it measured, or how it ended.
type runSpec struct {
	tput    float64
	outcome rundir.Outcome // "" = passed
	gap     bool           // it lacks the time to the first token
	zero    bool           // that is 0
	stale   bool           // it is the output of an earlier run
}

// lost reports whether the run gave no measurement.
func (r runSpec) lost() bool { return r.outcome != "" || r.tput == 0 || r.stale || r.zero }

// sessionDir writes a run of one case whose job was a paired session: runs in the order in which they were made, the
// warm-ups first. outcome is that of the job.
func sessionDir(t *testing.T, outcome rundir.Outcome, runs ...runSpec) (rundir.Dir, []rundir.RunEnd) {
	t.Helper()
	pairs := rundir.PairPlan{Cases: 1, MinPairs: paired.MinPairs, MaxPairs: paired.MaxPairs, MaxAgain: paired.MaxAgain, OwnFailures: 3, Mode: rundir.PairAlways, Time: rundir.Duration(time.Hour)}
	dir := runDir(t, func(p *rundir.Plan) {
		head := p.Builds[0]
		base := head
		base.Name, base.Commit, head.Commit = rundir.BaseBuild, "ba5e", "4ead"
		p.Builds, p.Runs, p.Pairs = []rundir.BuildPlan{base, head}, rundir.SessionRuns(pairs), &pairs
	}, attemptSpec{outcome: outcome, tput: 1})
	attempt := dir.CaseDir("tiny").Attempt(0, 1)
	var state rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &state))
	state.Cases[0].Attempts[0].Session = true
	require.NoError(t, rundir.WriteJSON(dir.RunFile(), state))

	var agent rundir.AgentRecord
	require.NoError(t, rundir.ReadJSON(attempt.AgentFile(), &agent))
	ref := rundir.SessionRuns(pairs)
	again, last := 0, rundir.RunRef{}
	for i, spec := range runs {
		one := ref[i]
		if i >= 2 { // a pair with a failed run is measured again with the spare runs
			one.Pair, one.Again, one.Index = agentPair(runs[2:i]), again, i
			one.Build = rundir.PairOrder(one.Pair)[i%2]
		}
		end := rundir.RunEnd{Run: one, At: start.Add(time.Duration(i) * time.Minute), Outcome: orPassed(spec.outcome)}
		writeRun(t, attempt, agent, end, spec)
		agent.Runs, last = append(agent.Runs, end), one
		if i%2 == 1 && i > 2 && (runs[i].lost() || runs[i-1].lost()) {
			again++
		} else if i%2 == 1 {
			again = 0
		}
	}
	agent.Run = last
	require.NoError(t, rundir.WriteJSON(attempt.AgentFile(), agent))
	return dir, agent.Runs
}

// agentPair is the pair that is measured after so many runs.
func agentPair(runs []runSpec) int {
	n := 1
	for i := 1; i < len(runs); i += 2 {
		if !runs[i].lost() && !runs[i-1].lost() {
			n++
		}
	}
	return n
}

func orPassed(o rundir.Outcome) rundir.Outcome {
	if o == "" {
		return rundir.OutcomePassed
	}
	return o
}

// writeRun writes one run as the agent would leave it.
func writeRun(t *testing.T, attempt rundir.AttemptDir, agent rundir.AgentRecord, end rundir.RunEnd, spec runSpec) {
	t.Helper()
	run := attempt.Run(end.Run.Index)
	rec := rundir.RunRecord{Schema: rundir.Schema, JobID: "77", Nodes: agent.Nodes, Started: start, RunAccount: agent.RunAccount, End: agent.End}
	rec.Run = end.Run
	ended := *agent.End
	ended.Outcome = end.Outcome
	if rec.End = &ended; spec.outcome != "" {
		ended.Finding = &rundir.Finding{Root: "GEN_0", Class: "unknown", Kind: "role-crash", Message: "[GEN_0] exit 139"}
	}
	require.NoError(t, rundir.WriteJSON(run.RecordFile(), rec))
	writeText(t, run.RoleDir("GEN_0")+"/results.0.xml", xmlReport(""))
	writeText(t, run.RoleDir("BENCHMARK")+"/results.0.xml", xmlReport(""))
	require.NoError(t, os.RemoveAll(run.Output()))
	if spec.tput > 0 {
		text := table(spec.tput)
		if spec.gap {
			text = regexp.MustCompile(`(?m)^\w+ TTFT .*\n`).ReplaceAllString(text, "")
		}
		if spec.zero {
			text = regexp.MustCompile(`(?m)^(\w+ TTFT \(ms\): +)\S+`).ReplaceAllString(text, "${1}0.00")
		}
		writeText(t, run.Output()+"/trtllm-benchmark.0.0.log", text)
	}
}

// measuredPairs are runs of so many pairs in their order, warm-ups first; B has so much of A's throughput.
func measuredPairs(ratio float64, n int) []runSpec {
	out := []runSpec{{tput: 500}, {tput: 2000}}
	wobble := []float64{1, 1.002, 0.999, 1.001}
	for pair := 1; pair <= n; pair++ {
		for _, build := range rundir.PairOrder(pair) {
			v := 1000*wobble[len(out)%len(wobble)] + 0.01*float64(len(out)) // no two are alike
			if build == rundir.HeadBuild {
				v *= ratio
			}
			out = append(out, runSpec{tput: v})
		}
	}
	return out
}

// crash lets these runs fail.
func crash(runs []runSpec, at ...int) []runSpec {
	for _, i := range at {
		runs[i] = runSpec{outcome: rundir.OutcomeTestFailed}
	}
	return runs
}

// zero lets these runs report 0 for the time to the first token.
func zero(runs []runSpec, at ...int) []runSpec {
	for _, i := range at {
		runs[i].zero = true
	}
	return runs
}

// TestPairedSessions: the session decides, and the warm-ups do not count.
func TestPairedSessions(t *testing.T) {
	t.Parallel()
	lost := func(runs []runSpec, at ...int) []runSpec {
		for _, i := range at {
			runs[i] = runSpec{outcome: rundir.OutcomeLost}
		}
		return runs
	}
	gap := func(runs []runSpec, at ...int) []runSpec {
		for _, i := range at {
			runs[i].gap = true
		}
		return runs
	}
	stale := func(runs []runSpec, at ...int) []runSpec { // the run's output is that of the one before
		for _, i := range at {
			runs[i].tput, runs[i].stale = runs[i-1].tput, true
		}
		return runs
	}
	mute := func(runs []runSpec, at ...int) []runSpec {
		for _, i := range at {
			runs[i].tput = 0
		}
		return runs
	}
	for _, tt := range []struct {
		name    string
		off     bool // performance is not judged
		runs    []runSpec
		outcome rundir.Outcome
		kind    string // of the job's finding
		exit    int
		result  string
		message string
		pairs   int
	}{
		{name: "the same", runs: measuredPairs(1, 4), exit: 0, result: "passed", message: "4 pairs: no change that matters", pairs: 4},
		{name: "slower", runs: measuredPairs(0.95, 4), exit: 4, result: "regression", message: "con8 ttft_median_ms is 5.3 % worse (4.7 to 5.8 %), 4 pairs", pairs: 4},
		{name: "faster", runs: measuredPairs(1.06, 4), exit: 0, result: "improvement", message: "better", pairs: 4},
		{name: "cut short", runs: measuredPairs(0.95, 3), exit: 5, result: "no_verdict", message: "cut short: its time limit of 1h (ab.time) left room for no further pair", pairs: 3},
		{name: "nothing was measured", exit: 5, result: "no_verdict", message: "cut short"},
		{name: "a pair again", runs: crash(measuredPairs(1, 5), 4), exit: 0, result: "passed", message: "4 pairs: no change that matters", pairs: 4},
		{name: "too many again", runs: crash(measuredPairs(1, 5), 2, 4, 6), exit: 5, result: "no_verdict", message: "no measurement: 2 pairs had to be measured again, and one more gave no measurement: A: the run failed: [GEN_0] exit 139"},
		{name: "B crashes", runs: crash(measuredPairs(1, 4), 3, 5, 7), outcome: rundir.OutcomeTestFailed, exit: 1, result: "test_failed", message: ""},
		{name: "both crash", runs: crash(measuredPairs(1, 4), 2, 3, 4, 5, 6, 7), outcome: rundir.OutcomeTestFailed, exit: 5, result: "no_verdict", message: "no measurement"},
		{name: "the time limit", runs: measuredPairs(0.95, 3), outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), kind: blame.KindTimeLimit, exit: 5, result: "no_verdict", message: "cut short", pairs: 3},
		{name: "lost behind the decision", runs: measuredPairs(0.95, 5), outcome: rundir.OutcomeLost, exit: 4, result: "regression", message: "4 pairs", pairs: 4},
		{name: "both run out of time", runs: crash(measuredPairs(1, 4), 2, 3, 4, 5, 6, 7), outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), exit: 5, result: "no_verdict", message: "no measurement"},
		{name: "the time limit before any pair", outcome: rundir.TimeoutOf(rundir.PhaseBenchmark), kind: blame.KindTimeLimit, exit: 1, result: "test_failed"},
		{name: "B crashes behind a pass", runs: crash(measuredPairs(1, 7), 11, 13, 15), outcome: rundir.OutcomeTestFailed, exit: 1, result: "test_failed", pairs: 4},
		{name: "B measures nothing", runs: mute(measuredPairs(1, 4), 3, 5, 7), exit: 1, result: "test_failed", message: "B fails by itself: B failed 3 times in a row and A did not"},
		{name: "A measures nothing", runs: mute(measuredPairs(1, 4), 2, 4, 6), exit: 5, result: "no_verdict", message: "no measurement: 2 pairs had to be measured again"},
		{name: "one output in every run", runs: stale(measuredPairs(1, 4), 3, 4, 5, 6, 7, 8, 9), exit: 5, result: "no_verdict", message: "the same numbers to the last digit as cases/tiny/rep-0/attempt-1/run-2: its output, not a new measurement"},
		{name: "one run's output is that of the run before", runs: stale(measuredPairs(1, 5), 5), exit: 0, result: "passed", message: "4 pairs: no change that matters", pairs: 4},
		{name: "A's first run has a gap", runs: gap(measuredPairs(0.95, 5), 2), exit: 4, result: "regression", message: "con8 ttft_median_ms is 5.3 % worse (4.7 to 5.8 %), 4 pairs", pairs: 4},
		{name: "the first pair has a gap", runs: gap(measuredPairs(0.95, 5), 2, 3), exit: 4, result: "regression", message: "con8 ttft_median_ms is 5.3 % worse (4.7 to 5.8 %), 4 pairs", pairs: 4},
		{name: "A never measures what B does", runs: gap(measuredPairs(1, 4), 2, 5, 6, 9), exit: 5, result: "no_verdict", message: "A: con8/ttft_median_ms was not measured"},
		{name: "B never measures what A does", runs: gap(measuredPairs(1, 4), 3, 4, 7, 8), exit: 1, result: "test_failed", message: "B failed 3 times in a row and A did not: con8/ttft_median_ms was not measured"},
		{name: "a series that begins behind the decision", runs: gap(measuredPairs(1, 5), 2, 3, 4, 5, 6, 7, 8, 9), exit: 0, result: "passed", message: "no change that matters", pairs: 4},
		{name: "B crashes once", runs: crash(measuredPairs(1, 5), 3), exit: 0, result: "passed", message: "; flaky: B failed in 1 of its 5 runs, A in 0", pairs: 4},
		{name: "B crashes twice", runs: crash(measuredPairs(1, 6), 4, 9), exit: 1, result: "test_failed", message: "B fails by itself: B failed in 2 of its 6 runs, and A in none", pairs: 4},
		{name: "the infrastructure ends two runs of B", runs: lost(measuredPairs(1, 6), 4, 9), exit: 0, result: "passed", message: "no change that matters", pairs: 4},
		{name: "B crashes, and nobody judges", off: true, runs: crash(measuredPairs(1, 4), 3, 5, 7), outcome: rundir.OutcomeTestFailed, exit: 1, result: "test_failed"},
		{name: "both crash, and nobody judges", off: true, runs: crash(measuredPairs(1, 4), 2, 3, 4, 5, 6, 7), outcome: rundir.OutcomeTestFailed, exit: 1, result: "test_failed"},
		{name: "the job was lost", runs: measuredPairs(1, 2), outcome: rundir.OutcomeLost, exit: 3, result: "infra", pairs: 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, ended := sessionDir(t, orPassed(tt.outcome), tt.runs...)
			if tt.kind != "" {
				file := dir.CaseDir("tiny").Attempt(0, 1).OutcomeFile()
				var o rundir.AttemptOutcome
				require.NoError(t, rundir.ReadJSON(file, &o))
				o.Finding = &rundir.Finding{Class: "unknown", Kind: tt.kind, Message: "the job's time limit"}
				require.NoError(t, rundir.WriteJSON(file, o))
			}
			o := builder(t, 0)
			o.PerfOff = tt.off
			s := New(dir, o)
			d, err := s.Decide(context.Background(), 0)
			require.NoError(t, err)
			rep, err := s.Write(&d)
			require.NoError(t, err)
			c := rep.Cases[0]
			require.Equal(t, tt.result, c.Result, c.Message)
			require.Equal(t, tt.exit, rep.ExitCode)
			require.Contains(t, c.Message, tt.message)
			require.NotNil(t, c.AB)
			require.Equal(t, tt.pairs, c.AB.Pairs)
			require.Equal(t, orPassed(tt.outcome), c.Attempts[0].Outcome, "how its job ended, whatever the session says")
			require.Equal(t, "ba5e", c.AB.Base.Commit)
			require.False(t, slices.ContainsFunc(d.Records, baseline.Record.Counts), "a session joins no history")
			xml, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
			require.NoError(t, err)
			require.Contains(t, string(xml), `<testsuite name="nightly.ab"`)
			red := strings.Contains(string(xml), "<failure") || strings.Contains(string(xml), "<error")
			require.Equal(t, c.Colour == report.Red, red, "junit.xml has the colour of the case")

			// The driver's answers on the way are of the same decision.
			for n := range ended {
				a, err := s.Answer(context.Background(), "tiny", rundir.Attempt{Attempt: 1}, ended[:n+1])
				require.NoError(t, err)
				if n == len(ended)-1 && a.Do == rundir.DoStop {
					require.Equal(t, string(c.AB.Verdict), a.Word)
				}
				if a.Do == rundir.DoStop {
					require.GreaterOrEqual(t, n, 7)
				}
			}
		})
	}
}

// A nightly's checkout is used again: where base ran from it at another commit, or with changes, nothing is said of the
// change.
func TestBaseWhoseCheckoutMovedOn(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for _, tt := range []struct {
		name, commit string
		dirty        *bool
		recorded     bool
		exit         int
		message      string
	}{
		{"as planned", "ba5eba5" + strings.Repeat("0", 33), &no, true, 4, "worse"},
		{"not known", "ba5eba5", nil, true, 4, "worse"},
		{"another commit", "0ther", &no, true, 5, "base's checkout /ws was at 0ther when it ran, and not at ba5eba5 of run n1 any more"},
		{"with changes", "ba5eba5", &yes, true, 5, "base's checkout /ws had changes when it ran: it is not ba5eba5 of run n1 any more"},
		{"of the config, which may say anything", "0ther", &yes, false, 4, "worse"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, ended := sessionDir(t, rundir.OutcomePassed, measuredPairs(0.95, 4)...)
			var plan rundir.Plan
			require.NoError(t, rundir.ReadJSON(dir.CaseDir("tiny").PlanFile(), &plan))
			plan.Builds[0].Commit = "ba5eba5"
			plan.Builds[0].Source, plan.Pairs.BaseFrom, plan.Pairs.BaseCheckout = "/ws", "run n1", tt.recorded
			require.NoError(t, rundir.WriteJSON(dir.CaseDir("tiny").PlanFile(), plan))
			env := rundir.Environment{Builds: []rundir.BuildFacts{{Name: rundir.BaseBuild, Source: "/ws", Commit: tt.commit, Dirty: tt.dirty}}}
			require.NoError(t, rundir.WriteJSON(dir.CaseDir("tiny").Attempt(0, 1).EnvironmentFile(), env))
			s := New(dir, builder(t, 0))
			d, err := s.Decide(context.Background(), 0)
			require.NoError(t, err)
			rep, err := s.Write(&d)
			require.NoError(t, err)
			require.Equal(t, tt.exit, rep.ExitCode)
			require.Contains(t, rep.Cases[0].Message, tt.message)
			a, err := s.Answer(context.Background(), "tiny", rundir.Attempt{Attempt: 1}, ended)
			require.NoError(t, err)
			require.Equal(t, string(rep.Cases[0].AB.Verdict), a.Word)
		})
	}
}

// TestPullRequestWithoutPairs: what a single run cannot see is said once, with the keys that change it.
func TestPullRequestWithoutPairs(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]bool{"pr": true, "nightly": false} {
		dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
		edit(t, dir, func(r *rundir.Run) { r.Build.Mode = mode })
		require.Equal(t, want, slices.Contains(build(t, builder(t, 0), dir, 0).Document.Warnings, noteUnpaired), mode)
	}
	dir, _ := sessionDir(t, rundir.OutcomePassed, measuredPairs(1, 4)...)
	edit(t, dir, func(r *rundir.Run) { r.Build.Mode = "pr" })
	require.NotContains(t, build(t, builder(t, 0), dir, 0).Document.Warnings, noteUnpaired)
}

// A nightly's session is kept for later ones, whose prior is its noise: fixed in their plans when they begin.
func TestNoiseOfEarlierSessions(t *testing.T) {
	t.Parallel()
	store, err := baseline.Create(t.Context(), "dir:"+t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	o := builder(t, 0)
	o.Setup.Store = store
	var plan rundir.Plan
	for i := range 3 {
		dir, _ := sessionDir(t, "", measuredPairs(1, 4)...)
		require.NoError(t, rundir.ReadJSON(dir.CaseDir("tiny").PlanFile(), &plan))
		plans := []rundir.Plan{plan}
		New(dir, o).Priors(t.Context(), plans, "main")
		require.Empty(t, plans[0].Pairs.Noise["x"])

		var run rundir.Run
		require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
		run.ID = fmt.Sprint("night-", i)
		require.NoError(t, rundir.WriteJSON(dir.RunFile(), run))
		d, err := New(dir, o).Decide(t.Context(), 0)
		require.NoError(t, err)
		require.Len(t, d.Records, 1)
		require.Equal(t, baseline.ModeSession, d.Records[0].Build.Mode)
		require.False(t, d.Records[0].Counts(), "it is in no history")
		_, err = store.Save(t.Context(), d.Records...)
		require.NoError(t, err)

		run.Build.Mode = baseline.ModePR
		require.NoError(t, rundir.WriteJSON(dir.RunFile(), run))
		d, err = New(dir, o).Decide(t.Context(), 0)
		require.NoError(t, err)
		require.Empty(t, d.Records, "a pull request feeds nobody")
	}
	dir, _ := sessionDir(t, "", measuredPairs(1, 4)...)
	plans := []rundir.Plan{plan, plan.SingleRun()}
	New(dir, o).Priors(t.Context(), plans, "main")
	noise := plans[0].Pairs.Noise["con8/ttft_median_ms"]
	require.Greater(t, noise, 0.0005)
	require.Less(t, noise, 0.004, "that of these sessions, not the 0.7 %% of a series that nobody knows")
	require.Nil(t, plans[1].Pairs)
}
