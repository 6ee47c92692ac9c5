package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// Accepting a run that is not the newest one accepts its level: the runs behind it that
// are red for the same regression are covered, one that is worse is not.
func TestAcceptAnOlderRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		after float64 // the runs behind the accepted one
		next  float64
		want  verdict.Word
	}{
		{"the same level goes on", 0.10, 0.10, verdict.Pass},
		{"it is worse since", 0.20, 0.20, verdict.Regression},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bothDirections(t, func(t *testing.T, m metric.Metric) {
				l := newLine(t, m, verdict.Policy{Reruns: 3})
				l.noise = 0.004
				for range 20 {
					l.night(0)
				}
				for range 3 {
					require.Equal(t, verdict.Regression, l.night(0.10, 0.10, 0.10).Verdict)
				}
				accepted := len(l.runs) - 1
				for range 4 {
					require.Equal(t, verdict.Regression, l.night(c.after, c.after, c.after).Verdict)
				}
				l.runs[accepted].Accepted = true
				row := l.night(c.next, c.next, c.next)
				require.Equal(t, c.want, row.Verdict, row.Reason)
				if c.want == verdict.Regression {
					require.InDelta(t, 100*(1+m.Sign()*0.10), *row.Baseline, 1.2, "against the accepted level")
				}
			})
		})
	}
}
