package ab

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/report/metric"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
	"github.com/ci-disagg/ci-disagg/internal/report/verdict/paired"
)

// The builds.
const (
	A = "A" // the base
	B = "B" // the candidate
)

// Run is one measured run of one build.
type Run struct {
	Name     string          `json:"name"` // where it was read
	At       *time.Time      `json:"time,omitempty"`
	Values   map[Key]float64 `json:"-"`                  // in the metric's unit
	Problems []string        `json:"problems,omitempty"` // why it is no measurement
	Failed   bool            `json:"failed,omitempty"`   // it did not end well; else it did, and is no measurement
	Infra    bool            `json:"infra,omitempty"`    // the infrastructure failed it, not the build
	Log      string          `json:"log,omitempty"`      // of the role that failed it, in the run directory
}

// Key names a series within its case.
type Key struct{ Point, Metric string }

// String is point/metric, or the metric alone where there is no point.
func (k Key) String() string {
	if k.Point == "" {
		return k.Metric
	}
	return k.Point + "/" + k.Metric
}

// Pair is a run of each build. A pair that was measured again stands behind the one
// that gave no measurement.
type Pair struct {
	A     Run    `json:"a"`
	B     Run    `json:"b"`
	First string `json:"first,omitempty"` // the build that ran first, A or B; "" = not known
}

// Series is one gating series of the case.
type Series struct {
	Key
	Metric    metric.Metric
	MinEffect float64 // relative
	Noise     float64 // of its earlier sessions, see paired.Noise; 0 = not known
}

// Session is a paired session that has ended, decided.
type Session struct {
	Verdict  paired.Word `json:"verdict"`
	Headline string      `json:"headline"`        // one line: what was found, and how sure
	Reason   string      `json:"reason"`          // why it ended
	Limit    string      `json:"limit,omitempty"` // the time limit that cut it short
	Pairs    int         `json:"pairs"`           // that decided
	Measured []Pair      `json:"measured"`        // all, in order
	Used     []int       `json:"used"`            // which of these decided, by their places
	Base     *Build      `json:"base,omitempty"`
	Head     *Build      `json:"head,omitempty"`
	Apart    string      `json:"apart,omitempty"` // why the change is not all that differs between them
	Nodes    []string    `json:"nodes,omitempty"` // that both were measured on
	Series   []Found     `json:"series"`          // the blamed one first, then as they were given
	Power    *Power      `json:"power,omitempty"`
	Warnings []string    `json:"warnings,omitempty"`
}

// Build is one of the two builds, as far as it is known.
type Build struct {
	Name   string `json:"name"`
	Commit string `json:"commit,omitempty"`
	Source string `json:"source,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"` // changes that no commit holds were measured with it
	Image  string `json:"image,omitempty"` // of its container
	From   string `json:"from,omitempty"`  // who named it, "" = a config or flags
	// Env are the variables, NAME=value, that the other build has not, or otherwise.
	Env []string `json:"env,omitempty"`
}

// Found is what a session says about one series. Effect, interval and differences
// are relative, above zero where B is worse.
type Found struct {
	Point       string            `json:"point,omitempty"`
	Metric      string            `json:"metric"`
	Unit        string            `json:"unit"`
	Better      string            `json:"better"`     // higher, lower
	MinEffect   float64           `json:"min_effect"` // the smallest change that matters
	A           float64           `json:"a"`          // median over the pairs that decided
	B           float64           `json:"b"`
	Effect      float64           `json:"effect"`
	Interval    [2]float64        `json:"interval"`    // 5..95 %
	Values      [][2]float64      `json:"values"`      // of A and B, per pair that decided
	Differences []float64         `json:"differences"` // likewise
	Evidence    []paired.Evidence `json:"evidence"`    // after each of these pairs
	Blamed      bool              `json:"blamed,omitempty"`
}

// Power is what a session like this one would have noticed. The spread of a few pairs is often far below the true one:
// what is taken for the noise is the larger of it and of what the test itself began with.
type Power struct {
	Step    float64 `json:"step"`    // a worsening of this relative size, the smallest effect of any gating metric
	Metrics int     `json:"metrics"` // gating metrics with that smallest effect
	Found   float64 `json:"found"`   // share of such sessions that call it a regression if it is in all of these at once
	Alone   float64 `json:"alone"`   // likewise, if it is in one of them alone
	Noise   float64 `json:"noise"`   // of a run, relative standard deviation, that is taken
	Seen    float64 `json:"seen"`    // that of this session
}

// Next is what a session does after the pairs measured so far.
func Next(pairs []Pair, series []Series, cases int) paired.Step {
	return paired.Next(plain(pairs), policy(series, cases))
}

func policy(series []Series, cases int) paired.Policy {
	out := paired.Policy{Cases: cases}
	for _, s := range series {
		out.Series = append(out.Series, paired.Series{Key: s.String(), Sign: s.Metric.Sign(), MinEffect: s.MinEffect, Noise: s.Noise})
	}
	return out
}

func plain(pairs []Pair) []paired.Pair {
	var out []paired.Pair
	for _, p := range pairs {
		out = append(out, paired.Pair{A: p.A.plain(), B: p.B.plain()})
	}
	return out
}

