package cost

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/report/results"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Spent are GPU-hours by cause. Those below Computed add up to Allocated.
type Spent struct {
	Allocated float64 `json:"allocated"`
	// Computed are those of the benchmark, on GPUs of a role, without the time for which it
	// hung: not loading, not leaving. It is no cause of its own.
	Computed float64 `json:"computed"`

	Useful         float64 `json:"useful"`         // computed by the first measurement that counts
	Repeated       float64 `json:"repeated"`       // computed by further ones: a measurement that looked slow, one that was made twice
	Failed         float64 `json:"failed"`         // all of attempts whose test failed
	Infrastructure float64 `json:"infrastructure"` // all of attempts that the infrastructure ended
	Cancelled      float64 `json:"cancelled"`      // all of attempts that were ended on purpose
	// Idle is what attempts that passed held without computing, by role: while it loaded,
	// waited for others, left. NoRole are GPUs of its nodes that no role had.
	Idle map[string]float64 `json:"idle,omitempty"`
}

// NoRole stands in Idle for GPUs that were allocated and that no role computes on.
const NoRole = "no role"

// Add adds what another attempt has spent.
func (s *Spent) Add(o Spent) {
	s.Allocated, s.Computed = s.Allocated+o.Allocated, s.Computed+o.Computed
	s.Useful, s.Repeated, s.Failed = s.Useful+o.Useful, s.Repeated+o.Repeated, s.Failed+o.Failed
	s.Infrastructure, s.Cancelled = s.Infrastructure+o.Infrastructure, s.Cancelled+o.Cancelled
	for role, hours := range o.Idle {
		s.idle(role, hours)
	}
}

func (s *Spent) idle(role string, hours float64) {
	if hours <= 0 {
		return
	}
	if s.Idle == nil {
		s.Idle = map[string]float64{}
	}
	s.Idle[role] += hours
}

// IdleHours is the sum over all roles.
func (s Spent) IdleHours() float64 {
	sum := 0.0
	for _, role := range slices.Sorted(maps.Keys(s.Idle)) {
		sum += s.Idle[role]
	}
	return sum
}

// Share is the hours of one cause, or of one idle role.
type Share struct {
	Name  string
	Idle  bool
	Hours float64
}

// Shares are the causes that there are, in a fixed order; those of idle roles come last,
// the longest first.
func (s Spent) Shares() []Share {
	all := []Share{
		{Useful, false, s.Useful},
		{Repeated, false, s.Repeated},
		{Failed, false, s.Failed},
		{Infrastructure, false, s.Infrastructure},
		{Cancelled, false, s.Cancelled},
	}
	all = slices.DeleteFunc(all, func(x Share) bool { return x.Hours <= 0 })
	var idle []Share
	for role, hours := range s.Idle {
		idle = append(idle, Share{role, true, hours})
	}
	slices.SortFunc(idle, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Hours, a.Hours), cmp.Compare(a.Name, b.Name))
	})
	return append(all, idle...)
}

// The causes of GPU-hours, as stores and pages call them.
const (
	Useful         = "useful"
	Repeated       = "repeated"
	Failed         = "failed"
	Infrastructure = "infrastructure"
	Cancelled      = "cancelled"
	Idle           = "idle"
)

// Causes are all of them, in the order in which people are shown them.
func Causes() []string { return []string{Useful, Repeated, Failed, Infrastructure, Cancelled, Idle} }

// ByCause are the hours that there are; together they are what was allocated.
func (s Spent) ByCause() map[string]float64 {
	out := map[string]float64{
		Useful: s.Useful, Repeated: s.Repeated, Failed: s.Failed, Infrastructure: s.Infrastructure, Cancelled: s.Cancelled, Idle: s.IdleHours(),
	}
	maps.DeleteFunc(out, func(_ string, hours float64) bool { return hours <= 0 })
	return out
}

// span is a stretch of time.
type span struct{ from, to time.Time }

// within is how much of the span lies between two times.
func (s span) within(from, to time.Time) time.Duration {
	if s.from.After(from) {
		from = s.from
	}
	if s.to.Before(to) {
		to = s.to
	}
	return max(0, to.Sub(from))
}

