package builder

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
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
	require.Contains(t, b.Records[0].Problems[0], why)
	require.NoError(t, b.Records[0].Validate())
	require.Equal(t, b.Records[0].Problems, c.Problems)
	require.Contains(t, c.Message, why)
	xml, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
	require.NoError(t, err)
	require.Regexp(t, `name="validity"[^>]*><skipped message="not a measurement: [^"]*`+why, string(xml))
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
