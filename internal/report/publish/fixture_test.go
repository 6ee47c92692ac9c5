package publish

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/cost"
	"github.com/ci-disagg/ci-disagg/internal/report/fault"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/look"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/words"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// epoch is when the runs of the fixtures begin.
var epoch = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

func at(s float64) *time.Time {
	t := epoch.Add(time.Duration(s * float64(time.Second)))
	return &t
}

const (
	classInfra = string(blame.Infra)
	classTest  = string(blame.Test)
)

func ptr[T any](v T) *T { return &v }

// document wraps cases as a run.
func document(exit int, result, headline string, cases ...report.CaseReport) report.Report {
	exits := map[string]int{report.ResultTestFailed: 1, report.ResultInfra: 3, report.ResultRegression: 4, report.ResultNoVerdict: 5, report.ResultInterrupted: 143}
	for i := range cases {
		c := &cases[i]
		c.ExitCode = exits[c.Result]
		c.Spent = cost.Spent{}
		for _, a := range c.Attempts {
			c.Spent.Add(a.Spent)
		}
		c.Colour, c.Worst = report.ColourOf(c.ExitCode), report.WorstOf(c.Metrics, c.Verdict)
		if r := report.WorstRow(*c); r != nil && c.Result == report.ResultRegression {
			c.Message = words.Row(*r) + ": " + words.Reason(*r)
		}
	}
	run := report.Run{Tool: "v1.2.3", Advice: report.Advice{RunDir: "/shared/runs/jenkins-perf-gate-4711", Config: "/shared/ci-disagg.yaml", Cluster: "gb200"}}
	run.Run = rundir.Run{
		ID: "jenkins-perf-gate-4711", Stage: "GB200-PerfSanity", Suite: "nightly.txt", Backend: "slurm", Cluster: "gb200",
		Build: rundir.Build{Mode: "nightly", Commit: "4f2c9e1b7d8a6350c1e2f3a4b5c6d7e8f9a0b1c2", Branch: "main", URL: "https://ci.example.com/job/perf/4711/"},
	}
	if exit > 128 {
		run.Interrupted = exit - 128
	}
	run.Notes = []string{"5 of 8 allocated GPUs stay idle: servers begin on nodes of their own"}
	d := report.Decide(run, cases)
	d.ExitCode, d.Result, d.Headline, d.Colour = exit, result, headline, report.ColourOf(exit)
	d.Started, d.Ended = at(0), at(1210)
	fault.Set(&d)
	return d
}

// newCase is a case of four roles that passed, measured at one point.
func newCase(i int) report.CaseReport {
	name := fmt.Sprintf("disagg_upload-e2e-gb200_ds_r1_1k1k_con%d_ctx1_tp4_gen1_dep8", 64+i)
	id := "perf/test_perf_sanity.py::test_e2e[" + name + "]"
	c := report.CaseReport{
		ID: id, Slug: rundir.Slug(id), Mode: "e2e", Outcome: rundir.OutcomePassed,
		Decision: report.Ending(exit.Passed), Measurement: report.Measurement{Verdict: verdict.Pass},
		Planned: report.Planned{
			Nodes: 3, AllocatedGPUs: 12, UsedGPUs: 12,
			Match:  map[string]string{"gpu_type": "GB200", "model": "ds_r1", "mode": "e2e", "gen_tp": "8", "gen_attention_dp": "true"},
			Points: []rundir.Point{{Name: "con64_iter10_isl1024_osl1024", Concurrency: 64, InputLen: 1024, OutputLen: 1024}},
		},
	}
	c.Attempts = []report.AttemptReport{attempt(c, 0, 1)}
	c.Metrics = []verdict.Row{
		row(id, "output_token_throughput", "tok/s", true, past{21830, 0.006, 0, 60}),
		row(id, "tpot_median_ms", "ms", true, past{11.4, 0.005, 0, 60}),
		row(id, "ttft_p99_ms", "ms", false, past{940, 0.04, 0, 60}),
	}
	return c
}

