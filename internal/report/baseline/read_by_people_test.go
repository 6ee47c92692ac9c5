package baseline_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/compare"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/trends"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// TestPeopleReadBothStores: what people look at comes from either kind of store.
func TestPeopleReadBothStores(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, url string) {
		store := open(t, url)
		var records []baseline.Record
		for i := range 20 {
			records = append(records, nightly("c", i, noisy(i)), nightly("c", 20+i, 0.9*noisy(i)))
		}
		save(t, store, records...)
		gone := nightly("c", 41, 5)
		save(t, store, gone, act(baseline.KindWithdraw, gone))
		find := compare.Finder{Store: url, Dir: filepath.Dir(t.TempDir())}
		doc, err := find.Compare(t.Context(), "date:2026-08-01..2026-08-20", "branch:main,date:2026-08-21..2026-12-31", compare.Options{Setup: judging.Setup{Metrics: metric.Default()}})
		require.NoError(t, err)
		require.Equal(t, verdict.Regression, doc.Rows[0].Verdict)
		require.InDelta(t, 0.9, doc.Rows[0].Ratio, 0.01)
		require.Equal(t, 20, doc.B.Runs, "a withdrawn run is not one")

		g, err := trends.Gather(t.Context(), store, time.Time{}, nil)
		require.NoError(t, err)
		require.Len(t, g.Histories, 1)
		require.Len(t, g.Histories[0].Nights, 40)
	})
}
