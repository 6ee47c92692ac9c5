package builder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report/accuracy"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/export"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// exported is the report of a run in one of the formats of export.
func exported(t *testing.T, format string, b built) string {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, export.Write(&text, format, b.Document, metric.Default()))
	return text.String()
}

// requireInvalid holds that all outputs of a run of one case say that it is no measurement, because of why.
func requireInvalid(t *testing.T, dir rundir.Dir, b built, why string) {
	t.Helper()
	c := b.Document.Cases[0]
	require.Len(t, b.Records, 1)
	require.False(t, b.Records[0].Valid)
	require.Regexp(t, why, b.Records[0].Problems[0])
	require.NoError(t, b.Records[0].Validate())
	require.Equal(t, b.Records[0].Problems, c.Problems)
	require.Regexp(t, why, c.Message)
	xml, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	require.Regexp(t, `name="validity"[^>]*><skipped message="not a measurement: [^"]*`+strings.ReplaceAll(why, ">=", "&gt;="), string(xml))
	require.Contains(t, exported(t, export.FormatBulk, b), `"b_is_valid":false`)
	require.NotContains(t, exported(t, export.FormatBulk, b), `"b_is_valid":true`)
	_, err = (&compare.Finder{}).Find(t.Context(), string(dir))
	require.ErrorContains(t, err, "measured nothing that can be compared")
}

// What the judge finds to be no measurement is none in any output: last night's numbers once more.
func TestACopyIsNowhereValid(t *testing.T) {
	t.Parallel()
	o := builder(t, 9)
	dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1002.09}) // as the newest of them
	b := build(t, o, dir, 0)
	require.Equal(t, exit.NoVerdict, b.Document.ExitCode)
	requireInvalid(t, dir, b, "the same numbers to the last digit as the run past8")

	j := judging.Judgement{Record: b.Records[0]}
	doc := Outside{Case: "c"}.Judged(j, nil)
	require.Equal(t, b.Records[0].Problems, doc.Cases[0].Problems)
}

// scored is what lm_eval prints of gsm8k, at a score.
func scored(score float64) string {
	return fmt.Sprintf(`|Tasks|Version|     Filter     |n-shot|  Metric   |   |Value |   |Stderr|
|-----|------:|----------------|-----:|-----------|---|-----:|---|-----:|
|gsm8k|      3|flexible-extract|     5|exact_match|↑  |%.4f|±  |0.0063|
`, score)
}

// sampled is a result of lm_eval that was measured with n samples.
func sampled(score float64, n int) string {
	return fmt.Sprintf(`{"results": {"gsm8k": {"exact_match,flexible-extract": %g}}, "versions": {"gsm8k": 3}, "n-samples": {"gsm8k": {"original": 1319, "effective": %d}}}`, score, n)
}

// Numbers of a build that answers wrongly are no measure for those to come, and its commit is none to compare with: a
// broken kernel is fast.
func TestWrongAnswersAreNowhereGood(t *testing.T) {
	t.Parallel()
	o := builder(t, 12)
	gsm8k(&o)
	dir := runDir(t, func(p *rundir.Plan) { p.Expected.Accuracy = true }, attemptSpec{outcome: rundir.OutcomePassed, tput: 1300})
	answers := filepath.Join(dir.CaseDir("tiny").Attempt(0, 1).Run(0).Output(), "accuracy_eval.log")
	writeText(t, answers, scored(0.94))
	b := build(t, o, dir, 0)
	require.Equal(t, exit.Passed, b.Document.ExitCode, b.Document.Headline)
	require.True(t, b.Records[0].Valid)

	writeText(t, answers, scored(0.20))
	b = build(t, o, dir, 0)
	require.Equal(t, exit.TestFailed, b.Document.ExitCode)
	requireInvalid(t, dir, b, "gsm8k .exact_match, flexible-extract. is 20.00, required >= 91.30")
	require.Equal(t, verdict.Invalid, b.Records[0].Verdict)
	require.Regexp(t, "^gsm8k .* is 20.00", b.Document.Cases[0].Message)

	o.AccuracyAdvisory = true
	b = build(t, o, dir, 0)
	require.Equal(t, exit.Passed, b.Document.ExitCode)
	require.True(t, b.Records[0].Valid, "it decides nothing")
}