// attempt is an attempt whose roles all ended well.
func attempt(c report.CaseReport, rep, number int) report.AttemptReport {
	a := report.AttemptReport{
		Rep: rep, Attempt: number, Why: "first", Counts: true, JobID: fmt.Sprint(90210 + number), Outcome: rundir.OutcomePassed, Reason: "every role ended well",
		Nodes: []string{"gb200-r1-n1", "gb200-r1-n2", "gb200-r1-n3"}, Started: at(0), Ended: at(1200), GPUHours: 4, GPUHoursUsed: 4,
		Spent: cost.Spent{Allocated: 4, Computed: 2.43, Useful: 2.43, Idle: map[string]float64{"GEN_0": 1, "CTX_0": 0.57}},
	}
	bounds := []float64{0, 45, 420, 1150, 1190, 1200}
	for i, p := range []rundir.Phase{rundir.PhaseSetup, rundir.PhaseReady, rundir.PhaseBenchmark, rundir.PhaseDrain, rundir.PhaseCollect} {
		a.Phases = append(a.Phases, rundir.PhaseSpan{Phase: p, Start: *at(bounds[i]), End: at(bounds[i+1])})
		a.Timeline = append(a.Timeline, rundir.Event{At: *at(bounds[i]), What: "phase " + string(p)})
	}
	for i, r := range []struct{ name, kind, node string }{
		{"GEN_0", rundir.KindServer, "gb200-r1-n1"},
		{"CTX_0", rundir.KindServer, "gb200-r1-n3"},
		{"DISAGG_SERVER", rundir.KindRouter, "gb200-r1-n1"},
		{"BENCHMARK", rundir.KindClient, "gb200-r1-n1"},
	} {
		role := report.RoleReport{Status: "passed", Tail: []string{"collecting ... collected 1 item", "PASSED [100%]"}}
		role.RoleRecord = rundir.RoleRecord{
			Name: r.name, Kind: r.kind, State: rundir.RoleEnded, Nodes: []string{r.node}, LogBytes: 75754,
			Started: at(46 + float64(i)), Ready: at(400 - 20*float64(i)), Ended: at(1188 - 2*float64(i)),
		}
		role.Log = &report.Link{Label: r.name, Path: report.AttemptPath(c, a) + "/roles/" + r.name + "/output.log", Bytes: 75754}
		a.Roles = append(a.Roles, role)
	}
	for _, f := range []string{"agent.json", "job.sh", "output/perf metrics #1.json", "slurm.out"} {
		a.Artifacts = append(a.Artifacts, report.Link{Label: f, Path: report.AttemptPath(c, a) + "/" + f, Bytes: 8173})
	}
	return a
}

// past is a history of runs around a level; the newest moved by the share moved.
type past struct {
	level, noise, moved float64
	runs                int
}

