package verdict_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// A series that gets worse by half a percent a week is one open finding that knows where
// it began; the level does not follow it.
func TestCreepIsOneFinding(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := newLine(t, m, verdict.Policy{})
		l.noise = 0.003
		for range 30 {
			l.night(0)
		}
		alarms := 0
		var row verdict.Row
		for i := range 60 {
			row = l.night(0.005 / 7 * float64(i))
			if row.Alarm {
				alarms++
				require.True(t, row.Slow)
				require.Contains(t, row.Reason, "creep: since ")
				require.Contains(t, row.Reason, "% a week")
				at := slices.IndexFunc(l.runs, func(r verdict.Run) bool { return r.ID == row.Onset })
				require.InDelta(t, 30, at, 8, "its begin")
			}
		}
		require.Equal(t, 1, alarms, "told once")
		require.True(t, row.Open)
		require.InDelta(t, 0.043, *row.Worse, 0.01, "against the level before it")
		require.Contains(t, row.Reason, "Creep: since ")

		told := false
		for range 3 {
			row = l.night(0.16)
			require.Equal(t, verdict.Regression, row.Verdict)
			told = told || row.Alarm && strings.Contains(row.Reason, "there is a further step")
		}
		require.True(t, told, "a step behind a creep is told: %s", row.Reason)
	})
}
