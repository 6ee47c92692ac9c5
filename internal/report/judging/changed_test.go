package judging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// At every onset it is said what else was different, and it stays with the run that
// raised the alarm; while the regression is open it is said again.
func TestWhatChangedAtAnOnset(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, mode, driver, want string }{
		{"another driver", "e2e", "590.10", "Together with the commit changed: driver 580.95 → 590.10."},
		{"nothing else", "e2e", "580.95", "Nothing but the commit changed: 4 other facts are as in the 10 runs before."},
		{"a pipeline's commands", "custom", "580.95", "The commit changed; 4 other facts are as in the 10 runs before. The commands of its roles are not compared."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "dir:"+t.TempDir()+"/store")
			night := func(i int, value float64, driver string) judging.Judgement {
				r := nightly("c", i, value)
				r.Repetitions[0].Machine = &rundir.Machine{Facts: map[string]string{rundir.FactDriver: driver, rundir.FactKernel: "6.1"}}
				r.Measurements = r.Measurements[:1]
				if value < 90 {
					r.Measurements[0].Values = []float64{value, value + 0.2, value - 0.1}
				}
				j := judging.Case(t.Context(), setup(s), judging.Subject{Record: r.Normal(), Mode: tt.mode})
				require.NoError(t, j.Record.Validate())
				save(t, s, j.Record)
				return j
			}
			for i := range 12 {
				require.Nil(t, night(i, noisy(i), "580.95").Changed)
			}
			j := night(12, 75, tt.driver)
			require.NotNil(t, j.Changed)
			require.Equal(t, tt.want, j.Changed.Text)
			require.Equal(t, tt.want, j.Record.Changed)
			h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: j.Record.Match})
			require.NoError(t, err)
			require.Equal(t, tt.want, h.Runs[len(h.Runs)-1].Changed, "it is stored")

			j = night(13, 75.3, tt.driver)
			require.Equal(t, tt.want, j.Changed.Text)
			require.Empty(t, j.Record.Changed, "it stays with the run that raised the alarm")
		})
	}
}