// row is a metric with a history.
func row(id, name, unit string, gate bool, p past) verdict.Row {
	level, noise, moved, runs := p.level, p.noise, p.moved, p.runs
	rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(runs)))
	r := verdict.Row{Case: id, Point: "con64", Metric: name, Unit: unit, Better: "lower", Gate: gate, Verdict: verdict.Pass, Rule: "bws", Evidence: verdict.Evidence{History: runs}, Background: verdict.Background{Noise: ptr(noise)}}
	sign := 1.0
	if unit == "tok/s" {
		r.Better, sign = "higher", -1
	}
	for i := range runs + 1 {
		v := level * (1 + noise*rng.NormFloat64())
		if i < runs/3 {
			v *= 1 - sign*0.04 // it became better or worse once before
		}
		if i == runs {
			v *= 1 + moved
		}
		r.Series = append(r.Series, verdict.Run{
			ID: fmt.Sprintf("20260922T020000Z-%016x", i), Time: epoch.AddDate(0, 0, i-runs), Commit: fmt.Sprintf("%010x%030x", 0x4f2c9e1b7d-(runs-i)*98765432123%0x3f2c9e1b7d, i),
			Values: []float64{v}, NodeSet: "gb200-r1", Verdict: verdict.Pass,
		})
	}
	last := r.Series[runs]
	change := last.Values[0]/level - 1
	r.Values, r.Value, r.Baseline = last.Values, &last.Values[0], ptr(level)
	r.Change, r.Worse = &change, ptr(sign*change)
	r.Levels = []verdict.Level{
		{Run: r.Series[0].ID, Time: r.Series[0].Time, Runs: runs / 3, Value: level * (1 - sign*0.04)},
		{Run: r.Series[runs/3].ID, Time: r.Series[runs/3].Time, Runs: runs - runs/3, Value: level},
	}
	r.Reason = fmt.Sprintf("%s, the level of %d earlier runs is %s", look.Quantity(*r.Value, unit), runs, look.Quantity(level, unit))
	return r
}

func passDocument() report.Report {
	return document(0, report.ResultPassed, "1 case: 1 passed", newCase(0))
}

// regressionDocument is a 12 % regression that the newest run shows.
func regressionDocument() report.Report {
	c := newCase(0)
	c.Result, c.ExitCode, c.Verdict = report.ResultRegression, 4, verdict.Regression
	for i, m := range []struct {
		name, unit string
		level      float64
		moved      float64
	}{{"output_token_throughput", "tok/s", 21830, -0.12}, {"tpot_median_ms", "ms", 11.4, 0.13}} {
		r := row(c.ID, m.name, m.unit, true, past{m.level, 0.006, m.moved, 60})
		r.Verdict, r.Alarm, r.Onset, r.P = verdict.Regression, true, r.Series[60].ID, ptr(0.99)
		r.Levels = append(r.Levels, verdict.Level{Run: r.Series[60].ID, Time: r.Series[60].Time, Runs: 1, Value: *r.Value})
		r.Reason = fmt.Sprintf("%s is %.1f %% worse than %s, the level of 40 earlier runs (noise 0.6 %% per run); a real step has probability > 0.99 (0.70 needed), begun with %s", look.Quantity(*r.Value, m.unit), *r.Worse*100, look.Quantity(m.level, m.unit), r.Onset)
		c.Metrics[i] = r
	}
	c.Message = words.Row(c.Metrics[0]) + ": " + words.Reason(c.Metrics[0])
	return document(4, report.ResultRegression, "2 cases: 1 regressed, 1 passed", c, newCase(1))
}

