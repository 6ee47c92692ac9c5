package builder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/exit"
	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What says how a run ended is never that of an earlier report, or a job's own: not where the rest cannot be written.
func TestNoOldVerdictBesideAReportThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	plain := func(path string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, path)))
			writeText(t, filepath.Join(dir, path), "planted")
		}
	}
	full := func(path string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, path)))
			writeText(t, filepath.Join(dir, path, "full"), "planted")
		}
	}
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"a file for the pages": plain("cases"), "a file for the charts": plain("charts"),
		"no index": full(rundir.ReportIndex), "no summary": full(rundir.ReportSummary), "no verdict": full(rundir.ReportVerdict),
		"no junit.xml": full(rundir.ReportJUnit),
		"another's directory": func(t *testing.T, dir string) {
			other := t.TempDir()
			for _, name := range []string{rundir.ReportVerdict, rundir.ReportSummary} {
				require.NoError(t, os.Rename(filepath.Join(dir, name), filepath.Join(other, name)))
			}
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.Symlink(other, dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
			build(t, builder(t, 9), dir, 0)
			spoil(t, dir.Report())
			s := New(dir, builder(t, 9))
			d, err := s.Decide(t.Context(), 0)
			require.NoError(t, err)
			told, err := s.Write(&d)
			require.Error(t, err)
			require.Equal(t, exit.Infra, told.ExitCode)
			var doc report.Report
			require.NoError(t, rundir.ReadJSON(filepath.Join(dir.Report(), rundir.ReportVerdict), &doc))
			require.Equal(t, told.ExitCode, doc.ExitCode)
			require.Equal(t, told.Headline, doc.Headline)
			summary, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportSummary))
			require.NoError(t, err)
			require.Contains(t, string(summary), "exit 3")
			junit, err := os.ReadFile(filepath.Join(dir.Report(), rundir.ReportJUnit))
			require.True(t, err != nil || name != "no junit.xml" && len(junit) > 0)
		})
	}
}
