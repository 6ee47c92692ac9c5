package builder

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// What decides on the way is what the driver began, and each run of a session as it was first measured: jobs can write
// the files, and a session of many runs has no time to read all of them for each answer.
func TestAnswersReadEachRunOnce(t *testing.T) {
	t.Parallel()
	var specs []runSpec
	for i := range 8 {
		specs = append(specs, runSpec{tput: 1000 + float64(i)})
	}
	dir, ended := sessionDir(t, "", specs...)
	s := New(dir, builder(t, 0))
	var run rundir.Run
	require.NoError(t, rundir.ReadJSON(dir.RunFile(), &run))
	s.Begins(run)
	require.NoError(t, os.Remove(dir.RunFile()))
	attempt := dir.CaseDir("tiny").Attempt(0, 1)
	first, err := s.Answer(t.Context(), "tiny", rundir.Attempt{Attempt: 1}, ended[:7])
	require.NoError(t, err)
	for _, end := range ended[:7] {
		require.NoError(t, os.RemoveAll(attempt.Run(end.Run.Index).Output()))
	}
	again, err := s.Answer(t.Context(), "tiny", rundir.Attempt{Attempt: 1}, ended[:7])
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.NotEqual(t, rundir.DoAgain, first.Do)
	_, _, err = s.DecideCase(t.Context(), "tiny", run.Cases[0].Attempts)
	require.NoError(t, err)
}
