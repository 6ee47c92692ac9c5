package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// deadlines holds the clock against the budgets and the hang watch.
func (m *machine) deadlines(e event) {
	b := m.budgets
	spent := e.at.Sub(m.since)
	over := func(budget rundir.Duration) bool { return budget > 0 && spent >= budget.D() }
	switch m.phase {
	case rundir.PhaseSetup:
		if over(b.Setup) {
			m.timeout(e, within(b.Setup.D(), "budgets.setup"))
		}
	case rundir.PhaseReady:
		switch { // silence is no hang here: loading a model may say nothing for long
		case over(b.Ready):
			m.notReady(e, within(b.Ready.D(), "budgets.ready"))
		case m.testOver(e.at):
			m.notReady(e, within(m.test, listTimeout))
		}
	case rundir.PhaseBenchmark:
		switch {
		case over(b.Benchmark):
			m.benchmarkOver(e, within(b.Benchmark.D(), "budgets.benchmark"))
		case m.testOver(e.at):
			m.benchmarkOver(e, within(m.test, listTimeout))
		default:
			m.quiet(e)
		}
	case rundir.PhaseDrain:
		skipped := m.count(func(r role) bool { return r.skipped && m.isClient(r) }) > 0 // it says nothing of being through
		if m.drainFile != "" && !m.status && !m.failed && !skipped && spent >= min(statusDelay, m.drainBound) {
			m.begin(e.at, m.drainRole+" ended with 0 but its status file never came", 0,
				blame.Event{Role: m.drainRole, Kind: blame.NoStatus, At: m.drainAt, Text: m.drainFile})
			return
		}
		bound := m.drainBound
		if m.failed { // nothing is waited for but the servers' own records
			bound = min(bound, failedDrain)
		}
		stays := m.count(func(r role) bool { return r.live() && !r.stopsWithClient() })
		if spent >= bound && stays > 0 {
			cause := m.staying(e.at, bound)
			m.begin(e.at, cmp.Or(cause.Text, fmt.Sprintf("servers did not leave by themselves within %v", bound)), 0, cause)
			m.ending.soft = !m.failed && cause.Kind == ""
		}
	default: // nothing runs in the others
	}
}

// staying is the client's part in it that somebody has not left within the bound: one that said that it was through,
// and stays, has hung.
func (s state) staying(at time.Time, bound time.Duration) blame.Event {
	for _, r := range s.roles {
		if r.live() && s.isClient(r) && !s.failed {
			return blame.Event{Role: r.name, Kind: blame.Hang, At: at, Text: fmt.Sprintf("it had not ended within %s after it said that it was through", within(bound, "budgets.drain"))}
		}
	}
	return blame.Event{}
}

// listTimeout is what bounds a test without a budget of its own.
const listTimeout = "the test list's TIMEOUT"

// within is a bound, with what has set it.
func within(bound time.Duration, key string) string { return fmt.Sprintf("%v (%s)", bound, key) }

// timeout ends a phase that takes too long, where nobody's part in that is known.
func (m *machine) timeout(e event, bound string) {
	text := fmt.Sprintf("%s took longer than %s: %s", m.phase, bound, m.unfinished())
	if e.silence != "" {
		text += "; last signs of life: " + e.silence
	}
	m.begin(e.at, "phase "+text, 0, blame.Event{Kind: blame.PhaseTimeout, At: e.at, Text: text})
}

// unfinished names who is waited for.
func (s state) unfinished() string {
	names := s.clients()
	if s.phase == rundir.PhaseSetup {
		names = nil
		for _, r := range s.roles {
			if r.live() {
				names = append(names, r.name)
			}
		}
	}
	return strings.Join(names, ", ") + " was not through"
}

// benchmarkOver ends a benchmark that takes too long. The servers are asked before that:
// their answers may say whose fault it is.
func (m *machine) benchmarkOver(e event, bound string) {
	switch {
	case m.overdue == "":
		m.overdue, m.probing = bound, e.at
		m.note(e.at, "", m.unfinished()+" within "+bound+": asking the servers")
		m.do(doProbe, 0)
	case e.at.Sub(m.probing) >= m.probeBound:
		m.timeout(e, bound)
	}
}

// testOver reports whether the roles have run as long as the list gives the whole test: ready and benchmark together.
func (s state) testOver(at time.Time) bool {
	return s.test > 0 && slices.ContainsFunc(s.spans, func(p rundir.PhaseSpan) bool {
		return p.Phase == rundir.PhaseReady && at.Sub(p.Start) >= s.test
	})
}

