package tables

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

func TestSignificant(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{
		"0": 0, "1000": 1000, "12346": 12345.678, "123456": 123456, "0.73291": 0.732912, "81.5": 81.5, "-3.25": -3.25,
		"1.2346e+12": 1.23456e12, "1.5e-05": 1.5e-5, "0.0012": 0.0012, "99.976": 99.9760,
	} {
		require.Equal(t, want, significant(v))
	}
}

func TestSparkline(t *testing.T) {
	t.Parallel()
	line := func(values ...float64) string {
		var runs []verdict.Run
		for _, v := range values {
			runs = append(runs, verdict.Run{Values: []float64{v}})
		}
		return sparkline(runs)
	}
	require.Equal(t, "", line(1))
	require.Equal(t, "▁█", line(1, 2))
	require.Equal(t, "████▁", line(100, 100, 100, 100, 75))
	require.Equal(t, "▅▅▅", line(7, 7, 7))
	flat := line(100, 100.1, 99.9, 100.05)
	require.Equal(t, "", strings.Trim(flat, "▄▅"), "noise looks flat: %s", flat)
	require.Len(t, []rune(line(make([]float64, 100)...)), sparkWidth)
	require.NotPanics(t, func() { line(-1, 0, 1, 1e300, -1e300) })
}

// What is decided beside the measurement is said with its reason, and not in green.
func TestTheEndIsThatOfTheReport(t *testing.T) {
	t.Parallel()
	value := 100.0
	doc := report.Report{Decision: report.Ending(5), Headline: "not stored: away", Cases: []report.CaseReport{{
		ID: "c", Decision: report.Ending(0),
		Measurement: report.Measurement{Verdict: verdict.Pass, Metrics: []verdict.Row{{Metric: "ttft_median_ms", Gate: true, Verdict: verdict.Pass, Value: &value}}},
	}}}
	var out bytes.Buffer
	Printer{W: &out, Colour: true}.Verdict(doc, false)
	require.Contains(t, out.String(), "\x1b[31mno_verdict: not stored: away (exit 5)")
}

func TestColourOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	value := 100.0
	doc := report.Report{Decision: report.Ending(4), Cases: []report.CaseReport{{
		ID:          "c\x1b]0;x\a",
		Measurement: report.Measurement{Verdict: verdict.Regression, Metrics: []verdict.Row{{Point: "con64", Metric: "ttft_median_ms", Unit: "ms", Gate: true, Verdict: verdict.Regression, Value: &value, Reason: "slow\x1b[2J"}}},
	}}}
	var plain, coloured bytes.Buffer
	Printer{W: &plain}.Verdict(doc, false)
	Printer{W: &coloured, Colour: true}.Verdict(doc, false)
	require.NotContains(t, plain.String(), "\x1b")
	require.Contains(t, coloured.String(), "\x1b[31mregression")
	strip := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "")
	require.Equal(t, plain.String(), strip.Replace(coloured.String()), "colour moves nothing")
}
