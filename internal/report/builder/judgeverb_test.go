package builder

import (
	"errors"
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
	doc := Outside{Case: "c"}.Judged(judging.Judgement{Rows: rows, Record: baseline.Record{Time: time.Unix(0, 0)}}, judging.Subject{}, nil)
	require.Equal(t, report.ResultRegression, doc.Result)
	require.Equal(t, "tpot at con8: slower", doc.Headline)
	require.Equal(t, &report.MetricRef{Point: "con8", Metric: "tpot"}, doc.Cases[0].Worst)
	require.Equal(t, report.Counts{Cases: 1, Regressed: 1}, doc.Counts)
	require.Empty(t, doc.Cases[0].Attempts)

	shown := Outside{Case: "c", FunctionalOnly: true}.Judged(judging.Judgement{Record: baseline.Record{Time: time.Unix(0, 0)}}, judging.Subject{}, nil)
	require.Equal(t, 0, shown.ExitCode)
	require.Equal(t, "functional only: performance is shown, not judged", shown.Headline)

	wrong := row("", 0.2)
	wrong.Metric, wrong.Rule, wrong.Reason = "gsm8k", report.RuleAccuracy, "gsm8k is 0.2, below 0.8"
	red := Outside{Case: "c"}.Paired(ab.Session{Verdict: paired.Pass, Headline: "B is as fast as A"}, []verdict.Row{wrong}, time.Unix(0, 0))
	require.Equal(t, 1, red.ExitCode)
	require.Equal(t, "gsm8k is 0.2, below 0.8", red.Headline)
	require.Equal(t, 1, red.Counts.Failed)
}

// What a reference measures decides nothing, here and there: not that it could not be stored either.
func TestReferenceThatIsNotStored(t *testing.T) {
	t.Parallel()
	j := judging.Judgement{Record: baseline.Record{Time: time.Unix(0, 0)}}
	j.Record.Build.Mode = baseline.ModeReference
	require.Equal(t, 0, Outside{Case: "c"}.Judged(j, judging.Subject{}, errors.New("not stored: no room")).ExitCode)
}
