package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// startDue asks for the start of the roles of the wave whose needs are met.
func (m *machine) startDue() {
	for i := range m.roles {
		r := &m.roles[i]
		if r.wave != m.begun || r.asked || r.state != rundir.RolePending || !m.met(*r) {
			continue
		}
		r.asked = true
		m.do(doStart, i)
	}
}

// met reports whether everything that a role needs is there.
func (m *machine) met(r role) bool {
	for _, other := range m.roles {
		if r.needsRole(other) && !other.serves() && !other.done() {
			return false
		}
	}
	return true
}

// needsRole reports whether the role waits for another one before it starts.
func (r role) needsRole(other role) bool {
	return other.name != r.name && (slices.Contains(r.needs, other.group) || slices.Contains(r.needs, other.name))
}

// serves reports whether a server or router is ready for others.
func (r role) serves() bool {
	return r.state == rundir.RoleReady && (r.kind == rundir.KindServer || r.kind == rundir.KindRouter)
}

// done reports whether a role that has work of its own has ended well.
func (r role) done() bool {
	return r.state == rundir.RoleEnded && r.err == "" && r.end.Exit == 0 && r.kind != rundir.KindServer && r.kind != rundir.KindRouter
}

// awaited reports whether a role that has not been started, and must be, needs this one.
func (m *machine) awaited(r role) bool {
	return m.count(func(other role) bool {
		return other.state == rundir.RolePending && !other.optional && other.needsRole(r)
	}) > 0
}

// depths is how many roles must have been started before each one, one after the other.
func depths(roles []role) {
	for range roles { // as long as the longest chain can be
		for i := range roles {
			for _, other := range roles {
				if roles[i].needsRole(other) && other.wave == roles[i].wave {
					roles[i].depth = min(max(roles[i].depth, other.depth+1), len(roles))
				}
			}
		}
	}
}

// left deals with the end of a role that may leave. Who waits for it does so in vain: where
// that is a role that must be started, its end is a failure after all.
func (m *machine) left(r *role, e event) {
	if r.done() || !r.stopSent.IsZero() {
		return
	}
	if m.awaited(*r) {
		r.optional = false
		m.begin(e.at, fmt.Sprintf("%s left before others could start that need it: %s", r.name, endWords(e.end)), settleTime, blame.Event{})
		return
	}
	m.note(e.at, r.name, "may leave (critical: false): the others go on")
	for i := range m.roles {
		if o := &m.roles[i]; o.state == rundir.RolePending && o.optional && o.needsRole(*r) {
			o.state, o.err = rundir.RoleNeverStarted, "it needs "+r.name+", which has left"
			m.note(e.at, o.name, "is not started: "+o.err)
		}
	}
}

// finished moves on once all roles that work have ended well and none that must be
// started is left: what is said to be through by its end alone.
func (m *machine) finished(at time.Time) {
	if m.drainRole != "" || m.ending != nil || m.begun != waveMain || m.phase != rundir.PhaseReady && m.phase != rundir.PhaseBenchmark {
		return
	}
	var workers []string
	for _, r := range m.roles {
		switch {
		case r.wave != waveMain || r.optional:
		case r.state == rundir.RolePending || m.isClient(r) && !r.done():
			return
		case m.isClient(r):
			workers = append(workers, r.name)
		}
	}
	if len(workers) > 0 {
		m.through(at, strings.Join(workers, ", ")+" ended")
	}
}

// working reports whether a role beside the one that named itself the client has work left.
func (m *machine) working() bool {
	return m.count(func(r role) bool { return r.wave == waveMain && m.isClient(r) && r.state != rundir.RoleEnded }) > 0
}

// stopsWithClient reports whether the agent ends the role once the client is through.
func (r role) stopsWithClient() bool { return r.wave == waveMain && (r.withClient || r.optional) }

// stopServing ends the roles that are there for the client, now that it is through:
// those that were started last go first, and the next ones when they have gone.
func (m *machine) stopServing(at time.Time) {
	deepest := -1
	for _, r := range m.roles {
		if r.live() && r.stopsWithClient() {
			deepest = max(deepest, r.depth)
		}
	}
	for i := len(m.roles) - 1; i >= 0; i-- {
		r := &m.roles[i]
		if !r.live() || !r.stopsWithClient() || r.depth != deepest {
			continue
		}
		switch {
		case r.stopSent.IsZero():
			r.stopSent = at
			m.do(doTerm, i)
		case r.unsent && r.killSent.IsZero() && at.Sub(r.stopSent) >= m.grace+2*reapBound && m.ending == nil:
			m.begin(at, "Slurm takes no signal for "+r.name, 0, blame.Event{})
		case r.killSent.IsZero() && at.Sub(r.stopSent) >= m.grace:
			r.killSent = at
			m.note(at, r.name, "SIGKILL: still there after the grace")
			m.do(doKill, i)
		case !r.killSent.IsZero() && at.Sub(r.killSent) >= reapBound && m.ending == nil:
			r.unsent = false // it was taken this time
			m.begin(at, r.name+" did not go away after SIGKILL", 0, blame.Event{})
		}
	}
}

// clients are the names of the roles that have work to end.
func (s state) clients() []string {
	if s.drainRole != "" {
		return []string{s.drainRole}
	}
	var out []string
	for _, r := range s.roles {
		if r.live() && s.isClient(r) {
			out = append(out, r.name)
		}
	}
	return out
}
