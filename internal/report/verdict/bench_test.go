package verdict_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// noisy is a series of n past runs, one a day, and a new run.
func noisy(seed uint64, n int, cv float64) verdict.Series {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := verdict.Series{
		Case:   "case",
		Metric: metric.Metric{Name: "tpot_median_ms", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02},
	}
	start := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	for k := range n + 1 {
		r := verdict.Run{
			ID: fmt.Sprintf("run-%d", k), Time: start.AddDate(0, 0, k),
			Values: []float64{20 * math.Exp(cv*rng.NormFloat64())},
		}
		if k == n {
			s.New = r
			break
		}
		s.History = append(s.History, r)
	}
	return s
}

// BenchmarkJudge is one judgement against 90 nights.
func BenchmarkJudge(b *testing.B) {
	s := noisy(1, 90, 0.02)
	b.ReportAllocs()
	for b.Loop() {
		verdict.Judge(s, verdict.Policy{})
	}
}

// BenchmarkSuite is what a large suite needs: 200 cases of 10 metrics with 90
// days of history.
func BenchmarkSuite(b *testing.B) {
	series := make([]verdict.Series, 2000)
	for k := range series {
		series[k] = noisy(uint64(k), 90, 0.005+0.01*float64(k%5))
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range series {
			verdict.Judge(s, verdict.Policy{})
		}
	}
}
