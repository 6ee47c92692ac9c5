package main

import (
	"math/rand/v2"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict"
)

// The shape of an injected history: a stretch of a recorded one in which nothing
// changed, long enough for the warm-up and for every horizon behind a step.
const (
	stretchMin = 20
	stretchMax = nights
	beforeStep = 12
	behindStep = 5
	nearest    = 8 // real runs of which one stands in for a repetition
)

// inject cuts the stationary stretches out of recorded histories. Each comes
// unchanged, which shows the false alarms, and once for each size with a step for
// the worse added at one place, which shows what is found. Stretch k depends on
// the seed and k only.
func inject(recorded []history, seed uint64) []history {
	var out []history
	k := uint64(0)
	for _, h := range recorded {
		for _, s := range h.stretches {
			rng := rand.New(rand.NewPCG(seed, k))
			k++
			at := beforeStep + rng.IntN(s[1]-s[0]-beforeStep-behindStep+1)
			again := rng.Uint64()
			for _, step := range []float64{0, 0.02, 0.03, 0.05, 0.10} {
				out = append(out, h.withStep(s, at, step, again))
			}
		}
	}
	return out
}

// withStep is the stretch s with everything from run at on worse by step.
func (h history) withStep(s [2]int, at int, step float64, seed uint64) history {
	runs := h.runs[s[0]:s[1]]
	out := history{name: h.name, family: h.family, metric: h.metric, quiet: make([]bool, len(runs))}
	value := func(i, from int) float64 {
		v := runs[from].Values[0]
		if i >= at && step > 0 {
			v = fromLog(h.metric, v, log1p(step))
		}
		return v
	}
	for i, r := range runs {
		out.quiet[i] = step == 0 // before a step it is the unchanged stretch, which counts once
		r.Values = []float64{value(i, i)}
		out.runs = append(out.runs, r)
	}
	if step > 0 {
		out.changes = []change{{at: at, size: step}}
	}
	// No run can be repeated: its real neighbours stand in, each once.
	out.repeat = func(i, q int) (float64, string) {
		first := min(max(0, i-nearest/2), len(runs)-nearest-1)
		order := rand.New(rand.NewPCG(seed, uint64(i))).Perm(nearest + 1)
		order = slices.DeleteFunc(order, func(k int) bool { return first+k == i })
		return value(i, first+order[q-1]), ""
	}
	return out
}

// stationary are the stretches without a labelled change and outside of the
// zones where the labels could not decide, cut to the length of a generated
// history.
func (r recorded) stationary() [][2]int {
	var out [][2]int
	from := 0
	end := func(to int) {
		for to-from >= stretchMin {
			cut := min(to, from+stretchMax)
			out = append(out, [2]int{from, cut})
			from = cut
		}
	}
	for i := range r.Points {
		switch {
		case slices.ContainsFunc(r.Ambiguous, func(z [2]int) bool { return z[0] <= i && i <= z[1] }):
			end(i)
			from = i + 1
		case slices.Contains(r.Labels, i):
			end(i)
			from = i
		}
	}
	end(len(r.Points))
	return out
}

// injectedRules are measured on injected histories.
func injectedRules() []rule {
	return []rule{
		{name: "bws", policy: verdict.Policy{ForgetOpen: true}},
		{name: "bws + rerun", policy: verdict.Policy{ForgetOpen: true, Reruns: verdict.MaxReruns}},
		{name: "bws + rerun, pull request", policy: verdict.Policy{ForgetOpen: true, Reruns: verdict.MaxReruns, Mode: verdict.PullRequest}},
		{name: "upstream 5 %", policy: verdict.Policy{Rule: verdict.RuleUpstream}},
		{name: "upstream 10 %, exemption", policy: verdict.Policy{Rule: verdict.RuleUpstream, Mode: verdict.PullRequest}},
		{name: "fixed 5 %", policy: verdict.Policy{Rule: verdict.RuleFixed}, pinned: true},
	}
}
