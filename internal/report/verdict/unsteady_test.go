package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// ups are nights on a level 12 % worse, as they come by chance.
func ups(nights int) map[int]bool {
	up := map[int]bool{}
	for _, k := range []int{3, 7, 8, 12, 15, 16, 19, 24, 26, 27, 31, 33, 34, 38, 41, 42, 43} {
		if k < nights {
			up[k] = true
		}
	}
	return up
}

// twoLevels is a line that goes back and forth between two levels.
func twoLevels(t *testing.T, m metric.Metric, nights int) *line {
	l := newLine(t, m, verdict.Policy{Reruns: 3})
	l.noise = 0.005
	up := ups(nights)
	for i := range nights {
		worse := 0.0
		if up[i] {
			worse = 0.12
		}
		l.night(worse)
	}
	return l
}

// Of a series that goes back and forth by itself, the worse level is no regression,
// however often it comes in a row; what lies beyond it is.
func TestUnsteadySeries(t *testing.T) {
	t.Parallel()
	bothDirections(t, func(t *testing.T, m metric.Metric) {
		l := twoLevels(t, m, 40)
		for range 6 {
			row := l.night(0.12, 0.12, 0.12, 0.12)
			require.Equal(t, verdict.Pass, row.Verdict, row.Reason)
			require.NotNil(t, row.Unsteady)
			require.InDelta(t, 0.35, row.Unsteady.Share, 0.12)
			require.Contains(t, row.Reason, " of its runs lie ")
			require.Contains(t, row.Reason, "a step within that range is not judged")
			require.InDelta(t, 100, row.Unsteady.Levels[0], 1)
			level, ok := verdict.LevelOf(verdict.Series{Case: "c", Metric: m, History: l.runs}, verdict.Policy{})
			require.True(t, ok)
			require.InDelta(t, row.Unsteady.Levels[1], level.Level, 1, "one level, everywhere")
		}
		require.Equal(t, verdict.Pass, l.night(0).Verdict)
		row := l.night(0.20, 0.20, 0.20, 0.20)
		require.Equal(t, verdict.Regression, row.Verdict, row.Reason)
		require.InDelta(t, 0.07, *row.Worse, 0.02, "against the worse level")
		require.Equal(t, verdict.Regression, l.night(0.20).Verdict)
		for range 2 {
			require.True(t, l.night(0).Open)
		}
		require.Equal(t, verdict.Pass, l.night(0.12).Verdict, "back on either level")
	})
}

// The third high value of ten is no alarm, whether the habit is known by then or not.
func TestThirdHighValueOfTen(t *testing.T) {
	t.Parallel()
	for _, at := range [][]int{{2, 5}, {4, 7}, {1, 8}, {0, 3}} {
		l := newLine(t, latency(), verdict.Policy{})
		l.noise = 0.005
		for i := range 9 {
			worse := 0.0
			if i == at[0] || i == at[1] {
				worse = 0.12
			}
			l.runs = append(l.runs, l.run(l.value(worse)))
		}
		row := l.judge(l.run(l.value(0.12)), verdict.Policy{})
		require.NotEqual(t, verdict.Regression, row.Verdict, "%v: %s", at, row.Reason)
	}
}

// A step, one that came and went, and bad nights are no habit.
func TestWhatIsNotUnsteady(t *testing.T) {
	t.Parallel()
	for name, worse := range map[string]func(i int) float64{
		"a step":               func(i int) float64 { return map[bool]float64{true: 0.12}[i >= 20] },
		"there and back":       func(i int) float64 { return map[bool]float64{true: 0.12}[i >= 15 && i < 22] },
		"twice there and back": func(i int) float64 { return map[bool]float64{true: 0.12}[i >= 10 && i < 15 || i >= 22 && i < 27] },
		"bad nights":           func(i int) float64 { return map[int]float64{5: 0.07, 14: 0.2, 22: 0.12, 30: 0.05}[i] },
		"noise":                func(int) float64 { return 0 },
	} {
		l := newLine(t, latency(), verdict.Policy{})
		for i := range 40 {
			l.runs = append(l.runs, l.run(l.value(worse(i))))
			if i > 8 {
				require.Nil(t, l.judge(l.run(l.value(worse(i))), verdict.Policy{}).Unsteady, "%s, night %d", name, i)
			}
		}
	}
}
