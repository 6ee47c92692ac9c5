package verdict

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// describe fills in what a row says beside its verdict: probabilities, noise,
// levels for the chart, and the distance to the best level.
func (j *judgement) describe(d *bws.Data, r bws.Result) {
	j.P, j.PBetter = number(r.Worse.P), number(r.Better.P)
	j.Noise = number(math.Expm1(r.Sigma))
	for k, from := range r.Starts {
		to := r.Window
		if k+1 < len(r.Starts) {
			to = r.Starts[k+1]
		}
		j.addLevel(d, from, to)
	}
	// What the window shows: its runs belong to the last level unless a step
	// has begun among them.
	if at := r.Worse.Onset; r.Worse.P >= j.threshold {
		j.addLevel(d, at, len(d.Y))
	} else if at := r.Better.Onset; r.Better.P >= j.threshold {
		j.addLevel(d, at, len(d.Y))
	}
	j.belowBest(d, r)
}

func (j *judgement) addLevel(d *bws.Data, from, to int) {
	first := j.at(from)
	j.Levels = append(j.Levels, Level{
		Run: j.run(from), Time: first.Time, Runs: to - from, Value: j.level(bws.Median(d.Y[from:to], nil)),
	})
}

// belowBest compares the present level with the best one of the last 90 days.
func (j *judgement) belowBest(d *bws.Data, r bws.Result) {
	best := r.Mu
	since := j.series.New.Time.Add(-90 * 24 * time.Hour)
	for k, from := range r.Starts {
		to := r.Window
		if k+1 < len(r.Starts) {
			to = r.Starts[k+1]
		}
		if to-from >= bws.SegmentMin && !j.at(to-1).Time.Before(since) {
			best = min(best, bws.Median(d.Y[from:to], nil))
		}
	}
	j.BelowBest = number(j.relative(r.Mu - best))
}

// explain puts the verdict of the scan into words.
func (j *judgement) explain(r bws.Result, q question, due bool) {
	switch j.Verdict {
	case Regression:
		j.say("%s; a real step has probability %s (%s needed), size %s, %s",
			j.comparison(r), chance(q.p), chance(j.threshold), span(j.Interval), j.began(r.Worse.Onset))
	case Improvement:
		j.say("%s; a real improvement has probability %s (%s needed), %s",
			j.comparison(r), chance(q.better), chance(j.threshold), j.began(r.Better.Onset))
	case Inconclusive:
		if j.newNodes != "" {
			j.say("%s; it is worse since it runs on %s, which has fewer than %d earlier runs: nodes and a change cannot be told apart, a repetition on other nodes would",
				j.comparison(r), j.newNodes, bws.NodeRuns)
			return
		}
		j.say("%s; a step has probability %s: too much to pass, less than the %s needed for a regression. %s",
			j.comparison(r), chance(q.p), chance(j.threshold), j.whyUndecided())
	default:
		j.say("%s; a step has probability %s", j.comparison(r), chance(q.p))
		if due && !j.Suspicious && j.tried == 0 {
			j.say("the run stands out; a repetition would tell chance from a step, but none is to run%s", j.whyNone())
		}
	}
	if j.Suspicious && j.Verdict != Inconclusive {
		j.say("%s", j.willSettle())
	}
	if j.Strict && j.sensitive != Strict {
		alone := ""
		if len(j.series.New.Values) == 1 && j.reruns == 0 {
			alone = ", and without repetitions at most 3 in 100 steps are found on their first night" + j.whyNone()
		}
		j.say("judged strictly: the history has %d runs, fewer than %d%s", len(j.past), strictBelow, alone)
	}
}

// whyUndecided says what became of the repetitions.
func (j *judgement) whyUndecided() string {
	switch {
	case j.Suspicious:
		return j.willSettle()
	case j.tried >= MaxReruns:
		return plain.Count(j.tried, "further repetition") + " did not settle it"
	case j.tried > 0:
		return plain.Count(j.tried, "further repetition") + " did not settle it and no other one can run" + j.whyNone()
	default:
		return "A repetition would settle it, but none can run" + j.whyNone()
	}
}

// whyNone says what keeps repetitions from running, where that is known.
func (j *judgement) whyNone() string {
	if j.noReruns == "" {
		return ""
	}
	return ": " + j.noReruns
}

func (j *judgement) willSettle() string {
	return fmt.Sprintf("A repetition of the same commit will settle it (%d more allowed)", j.reruns)
}

// comparison is what was compared with what.
func (j *judgement) comparison(r bws.Result) string {
	of := ""
	if n := len(j.series.New.Values); n > 1 {
		of = fmt.Sprintf("the median of %d repetitions, ", n)
	}
	whose := ""
	if j.pr {
		whose = " on main"
	}
	level := "level"
	if j.Unsteady != nil {
		level = "worse level"
	}
	return fmt.Sprintf("%s%s is %s %s, the %s of %s%s (noise %s per run)",
		of, j.amount(j.value), percentWorse(*orZero(j.Worse)), j.amount(*orZero(j.Baseline)), level,
		plain.Count(r.Runs, "earlier run"), whose, percent(*orZero(j.Noise)))
}

// span is an interval for people.
func span(of *[2]float64) string {
	if of == nil {
		return "unknown"
	}
	lo, hi := percent(of[0]), percent(of[1])
	if lo == hi {
		return "about " + lo
	}
	return lo + " to " + hi
}

// nameNodes names the node effect when it is worth a word.
func (j *judgement) nameNodes(r bws.Result, shift float64) {
	if worst := slices.Max(append([]float64{0}, j.series.New.Slower...)); worst > 0.35*j.dmin {
		j.say("It ran on %s, which is %s slower than its peers over many runs; that is taken out", j.series.New.SlowOn, percent(math.Expm1(worst)))
	}
	if shift == 0 {
		return
	}
	j.NodeEffect = number(j.relative(shift))
	raw := j.sign*math.Log(j.series.New.Values[0]) - r.Mu
	node := j.series.New.node(0)
	switch {
	case raw > 0.7*j.dmin && raw-shift <= 0.7*j.dmin:
		j.say("The difference is that of its nodes: runs on %s are usually %s worse than on the others, and that is taken out", node, percent(*orZero(j.NodeEffect)))
	case math.Abs(shift) > 0.35*j.dmin:
		j.say("Runs on %s are usually %s the others; that is taken out", node, percentWorse(*orZero(j.NodeEffect)))
	}
}

// percentWorse is "3.1 % worse than", "0.4 % better than" or "the same as".
func percentWorse(worse float64) string {
	word := "worse"
	switch {
	case math.Abs(worse) < 0.0005:
		return "the same as"
	case worse < 0:
		word = "better"
	}
	return percent(math.Abs(worse)) + " " + word + " than"
}

// percent is a share for people.
func percent(v float64) string {
	switch a := math.Abs(v) * 100; {
	case a >= 1e6:
		return strconv.FormatFloat(v*100, 'g', 3, 64) + " %"
	case a >= 100:
		return strconv.FormatFloat(v*100, 'f', 0, 64) + " %"
	default:
		return strconv.FormatFloat(v*100, 'f', 1, 64) + " %"
	}
}

// chance is a probability for people: never 0 or 1, which nothing is.
func chance(p float64) string {
	switch {
	case p > 0.995:
		return "> 0.99"
	case p < 0.005:
		return "< 0.01"
	default:
		return strconv.FormatFloat(p, 'f', 2, 64)
	}
}

// orZero is v, or a zero if there is none.
func orZero(v *float64) *float64 {
	if v == nil {
		return new(float64)
	}
	return v
}
