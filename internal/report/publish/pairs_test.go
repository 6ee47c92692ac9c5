package publish

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// pairedSession is a session in which B has so much of the throughput of A; its third
// pair had to be measured again.
func pairedSession(ratio float64, pairs int) ab.Session {
	var series []ab.Series
	for _, name := range []string{"output_token_throughput", "tpot_median_ms"} {
		m, _ := metric.Default().Lookup(name)
		series = append(series, ab.Series{Key: ab.Key{Point: "con64", Metric: name}, Metric: m, MinEffect: 0.02})
	}
	var all []ab.Pair
	run := func(build string, r float64) ab.Run {
		v := 21800 * r * (1 + 0.004*math.Sin(float64(7*len(all)+len(build))))
		return ab.Run{Name: fmt.Sprintf("cases/x/rep-0/attempt-1/run-%d", 2*len(all)), Values: map[ab.Key]float64{series[0].Key: v, series[1].Key: 250000 / v}}
	}
	for i := range pairs {
		p := ab.Pair{A: run(ab.A, 1), B: run("head", ratio), First: []string{ab.A, ab.B}[i%2]}
		if i == 2 {
			broken := p
			broken.A = ab.Run{Name: p.A.Name, Problems: []string{"[GEN_0] killed by SIGKILL"}}
			all = append(all, broken)
		}
		all = append(all, p)
	}
	s := ab.Judge(all, series, 1, len(all))
	s.Base, s.Head = &ab.Build{Name: "base", Commit: "4f2c9e1b7d8a6350c1e2f3a4b5c6d7e8f9a0b1c2"}, &ab.Build{Name: "head", Commit: "c0ffee1b7d8a6350c1e2f3a4b5c6d7e8f9a0b1c2", Image: "registry.example.com/llm:main"}
	return s
}

func pairedCase(ratio float64, result string) report.CaseReport {
	s := pairedSession(ratio, 4)
	c := newCase(0)
	c.Metrics, c.AB, c.Result, c.Message = nil, &s, result, s.Headline
	c.Verdict = report.PairedWord(s.Verdict)
	return c
}

// pairedDocument is a run of two sessions: one slower, one the same.
func pairedDocument() report.Report {
	slower, same := pairedCase(0.96, report.ResultRegression), pairedCase(1, report.ResultPassed)
	same.ID, same.Slug = newCase(1).ID, newCase(1).Slug
	return document(4, report.ResultRegression, "2 cases: 1 regressed, 1 passed", slower, same)
}

// TestSessionIsToldFirst: the effect with its interval and its pairs stands wherever a person looks.
func TestSessionIsToldFirst(t *testing.T) {
	t.Parallel()
	d := pairedDocument()
	require.Equal(t, verdict.Regression, d.Cases[0].Verdict)
	effect := d.Cases[0].AB.Series[0].Sentence()
	require.Regexp(t, `^\d\.\d % worse \(\d\.\d to \d\.\d %\)$`, effect)
	console, summary := Console(d, "/shared/runs/x/report", Style{}), Summary(d)
	require.Contains(t, console, effect)
	require.Contains(t, console, "A: base, commit 4f2c9e1b7d; B: head, commit c0ffee1b7d")
	require.Contains(t, console, "would have been found in", "what a pass would have noticed")
	require.Contains(t, strings.ReplaceAll(summary, `\`, ""), "| "+effect+" |")
	require.Contains(t, console, "git log --oneline 4f2c9e1b7d8a6350c1e2f3a4b5c6d7e8f9a0b1c2..c0ffee1b7d8a6350c1e2f3a4b5c6d7e8f9a0b1c2")
	_, files := written(t, d)
	page := string(files[casePath(d.Cases[0])])
	require.Contains(t, page, effect)
	require.Contains(t, page, "[GEN_0] killed by SIGKILL")
	require.NotContains(t, page, "No metric was judged")
	drawing := string(files["charts/"+pairsFile(d.Cases[0], 0)])
	require.Equal(t, 4, strings.Count(drawing, "<title>pair ")/2, "a mark for each pair that decided, above and below")
}

// A run of a session that is no measurement leads to the log that says why.
func TestLostRunsLinkTheirLogs(t *testing.T) {
	t.Parallel()
	lost := ab.Run{Name: "cases/x/run-2", Problems: []string{"[server] exit 1"}, Log: "cases/x/run-2/roles/server/output.log"}
	var c report.CaseReport
	c.AB = &ab.Session{Measured: []ab.Pair{{A: lost, B: ab.Run{Name: "cases/x/run-3", Problems: []string{"it measured nothing"}}}}}
	v := viewSession(c, "../../")
	require.Equal(t, []problemView{
		{"cases/x/run-2: [server] exit 1", "../../cases/x/run-2/roles/server/output.log"}, {"cases/x/run-3: it measured nothing", ""},
	}, v.Rows[0].Problems)
}

// A crash of head is told as head's before it is told as a crash, and what A and B are stands beside it and beside a
// pass.
func TestWhoseFailureItIs(t *testing.T) {
	t.Parallel()
	c := newCase(0)
	s := pairedSession(1, 4)
	s.Verdict, s.Reason, s.Series, s.Power = paired.Failed, "B failed 3 times in a row and A did not: the run failed", nil, nil
	c.Metrics, c.AB, c.Result, c.Verdict, c.Message = nil, &s, report.ResultTestFailed, verdict.Invalid, "[GEN_0] its server ended with exit 1"
	c.Decision = report.Decision{Result: report.ResultTestFailed, Colour: report.Red, ExitCode: 1}
	d := document(1, report.ResultTestFailed, "1 case: 1 failed", c)
	same := pairedCase(1, report.ResultPassed)
	for output, text := range map[string]string{
		"console": Console(d, "/r", Style{}), "summary": strings.ReplaceAll(Summary(d), `\`, ""),
		"console of a pass": Console(document(0, report.ResultPassed, "1 case: 1 passed", same), "/r", Style{}),
		"summary of a pass": strings.ReplaceAll(Summary(document(0, report.ResultPassed, "1 case: 1 passed", same)), `\`, ""),
	} {
		require.Contains(t, text, "A: base, commit 4f2c9e1b7d", output)
		if strings.HasSuffix(output, "pass") {
			require.Regexp(t, `con64 \w+ is \d\.\d % (worse|better) \(-?\d\.\d to -?\d\.\d %\), 4 pairs`, text, output)
			continue
		}
		require.Contains(t, text, "B fails by itself: B failed 3 times in a row and A did not", output)
		require.Less(t, strings.Index(text, "B fails by itself"), strings.Index(text, "[GEN_0]"), output)
	}
}
