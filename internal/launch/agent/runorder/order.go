package runorder

import (
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/script"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Order is where a job stands in its runs.
type Order struct {
	pairs    *rundir.PairPlan // nil: one run after the other
	todo     []rundir.RunRef
	spare    []rundir.RunRef // runs that pairs are measured again with
	ends     []rundir.RunEnd
	again    int          // pairs that are, or are to be, measured again
	own      int          // failures of head in a row that base did not share
	installs bool         // base has an install step: where it runs, that one passed
	answered map[int]bool // by index of the run after which the answer was given
	head     *rundir.RunEnd
	why      string // why there is no further run
	deadline time.Time
	began    time.Time     // of the pair under way
	longest  time.Duration // pair so far
}

// New is the order of a plan's runs in a job that began at a time and may last as long
// as its plan says.
func New(p rundir.Plan, began time.Time) *Order {
	o := &Order{pairs: p.Pairs, answered: map[int]bool{}}
	base, ok := p.Build(rundir.RunRef{Build: rundir.BaseBuild})
	o.installs = ok && script.NeedsInstall(base)
	for _, r := range p.Runs {
		if o.pairs != nil && r.Again > 0 {
			o.spare = append(o.spare, r)
			continue
		}
		o.todo = append(o.todo, r)
	}
	if limit := p.Budgets.Job.D(); o.pairs != nil && limit > 0 {
		o.deadline = began.Add(limit - min(time.Minute, limit/20)) // to end in order
	}
	return o
}

// Next is the run to be done now; false = the job is through.
func (o *Order) Next(now time.Time) (rundir.RunRef, bool) {
	if o.why == "" && len(o.todo) == 0 {
		o.why = "every run was made"
		if o.pairs != nil {
			o.why = fmt.Sprintf("all %d pairs were measured", o.pairs.MaxPairs)
		}
	}
	if o.why != "" {
		return rundir.RunRef{}, false
	}
	ref := o.todo[0]
	if o.pairs != nil && !o.Within() {
		if left := o.deadline.Sub(now); !o.deadline.IsZero() && left < o.longest {
			o.why = fmt.Sprintf("another pair takes %v, and the time limit leaves %v", o.longest.Round(time.Second), max(0, left).Round(time.Second))
			return rundir.RunRef{}, false
		}
		o.began = now
	}
	o.todo = o.todo[1:]
	return ref, true
}

// Within reports whether the next run belongs with the one before it: the other half of
// a pair, or of the warm-ups.
func (o *Order) Within() bool {
	if len(o.ends) == 0 || len(o.todo) == 0 {
		return false
	}
	last, next := o.ends[len(o.ends)-1].Run, o.todo[0]
	return last.Pair == next.Pair && last.Again == next.Again && last.Warmup == next.Warmup && last.Build != next.Build
}

// Last reports whether the run that was begun last is known to be the last one.
func (o *Order) Last() bool { return o.pairs == nil && len(o.todo) == 0 }

// Why is why there is no further run.
func (o *Order) Why() string { return o.why }

// Ended notes how a run ended.
func (o *Order) Ended(e rundir.RunEnd) {
	o.ends = append(o.ends, e)
	if o.pairs == nil || o.Within() {
		return
	}
	o.longest = max(o.longest, e.At.Sub(o.began))
	p, ok := o.lastPair()
	if !ok {
		return
	}
	badBase, badHead := p.Base.Outcome != rundir.OutcomePassed, p.Head.Outcome != rundir.OutcomePassed
	switch {
	case !badBase && !badHead:
		o.own = 0
		return
	case badHead && !badBase:
		o.own++
		o.head = &p.Head
	default:
		o.own = 0
	}
	if o.own >= o.pairs.OwnFailures {
		o.why = fmt.Sprintf("head failed %d times in a row and base did not", o.own)
		return
	}
	o.measureAgain(p)
}

// Asking is the run after which an answer is waited for now; false = none is.
func (o *Order) Asking() (after int, ok bool) {
	if o.pairs == nil || o.why != "" || o.Within() {
		return 0, false
	}
	p, ok := o.lastPair()
	return p.Last().Run.Index, ok && !o.answered[p.Last().Run.Index]
}

// Open are the runs after which no answer has been seen yet.
func (o *Order) Open() []int {
	var out []int
	for _, p := range rundir.PairsOf(o.ends) {
		if k := p.Last().Run.Index; !o.answered[k] && o.why == "" {
			out = append(out, k)
		}
	}
	return out
}

// Answered takes an answer, however late. A stop ends the job before its next run; a
// pair that is to be measured again comes next, or after the pair under way.
func (o *Order) Answered(a rundir.Answer) {
	if o.pairs == nil || o.answered[a.After] || o.why != "" {
		return
	}
	o.answered[a.After] = true
	switch a.Do {
	case rundir.DoStop:
		o.why = "decided: " + a.Why
	case rundir.DoAgain:
		for _, p := range rundir.PairsOf(o.ends) {
			if p.Last().Run.Index == a.After {
				o.measureAgain(p)
			}
		}
	}
}

// HeadFailed is the run of head that stands for the job where head failed by itself,
// nil where it did not.
func (o *Order) HeadFailed() *rundir.RunEnd {
	if o.pairs == nil || o.own < o.pairs.OwnFailures {
		return nil
	}
	return o.head
}

// Own makes the install step that failed in head alone head's fault in the job's end: by itself it is taken for the
// machine's, and there base's was made on the same nodes, each time.
func (o *Order) Own(end *rundir.AgentEnd) *rundir.AgentEnd {
	f := end.Finding
	if o.HeadFailed() == nil || !o.installs || end.Outcome != rundir.OutcomeInfra || f == nil || f.Kind != blame.KindInstall || f.Rule != f.Kind {
		return end
	}
	end.Outcome, f.Class, f.BadNodes = rundir.OutcomeTestFailed, string(blame.Test), nil
	f.Message += "; base's install step passed on the same nodes"
	return end
}

// NoPair reports whether no pair gave a measurement, as far as the runs' ends say.
func (o *Order) NoPair() bool {
	return !slices.ContainsFunc(rundir.PairsOf(o.ends), func(p rundir.PairEnd) bool {
		return p.Base.Outcome == rundir.OutcomePassed && p.Head.Outcome == rundir.OutcomePassed
	})
}

func (o *Order) lastPair() (rundir.PairEnd, bool) {
	pairs := rundir.PairsOf(o.ends)
	if len(pairs) == 0 || pairs[len(pairs)-1].Last().Run != o.ends[len(o.ends)-1].Run {
		return rundir.PairEnd{}, false
	}
	return pairs[len(pairs)-1], true
}

// measureAgain puts a pair before those that are still to come, in the order in which
// it was measured, or ends the job where that was done too often.
func (o *Order) measureAgain(p rundir.PairEnd) {
	for _, r := range append(o.refs(), o.todo...) {
		if r.Pair == p.Pair && r.Again > p.Again {
			return // it is, or was, already
		}
	}
	if o.again >= o.pairs.MaxAgain || len(o.spare) < 2 {
		o.why = fmt.Sprintf("%d pairs had to be measured again, and one more gave no measurement", o.again)
		return
	}
	o.again++
	runs := o.spare[:2]
	o.spare = o.spare[2:]
	both := make([]rundir.RunRef, 0, 2)
	for _, build := range []string{p.First, other(p.First)} {
		i := slices.IndexFunc(runs, func(r rundir.RunRef) bool { return r.Build == build })
		ref := runs[max(0, i)]
		ref.Pair, ref.Again = p.Pair, o.again
		both = append(both, ref)
	}
	at := 0
	if o.Within() {
		at = 1 // the pair under way is finished first
	}
	o.todo = slices.Insert(o.todo, at, both...)
}

func (o *Order) refs() []rundir.RunRef {
	out := make([]rundir.RunRef, 0, len(o.ends))
	for _, e := range o.ends {
		out = append(out, e.Run)
	}
	return out
}

func other(build string) string {
	if build == rundir.HeadBuild {
		return rundir.BaseBuild
	}
	return rundir.HeadBuild
}