// crash makes a generation server the root cause and lets the client fall.
func crash(c report.CaseReport, class string) report.CaseReport {
	line := rundir.LogLine{File: "roles/GEN_0/output.log", Number: 4242, Text: "E               RuntimeError: CUDA error: an illegal memory access was encountered"}
	f := &rundir.Finding{
		Root: "GEN_0", Class: class, Kind: "role-crash", Rule: "cuda-illegal-access", Line: &line,
		Message:    "[GEN_0] exit 1 on gb200-r1-n1 after 620 s: " + line.Text,
		Collateral: map[string]string{"BENCHMARK": "exit 1, 1.2 s after GEN_0: ConnectionRefusedError: [Errno 111] Connect call failed"},
	}
	c.Metrics, c.Attempts = slices.Clone(c.Metrics), slices.Clone(c.Attempts)
	a := &c.Attempts[len(c.Attempts)-1]
	a.Outcome, a.Reason, a.Finding, a.Ended = rundir.OutcomeTestFailed, f.Message, f, at(700)
	a.GPUHours, a.GPUHoursUsed, a.Spent = 2.3, 2.3, cost.Spent{Allocated: 2.3, Failed: 2.3}
	if class == classInfra {
		a.Outcome, a.Spent = rundir.OutcomeInfra, cost.Spent{Allocated: 2.3, Infrastructure: 2.3}
	}
	a.Phases = a.Phases[:3]
	a.Phases[2].End = at(690)
	a.Timeline = append(a.Timeline[:3], rundir.Event{At: *at(666), Role: "GEN_0", What: "exit 1"}, rundir.Event{At: *at(667), Role: "BENCHMARK", What: "exit 1"},
		rundir.Event{At: *at(668), What: "teardown: GEN_0 ended before drain"})
	for i := range a.Roles {
		r := &a.Roles[i]
		r.Ended = at(685)
		switch r.Name {
		case "GEN_0":
			r.Status, r.Why, r.Exit, r.Ended, r.FirstError = report.RoleRoot, f.Message, 1, at(666), &line
			r.Tail = []string{"[TRT-LLM] [I] iter = 210, prev_device_step_time = 10.0 ms", line.Text, "=== 1 failed in 620.1s ==="}
		case "BENCHMARK":
			r.Status, r.Why, r.Exit, r.Ended = report.RoleCollateral, f.Collateral["BENCHMARK"], 1, at(667)
		default:
			r.Status, r.StoppedBy, r.Signal, r.Exit = "failed", "agent", 15, 143
		}
	}
	c.Result, c.ExitCode, c.Outcome, c.Finding, c.Message, c.Verdict = report.ResultTestFailed, 1, a.Outcome, f, f.Message, verdict.Invalid
	c.Colour = report.Red
	if class == classInfra {
		c.Result, c.ExitCode = report.ResultInfra, 3
	}
	for i := range c.Metrics {
		m := &c.Metrics[i]
		*m = verdict.Row{Case: m.Case, Point: m.Point, Metric: m.Metric, Unit: m.Unit, Better: m.Better, Gate: m.Gate, Verdict: verdict.Invalid, Reason: "not measured: root cause GEN_0", Values: []float64{}}
	}
	return c
}

func crashDocument() report.Report {
	return document(1, report.ResultTestFailed, "2 cases: 1 failed, 1 passed", newCase(1), crash(newCase(0), classTest))
}

// infraDocument is a case that passed at its second attempt and one that the
// machine stopped twice.
func infraDocument() report.Report {
	retried := newCase(0)
	retried.Attempts = []report.AttemptReport{attempt(retried, 0, 1)}
	lost := crash(retried, classInfra).Attempts[0]
	lost.Counts = false
	again := attempt(retried, 0, 2)
	again.Why = "retry: without gb200-r1-n1"
	retried.Attempts = []report.AttemptReport{lost, again}
	stopped := crash(newCase(1), classInfra)
	second := attempt(stopped, 0, 2)
	stopped.Attempts[0].Counts = false
	stopped.Attempts = append(stopped.Attempts, second)
	stopped = crash(stopped, classInfra)
	return document(3, report.ResultInfra, "2 cases: 1 stopped by the infrastructure (not your change), 1 passed", retried, stopped)
}

// hostile is text that tries to be markup in HTML, SVG, Markdown and a terminal.
const hostile = "\"><script>alert(1)</script><img src=x onerror=alert(1)>' style='x' ]]>&lt; \x1b[31m\x00 | `code` [l](javascript:x) @all #1 <!-- http://evil \u202e"

