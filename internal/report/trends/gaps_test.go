package trends_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/trends"
)

// TestGaps: nights that were never run are told by the pace of the case itself.
func TestGaps(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	begin := time.Date(2026, 11, 2, 2, 0, 0, 0, time.UTC) // a Monday
	for name, tt := range map[string]struct {
		days []float64 // on which it ran
		now  float64
		want []string
	}{
		"every night":                  {[]float64{0, 1, 2, 3, 4.05, 5, 6}, 6.3, nil},
		"one is missing":               {[]float64{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12}, 12.3, []string{"5: 1"}},
		"it has stopped":               {[]float64{0, 1, 2, 3, 4, 5, 6}, 9.3, []string{"open: 3"}},
		"not at weekends":              {[]float64{0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16}, 16.3, nil},
		"a Friday and a Monday":        {[]float64{0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15, 16, 17, 22, 23}, 23.3, []string{"22: 1"}},
		"every week":                   {[]float64{0, 7, 14, 21, 28, 35, 56}, 57, []string{"56: 2"}},
		"too few to have a pace":       {[]float64{0, 1, 9, 20}, 40, nil},
		"several a night, one without": {[]float64{0, 0.1, 1, 1.1, 2, 2.1, 3, 5, 5.1}, 5.3, []string{"5: 1"}},
	} {
		h := trends.History{}
		for _, d := range tt.days {
			h.Nights = append(h.Nights, trends.Night{Time: begin.Add(time.Duration(d * float64(day)))})
		}
		var got []string
		for _, g := range h.Gaps(begin.Add(time.Duration(tt.now * float64(day)))) {
			text := "open"
			if !g.Open() {
				text = fmt.Sprint(int(g.Before.Sub(begin) / day))
			}
			got = append(got, fmt.Sprintf("%s: %d", text, g.Missed))
		}
		require.Equal(t, tt.want, got, name)
	}
}

func TestSilentOnes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	of := func(id string, ago int) *trends.History {
		h := &trends.History{Case: id}
		for n := range 10 {
			h.Nights = append(h.Nights, trends.Night{Time: now.AddDate(0, 0, -ago-n)})
		}
		return h
	}
	all := []*trends.History{of("runs", 0), of("stopped", 3), of("stopped before", 12), of("retired", 90)}
	silent, older := trends.SilentOnes(all, now, 60*24*time.Hour, func(string) string { return "@perf" })
	require.Equal(t, 1, older)
	require.Len(t, silent, 2)
	require.Equal(t, "stopped before", silent[0].Case)
	require.Equal(t, 12, silent[0].Missed)
	require.Equal(t, "@perf", silent[1].Owner)
}