// What the store keeps of a run says what its answers are, too: by that it is a green night, or none.
func TestAnswersAreInTheVerdictOfTheRecord(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers    string // nothing: none were asked for
		alone      bool
		functional bool
		advisory   bool
		noGate     bool
		want       verdict.Word
	}{
		"fast and right":                   {answers: scored(0.94), want: verdict.Pass},
		"fast and too few samples":         {answers: sampled(0.94, 100), want: verdict.Invalid},
		"fast and another task":            {answers: strings.ReplaceAll(scored(0.94), "gsm8k", "mmlu "), want: verdict.Invalid},
		"fast and another task, advisory":  {answers: strings.ReplaceAll(scored(0.94), "gsm8k", "mmlu "), advisory: true, want: verdict.Pass},
		"fast, without a gate":             {answers: scored(0.94), noGate: true, want: verdict.Pass},
		"answers alone, without a gate":    {answers: scored(0.94), alone: true, noGate: true, want: ""},
		"right answers alone":              {answers: scored(0.94), alone: true, want: verdict.Pass},
		"too few samples alone":            {answers: sampled(0.94, 100), alone: true, want: verdict.Invalid},
		"right answers alone, speed shown": {answers: scored(0.94), alone: true, functional: true, want: verdict.Pass},
		"right answers, advisory":          {answers: scored(0.94), alone: true, advisory: true, want: ""},
		"right, and the speed is shown":    {answers: scored(0.94), functional: true, want: ""},
		"unproven, and the speed is shown": {answers: sampled(0.94, 100), functional: true, want: verdict.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nights := 12
			if tt.alone {
				nights = 0
			}
			o := builder(t, nights)
			if !tt.noGate {
				gsm8k(&o)
			}
			o.AccuracyAdvisory, o.Setup.Policy.FunctionalOnly = tt.advisory, tt.functional
			dir := runDir(t, func(p *rundir.Plan) {
				if p.Expected.Accuracy = true; tt.alone {
					p.Case.Mode, p.Expected.Points, p.Expected.Metrics = rundir.ModeCustom, nil, nil
				}
			}, attemptSpec{outcome: rundir.OutcomePassed, tput: 83.42 * float64(nights)})
			name := "accuracy_eval.log"
			if strings.HasPrefix(tt.answers, "{") {
				name = "results.json"
			}
			writeText(t, filepath.Join(dir.CaseDir("tiny").Attempt(0, 1).Run(0).Output(), name), tt.answers)
			b := build(t, o, dir, 0)
			require.Len(t, b.Records, 1)
			require.True(t, b.Records[0].Valid, b.Records[0].Problems)
			require.Equal(t, tt.want, b.Records[0].Verdict)
		})
	}
}

