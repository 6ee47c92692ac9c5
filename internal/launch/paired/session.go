package paired

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The bounds of a session. They are those of the test that decides it.
const (
	minPairs    = 4
	maxPairs    = 10
	maxAgain    = 2
	ownFailures = 3
	warmups     = 2
)

// Session is the plan of a case's session: head's, with base beside it. cases is how many
// of the run have one. The error says why the two are not one case.
func (s Settings) Session(head, base rundir.Plan, cases int) (rundir.Plan, error) {
	if err := same(head, base); err != nil {
		return head, err
	}
	p := head
	older, newer := base.Builds[0], head.Builds[0]
	older.Name, older.Env, older.Commit = rundir.BaseBuild, append(differing(base.Env, head.Env), older.Env...), s.Base.Commit
	newer.Commit = s.Head.Commit
	if base.Workdir != head.Workdir {
		older.Workdir = base.Workdir
	}
	p.Builds = []rundir.BuildPlan{older, newer}
	p.Pairs = &rundir.PairPlan{
		Cases: cases, MinPairs: minPairs, MaxPairs: maxPairs, MaxAgain: maxAgain, OwnFailures: ownFailures,
		AnswerWait: defaultTo(s.AnswerWait, rundir.Duration(defaultWait)), OneRun: head.Budgets.Job, Mode: s.Mode, Opened: s.Opened, BaseFrom: s.baseFrom, BaseCheckout: s.checkout,
	}
	if s.Mode == rundir.PairSuspicious {
		p.Pairs.OpenAt = defaultTo(s.OpenAt, defaultOpenAt)
	}
	if err := s.repeat(&p); err != nil {
		return head, err
	}
	p.Pairs.Time = cmp.Or(s.Time, limit(p))
	p.Warnings = slices.Clone(p.Warnings)
	if s.doubt != "" {
		p.Warnings = append(p.Warnings, s.doubt)
	}
	if s.Time > 0 && s.Time < runs(minPairs)*perRun(p) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("ab.time: %s may be too short for the %d pairs without which nothing is decided: at the case's budgets they take %s",
			s.Time.Short(), minPairs, (runs(minPairs)*perRun(p)).Short()))
	}
	if s.Time == 0 && !bounded(head) {
		missing := "budgets.ready and budgets.benchmark say"
		if !becomesReady(head) {
			missing = "budgets.benchmark says"
		}
		p.Warnings = append(p.Warnings, fmt.Sprintf("ab.time: no %s how long a run takes, so the session has %s, %d times budgets.job: what is not decided by then is undecided",
			missing, p.Pairs.Time.Short(), openJobs))
	}
	p.Runs, p.Budgets.Job = rundir.SessionRuns(*p.Pairs), p.Pairs.Time
	if base.Case.ConfigSHA != head.Case.ConfigSHA {
		p.Warnings = append(p.Warnings, fmt.Sprintf("base has another %s (%s): what differs there is part of the comparison", head.Case.Config, base.Case.Config))
	}
	return p, nil
}

// repeat lets the client of a session run several times in each run.
func (s Settings) repeat(p *rundir.Plan) error {
	if s.Repeat <= 1 {
		return nil
	}
	clients := 0
	for _, r := range p.Roles() {
		if r.Kind != rundir.KindClient {
			continue
		}
		clients++
		if len(r.Results) > 0 || slices.ContainsFunc(r.Bench, func(b rundir.BenchFiles) bool { return len(b.Files) == 0 }) {
			return fmt.Errorf("ab.repeat: %s of %s leaves JUnit files, or is measured by its log, which would hold the results of several times: give it bench with files, and no results", r.Name, p.Case.ID)
		}
	}
	if p.Case.Pipeline == "" || clients != 1 {
		return fmt.Errorf("ab.repeat: %s has no client of a configured pipeline that could be repeated against its servers: leave ab.repeat out", p.Case.ID)
	}
	p.Pairs.Repeat = s.Repeat
	p.Budgets.Benchmark *= rundir.Duration(s.Repeat)
	return nil
}

// same refuses two plans that would not put the same load on the same nodes.
func same(head, base rundir.Plan) error {
	shape := func(p rundir.Plan) string {
		var out []string
		for _, r := range p.Roles() {
			out = append(out, fmt.Sprintf("%s %s on %v", r.Name, r.Kind, r.Slice))
		}
		return strings.Join(out, "; ")
	}
	if h, b := shape(head), shape(base); h != b || head.Nodes != base.Nodes || head.GPUsPerNode != base.GPUsPerNode {
		return fmt.Errorf("%s: base runs other roles than head, and the two cannot be compared: base has %s; head has %s", head.Case.ID, b, h)
	}
	if !reflect.DeepEqual(head.Expected.Points, base.Expected.Points) {
		return fmt.Errorf("%s: base does not put the same load on the roles as head, and the two cannot be compared: base measures %v; head %v", head.Case.ID, base.Expected.Points, head.Expected.Points)
	}
	return nil
}

