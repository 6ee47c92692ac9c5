package builder

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// `judge` and `run` decide alike: the same word, the same message, by the worst metric and not by the first.
func TestJudgeDecidesAsARunDoes(t *testing.T) {
	t.Parallel()
	row := func(point string, worse float64) verdict.Row {
		v := 100.0
		return verdict.Row{Point: point, Metric: "tpot", Gate: true, Rule: "bws", Verdict: verdict.Regression, Value: &v, Worse: &worse, Reason: "slower", Finding: verdict.Finding{Alarm: true}}
	}
	rows := []verdict.Row{row("con1", 0.03), row("con8", 0.30)}
	doc := Outside{Case: "c"}.Judged(judging.Judgement{Rows: rows, Record: baseline.Record{Time: time.Unix(0, 0)}}, nil).Report()
	require.Equal(t, report.ResultRegression, doc.Result)
	require.Equal(t, "tpot at con8: slower", doc.Headline)
	require.Equal(t, &report.MetricRef{Point: "con8", Metric: "tpot"}, doc.Cases[0].Worst)
	require.Equal(t, report.Counts{Cases: 1, Regressed: 1}, doc.Counts)
	require.Empty(t, doc.Cases[0].Attempts)

	zero := judging.Judgement{Rows: rows, Record: baseline.Record{Time: time.Unix(0, 0), Problems: []string{"con1 tput: is 0"}}}
	doc = Outside{Case: "c"}.Judged(zero, nil).Report()
	require.Equal(t, report.ResultRegression, doc.Result)
	require.Equal(t, "tpot at con8: slower", doc.Headline, "what it ends with, whatever else is no measurement")

	shown := Outside{Case: "c", FunctionalOnly: true}.Judged(judging.Judgement{Record: baseline.Record{Time: time.Unix(0, 0)}}, nil).Report()
	require.Equal(t, 0, shown.ExitCode)
	require.Equal(t, "functional only: performance is shown, not judged", shown.Headline)

	wrong := row("", 0.2)
	wrong.Metric, wrong.Rule, wrong.Reason = "gsm8k", verdict.RuleAccuracy, "gsm8k is 0.2, below 0.8"
	red := Outside{Case: "c"}.Paired(ab.Session{Verdict: paired.Pass, Headline: "B is as fast as A"}, []verdict.Row{wrong}, time.Unix(0, 0)).Report()
	require.Equal(t, 1, red.ExitCode)
	require.Equal(t, "gsm8k is 0.2, below 0.8", red.Headline)
	require.Equal(t, 1, red.Counts.Failed)

	advisory := Outside{Case: "c", FunctionalOnly: true}.Paired(ab.Session{Verdict: paired.Regression, Headline: "B is slower"}, nil, time.Unix(0, 0)).Report()
	require.Equal(t, 0, advisory.ExitCode)
	require.Equal(t, verdict.Regression, advisory.Cases[0].Verdict)
}

// What a reference measures decides nothing, here and there: not that it could not be stored either.
func TestReferenceThatIsNotStored(t *testing.T) {
	t.Parallel()
	j := judging.Judgement{Record: baseline.Record{Time: time.Unix(0, 0)}}
	j.Record.Build.Mode = baseline.ModeReference
	require.Equal(t, 0, Outside{Case: "c"}.Judged(j, errors.New("no room")).Report().ExitCode)
}

// What judge says of the run goes with what it says of its case.
func TestJudgeAgreesWithItself(t *testing.T) {
	t.Parallel()
	v, full := 100.0, errors.New("no room")
	for name, tt := range map[string]struct {
		word      verdict.Word
		mode      string
		notStored error
		exit      int
		fault     string
	}{
		"allowed":                     {verdict.Collecting, baseline.ModeNightly, nil, 0, "Nothing to do."},
		"a pull request's, allowed":   {verdict.Collecting, baseline.ModePR, full, 0, "Nothing to do."},
		"a pull request's":            {verdict.Pass, baseline.ModePR, full, 0, "Nothing to do."},
		"a nightly's, and not stored": {verdict.Pass, baseline.ModeNightly, full, 5, "No case failed, but the run proves nothing."},
	} {
		j := judging.Judgement{Record: baseline.Record{Time: time.Unix(0, 0)}, Rows: []verdict.Row{{Metric: "tpot", Gate: true, Verdict: tt.word, Value: &v}}}
		j.Record.Build.Mode = tt.mode
		doc := Outside{Case: "c", Exit: report.ExitPolicy{AllowCollecting: true}}.Judged(j, tt.notStored).Report()
		require.Equal(t, tt.exit, doc.ExitCode, name)
		require.Equal(t, doc.Cases[0].Unjudged, doc.Unjudged, name)
		require.Equal(t, tt.word == verdict.Collecting, doc.Unjudged != "", name)
		require.Equal(t, tt.fault, doc.Fault, name)
		require.Equal(t, tt.exit == 5, len(doc.Doubts) > 0 && strings.HasSuffix(doc.Headline, "; not stored: no room"), name)
		require.Equal(t, tt.notStored != nil, slices.Equal(doc.Warnings, []string{"not stored: no room"}), name)
		require.Empty(t, doc.Next+doc.Cases[0].Next+doc.Cases[0].Accept, "there is no run to look at")
	}
}

// Where no test was run, nothing says that one passed, or failed: judge is given files, and knows of nothing else.
func TestJudgeTellsOfNoTest(t *testing.T) {
	t.Parallel()
	v := 100.0
	doc := func(word verdict.Word, gate bool) report.Report {
		row := verdict.Row{Metric: "tpot", Gate: gate, Rule: "bws", Verdict: word, Value: &v, Reason: "as it is"}
		return Outside{Case: "c"}.Judged(judging.Judgement{Rows: []verdict.Row{row}, Record: baseline.Record{Time: time.Unix(0, 0)}}, nil).Report()
	}
	wrong := verdict.Row{Metric: "gsm8k", Gate: true, Rule: verdict.RuleAccuracy, Verdict: verdict.Regression, Value: &v, Reason: "gsm8k is 0.2, below 0.8"}
	for want, d := range map[string]report.Report{
		"The history is too short to judge its speed.":    doc(verdict.Collecting, true),
		"There is nothing to compare its speed with.":     doc(verdict.NoBaseline, true),
		"Its speed is suspicious, but nothing is proven.": doc(verdict.Inconclusive, true),
		"What was given is not a valid measurement.":      doc(verdict.Invalid, true),
		"Nothing to do.": doc(verdict.Pass, true),
		"Nothing decides: tpot was measured and does not gate; with perf.metrics.tpot.gate: true it decides.": doc(verdict.Pass, false),
		"The baselines could not be read, which is not your change.":                                          doc(verdict.BaselineUnavailable, true),
		"The answers are wrong.": Outside{Case: "c"}.Judged(judging.Judgement{Rows: []verdict.Row{wrong}, Record: baseline.Record{Time: time.Unix(0, 0)}}, nil).Report(),
		"Both builds were measured, and neither a change nor its absence is certain.": Outside{Case: "c"}.Paired(ab.Session{Verdict: paired.Inconclusive}, nil, time.Unix(0, 0)).Report(),
	} {
		require.Equal(t, want, d.Fault)
		require.Equal(t, want, d.Cases[0].Fault)
		data, err := json.Marshal(d)
		require.NoError(t, err)
		require.NotContains(t, string(data), `"outcome"`, want)
		require.NotRegexp(t, "(?i)tests? (passed|failed)", string(data))
	}
}
