package verdict

import (
	"fmt"
	"math"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// The probabilities between which a further repetition helps, and
// from which an undecided run is not a pass.
const (
	openQuestion = 0.3
	settled      = 0.97
)

// strictBelow is the number of past runs below which a series is judged strictly.
const strictBelow = 16

// judgeBWS is the Bayesian window scan with the state around it.
func (j *judgement) judgeBWS() {
	n := len(j.past)
	if n < j.minHistory {
		j.judgeShort()
		return
	}
	sc := &bws.Scanner{}
	d, shift := load(j.past, j.series.New, j.sign)
	d, modes := steady(d, n, j.dmin)
	if modes != nil {
		j.unsteady(*modes)
	}
	f := folder{sc: sc, past: j.past, d: d, sign: j.sign, dmin: j.dmin, advisory: j.Advisory, modes: modes}
	if j.forgetOpen {
		f.alarms = recentAlarm(j.past)
	} else {
		f.fold()
		if !j.pr {
			j.closeOpen(&f)
		}
	}
	h := f.history
	j.past, n = f.past, len(f.past)
	d.Bounds = h.bounds
	if j.pr && h.open != nil && h.onset > 0 {
		// The level at the merge base is the new one: a pull request answers
		// for its own step only.
		d.Bounds = append(d.Bounds, h.onset)
	}
	if n < strictBelow {
		j.threshold = max(j.threshold, probability(Strict))
	}
	j.Strict = j.threshold >= probability(Strict)

	r := sc.Scan(d, n, j.dmin)
	j.describe(d, r)
	j.scanned = &scannedSeries{d: d, r: r, shift: shift}
	switch {
	case j.series.New.Accepted:
		j.against(j.level(r.Mu))
		j.Verdict = Pass
		j.say("someone accepted the level that begins with this run: %s", j.comparison(r))
	case j.pr:
		j.judgePR(sc, d, r, h)
	default:
		j.judgeNightly(sc, d, r, h)
	}
}

// closeOpen ends an open regression if this run is the last of those that are back.
func (j *judgement) closeOpen(f *folder) {
	if f.open == nil || !f.open.isBack(f.d.Y[len(f.past)], f.dmin) || f.open.back+1 < backRuns {
		return
	}
	j.over = fmt.Sprintf("the regression open since %s is over: %d runs in a row are back at %s",
		runName(f.past[f.open.since]), backRuns, j.amount(j.level(f.open.level)))
	f.close(len(f.past))
}

// judgeShort is what can be said with too little history: a pinned value
// decides if there is one, else nothing does.
func (j *judgement) judgeShort() {
	if j.series.Pinned != nil {
		j.Rule = string(RuleFixed)
		j.judgeFixed()
		j.say("the rule bws takes over after %d runs, there are %d", j.minHistory, len(j.past))
		return
	}
	j.Verdict, j.Needed = Collecting, j.minHistory
	if len(j.past) == 0 {
		j.say("first run of this series: %d past runs are needed for a verdict", j.minHistory)
		return
	}
	base := medianOf(j.past)
	j.against(base)
	j.say("%d of %d past runs needed for a verdict; for information only: %s their median %s",
		len(j.past), j.minHistory, percentWorse(*orZero(j.Worse)), j.amount(base))
}

// judgeNightly judges a run of the main branch.
func (j *judgement) judgeNightly(sc *bws.Scanner, d *bws.Data, r bws.Result, h history) {
	i := len(j.past)
	if h.open != nil {
		j.stillOpen(sc, d, r, h, h.open.isBack(d.Y[i], j.dmin))
		return
	}
	if j.over != "" {
		j.say("%s", j.over)
	}
	j.against(j.level(r.Mu))
	q := question{base: r.Mu, p: r.Worse.P, better: r.Better.P}
	j.scanned.q = q
	j.scanned.evidence = collect(sc, d, r, j.past, j.series.New)
	j.decide(d, r, q)
	if j.Verdict == Regression || h.alarms {
		return
	}
	late := sc.Late(d, i, j.dmin, r.Noise)
	creep := sc.Creep(d, i, j.dmin, r.Noise, late.Found)
	switch {
	case creep.Found: // it knows better where it began
		j.scanned.z = max(late.Z, creep.Z)
		j.judgeCreep(r, creep)
	case late.Found:
		j.scanned.z = late.Z
		j.judgeLate(r, late)
	}
}

// judgeLate is the verdict of the late channel.
func (j *judgement) judgeLate(r bws.Result, l bws.LateStep) {
	j.slow(r, l)
	onset, mu := l.Onset, l.Mu
	j.say("slow regression: the last %d runs together are %s worse than the runs before them (%s), too small to show in a single run and more than 3.3 times its uncertainty",
		len(j.past)-onset+1, percent(*orZero(j.Effect)), j.amount(j.level(mu)))
}

// slow makes a regression of what no single run shows.
func (j *judgement) slow(r bws.Result, l bws.LateStep) {
	j.Verdict, j.Alarm, j.Slow, j.Suspicious = Regression, true, true, false
	j.Reason = ""
	j.Onset = j.run(l.Onset)
	j.against(j.level(l.Mu))
	j.Effect = number(j.relative(l.Size))
	half := 1.645 * r.Sigma * math.Sqrt(1/float64(len(j.past)-l.Onset+1)+1/float64(max(1, min(bws.LevelRuns, l.Onset))))
	j.Interval = interval(j.relative(l.Size-half), j.relative(l.Size+half))
}

// judgeCreep is the verdict on runs that get worse bit by bit.
func (j *judgement) judgeCreep(r bws.Result, l bws.LateStep) {
	j.slow(r, l)
	j.say("%s", creeps(j, l))
}

// creeps says since when, by how much and how fast the runs get worse bit by bit.
func creeps(j *judgement, l bws.LateStep) string {
	weekly, size := "", j.relative(l.Size)
	if weeks := j.series.New.Time.Sub(j.at(l.Onset).Time).Hours() / (24 * 7); weeks >= 1 {
		weekly = ", " + percent(size/weeks) + " a week"
	}
	return fmt.Sprintf("creep: since %s the runs get worse bit by bit, from %s by %s so far%s; no single step explains it",
		j.run(l.Onset), j.amount(j.level(l.Mu)), percent(size), weekly)
}

// stillOpen is a run while a regression is open: red, whatever a moving level
// would say, against the level from before the regression.
func (j *judgement) stillOpen(sc *bws.Scanner, d *bws.Data, r bws.Result, h history, back bool) {
	j.Verdict, j.Open = Regression, true
	j.Since, j.Onset = j.run(h.open.since), j.run(h.onset)
	old := j.level(h.open.level)
	j.against(old)
	j.measured(r, h.open.level)
	state := fmt.Sprintf("this run is %s it", percentWorse(*orZero(j.Worse)))
	if back {
		state = fmt.Sprintf("this run is back (%d of %d in a row)", h.open.back+1, backRuns)
	}
	j.say("regression open since %s: the level before it was %s; %s. It stays open until %d runs in a row are at most %s worse than that level, or until someone accepts the new level",
		j.Since, j.amount(old), state, backRuns, percent(j.relative(0.7*j.dmin)))
	creep := sc.Creep(d, len(j.past), j.dmin, r.Noise, true)
	if creep.Found {
		j.say("%s", creeps(j, creep))
	}
	if h.onset == 0 || back {
		return
	}
	// Is there a further step, seen from the new level?
	d.Bounds = append(d.Bounds, h.onset)
	r = sc.Scan(d, len(j.past), j.dmin)
	if creep.Found && bws.Median(d.Y[r.Worse.Onset:], nil) < creep.Mu+creep.Size+0.7*j.dmin {
		return // it goes on, and is told already
	}
	ev := collect(sc, d, r, j.past, j.series.New)
	ev.from(h.open.since + 1 - r.Window)
	j.scanned.r, j.scanned.evidence = r, ev
	j.scanned.q = question{base: r.Mu, p: r.Worse.P}
	if r.Worse.P >= j.threshold && r.Worse.Onset > h.open.since {
		j.further(r, r.Worse.Onset)
	}
}

// further tells of a step behind the regression that is open.
func (j *judgement) further(r bws.Result, onset int) {
	j.Alarm, j.Onset = true, j.run(onset)
	e := r.Size(j.scanned.d, len(j.past), onset, j.dmin, 1)
	before := j.Reason
	j.Reason = ""
	j.say("since %s there is a further step of %s (probability %s)", j.Onset, percent(j.relative(e.Mean)), chance(r.Worse.P))
	j.say("%s", before)
}

// judgePR judges a run on top of the main branch: it answers for its own step,
// not for one of main.
func (j *judgement) judgePR(sc *bws.Scanner, d *bws.Data, r bws.Result, h history) {
	n := len(j.past)
	main := new(bws.Scanner).Scan(d, n-1, j.dmin) // sc still holds what r is made of
	// The level at the merge base is that of main's newest runs, those of the
	// window too; where main itself seems to have stepped among them, it is the
	// level behind that step.
	from := max(r.Start, d.Bound(n-1), n-bws.LevelRuns)
	base := bws.Huber(d.Y[from:n], r.Sigma, nil)
	mainStep := r.Worse.Before.P >= 0.5
	switch {
	case mainStep:
		base = r.Mu + r.Worse.Before.Effect
	case r.Better.Before.P >= 0.5:
		base = r.Mu - r.Better.Before.Effect
	default:
		r.Runs = n - from
	}
	j.against(j.level(base))
	q := question{base: base, p: ownStep(r.Worse, main.Worse), better: ownStep(r.Better, main.Better)}
	j.P, j.PBetter = number(q.p), number(q.better)
	j.scanned.q, j.scanned.r = q, r
	j.scanned.evidence = collect(sc, d, r, j.past, j.series.New)
	j.scanned.evidence.question = main.Worse.P >= openQuestion || r.Worse.Before.P >= 0.5
	j.decide(d, r, q)
	switch {
	case h.open != nil:
		j.Since, j.Onset = j.run(h.open.since), j.run(h.onset)
		j.ofMain = fmt.Sprintf("main has a regression open since %s (level before it %s): this change is compared with the level after it and not blamed for it",
			j.Since, j.amount(j.level(h.open.level)))
	case mainStep:
		j.ofMain = fmt.Sprintf("main itself probably has a step since %s, before this change", j.run(r.Worse.Before.Onset))
	}
}

// ownStep is the probability that the newest run, a pull request, brings a step
// of its own. all was seen with it, main without it. A step that bad luck in
// main's last runs might have begun is the pull request's all the same, as long as
// main's runs alone raise no question and do not explain it more likely than not;
// else only what begins with the very run counts.
func ownStep(all, main bws.Side) float64 {
	if main.P < openQuestion && all.Before.P < 0.5 {
		return all.P
	}
	return all.Own
}

// question is what one verdict is about.
type question struct {
	base      float64 // level to compare with, signed log
	p, better float64 // evidence for a step in either direction
}

// decide gives the word.
func (j *judgement) decide(d *bws.Data, r bws.Result, q question) {
	extra := len(d.Values(len(j.past))) - 1
	if j.Unsteady != nil && j.Worse != nil && *j.Worse <= 0 { // within the range of its levels nothing is a step
		q.p = 0
	}
	due := due(d, r, len(j.past), j.dmin, q)
	if extra > 0 {
		due = extra < MaxReruns && q.p > openQuestion && q.p < settled
	}
	j.Suspicious = due && j.reruns > 0 && !j.Advisory
	switch {
	case q.p >= j.threshold:
		j.raise(d, r, q, r.Worse.Onset)
	case (due || j.tried > 0) && q.p >= openQuestion:
		j.Verdict = Inconclusive
		j.measured(r, q.base)
	case q.better >= j.threshold:
		j.Verdict = Improvement
		j.Onset = j.begin(r.Better.Onset)
		e := r.Size(d, len(j.past), j.beginAt(r.Better.Onset), j.dmin, -1)
		j.Interval = interval(j.relative(-e.Lo), j.relative(-e.Hi))
		if q.base-j.sign*math.Log(j.value) > bws.LargestStep(j.dmin) {
			j.measured(r, q.base)
		}
	default:
		j.Verdict = Pass
		j.measured(r, q.base)
	}
	j.explain(r, q, due)
}

// raise makes a regression of a step that begins with run onset, unless all that
// shows it ran on nodes that nobody knows.
func (j *judgement) raise(d *bws.Data, r bws.Result, q question, onset int) {
	at := j.beginAt(onset)
	if j.newNodes = newNodes(j.past, j.series.New, at); j.newNodes != "" {
		j.Verdict, j.Suspicious = Inconclusive, j.reruns > 0 && !j.Advisory
		j.measured(r, q.base)
		return
	}
	j.Verdict, j.Alarm, j.Onset = Regression, true, j.run(at)
	e := r.Size(d, len(j.past), at, j.dmin, 1)
	j.Effect = number(j.relative(e.Mean))
	j.Interval = interval(j.relative(e.Lo), j.relative(e.Hi))
	if x := j.sign*math.Log(j.value) - q.base; x > bws.LargestStep(j.dmin) { // it is what it is, and no step of those tried
		j.Effect = number(j.relative(x))
		j.measured(r, q.base)
	}
}

// due reports whether run i asks for a first repetition.
func due(d *bws.Data, r bws.Result, i int, dmin float64, q question) bool {
	x := d.Values(i)[0] - q.base
	if q.p >= min(0.5, openQuestion*max(1, r.Sigma/dmin)) && x > 0.35*dmin {
		return true
	}
	return x/(r.Sigma*math.Sqrt(1+1.3/float64(r.Runs))) > 2 && x > 0.7*dmin
}

// measured reports the measured difference to a level, with the noise of the
// run and of the level: 5..95 %.
func (j *judgement) measured(r bws.Result, base float64) {
	x := j.sign*math.Log(j.value) - base
	half := 1.645 * r.Sigma * math.Sqrt(1/float64(len(j.series.New.Values))+1.3/float64(r.Runs))
	j.Interval = interval(j.relative(x-half), j.relative(x+half))
}

// interval is an ordered pair, nil if it is not finite.
func interval(lo, hi float64) *[2]float64 {
	if number(lo) == nil || number(hi) == nil {
		return nil
	}
	return &[2]float64{min(lo, hi), max(lo, hi)}
}

// recentAlarm reports whether one of the last 12 runs was judged a regression.
func recentAlarm(past []Run) bool {
	for _, r := range past[max(0, len(past)-12):] {
		if r.Verdict == Regression {
			return true
		}
	}
	return false
}