// Judge decides the session of one case. cases is how many cases of the run have a
// session, most how many pairs there would have been without a decision before.
func Judge(pairs []Pair, series []Series, cases, most int) Session {
	p := policy(series, cases)
	end := paired.Conclude(plain(pairs), p)
	out := Session{Verdict: end.Word, Reason: end.Reason, Pairs: end.Pairs, Measured: explained(pairs, p)}
	out.Used = usable(out.Measured, end.Pairs)
	if end.Word != paired.Failed && end.Word != paired.Invalid {
		out.Warnings = append(orderWarnings(pairs, out.Used), sameWarnings(pairs, out.Used)...)
	}
	out.Warnings = append(out.Warnings, out.lostWarnings()...)
	if end.Word == paired.Inconclusive && len(pairs) > 0 && len(out.Used) == 0 { // nothing was cut short
		out.Reason = "no pair gave a measurement"
	}
	for q, e := range end.Series {
		f := found(series[q], e, pairs, out.Used)
		f.Blamed = e.Key == end.Blamed
		out.Series = append(out.Series, f)
	}
	slices.SortStableFunc(out.Series, func(x, y Found) int {
		switch {
		case x.Blamed == y.Blamed:
			return 0
		case x.Blamed:
			return -1
		default:
			return 1
		}
	})
	if end.Word == paired.Pass || end.Word == paired.Inconclusive {
		if end.Word == paired.Inconclusive { // there were no more, for whatever reason
			most = len(pairs)
		}
		out.Power = power(series, end, cases, max(most, end.Pairs))
	}
	out.Headline = out.headline() + out.flaky()
	return out
}

func (r Run) plain() paired.Run {
	out := paired.Run{Failed: r.Failed, Infra: r.Infra, Values: map[string]float64{}}
	if len(r.Problems) > 0 {
		return out
	}
	for k, v := range r.Values {
		out.Values[k.String()] = v
	}
	return out
}

// usable are the places of the first pairs in which every series was measured by both
// builds.
func usable(pairs []Pair, most int) []int {
	out := []int{}
	for i, p := range pairs {
		if len(out) < most && len(p.A.Problems)+len(p.B.Problems) == 0 {
			out = append(out, i)
		}
	}
	return out
}

func found(s Series, e paired.Effect, pairs []Pair, used []int) Found {
	f := Found{
		Point: s.Point, Metric: s.Key.Metric, Unit: s.Metric.Unit, Better: s.Metric.Better.String(), MinEffect: s.MinEffect,
		Effect: e.Effect, Interval: e.Interval, Evidence: e.Evidence,
	}
	var a, b []float64
	for _, i := range used {
		x, y := pairs[i].A.Values[s.Key], pairs[i].B.Values[s.Key]
		a, b = append(a, x), append(b, y)
		f.Values = append(f.Values, [2]float64{x, y})
		f.Differences = append(f.Differences, s.Metric.Worsening(x, y))
	}
	f.A, f.B = median(a), median(b)
	return f
}

// power draws sessions in which the metrics that promise the most have become worse by their smallest effect, all at
// once and one alone.
func power(series []Series, end paired.Result, cases, most int) *Power {
	if len(end.Series) == 0 {
		return nil
	}
	var noise, seen, prior []float64
	shape := paired.Shape{Series: len(series), Cases: cases, MinEffect: math.Inf(1)}
	for q, e := range end.Series {
		noise, seen, prior = append(noise, max(e.Prior, e.Noise)), append(seen, e.Noise), append(prior, e.Prior)
		shape.MinEffect = min(shape.MinEffect, series[q].MinEffect)
	}
	for _, s := range series {
		if s.MinEffect == shape.MinEffect {
			shape.Moved++
		}
	}
	shape.Within, shape.Prior = median(noise)/math.Sqrt2, median(prior) // a difference has the noise of two runs
	most = min(most, paired.MaxPairs)
	out := Power{Step: shape.MinEffect, Metrics: shape.Moved, Found: shape.Found(most), Noise: shape.Within, Seen: median(seen) / math.Sqrt2}
	out.Alone = out.Found
	if shape.Moved > 1 {
		shape.Moved = 1
		out.Alone = shape.Found(most)
	}
	return &out
}

// orderWarnings say what of the order of the pairs that were used the test cannot see through.
func orderWarnings(pairs []Pair, used []int) []string {
	first := map[string]int{}
	for _, i := range used {
		first[pairs[i].First]++
	}
	switch {
	case len(used) < paired.MinPairs:
		return []string{fmt.Sprintf("%d of the %d pairs that a decision needs at least were measured", len(used), paired.MinPairs)}
	case first[A] == len(used), first[B] == len(used):
		return []string{fmt.Sprintf("%s was measured first in every pair: a machine that drifts looks like a change. Measure A B, B A, A B, …", pairs[used[0]].First)}
	default:
		return nil
	}
}

// sameWarnings say of pairs that were used that nothing differs in them. Few numbers may do so by themselves.
func sameWarnings(pairs []Pair, used []int) []string {
	for _, i := range used {
		if first := pairs[used[0]].A.Values; !maps.Equal(first, pairs[i].A.Values) || !maps.Equal(first, pairs[i].B.Values) {
			return nil
		}
	}
	if len(used) < paired.MinPairs {
		return nil
	}
	return []string{"all runs have the same numbers to the last digit: either nothing of what is measured varies, or one output was read each time"}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return bws.Median(v, nil)
}
