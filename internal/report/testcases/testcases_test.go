package testcases_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/report/ab"
	"github.com/ci-disagg/ci-disagg/internal/report/testcases"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// A red session is a red test, and so is every metric that is surely worse by more than matters, blamed or not.
func TestRedSession(t *testing.T) {
	t.Parallel()
	s := ab.Session{Verdict: paired.Regression, Series: []ab.Found{
		{Metric: "blamed", MinEffect: 0.02, Effect: 0.1, Interval: [2]float64{0.084, 0.116}, Blamed: true},
		{Metric: "surely worse", MinEffect: 0.02, Effect: 0.089, Interval: [2]float64{0.079, 0.101}},
		{Metric: "perhaps worse", MinEffect: 0.02, Effect: 0.03, Interval: [2]float64{0.01, 0.05}},
		{Metric: "the same", MinEffect: 0.02, Interval: [2]float64{-0.01, 0.01}},
	}}
	red := func(judged bool) (out []bool) {
		for _, c := range testcases.Session(s, judged) {
			out = append(out, c.Status().Red())
		}
		return out
	}
	require.Equal(t, []bool{true, true, true, false, false}, red(true))
	require.Equal(t, []bool{false, false, false, false, false}, red(false), "nothing is judged")
	s.Verdict, s.Series[0].Blamed = paired.Inconclusive, false
	require.Equal(t, []bool{false, false, false, false, false}, red(true))
}
