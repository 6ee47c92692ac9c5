package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/report/publish/archive"
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

func TestCopyAround(t *testing.T) {
	t.Parallel()
	h := newHost()

	t.Run("an earlier copy goes first", func(t *testing.T) {
		t.Parallel()
		from := rundir.Dir(t.TempDir())
		put(t, from.Report()+"/junit.xml", "<testsuites/>")
		o := copyFlags{copyTo: t.TempDir()}
		require.NoError(t, o.around(h, func() error { return archive.Copy(o.copyTo, from, report.Report{Headline: "so it went"}, nil) }))
		require.NoError(t, os.Remove(filepath.Join(o.copyTo, archive.ResultFile)), "as if it had been cut short")
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
		err := o.around(h, func() error { return &exit.Error{Code: exit.Infra, Err: errors.New("sbatch is away")} })
		require.EqualError(t, err, "sbatch is away")
		var res archive.Result
		require.NoError(t, rundir.ReadJSON(o.copyTo+"/result.json", &res))
		require.Equal(t, archive.Result{Schema: 1, Tool: buildVersion(), ExitCode: 3, Result: "error", Headline: "sbatch is away"}, res)
	})
	t.Run("a report's own result stands", func(t *testing.T) {
		t.Parallel()
		from := rundir.Dir(t.TempDir())
		put(t, from.Report()+"/junit.xml", "<testsuites/>")
		o := copyFlags{copyTo: t.TempDir()}
		err := o.around(h, func() error {
			require.NoError(t, archive.Copy(o.copyTo, from, report.Report{Headline: "so it went", Decision: report.Ending(exit.Regression)}, nil))
			return &exit.Error{Code: exit.Regression}
		})
		require.Error(t, err)
		var res archive.Result
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
