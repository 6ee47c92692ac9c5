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

// twoModes is a series that alternates between two levels by itself, as the time to
// first token of a small closed loop does: whether requests arrive together or in
// turn is chance.
type twoModes struct {
	share float64 // of the runs on the worse level
	gap   float64 // relative
	stay  float64 // mean number of nights on the worse level; 1 = every run by chance
	noise float64
	step  float64 // of everything from night at on
	at    int
}

// mode draws the next night's.
func (m twoModes) mode(last bool, rng *rand.Rand) bool {
	if m.stay <= 1 {
		return rng.Float64() < m.share
	}
	leave := 1 / m.stay
	if last {
		return rng.Float64() >= leave
	}
	return rng.Float64() < leave*m.share/(1-m.share)
}

// history draws the nights. A repetition is on the mode of its night where the
// series keeps to modes, else on one by chance.
func (m twoModes) history(name string, rng *rand.Rand) history {
	def := metric.Metric{Name: "generated", Unit: "ms", Better: metric.LowerIsBetter, Gate: true, MinEffect: 0.02}
	h := history{name: name, family: name, cv: m.noise, metric: def, quiet: make([]bool, nights)}
	start := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	high := make([]bool, nights)
	value := func(i int, high bool, rng *rand.Rand) float64 {
		z := m.noise * rng.NormFloat64()
		if high {
			z += math.Log1p(m.gap)
		}
		if i >= m.at {
			z += math.Log1p(m.step)
		}
		return fromLog(def, 100, z)
	}
	last := rng.Float64() < m.share
	for i := range nights {
		high[i] = m.mode(last, rng)
		last = high[i]
		h.runs = append(h.runs, verdict.Run{ID: fmt.Sprint(i), Time: start.AddDate(0, 0, i), Values: []float64{value(i, high[i], rng)}})
		h.quiet[i] = i < m.at
	}
	if m.at < nights {
		h.changes = []change{{at: m.at, size: m.step}}
	}
	again := rng.Uint64()
	h.repeat = func(i, q int) (float64, string) {
		r := rand.New(rand.NewPCG(again, uint64(i*16+q)))
		on := high[i]
		if m.stay <= 1 {
			on = r.Float64() < m.share
		}
		return value(i, on, r), ""
	}
	return h
}

// modeRules are measured on series of two modes.
func modeRules() []rule {
	return []rule{
		{name: "bws", policy: verdict.Policy{ForgetOpen: true}},
		{name: "bws + rerun", policy: verdict.Policy{ForgetOpen: true, Reruns: verdict.MaxReruns}},
		{name: "bws + rerun, kept open", policy: verdict.Policy{Reruns: verdict.MaxReruns}},
	}
}

// printModes: series with two levels, unchanged, and with a step of 10 % beyond the
// worse one.
func printModes(w io.Writer, seed uint64, workers int, c *checks) {
	rules := modeRules()
	fmt.Fprint(w, "## Series of two modes\n\nFalse alarms / red / amber per 100 unchanged runs\n\n| on the worse mode | in a row | gap |")
	for _, r := range rules {
		fmt.Fprintf(w, " %s |", r.name)
	}
	fmt.Fprint(w, " step beyond: found within 5 |\n|---|---|---|---|---|---|---|\n")
	chance := make([]counts, len(rules)) // where the mode of each run is chance, and no bad night
	k := uint64(0)
	for _, stay := range []float64{1, 4} {
		for _, share := range []float64{0.1, 0.3, 0.5} {
			for _, gap := range []float64{0.03, 0.12, 0.30} {
				k += specialSeries
				quiet, stepped := modeSeries(seed, k, twoModes{share: share, gap: gap, stay: stay})
				fmt.Fprintf(w, "| %.0f %% | %.0f | %.0f %% |", 100*share, stay, 100*gap)
				for n, r := range rules {
					t := measure(quiet, r, workers)
					if stay <= 1 && share > 0.1 {
						chance[n].add(t)
					}
					fmt.Fprintf(w, " %.2f / %.2f / %.2f |", t.per100(t.alarms), t.per100(t.red), t.per100(t.amber))
				}
				t := measure(stepped, rules[1], workers)
				fmt.Fprintf(w, " %.0f |\n", t.within(stepped[0].changes[0].size, 2))
			}
		}
	}
	fmt.Fprintln(w)
	for n, most := range []float64{0.55, 0.20} {
		t := chance[n]
		c.check(t.per100(t.alarms) <= most, "two modes by chance, %s: %.2f false alarms per 100 (at most %.2f)", rules[n].name, t.per100(t.alarms), most)
	}
}

// modeSeries draws series of one kind from number k on, unchanged and with a step.
func modeSeries(seed, k uint64, m twoModes) (quiet, stepped []history) {
	for n := range uint64(specialSeries / 2) {
		m.noise, m.at = []float64{0.003, 0.01}[n%2], nights
		name := fmt.Sprint(k + n)
		quiet = append(quiet, m.history(name, rand.New(rand.NewPCG(seed, 500+k+n))))
		s := m
		s.step, s.at = (1+m.gap)*1.1-1, 60
		stepped = append(stepped, s.history(name, rand.New(rand.NewPCG(seed, 500+k+n))))
	}
	return quiet, stepped
}