// notReady names the servers that are late, with what they lack, and the work that
// others wait for.
func (m *machine) notReady(e event, bound string) {
	var late []string
	for i, r := range m.roles {
		waits := r.state == rundir.RoleRunning || r.live() && rundir.Works(r.kind) && m.awaited(r)
		if r.wave != waveMain || r.optional && !m.awaited(r) || !waits {
			continue
		}
		late = append(late, r.name)
		lacks := slices.Concat(e.lacks, make([]string, len(m.roles)))[i]
		m.extra = append(m.extra, blame.Event{Role: r.name, Kind: blame.NotReady, At: e.at, Text: bound, Lacks: lacks})
	}
	m.begin(e.at, fmt.Sprintf("not ready within %s: %s", bound, strings.Join(late, " ")), 0,
		blame.Event{Kind: blame.PhaseTimeout, At: e.at, Text: fmt.Sprintf("%s took longer than %s", m.phase, bound)})
}

// quiet asks every server whether it still answers once no role has given a sign of life for the configured time: the
// answer says who hangs. That is counted from the first request that was served; before it, loading may say nothing for
// long. A client that goes on talking is no sign that any server works.
func (m *machine) quiet(e event) {
	over := func(since time.Time) bool { return e.at.Sub(since) >= m.hang }
	if m.hang <= 0 || max(e.quiet, e.idle) < m.hang || !m.probing.IsZero() || !over(m.since) || e.served.IsZero() || !over(e.served) ||
		e.at.Sub(m.probed) < m.hang/4 {
		return
	}
	m.probing, m.probed = e.at, e.at
	who := "no sign of life"
	if e.quiet < m.hang {
		who = "no progress of any server"
	}
	m.note(e.at, "", fmt.Sprintf("%s for %v: asking the servers", who, max(e.quiet, e.idle).Round(time.Second)))
	m.do(doProbe, 0)
}

func (m *machine) takeProbed(e event) {
	m.probing = time.Time{}
	if m.ending != nil || m.phase != rundir.PhaseBenchmark {
		return
	}
	for _, r := range m.roles { // only helpers ask servers that publish no address
		if r.live() && m.isClient(r) && r.server.unwell.What == rundir.NodeSilent {
			e.dead = append(e.dead, r.name)
		}
	}
	hung, text := m.hanging(e)
	switch {
	case m.overdue != "":
		if hung, text = m.stuck(e); len(hung) == 0 {
			m.timeout(e, m.overdue)
			return
		}
		text += fmt.Sprintf("; %s within %s", m.unfinished(), m.overdue)
	case e.quiet >= m.hang:
		text += fmt.Sprintf("; no sign of life for %v (workload.hang %v)", e.quiet.Round(time.Second), m.hang)
	case e.idle >= m.hang && len(e.busy) > 0:
		hung, text = e.busy, fmt.Sprintf("%s for %v (workload.hang %v)", noProgress, e.idle.Round(time.Second), m.hang)
	default: // something was written meanwhile, or nobody has work
		return
	}
	if e.silence != "" {
		text += ", silent since: " + e.silence
	}
	for _, name := range hung {
		m.extra = append(m.extra, blame.Event{Role: name, Kind: blame.Hang, At: e.at, Text: text})
	}
	m.begin(e.at, fmt.Sprintf("hang: %s: %s", strings.Join(hung, " "), text), 0, blame.Event{})
}

const noProgress = "it has requests and makes no progress"

// stuck names whose fault it is that a benchmark takes too long: a server that does not
// answer, else who has had work by his last word and has been silent for long since.
func (s state) stuck(e event) ([]string, string) {
	if servers := s.servers(e.dead); len(servers) > 0 {
		return servers, "does not answer"
	}
	long := min(silentFor, e.at.Sub(s.since)/4)
	return slices.DeleteFunc(slices.Clone(e.busy), func(name string) bool {
		i := slices.IndexFunc(s.roles, func(r role) bool { return r.name == name })
		return i >= len(e.still) || e.still[i] < long
	}), noProgress
}

// servers are the names that are no router's, which may only wait for one of them.
func (s state) servers(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(s.roles, func(r role) bool { return r.name == name && r.kind == rundir.KindRouter })
	})
}

// hanging names who hangs: a server that does not answer at all, else who had work by its own last word and made no
// progress, else a router that does not answer, which may only wait for one of them. A dead engine's server may answer.
func (s state) hanging(e event) ([]string, string) {
	servers, routers := s.servers(e.dead), slices.DeleteFunc(slices.Clone(s.roles), func(r role) bool { return r.kind != rundir.KindRouter || !r.live() })
	switch {
	case len(servers) > 0:
		return servers, "does not answer"
	case len(e.busy) > 0:
		return e.busy, noProgress
	case len(e.dead) > 0:
		return e.dead, "does not answer"
	case len(e.unread) > 0:
		takers := s.clients()
		if len(routers) > 0 && len(s.servers(e.unread)) == len(e.unread) { // only behind a router
			takers = []string{routers[0].name}
		}
		return takers, "nobody takes what " + strings.Join(e.unread, ", ") + " has answered"
	}
	return s.clients(), "every server answers, and none says that it has work"
}
