package rundir

import (
	"fmt"
	"time"
)

// BaseBuild is the name of the older of two builds: what HeadBuild is compared with.
const BaseBuild = "base"

// PairPlan is how two builds are measured in pairs, in one job and on the same nodes:
// a warm-up of each, which is thrown away, then base head | head base | base head …
// The bounds are those of the test that decides (verdict/paired); nothing here does.
type PairPlan struct {
	Cases       int      `json:"cases"` // of the run that have a session: they share its false alarms
	MinPairs    int      `json:"min_pairs"`
	MaxPairs    int      `json:"max_pairs"`
	MaxAgain    int      `json:"max_again"`    // pairs that may be measured again
	OwnFailures int      `json:"own_failures"` // in a row, not shared by base: head's own, and the end
	AnswerWait  Duration `json:"answer_wait"`  // for the driver's answer after a pair, before the agent goes on without
	// Time is the job's time limit of a session, OneRun that of a single run.
	Time   Duration `json:"time"`
	OneRun Duration `json:"one_run"`
	// Mode says when a session is made, one of the Pair constants.
	Mode string `json:"mode"`
	// OpenAt is how far a gating series may be worse than its level after a single run
	// without a session, as a part of its smallest effect; Opened is why one is made
	// whatever that run says: a path or a label of the change.
	OpenAt float64 `json:"open_at,omitempty"`
	Opened string  `json:"opened,omitempty"`
	// BaseFrom is who named the base, "" = a config or flags.
	BaseFrom string `json:"base_from,omitempty"`
	// BaseCheckout says that base is a checkout which the store recorded, at its commit and without changes when this was
	// planned. It is not ours: the next build may use it before, or while, this one is measured.
	BaseCheckout bool `json:"base_checkout,omitempty"`
	// Apart is why the difference between the builds is not the change alone: head does not come from base, "" = it does,
	// or nobody knows.
	Apart string `json:"apart,omitempty"`
	// Repeat is how often the client runs against the servers of a run; a run's value is the mean. 0 and 1: once.
	Repeat int `json:"repeat,omitempty"`
	// Noise is the scale of a pair's difference in earlier sessions, by series, in logs: the test's prior.
	// A series that is not there has the prior of one that nobody has measured.
	Noise map[string]float64 `json:"noise,omitempty"`
}

// Recorded is the build that a store names for a comparison whose base nothing else names.
type Recorded struct {
	Commit string // "" = there is none
	Image  string
	Source string // its checkout
	From   string // where it comes from
	Doubt  string // about the comparison, "" = none
	Why    string // there is none
}

// When a session is made.
const (
	PairAlways     = "always"
	PairSuspicious = "suspicious" // after a single run that gives reason to
	PairOff        = "off"        // never: no plan says so
)

// SessionRuns are the runs of a session in the order in which they are made: a warm-up
// of each build, the pairs, and behind them, without a pair of their own, the runs that
// pairs are measured again with.
func SessionRuns(p PairPlan) []RunRef {
	var out []RunRef
	add := func(r RunRef) {
		r.Index = len(out)
		out = append(out, r)
	}
	add(RunRef{Build: BaseBuild, Warmup: true})
	add(RunRef{Build: HeadBuild, Warmup: true})
	for pair := 1; pair <= p.MaxPairs; pair++ {
		for _, b := range PairOrder(pair) {
			add(RunRef{Build: b, Pair: pair})
		}
	}
	for again := 1; again <= p.MaxAgain; again++ {
		add(RunRef{Build: BaseBuild, Again: again})
		add(RunRef{Build: HeadBuild, Again: again})
	}
	return out
}

// PairOrder is the order of the builds in a pair, counted from 1.
func PairOrder(pair int) [2]string {
	if pair%2 == 0 {
		return [2]string{HeadBuild, BaseBuild}
	}
	return [2]string{BaseBuild, HeadBuild}
}

// IsSession reports whether the plan's job is a paired session.
func (p Plan) IsSession() bool { return p.Pairs != nil }

// Repeats is how often a role runs in one run of the plan: the client of a session as often as that says.
func (p Plan) Repeats(r RolePlan) int {
	if p.Pairs == nil || r.Kind != KindClient {
		return 1
	}
	return max(1, p.Pairs.Repeat)
}

// RepeatDir is the folder, below a role's own, of the n-th time that it ran, counted from 1.
func RepeatDir(n int) string { return fmt.Sprintf("repeat-%d", n) }

// SingleRun is the plan of a job that runs the newer build of a session once.
func (p Plan) SingleRun() Plan {
	if p.Pairs == nil {
		return p
	}
	head, _ := p.Build(RunRef{Build: HeadBuild})
	p.Builds, p.Runs = []BuildPlan{head}, OneRun()
	p.Budgets.Benchmark /= Duration(max(1, p.Pairs.Repeat))
	p.Budgets.Job, p.Pairs = p.Pairs.OneRun, nil
	return p
}

// ForRep is what an attempt of a repetition does: of a case that has a session only after
// a single run that gives reason to, the first repetition is that run.
func (p Plan) ForRep(rep int) Plan {
	if p.IsSession() && p.Pairs.Mode == PairSuspicious && p.Pairs.Opened == "" && rep == 0 {
		return p.SingleRun()
	}
	return p
}

// PairEnd is one measured pair: both of its runs have ended.
type PairEnd struct {
	Pair  int    // counted from 1
	Again int    // n-th pair that was measured again, 0 = this one was not
	First string // the build that ran first
	Base  RunEnd
	Head  RunEnd
}

// Last is the run of the pair that ended last.
func (p PairEnd) Last() RunEnd {
	if p.First == BaseBuild {
		return p.Head
	}
	return p.Base
}

// PairsOf are the pairs among runs, which stand in the order in which they ended. A pair
// that was measured again stands behind the one that gave no measurement.
func PairsOf(ends []RunEnd) []PairEnd {
	var out []PairEnd
	for i := 1; i < len(ends); i++ {
		x, y := ends[i-1], ends[i]
		if x.Run.Pair == 0 || x.Run.Pair != y.Run.Pair || x.Run.Again != y.Run.Again || x.Run.Build == y.Run.Build {
			continue
		}
		p := PairEnd{Pair: x.Run.Pair, Again: x.Run.Again, First: x.Run.Build, Base: x, Head: y}
		if x.Run.Build == HeadBuild {
			p.Base, p.Head = y, x
		}
		out = append(out, p)
		i++
	}
	return out
}

// Answer is what the driver of a session says once a pair has been measured
// (answers/<k>.json, k being the index of the pair's last run). The agent looks for it,
// and goes on without it in the end: the decision is made of the measurements alone.
type Answer struct {
	Schema int       `json:"schema"`
	After  int       `json:"after"` // index of the run after which it was given
	Do     string    `json:"do"`    // one of the Do constants
	Pair   int       `json:"pair"`  // to be measured next; of a stop, how many decided
	Word   string    `json:"word,omitempty"`
	Why    string    `json:"why"`
	At     time.Time `json:"at"`
}

// What an Answer says.
const (
	DoGo    = "go"    // measure the next pair
	DoAgain = "again" // measure this pair again, in the same order
	DoStop  = "stop"
)

// AnswerFile is the driver's answer once the run with that index has ended.
func (a AttemptDir) AnswerFile(run int) string { return a.path("answers", fmt.Sprintf("%d.json", run)) }