// Of says what an attempt has spent. One that nobody closed, or that never began, has
// spent nothing that is known.
func Of(e results.Ended, plan rundir.Plan) Spent {
	began, ended := e.Began(), e.EndedAt()
	if began == nil || ended == nil || !ended.After(*began) {
		return Spent{}
	}
	held := ended.Sub(*began)
	s := Spent{Allocated: held.Hours() * float64(plan.AllocatedGPUs)}
	works, busy := computing(e, plan, span{*began, *ended}), busy(e, plan)
	with := 0
	for _, r := range plan.MainRoles() {
		with += r.GPUs()
	}
	for _, r := range plan.MainRoles() {
		n := float64(r.GPUs())
		if with > plan.AllocatedGPUs { // roles that share GPUs
			n *= float64(plan.AllocatedGPUs) / float64(with)
		}
		hours := works.Hours() * n
		if part, known := busy[r.Name]; known {
			hours *= part
		}
		s.Computed += hours
		s.idle(r.Name, held.Hours()*n-hours)
	}
	s.idle(NoRole, held.Hours()*float64(plan.AllocatedGPUs-with))
	s.blame(e)
	return s
}

// blame gives the hours to what caused them, as the exit code has it. Nothing of an attempt that did not pass was
// of use, whatever its roles did.
func (s *Spent) blame(e results.Ended) {
	to := &s.Failed
	switch {
	case e.Outcome == rundir.OutcomePassed && e.Rep == 0 && e.Counts:
		s.Useful = s.Computed
		return
	case e.Outcome == rundir.OutcomePassed:
		s.Repeated = s.Computed
		return
	case e.Outcome == rundir.OutcomeCancelled:
		to = &s.Cancelled
	case !e.Outcome.TestFault():
		to = &s.Infrastructure
	}
	*to, s.Idle = s.Allocated, nil
}

// computing is for how long the attempt was in its benchmarks and did not hang.
func computing(e results.Ended, plan rundir.Plan, held span) time.Duration {
	if e.Agent == nil {
		return 0
	}
	sum := time.Duration(0)
	for _, run := range append([]rundir.RunAccount{e.Agent.RunAccount}, e.Before...) {
		for _, p := range run.Phases {
			if p.Phase != rundir.PhaseBenchmark {
				continue
			}
			to := held.to
			if p.End != nil {
				to = *p.End
			}
			sum += held.within(p.Start, to)
		}
	}
	sum = min(sum, held.to.Sub(held.from))                    // roles can write to the records: no hour is there twice
	if e.Finding != nil && e.Finding.Kind == blame.KindHang { // it was watched for so long before it was called one
		sum = max(0, sum-plan.Hang.D())
	}
	return sum
}

// busy is the part of the benchmark in which the GPUs of a role had work, of those roles
// whose GPUs are known and were sampled.
func busy(e results.Ended, plan rundir.Plan) map[string]float64 {
	out := map[string]float64{}
	if e.Machine == nil {
		return out
	}
	for _, r := range plan.MainRoles() {
		sum, n := 0.0, 0
		for _, node := range e.Machine.Nodes {
			for _, c := range node.Cards {
				if !math.IsNaN(c.Busy) && owner(e, plan, c.Card) == r.Name {
					sum, n = sum+min(max(c.Busy, 0), 1), n+1
				}
			}
		}
		if n > 0 && n == r.GPUs() {
			out[r.Name] = sum / float64(n)
		}
	}
	return out
}

// owner is the role that a card was of, "" where that is not known: several had cards of
// its node, and nobody says which.
func owner(e results.Ended, plan rundir.Plan, c rundir.Card) string {
	var all []string
	for _, r := range plan.MainRoles() {
		for _, s := range r.Slice {
			switch {
			case s.GPUs == 0:
			case len(s.Devices) > 0:
				if slices.Contains(s.Devices, c.Index) {
					all = append(all, r.Name)
				}
			case s.Node < len(e.Nodes()) && e.Nodes()[s.Node] == c.Node:
				all = append(all, r.Name)
			}
		}
	}
	if slices.Sort(all); len(slices.Compact(all)) != 1 {
		return ""
	}
	return all[0]
}
