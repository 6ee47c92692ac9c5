package builder

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// A session reads every result file once, however often its case is decided.
func TestResultFilesAreOpenedOnce(t *testing.T) {
	t.Parallel()
	dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomeInfra, exit: 137}, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
	s := New(dir, builder(t, 3))
	opened := map[string]int{}
	s.loader.Opened = func(path string) { opened[path]++ }
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
	for n := range 2 { // as when the attempts end
		_, _, err := s.DecideCase(t.Context(), "tiny", run.Cases[0].Attempts[:n+1])
		require.NoError(t, err)
	}
	d, err := s.Decide(t.Context(), 0)
	require.NoError(t, err)
	_, err = s.Write(&d)
	require.NoError(t, err)
	require.Len(t, opened, 4, "two roles of two attempts")
	for path, n := range opened {
		require.Equal(t, 1, n, path)
	}
}

// What a file server shows late is looked for again: a role that ended well owes it.
func TestResultsThatComeLate(t *testing.T) {
	t.Parallel()
	dir := runDir(t, nil, attemptSpec{outcome: rundir.OutcomePassed, tput: 1000})
	files, err := filepath.Glob(dir.CaseDir("tiny").Attempt(0, 1).Run(0).RoleDir("BENCHMARK") + "/results*.xml")
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.Rename(files[0], files[0]+".late"))
	s := New(dir, builder(t, 9))
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
	early, _, err := s.DecideCase(t.Context(), "tiny", run.Cases[0].Attempts)
	require.NoError(t, err)
	require.Equal(t, report.ResultTestFailed, early.Result)
	require.NoError(t, os.Rename(files[0]+".late", files[0]))
	d, err := s.Decide(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, report.ResultPassed, d.Cases[0].Result)
}
