package verdict

import (
	"math"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/plain"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// The constants of TensorRT-LLM's rule.
const (
	upstreamDays    = 90
	upstreamRolling = 3
	upstreamRank    = 0.95 // of the good side
)

// judgeUpstream is the rule of TensorRT-LLM's perf sanity: the mean of each day,
// a trailing mean over 3 days, its 95th percentile on the good side over 90
// days; red if worse by more than 5 % after a merge, 10 % before it. Deviations,
// all of them repairs: days are UTC days, the direction is the metric's, and the
// judged value is not part of its own baseline.
func (j *judgement) judgeUpstream() {
	base, days := j.upstreamBaseline()
	source := ""
	if pin := j.series.Pinned; pin != nil && badValue(pin.Value) == "" {
		base, source = pin.Value, " pinned at "+pin.Source
	}
	if badValue(base) != "" {
		j.Verdict = NoBaseline
		j.say("no run of the last %d days to compare with", upstreamDays)
		return
	}
	tolerance := j.postMerge
	if j.pr {
		tolerance = j.preMerge
	}
	if pin := j.series.Pinned; pin != nil && badValue(pin.Tolerance) == "" {
		tolerance = pin.Tolerance
	}
	j.against(base)
	j.byThreshold(base, tolerance)
	j.say("%s is %s the baseline %s", j.amount(j.value), percentWorse(*orZero(j.Worse)), j.amount(base))
	if source != "" {
		j.Reason += source
	} else {
		j.Reason += " (95th percentile on the good side of " + plain.Count(days, "daily mean") + ")"
	}
	j.say("up to %s worse is allowed", percent(tolerance))
	if j.pr && j.Verdict == Regression {
		j.exempt(base, tolerance)
	}
}

// exempt lets a pull request pass while main itself breaches its limit: the
// newest main value would fail too, so this one proves nothing.
func (j *judgement) exempt(base, tolerance float64) {
	if len(j.past) == 0 {
		return
	}
	newest := bws.Median(j.past[len(j.past)-1].Values, nil)
	if j.sign*(newest-base*(1+j.sign*tolerance)) > 0 {
		j.Verdict, j.Alarm = Pass, false
		j.say("exempt: the newest run of main (%s) itself breaches the limit", j.amount(newest))
	}
}

// upstreamBaseline is the baseline and the number of days it stands on. Runs
// without a time and runs judged a regression do not count, as upstream's query
// has it.
func (s *subject) upstreamBaseline() (base float64, count int) {
	now := s.series.New.Time
	if now.IsZero() && len(s.past) > 0 {
		now = s.past[len(s.past)-1].Time
	}
	const day = 24 * 60 * 60
	oldest := floorDiv(now.Add(-upstreamDays*24*time.Hour).Unix(), day)
	type mean struct {
		day    int64
		sum, n float64
	}
	var means []mean
	for _, r := range s.past {
		at := floorDiv(r.Time.Unix(), day)
		if r.Time.IsZero() || r.Verdict == Regression || at < oldest || r.Time.After(now) {
			continue
		}
		k, found := slices.BinarySearchFunc(means, at, func(m mean, d int64) int { return int(m.day - d) })
		if !found {
			means = slices.Insert(means, k, mean{day: at})
		}
		for _, v := range r.Values {
			means[k].sum += v
			means[k].n++
		}
	}
	if len(means) == 0 {
		return 0, 0
	}
	rolled := make([]float64, len(means))
	for k := range means {
		from := max(0, k+1-upstreamRolling)
		for _, m := range means[from : k+1] {
			rolled[k] += m.sum / m.n / float64(k+1-from)
		}
	}
	slices.Sort(rolled)
	rank := upstreamRank
	if s.sign > 0 {
		rank = 1 - upstreamRank
	}
	return percentile(rolled, rank), len(means)
}

// percentile interpolates linearly at rank*(n-1), as numpy does.
func percentile(sorted []float64, rank float64) float64 {
	at := rank * float64(len(sorted)-1)
	k := int(math.Floor(at))
	if k+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[k] + (at-float64(k))*(sorted[k+1]-sorted[k])
}

// floorDiv rounds towards minus infinity: times before 1970 have days too.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
