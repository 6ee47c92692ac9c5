package agent

import (
	"fmt"
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
		if over(b.Ready) {
			m.notReady(e.at, b.Ready) // silence is no hang here: loading a model may say nothing for long
		}
	case rundir.PhaseBenchmark:
		if over(b.Benchmark) {
			m.timeout(e.at, b.Benchmark)
		} else {
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
		if spent >= bound {
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

func (m *machine) notReady(at time.Time, budget rundir.Duration) {
	var late []string
	for _, r := range m.roles {
		if r.wave == waveMain && r.state == rundir.RoleRunning {
			late = append(late, r.name)
			m.extra = append(m.extra, blame.Event{Role: r.name, Kind: blame.NotReady, At: at, Text: budget.String()})
		}
	}
	m.begin(at, fmt.Sprintf("not ready within %v: %s", budget, strings.Join(late, " ")), 0,
		blame.Event{Kind: blame.PhaseTimeout, At: at, Text: string(m.phase)})
}

// quiet asks every server whether it still answers once no role has printed
// anything for the configured time of the benchmark: the answer says who hangs.
// Before that the budget of the phase ready is the bound.
func (m *machine) quiet(e event) {
	if m.hang <= 0 || e.quiet < m.hang || !m.probing.IsZero() || e.at.Sub(m.since) < m.hang {
		return
	}
	m.probing = e.at
	m.note(e.at, "", fmt.Sprintf("no output for %v: asking the servers", e.quiet.Round(time.Second)))
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
	silent := e.dead
	text := "does not answer"
	if len(silent) == 0 {
		silent, text = []string{m.drainRole}, "every server answers"
	}
	for _, name := range silent {
		m.extra = append(m.extra, blame.Event{Role: name, Kind: blame.Hang, At: e.at, Text: text})
	}
	m.begin(e.at, fmt.Sprintf("hang: no output for %v; %s: %s", e.quiet.Round(time.Second), strings.Join(silent, " "), text), 0, blame.Event{})
}