// differing are the variables that have another value than in other, or are not there.
func differing(env, other []rundir.EnvVar) []rundir.EnvVar {
	var out []rundir.EnvVar
	for _, e := range env {
		if !slices.Contains(other, e) {
			out = append(out, e)
		}
	}
	return out
}

func defaultTo[T any](v *T, def T) T {
	if v == nil {
		return def
	}
	return *v
}

// runs are the runs of a session of so many pairs.
func runs(pairs int) rundir.Duration { return rundir.Duration(warmups + 2*pairs) }

// openJobs are the jobs' time limits that a session has where nothing but the job bounds a run. That bound is for the
// one run that hangs: 22 of them would ask Slurm for days.
const openJobs = 4

// limit is the time limit of a session: all its runs at the case's budgets.
func limit(p rundir.Plan) rundir.Duration {
	if bounded(p) {
		return runs(maxPairs) * perRun(p)
	}
	return openJobs * p.Pairs.OneRun * rundir.Duration(max(1, p.Pairs.Repeat))
}

// bounded reports whether the phases of the work bound a run.
func bounded(p rundir.Plan) bool {
	return works(p) > 0 || p.Case.Timeout > 0
}

// works is how long the phases of the work take at most, 0 = nothing bounds them.
func works(p rundir.Plan) rundir.Duration {
	switch b := p.Budgets; {
	case b.Benchmark == 0:
		return 0
	case !becomesReady(p): // nobody waits for that
		return b.Benchmark
	case b.Ready == 0:
		return 0
	default:
		return b.Ready + b.Benchmark
	}
}

// becomesReady reports whether something of the case is waited for before it is measured.
func becomesReady(p rundir.Plan) bool {
	roles := p.Roles()
	return p.Case.Pipeline == "" || slices.ContainsFunc(roles, func(r rundir.RolePlan) bool {
		return !rundir.Works(r.Kind) || r.Kind != roles[0].Kind || len(r.Needs) > 0
	})
}

// perRun is what one run of a session takes at most: the budgets of its phases, where those of the
// work are bounded, else all of a single job's time.
func perRun(p rundir.Plan) rundir.Duration {
	b := p.Budgets
	b.Job = p.Pairs.OneRun + b.Benchmark - b.Benchmark/rundir.Duration(max(1, p.Pairs.Repeat))
	work := works(p)
	if t := p.Case.Timeout; t > 0 && (work == 0 || t < work) {
		work = t
	}
	if work == 0 {
		return b.Job
	}
	return min(b.Setup+work+b.Drain+b.Collect, b.Job)
}

// Cost is what a session of so many pairs takes at most.
type Cost struct {
	Pairs    int
	Runs     int
	Time     rundir.Duration
	GPUHours float64
}

// Costs are those of a session at every moment at which it may end by its measurements.
func Costs(p rundir.Plan) []Cost {
	var out []Cost
	for n := minPairs; n <= maxPairs; n += 2 {
		t := min(runs(n)*perRun(p), p.Pairs.Time)
		out = append(out, Cost{Pairs: n, Runs: int(runs(n)), Time: t, GPUHours: t.D().Hours() * float64(p.AllocatedGPUs)})
	}
	return out
}

// Longest is what the sessions among plans take at most, and how many there are.
func Longest(plans []rundir.Plan) (hours float64, sessions int) {
	for _, p := range plans {
		if p.IsSession() && p.Case.SkipReason == "" {
			costs := Costs(p)
			hours += costs[len(costs)-1].GPUHours
			sessions++
		}
	}
	return hours, sessions
}

// Affordable refuses sessions that would cost more than ab.max_gpu_hours at their longest.
func (s Settings) Affordable(plans []rundir.Plan) error {
	total, cases := Longest(plans)
	if s.GPUHours == 0 || total <= s.GPUHours {
		return nil
	}
	return fmt.Errorf("ab.max_gpu_hours: the paired sessions of %d cases may take %.1f GPU-hours (%d pairs each, at the cases' budgets), and %g are allowed: raise it, shorten budgets or ab.time, or name fewer cases",
		cases, total, maxPairs, s.GPUHours)
}