// A score that a configured pipeline leaves meets the gates as any other does.
func TestGatesOfAPipeline(t *testing.T) {
	t.Parallel()
	speed := rundir.BenchFiles{Files: []string{"speed.log"}}
	answers := rundir.BenchFiles{Files: []string{"answers.log"}, Reader: "lm-eval"}
	for name, tt := range map[string]struct {
		bench      []rundir.BenchFiles
		score      float64
		functional bool
		gates      bool
		exit       int
		message    string
	}{
		"right":                          {bench: []rundir.BenchFiles{speed, answers}, score: 0.94, gates: true, exit: exit.Passed},
		"wrong":                          {bench: []rundir.BenchFiles{speed, answers}, score: 0.20, gates: true, exit: exit.TestFailed, message: "is 20.00, required >= 91.30"},
		"answers alone":                  {bench: []rundir.BenchFiles{answers}, score: 0.94, gates: true, exit: exit.Passed},
		"wrong answers alone":            {bench: []rundir.BenchFiles{answers}, score: 0.20, gates: true, exit: exit.TestFailed, message: "is 20.00, required >= 91.30"},
		"wrong answers, functional only": {bench: []rundir.BenchFiles{answers}, score: 0.20, gates: true, functional: true, exit: exit.TestFailed, message: "is 20.00, required >= 91.30"},
		"no gate":                        {bench: []rundir.BenchFiles{speed, answers}, score: 0.20, exit: exit.Passed},
		"answers alone and no gate":      {bench: []rundir.BenchFiles{answers}, score: 0.20, exit: exit.NoVerdict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := builder(t, 0)
			o.Policy.Exit.AllowNoBaseline, o.Policy.Exit.AllowCollecting = true, true
			if o.Setup.Policy.FunctionalOnly = tt.functional; tt.gates {
				gsm8k(&o)
			}
			dir := runDir(t, func(p *rundir.Plan) {
				p.Case.Pipeline, p.Case.Mode, p.Expected = "own", rundir.ModeCustom, rundir.Expected{NodeIDs: p.Expected.NodeIDs}
				p.Builds[0].Roles[1].Bench = tt.bench
			}, attemptSpec{outcome: rundir.OutcomePassed})
			out := dir.CaseDir("tiny").Attempt(0, 1).Run(0).RoleOut("BENCHMARK")
			writeText(t, filepath.Join(out, "speed.log"), table(1000))
			writeText(t, filepath.Join(out, "answers.log"), scored(tt.score))
			c := build(t, o, dir, 0).Document.Cases[0]
			require.Equal(t, tt.exit, c.ExitCode, "%s %v", c.Message, c.Problems)
			require.Contains(t, c.Message, tt.message)
		})
	}
}