// hostileDocument has hostile text wherever a log, an id or a person can put it.
func hostileDocument() report.Report {
	d := crashDocument()
	d.Stage, d.Suite, d.RunID, d.Cluster, d.Headline, d.Tool, d.Backend = hostile, hostile, hostile, hostile, hostile, hostile, hostile
	d.Build = rundir.Build{Mode: hostile, Commit: hostile, Branch: hostile, Change: hostile, URL: "javascript:alert(1)//" + hostile}
	d.Warnings, d.Next = []string{hostile}, hostile
	c := &d.Cases[1]
	c.ID, c.Message, c.Mode, c.Next, c.Known = "perf/x.py::t["+hostile+"]", hostile, hostile, hostile, hostile
	c.Problems = []string{hostile}
	c.Finding.Line = &rundir.LogLine{File: hostile, Number: 3, Text: hostile}
	c.Finding.Root, c.Finding.Rule, c.Finding.Kind, c.Finding.Message = hostile, hostile, hostile, hostile
	a := &c.Attempts[0]
	a.Artifacts = []report.Link{{Label: hostile, Path: "../../etc/passwd"}, {Label: hostile, Path: "cases/" + hostile}}
	a.JobID, a.Reason, a.Why, a.Nodes, a.Outcome = hostile, hostile, hostile, []string{hostile}, rundir.Outcome(hostile)
	c.Outcome = a.Outcome
	a.Timeline = append(a.Timeline, rundir.Event{At: *at(5), Role: hostile, What: hostile})
	a.Phases[0].Phase = rundir.Phase(hostile)
	r := &a.Roles[0]
	r.Name, r.Why, r.Tail, r.StoppedBy = hostile, hostile, []string{hostile}, hostile
	r.FirstError = &rundir.LogLine{File: hostile, Number: 1, Text: hostile}
	m := row(hostile, hostile, hostile, true, past{100, 0.01, 0.2, 20})
	m.Point, m.Reason, m.Verdict = hostile, hostile, verdict.Regression
	for i := range m.Series {
		m.Series[i].Commit, m.Series[i].ID = hostile, hostile+fmt.Sprint(i)
	}
	m.Levels[1].Run = m.Series[5].ID
	c.Metrics = append(c.Metrics, m)
	session := pairedSession(0.9, 4)
	session.Headline, session.Reason = hostile, hostile
	session.Base, session.Head = &ab.Build{Name: hostile, Commit: hostile, Source: hostile, Image: hostile}, &ab.Build{Name: hostile}
	session.Measured[0].A.Name, session.Measured[0].A.Problems = hostile, []string{hostile}
	session.Series[0].Point, session.Series[0].Metric, session.Series[0].Unit = hostile, hostile, hostile
	c.AB = &session
	fault.Set(&d)
	return d
}

// suiteDocument is a suite of n cases with a history of 90 runs each and 45
// metrics per case, a tenth of them red.
func suiteDocument(n int) report.Report {
	cases := make([]report.CaseReport, 0, n)
	for i := range n {
		c := newCase(i)
		c.Metrics = nil
		for k := range 45 {
			name, unit := fmt.Sprintf("metric_%02d_ms", k), "ms"
			if k%5 == 0 {
				name, unit = fmt.Sprintf("metric_%02d_throughput", k), "tok/s"
			}
			moved := 0.0
			if i%20 == 3 && k < 12 {
				moved = 0.1
			}
			r := row(c.ID, name, unit, k < 6, past{100 + float64(k), 0.01, moved, 90})
			if moved > 0 {
				r.Verdict, r.Onset, r.Alarm = verdict.Regression, r.Series[90].ID, true
			}
			c.Metrics = append(c.Metrics, r)
		}
		switch i % 20 {
		case 3:
			c.Result, c.ExitCode, c.Verdict = report.ResultRegression, 4, verdict.Regression
			c.Message = words.Row(c.Metrics[0]) + ": " + words.Reason(c.Metrics[0])
		case 7:
			c = crash(c, []string{classTest, classInfra}[i/20%2])
		}
		KeepCharted(c.Metrics)
		cases = append(cases, c)
	}
	d := document(1, report.ResultTestFailed, "", cases...)
	d.Headline = fmt.Sprintf("%d cases: %d failed, %d stopped by the infrastructure (not your change), %d regressed, %d passed", n, d.Counts.Failed, d.Counts.Infra, d.Counts.Regressed, d.Counts.Passed)
	return d
}
