package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

func put(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// fakeRun is a run directory with a report and three logs, and the report's document.
func fakeRun(t *testing.T, result string) (rundir.Dir, report.Report, string) {
	t.Helper()
	dir := t.TempDir()
	long := strings.Repeat("h", copyHead) + strings.Repeat("m", 1000) + strings.Repeat("t", copyTail)
	put(t, dir+"/report/junit.xml", "<testsuites/>")
	put(t, dir+"/report/charts/a.svg", "<svg/>")
	put(t, dir+"/cases/c/a/short.log", "short")
	put(t, dir+"/cases/c/a/long.log", long)
	put(t, dir+"/secret", "not linked")
	links := []report.Link{
		{Path: "cases/c/a/short.log"},
		{Path: "cases/c/a/short.log"},
		{Path: "cases/c/a/long.log"},
		{Path: "cases/c/a/gone.log"},
		{Path: "../outside"},
		{Path: "/etc/hostname"},
		{Path: "cases/c"},
	}
	return rundir.Dir(dir), report.Report{
		Tool: "v1", RunID: "id", Result: result, Headline: "so it went", ExitCode: 4,
		Cases: []report.CaseReport{{Attempts: []report.AttemptReport{{Artifacts: links}}}},
	}, long
}

func TestCopyReport(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "regression")
	to := filepath.Join(t.TempDir(), "workspace", "copy")
	require.NoError(t, copyReport(to, from, d))
	require.Equal(t, "<testsuites/>", content(t, to+"/report/junit.xml"))
	require.Equal(t, "<svg/>", content(t, to+"/report/charts/a.svg"))
	require.Equal(t, "short", content(t, to+"/cases/c/a/short.log"))
	cut := content(t, to+"/cases/c/a/long.log")
	note := fmt.Sprintf("\n[… 1000 bytes cut here; the whole file is %s/cases/c/a/long.log …]\n", from)
	require.Equal(t, strings.Repeat("h", copyHead)+note+strings.Repeat("t", copyTail), cut)
	var res result
	require.NoError(t, rundir.ReadJSON(to+"/result.json", &res))
	require.Equal(t, result{
		Schema: 1, Tool: "v1", RunID: "id", RunDir: string(from), ExitCode: 4, Result: "regression", Headline: "so it went",
		JUnit: "report/junit.xml", Summary: "report/summary.md", Index: "report/index.html",
	}, res)
	entries, err := os.ReadDir(filepath.Dir(to))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is written beside the copy")
	require.NoFileExists(t, to+"/secret")
}

// TestCopyOfAnInterruptedRun: Jenkins gives an aborted process seconds, so only tails are copied.
func TestCopyOfAnInterruptedRun(t *testing.T) {
	t.Parallel()
	from, d, _ := fakeRun(t, "interrupted")
	to := t.TempDir()
	require.NoError(t, copyReport(to, from, d))
	cut := content(t, to+"/cases/c/a/long.log")
	require.True(t, strings.HasSuffix(cut, " …]\n"+strings.Repeat("t", copyShort)))
	require.Less(t, len(cut), copyShort+1000)
	require.Equal(t, "short", content(t, to+"/cases/c/a/short.log"))
}

func TestCopyAround(t *testing.T) {
	t.Parallel()
	h := newHost()

	t.Run("an earlier copy goes first", func(t *testing.T) {
		t.Parallel()
		from, d, _ := fakeRun(t, "regression")
		o := copyFlags{copyTo: t.TempDir()}
		require.NoError(t, o.around(h, func() error { return copyReport(o.copyTo, from, d) }))
		require.NoError(t, os.Remove(filepath.Join(o.copyTo, copyResult)), "as if it had been cut short")
		require.NoError(t, o.around(h, func() error {
			entries, err := os.ReadDir(o.copyTo)
			require.NoError(t, err)
			require.Len(t, entries, 1, "nothing but the mark")
			return nil
		}))
	})
	t.Run("an error without a report is told", func(t *testing.T) {
		t.Parallel()
		o := copyFlags{copyTo: filepath.Join(t.TempDir(), "new")}
		err := o.around(h, func() error { return &endError{code: exitInfra, err: errors.New("sbatch is away")} })
		require.EqualError(t, err, "sbatch is away")
		var res result
		require.NoError(t, rundir.ReadJSON(o.copyTo+"/result.json", &res))
		require.Equal(t, result{Schema: 1, Tool: buildVersion(), ExitCode: 3, Result: "error", Headline: "sbatch is away"}, res)
	})
	t.Run("a report's own result stands", func(t *testing.T) {
		t.Parallel()
		from, d, _ := fakeRun(t, "regression")
		o := copyFlags{copyTo: t.TempDir()}
		err := o.around(h, func() error {
			require.NoError(t, copyReport(o.copyTo, from, d))
			return &endError{code: exitRegression}
		})
		require.Error(t, err)
		var res result
		require.NoError(t, rundir.ReadJSON(o.copyTo+"/result.json", &res))
		require.Equal(t, "so it went", res.Headline)
	})
	t.Run("a directory with other files is left alone", func(t *testing.T) {
		t.Parallel()
		o := copyFlags{copyTo: t.TempDir()}
		put(t, o.copyTo+"/cases/mine", "kept")
		put(t, o.copyTo+"/result.json", "of some other tool")
		err := o.around(h, func() error { t.Error("the verb ran"); return nil })
		require.ErrorContains(t, err, "no earlier copy")
		require.Equal(t, "kept", content(t, o.copyTo+"/cases/mine"))
	})
	t.Run("no copy wanted", func(t *testing.T) {
		t.Parallel()
		var o copyFlags
		require.EqualError(t, o.around(h, func() error { return errors.New("as is") }), "as is")
	})
}