// A score that was read twice, and measured at no point as the gate is, is one sample and one test by its name.
func TestScoresAreToldOnce(t *testing.T) {
	t.Parallel()
	o := builder(t, 0)
	gsm8k(&o)
	o.Accuracy = append(o.Accuracy, accuracy.Gate{Dataset: "gsm8k", Expected: 94.5, Filter: "strict-match"})
	dir := runDir(t, func(p *rundir.Plan) {
		p.Expected.Accuracy = true
		p.Expected.Points = append(p.Expected.Points, rundir.Point{Name: "con16", Concurrency: 16, Requests: 16})
	}, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
	out := dir.CaseDir("tiny").Attempt(0, 1).Run(0).Output()
	writeText(t, filepath.Join(out, "trtllm-benchmark.0.1.log"), strings.ReplaceAll(table(1100), "max_concurrency=8", "max_concurrency=16"))
	writeText(t, filepath.Join(out, "accuracy_eval.log"), scored(0.94))
	writeText(t, filepath.Join(out, "results.json"), `{"results": {"gsm8k": {"exact_match,flexible-extract": 0.2004, "exact_match,strict-match": 0.93}}, "versions": {"gsm8k": 3}}`)
	b := build(t, o, dir, 0)
	require.Equal(t, exit.TestFailed, b.Document.ExitCode)
	samples := map[string]int{}
	for line := range strings.Lines(exported(t, export.FormatOpenMetrics, b)) {
		if at := strings.LastIndex(line, "} "); at > 0 && line[0] != '#' {
			samples[line[:at]]++
			require.Equal(t, 1, samples[line[:at]], line)
		}
	}
	bulk := exported(t, export.FormatBulk, b)
	require.Contains(t, bulk, `"d_accuracy_gsm8k":`)
	require.NotContains(t, bulk, `"d_baseline_accuracy_gsm8k":94.5`)
	require.NotContains(t, bulk, "_gate")
	require.Contains(t, b.Document.Cases[0].Message, "is 20.04, required >= 91.30, expected 94.50; nothing says whether of all 1319 samples (the worst of 2)")
	names := map[string]int{}
	for _, r := range b.Document.Cases[0].Metrics {
		names[r.Point+" "+r.Metric]++
	}
	require.Equal(t, 1, names[" accuracy_gsm8k"])
	require.Equal(t, 1, names[" accuracy_gsm8k_gate"])
	require.Equal(t, 1, names[" accuracy_gsm8k_gate2"])
	for name, n := range names {
		require.Equal(t, 1, n, name)
	}
}

// The answers of a paired session meet the gates as well, whatever its plan expects.
func TestGatesOfASession(t *testing.T) {
	t.Parallel()
	dir, runs := sessionDir(t, rundir.OutcomePassed, measuredPairs(1, 4)...)
	for _, run := range runs {
		score := 0.94
		if run.Run.Build == rundir.HeadBuild && run.Run.Pair == 3 {
			score = 0.20
		}
		writeText(t, filepath.Join(dir.CaseDir("tiny").Attempt(0, 1).Run(run.Run.Index).Output(), "accuracy_eval.log"), scored(score))
	}
	o := builder(t, 0)
	require.Equal(t, exit.Passed, build(t, o, dir, 0).Document.ExitCode)
	gsm8k(&o)
	b := build(t, o, dir, 0)
	require.Equal(t, exit.TestFailed, b.Document.ExitCode)
	require.Regexp(t, "^gsm8k .* is 20.00", b.Document.Cases[0].Message)
	require.NotContains(t, exported(t, export.FormatBulk, b), `"b_is_valid":true`)
}

// A score that is pinned and meets a gate has a row of each, by two names, and is exported by its own.
func TestAGateBesideAPinOfASession(t *testing.T) {
	t.Parallel()
	dir, runs := sessionDir(t, rundir.OutcomePassed, measuredPairs(1, 4)...)
	for _, run := range runs {
		out := dir.CaseDir("tiny").Attempt(0, 1).Run(run.Run.Index).Output()
		writeText(t, filepath.Join(out, "accuracy_eval.log"), scored(0.94))
		writeText(t, filepath.Join(out, "trtllm-benchmark.0.1.log"), strings.ReplaceAll(table(1100+0.03*float64(run.Run.Index)), "max_concurrency=8", "max_concurrency=16"))
	}
	o := builder(t, 0)
	gsm8k(&o)
	var plan rundir.Plan
	require.NoError(t, rundir.ReadJSON(dir.CaseDir("tiny").PlanFile(), &plan))
	plan.Expected.Points = append(plan.Expected.Points, rundir.Point{Name: "con16", Concurrency: 16, Requests: 16})
	require.NoError(t, rundir.WriteJSON(dir.CaseDir("tiny").PlanFile(), plan))
	pins, err := judging.ParsePins("baselines.yaml", []byte("schema: 1\ncases:\n  \""+plan.Case.ID+"\":\n    accuracy_gsm8k: {value: 94.5, gate: true}\n"), o.Setup.Metrics)
	require.NoError(t, err)
	o.Setup.Pins = pins
	b := build(t, o, dir, 0)
	var names []string
	for _, r := range b.Document.Cases[0].Metrics {
		names = append(names, r.Metric)
	}
	require.Equal(t, []string{"accuracy_gsm8k", "accuracy_gsm8k_gate"}, names)
	require.Equal(t, exit.Passed, b.Document.ExitCode, b.Document.Cases[0].Message)
	bulk := exported(t, export.FormatBulk, b)
	require.Contains(t, bulk, `"d_accuracy_gsm8k":`)
	require.NotContains(t, bulk, "_gate")
}

// What decides nothing is no regression in an export, which a store would take for a known one.
func TestAdvisoryIsNoRegressionInAnExport(t *testing.T) {
	t.Parallel()
	o := builder(t, 12)
	o.Setup.Policy.Rule = verdict.RuleUpstream
	dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 750})
	require.Contains(t, exported(t, export.FormatBulk, build(t, o, dir, 0)), `"b_is_regression":true`)
	o.Setup.Policy.FunctionalOnly = true
	b := build(t, o, dir, 0)
	require.Equal(t, exit.Passed, b.Document.ExitCode)
	require.NotContains(t, exported(t, export.FormatBulk, b), `"b_is_regression":true`)
	o.Setup.Policy.FunctionalOnly = false
	edit(t, dir, func(r *rundir.Run) { r.Build.Mode = baseline.ModeReference })
	require.NotContains(t, exported(t, export.FormatBulk, build(t, o, dir, 0)), `"b_is_regression":true`)
}
