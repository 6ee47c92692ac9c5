package verdict

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// half is the share of a case's series that a change is expected to move.
const half = 0.5

// evidence is what one series says about the runs of its window, for the scan over
// all series of a case.
type evidence struct {
	window    []Run      // oldest first, the judged run last
	worse     []float64  // log Bayes factors of a step that begins with each
	better    []float64  // the same for the better
	residuals []residual // of the history before the window
	question  bool       // of a pull request: main's runs alone raise a question
}

// from leaves out the first n runs of the window.
func (ev *evidence) from(n int) {
	n = min(max(n, 0), len(ev.window))
	ev.window, ev.worse, ev.better = ev.window[n:], ev.worse[n:], ev.better[n:]
}

// residual is a past run's distance to its level, in sigmas, clipped.
type residual struct {
	run   string
	value float64
}

// runKey identifies a run over several series.
func runKey(r Run) string { return cmp.Or(r.ID, r.Time.UTC().Format(time.RFC3339Nano)) }

// collect is the evidence of a scan of the runs past and newest.
func collect(sc *bws.Scanner, d *bws.Data, r bws.Result, past []Run, newest Run) evidence {
	const clip = 3
	runs := append(slices.Clone(past[min(r.Window, len(past)):]), newest)
	ev := evidence{window: runs, worse: slices.Clone(r.Worse.Factors[:len(runs)]), better: slices.Clone(r.Better.Factors[:len(runs)])}
	for k, x := range sc.Residuals(d, r.Noise) {
		ev.residuals = append(ev.residuals, residual{run: runKey(past[r.First+k]), value: min(max(x/r.Sigma, -clip), clip)})
	}
	return ev
}

// scanned is the verdict of the scan over all series of a case.
type scanned struct {
	p     float64 // that the case has become worse
	own   float64 // that it has with the judged run
	limit float64 // from which it is red
	red   bool
	alone bool // it would be red by the judged night alone, which was measured once
	onset Run
	moved []bool // by series: it speaks for a step at the onset
}

// scanCase weighs "nothing changed" against a step of the whole case that begins with
// one of the runs of its window: every series may have moved or not, each by a size
// of its own, and all of them with the same run. Series of one case share their
// noise (throughput and time per token are nearly one number), so that their
// evidence is tempered: equal series count once, independent ones as many times as
// there are.
func scanCase(series []evidence) scanned {
	runs := caseWindow(series)
	gamma := 1 / (1 + float64(len(series)-1)*meanCorrelation(series))
	total := 1 - 4*bws.StepPrior
	var sum, top, own float64
	at := -1
	for c, run := range runs {
		worse, better := 0.0, 0.0
		for _, ev := range series {
			if k := ev.index(run); k >= 0 {
				worse += mixed(ev.worse[k])
				better += mixed(ev.better[k])
			}
		}
		w := bws.StepPrior * math.Exp(min(gamma*worse, 600)) // beyond it nothing is left to decide
		total += w + bws.StepPrior*math.Exp(min(gamma*better, 600))
		sum += w
		if at < 0 || w > top {
			at, top = c, w
		}
		own = w
	}
	out := scanned{p: sum / total, own: own / total, onset: runs[at]}
	for _, ev := range series {
		k := ev.index(out.onset)
		out.moved = append(out.moved, k >= 0 && ev.worse[k] > 0)
	}
	return out
}

// mixed is the log of (1-half) + half times the Bayes factor.
func mixed(factor float64) float64 {
	if factor > 0 {
		return factor + math.Log(half+(1-half)*math.Exp(-factor))
	}
	return math.Log(half*math.Exp(factor) + 1 - half)
}

func (ev evidence) index(run Run) int {
	key := runKey(run)
	return slices.IndexFunc(ev.window, func(r Run) bool { return runKey(r) == key })
}

// caseWindow is the runs that any of the series has in its window, oldest first.
func caseWindow(series []evidence) []Run {
	var runs []Run
	back := map[string]int{} // how far before the judged run, in the series that has most of them
	for _, ev := range series {
		for k, r := range ev.window {
			key := runKey(r)
			if _, seen := back[key]; !seen {
				runs = append(runs, r)
			}
			back[key] = max(back[key], len(ev.window)-1-k)
		}
	}
	// Not by time: an old commit that was measured late stands where it belongs.
	slices.SortStableFunc(runs, func(a, b Run) int {
		return cmp.Or(back[runKey(b)]-back[runKey(a)], a.Time.Compare(b.Time))
	})
	return runs[max(0, len(runs)-bws.WindowRuns):]
}

// meanCorrelation is the mean correlation of the series' residuals, each pair
// drawn towards one half while there are few common runs; not below 0.
func meanCorrelation(series []evidence) float64 {
	sum, pairs := 0.0, 0.0
	for i := range series {
		for k := range i {
			n, r := correlation(series[i].residuals, series[k].residuals)
			sum += (n*r + 5) / (n + 10)
			pairs++
		}
	}
	if pairs == 0 {
		return 0
	}
	return max(0, sum/pairs)
}

// correlation of the residuals of the runs that both have, and how many these are.
func correlation(a, b []residual) (n, r float64) {
	of := make(map[string]float64, len(b))
	for _, x := range b {
		of[x.run] = x.value
	}
	var aa, bb, ab float64 // around 0: the levels are medians
	for _, x := range a {
		if y, ok := of[x.run]; ok {
			n++
			aa, bb, ab = aa+x.value*x.value, bb+y*y, ab+x.value*y
		}
	}
	if aa == 0 || bb == 0 {
		return n, 0
	}
	return n, ab / math.Sqrt(aa*bb)
}
