package curate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/curate"
)

// The series of a case is the one that has a history, whatever a pull request or a broken run was measured with.
func TestTheSeriesOfACaseHasAHistory(t *testing.T) {
	t.Parallel()
	store, err := baseline.Create(t.Context(), "dir:"+t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	names := []string{"output_token_throughput"}
	first := night(0, map[string]string{"gpu_type": "GB200"}, names)
	pr := night(1, map[string]string{"gpu_type": "GB200", "tp": "4"}, names)
	pr.Build.Mode = baseline.ModePR
	broken := night(2, map[string]string{"gpu_type": "GB200", "tp": "2"}, names)
	broken.Invalidate("its clock jumped")
	_, err = store.Save(t.Context(), pr.Normal())
	require.NoError(t, err)
	h, err := curate.Series{Case: caseID}.History(t.Context(), store)
	require.NoError(t, err, "where there is no other, it is that one")
	require.Empty(t, h.Runs)
	_, err = store.Save(t.Context(), first, broken.Normal())
	require.NoError(t, err)
	h, err = curate.Series{Case: caseID}.History(t.Context(), store)
	require.NoError(t, err)
	require.Equal(t, []baseline.Record{first}, h.Runs)
}
