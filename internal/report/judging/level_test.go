package judging_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/baseline"
	"github.com/ci-disagg/ci-disagg/internal/report/judging"
	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// What show, pin, accept and pages call the level is what the judge compares the next
// run with: while it is collected, in a quiet stretch, while a regression is open, after
// it was accepted, after it went away, and after an improvement.
func TestOneLevel(t *testing.T) {
	t.Parallel()
	for _, rule := range []verdict.Rule{verdict.RuleBWS, verdict.RuleUpstream} {
		t.Run(string(rule), func(t *testing.T) {
			t.Parallel()
			inStore(t, func(t *testing.T, url string) {
				s := open(t, url)
				setup := judging.Setup{Store: s, Metrics: metric.Default(), Policy: verdict.Policy{Rule: rule, Reruns: 3}}
				def, _ := setup.Metrics.Lookup("output_token_throughput")
				rng := rand.New(rand.NewPCG(3, 3))
				words := map[verdict.Word]int{}
				compared := 0
				for night := range 80 {
					level := 100.0
					switch {
					case night >= 60:
						level = 120
					case night >= 20 && night < 30, night >= 45 && night < 50:
						level = 85
					}
					r := nightly("c", night, level*(1+0.004*rng.NormFloat64()))
					r.Repetitions = append(r.Repetitions, r.Repetitions[0], r.Repetitions[0])
					for i := range r.Measurements {
						m := &r.Measurements[i]
						m.Values = append(m.Values, m.Values[0]*1.002, m.Values[0]*0.999)
					}
					h, err := s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match, Before: r.Time, Since: r.Time.Add(-baseline.DefaultWindow)})
					require.NoError(t, err)
					said, known := setup.Level(h, r, "con64", def)

					j := judging.Case(t.Context(), setup, judging.Subject{Record: r, Mode: "e2e"})
					at := slices.IndexFunc(j.Rows, func(row verdict.Row) bool { return row.Metric == def.Name })
					row := j.Rows[at]
					words[row.Verdict]++
					if row.Baseline != nil {
						require.True(t, known, "night %d: %s", night, row.Reason)
						exact := 1e-9
						if said.Since != "" && row.Verdict != verdict.Regression {
							exact = 1e-3 // the run itself ends the regression, and is judged by what that leaves
						}
						require.InEpsilon(t, *row.Baseline, said.Level, exact, "night %d: %s", night, row.Reason)
						compared++
					}
					save(t, s, j.Record)
					if night == 24 {
						h, err = s.History(t.Context(), baseline.Query{Case: "c", Match: r.Match})
						require.NoError(t, err)
						a, err := setup.Accept(h, "", []string{"con64/output_token_throughput"}, baseline.Act{By: "ana", At: day(night), Why: "intended"})
						require.NoError(t, err)
						save(t, s, a.Record)
					}
				}
				require.Greater(t, compared, 50)
				require.NotZero(t, words[verdict.Regression], "%v", words)
				require.NotZero(t, words[verdict.Pass], "%v", words)
			})
		})
	}
}
