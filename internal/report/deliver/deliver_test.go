package deliver

import (
	"fmt"
	"testing"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/session"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
	"github.com/ci-disagg/ci-disagg/internal/trust"
	"github.com/stretchr/testify/require"
)

// What a job writes into the run's record about its mode does not make it a nightly's.
func TestARewrittenRecordIsNotStored(t *testing.T) {
	t.Parallel()
	store, err := baseline.Open(t.Context(), "dir:"+t.TempDir(), true)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	r := &Reporter{Driven: true, Mode: baseline.ModePR, Options: session.Options{Setup: judging.Setup{Store: store}}}
	rec := baseline.Record{Kind: baseline.KindRun, Case: "c", Run: "r", Build: rundir.Build{Mode: baseline.ModeNightly, Branch: "main"}}
	err = r.save(t.Context(), []baseline.Record{rec})
	require.ErrorIs(t, err, trust.ErrStored)
	require.ErrorContains(t, err, "run.json says that this is a nightly run, and it was started as pr")
	_, err = store.Each(t.Context(), baseline.Filter{}, func(r baseline.Record) error { return fmt.Errorf("%s was stored", r.Run) })
	require.NoError(t, err)
}
