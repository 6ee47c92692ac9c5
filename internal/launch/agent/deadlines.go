package agent

import (
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
			m.timeout(e.at, b.Setup)
		}
	case rundir.PhaseReady:
		switch { // silence is no hang here: loading a model may say nothing for long
		case over(b.Ready):
			m.notReady(e, b.Ready.D())
		case m.testOver(e.at):
			m.notReady(e, m.test)
		}
	case rundir.PhaseBenchmark:
		switch {
		case over(b.Benchmark):
			m.timeout(e.at, b.Benchmark)
		case m.testOver(e.at):
			m.timeout(e.at, rundir.Duration(m.test))
		default:
			m.quiet(e)
		}
	case rundir.PhaseDrain:
		if m.drainFile != "" && !m.status && !m.failed && spent >= min(statusDelay, m.drainBound) {
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
			m.begin(e.at, fmt.Sprintf("servers did not leave by themselves within %v", bound), 0, blame.Event{})
			m.ending.soft = !m.failed
		}
	default: // nothing runs in the others
	}
}

func (m *machine) timeout(at time.Time, budget rundir.Duration) {
	m.begin(at, fmt.Sprintf("phase %s took longer than its budget of %v", m.phase, budget), 0,
		blame.Event{Kind: blame.PhaseTimeout, At: at, Text: string(m.phase)})
}

// testOver reports whether the roles have run for as long as the list gives the whole
// test: ready and benchmark together.
func (m *machine) testOver(at time.Time) bool {
	for _, s := range m.spans {
		if s.Phase == rundir.PhaseReady {
			return m.test > 0 && at.Sub(s.Start) >= m.test
		}
	}
	return false
}

// notReady names the servers that are late, with what they lack, and the work that
// others wait for.
func (m *machine) notReady(e event, budget time.Duration) {
	var late []string
	for i, r := range m.roles {
		waits := r.state == rundir.RoleRunning || r.live() && rundir.Works(r.kind) && m.awaited(r)
		if r.wave != waveMain || r.optional && !m.awaited(r) || !waits {
			continue
		}
		late = append(late, r.name)
		text := budget.String()
		if i < len(e.lacks) && e.lacks[i] != "" {
			text += ": " + e.lacks[i]
		}
		m.extra = append(m.extra, blame.Event{Role: r.name, Kind: blame.NotReady, At: e.at, Text: text})
	}
	m.begin(e.at, fmt.Sprintf("not ready within %v: %s", budget, strings.Join(late, " ")), 0,
		blame.Event{Kind: blame.PhaseTimeout, At: e.at, Text: string(m.phase)})
}

// quiet asks every server whether it still answers once no role has given a sign of
// life for the configured time: the answer says who hangs. That is counted from the
// first request that was served; before it, loading may say nothing for long.
func (m *machine) quiet(e event) {
	if m.hang <= 0 || e.quiet < m.hang || !m.probing.IsZero() || e.at.Sub(m.since) < m.hang || e.served.IsZero() || e.at.Sub(e.served) < m.hang {
		return
	}
	m.probing = e.at
	m.note(e.at, "", fmt.Sprintf("no sign of life for %v: asking the servers", e.quiet.Round(time.Second)))
	m.do(doProbe, 0)
}

func (m *machine) takeProbed(e event) {
	m.probing = time.Time{}
	if m.ending != nil || m.phase != rundir.PhaseBenchmark {
		return
	}
	if e.quiet < m.hang { // something was printed meanwhile
		return
	}
	hung, text := m.hanging(e)
	text = fmt.Sprintf("%s; no sign of life for %v (workload.hang %v)", text, e.quiet.Round(time.Second), m.hang)
	if e.silence != "" {
		text += ", silent since: " + e.silence
	}
	for _, name := range hung {
		m.extra = append(m.extra, blame.Event{Role: name, Kind: blame.Hang, At: e.at, Text: text})
	}
	m.begin(e.at, fmt.Sprintf("hang: %s: %s", strings.Join(hung, " "), text), 0, blame.Event{})
}

// hanging names who hangs: a server that does not answer at all, else who had work
// by its own last word and made no progress, else a router that does not answer,
// which may only wait for one of them. A server whose engine is dead may well answer.
func (m *machine) hanging(e event) ([]string, string) {
	servers := slices.DeleteFunc(slices.Clone(e.dead), func(name string) bool {
		return slices.ContainsFunc(m.roles, func(r role) bool { return r.name == name && r.kind == rundir.KindRouter })
	})
	switch {
	case len(servers) > 0:
		return servers, "does not answer"
	case len(e.busy) > 0:
		return e.busy, "it has requests and makes no progress"
	case len(e.dead) > 0:
		return e.dead, "does not answer"
	}
	return m.clients(), "every server answers and none has work"
}
