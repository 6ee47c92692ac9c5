package verdict

import (
	"math"
	"slices"

	"github.com/ci-disagg/ci-disagg/internal/report/verdict/bws"
)

// backRuns is how many runs in a row must be back at the old level before an
// open regression is over; one may be luck.
const backRuns = 3

// openRegression is a regression that nobody accepted and that has not gone.
type openRegression struct {
	since int     // run that raised it
	level float64 // before it, in signed logs
	back  int     // runs in a row that are back
}

// isBack reports whether a run is back at the old level.
func (o openRegression) isBack(y, dmin float64) bool { return y-o.level <= 0.7*dmin }

// history is what past verdicts and marks say about the present: pure, and
// folded anew for every judgement.
type history struct {
	open   *openRegression
	onset  int   // first run of the open regression's level
	bounds []int // runs at which an accepted level begins
	alarms bool  // a regression among the last 12 runs
	// accepted is the level of the newest accepted run, in signed logs: later runs that
	// were red only until then are at most that bad. nil = none was accepted.
	accepted *float64
}

// folder walks over the past runs, with their stored verdicts and marks. Runs of a
// regression that is gone leave past and data: they are no level, no noise and no
// bad luck of the series, and as bad luck they would explain the same regression
// away when it lands again.
type folder struct {
	sc         *bws.Scanner
	past       []Run
	d          *bws.Data
	sign, dmin float64
	// advisory series accept every level by themselves: nobody answers for them.
	advisory bool
	modes    *bws.Modes // that the data was brought out of; nil = it has one level
	history
}

// advisoryRuns is how many runs a regression of an advisory series stays open.
const advisoryRuns = 7

// fold walks over all past runs.
func (f *folder) fold() {
	f.alarms = recentAlarm(f.past)
	for j := 0; j < len(f.past); j++ {
		r := f.past[j]
		if f.advisory && f.open != nil && j-f.open.since >= advisoryRuns {
			f.accept(j - 1)
		}
		switch {
		case r.Accepted:
			f.accept(j)
			continue
		case f.open != nil && !f.open.isBack(f.d.Y[j], f.dmin):
			f.open.back = 0
			continue
		case f.open != nil && f.open.back+1 < backRuns:
			f.open.back++
			continue
		case f.open != nil:
			j -= f.close(j)
		}
		if r.Verdict == Regression {
			f.open = f.stillRed(j, r)
		}
	}
	if f.advisory && f.open != nil && len(f.past)-f.open.since >= advisoryRuns {
		f.accept(len(f.past) - 1)
	}
	if f.open != nil {
		f.onset = f.onsetOf(f.open.since)
	}
}

// accept takes the level that run j shows for the one from now on.
func (f *folder) accept(j int) {
	if at := f.beginOfAccepted(j); at > 0 {
		f.bounds = append(f.bounds, at)
	}
	f.open = nil
	level := f.d.Y[j]
	f.accepted = &level
}

// stillRed is the regression that run j was red for, as it looks since: one that had been
// open before was accepted with an earlier run, and what is left of it is worse than that.
func (f *folder) stillRed(j int, r Run) *openRegression {
	if !r.Open || f.accepted == nil {
		return f.reopen(j, r.Level)
	}
	o := openRegression{since: j, level: *f.accepted}
	if o.isBack(f.d.Y[j], f.dmin) {
		return nil
	}
	return &o
}

// close ends the open regression with run j, the last of those that are back. It
// takes its runs out and returns how many these were.
func (f *folder) close(j int) int {
	from, to := f.onsetOf(f.open.since), j+1-backRuns
	f.open = nil
	if from >= to {
		return 0
	}
	f.past = slices.Delete(slices.Clone(f.past), from, to)
	f.d.Remove(from, to)
	return to - from
}

// reopen is the regression that run j raised; its old level is the stored one.
// A verdict without a level came from another rule or another tool: it opens
// nothing unless the scan sees the regression too.
func (f *folder) reopen(j int, stored float64) *openRegression {
	if badValue(stored) == "" {
		level := f.sign * math.Log(stored)
		if f.modes != nil { // what was a step once has turned out to be the other level
			level = f.modes.Onto(level)
		}
		return &openRegression{since: j, level: level}
	}
	if j < MinHistory {
		return nil
	}
	f.d.Bounds = f.bounds
	r := f.sc.Scan(f.d, j, f.dmin)
	if r.Worse.P >= probability(Sensitive) {
		return &openRegression{since: j, level: r.Mu}
	}
	if l := f.sc.Late(f.d, j, f.dmin, r.Noise); l.Found {
		return &openRegression{since: j, level: l.Mu}
	}
	return nil
}

// onsetOf is the run at which the change that run j raised began: as judged then,
// else as it looks now.
func (f *folder) onsetOf(j int) int {
	if id := f.past[j].Onset; id != "" {
		if at := slices.IndexFunc(f.past[:j], func(r Run) bool { return r.ID == id }); at >= 0 {
			return at
		}
	}
	if j < MinHistory {
		return j
	}
	f.d.Bounds = f.bounds
	r := f.sc.Scan(f.d, j, f.dmin)
	if r.Worse.P >= 0.5 {
		return r.Worse.Onset
	}
	if l := f.sc.Late(f.d, j, f.dmin, r.Noise); l.Found {
		return l.Onset
	}
	return j
}

// beginOfAccepted is the run at which the level that was accepted at run j
// begins: j, or an earlier run of the regression that was open, as long as the
// runs between are nearer to the new level than to the old one.
func (f *folder) beginOfAccepted(j int) int {
	if f.open == nil {
		return j
	}
	first := f.onsetOf(f.open.since)
	if n := len(f.bounds); n > 0 {
		first = max(first, f.bounds[n-1]+1)
	}
	half := (f.d.Y[j] + f.open.level) / 2
	for j > first && f.d.Y[j-1] > half {
		j--
	}
	return j
}
