package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// The shape of a generated fleet: 16 cases of 4 points with throughput and time per
// token, 128 gating series a night.
const (
	fleetCases, fleetPoints = 16, 4
	fleetTimes              = 5 // independent fleets: 400 judged nights
	fleetStep               = 10
)

// fleetCase is one generated case over 90 nights. Its variance is shared: a part by all
// that ran that night, a part by the case, a part by the two metrics of a point, so
// that two metrics of a point correlate by 0.9, two points by 0.5, two cases by 0.1. In
// 2 nights of 100 the case has bad luck of 3 to 15 % in all its series.
func fleetCase(seed, fleet, k uint64) benchmark {
	const ofNight, ofCase, ofPoint, own = 0.1, 0.4, 0.4, 0.1
	night := rand.New(rand.NewPCG(seed, 5000+fleet))
	rng := rand.New(rand.NewPCG(seed, 6000+fleet*fleetCases+k))
	cv := []float64{0.005, 0.01, 0.02, 0.03}[k%4]
	b := benchmark{seed: fleet*fleetCases + k}
	all := make([]history, 2*fleetPoints)
	for q := range all {
		m := metric.Metric{Name: "output_token_throughput", Unit: "tok/s", Better: metric.HigherIsBetter, Gate: true, MinEffect: 0.02}
		if q%2 == 1 {
			m = metric.Metric{Name: "tpot_median_ms", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02}
		}
		all[q] = history{name: fmt.Sprintf("fleet %d case %d con%d", fleet, k, 8<<(q/2)), metric: m}
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range nights {
		common := math.Sqrt(ofNight)*night.NormFloat64() + math.Sqrt(ofCase)*rng.NormFloat64()
		bad := 0.0
		if rng.Float64() < 0.02 {
			bad = 0.03 + 0.12*rng.Float64()
		}
		point := 0.0
		for q := range all {
			if q%2 == 0 {
				point = math.Sqrt(ofPoint) * rng.NormFloat64()
			}
			z := bad + cv*(common+point+math.Sqrt(own)*rng.NormFloat64())
			all[q].runs = append(all[q].runs, verdict.Run{ID: fmt.Sprint(i), Time: start.AddDate(0, 0, i), Values: []float64{fromLog(all[q].metric, 100, z)}})
		}
	}
	for _, h := range all {
		b.add(h)
	}
	return b
}

// printFleet: whole nights of 128 correlated series.
func printFleet(w io.Writer, seed uint64, workers int, c *checks) {
	var all []benchmark
	for fleet := range uint64(fleetTimes) {
		for k := range uint64(fleetCases) {
			b := fleetCase(seed, fleet, k)
			for n := range b.nights { // each fleet has nights of its own
				b.nights[n] += int64(fleet) * 1000
			}
			for q := range b.series {
				for i := range b.series[q].runs {
					b.series[q].runs[i].Time = b.series[q].runs[i].Time.AddDate(0, 0, int(fleet)*1000)
				}
			}
			all = append(all, b)
		}
	}
	title := fmt.Sprintf("generated: %d fleets of %d series in %d cases", fleetTimes, 2*fleetPoints*fleetCases, fleetCases)
	once, byDefault := printCurve(w, title, all, fleetStep, workers)
	c.check(byDefault.nights <= 5, "generated nights of 128 series: %.1f %% of the unchanged nights have a new false alarm by the default configuration (at most 5)", byDefault.nights)
	c.check(once.found[1] >= 68, "generated nights of 128 series: %.0f %% of the steps of 5 %% in all metrics of a case found within 5 without repetitions (at least 68)", once.found[1])
}
