package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// next says what an event makes of the state, and what is to be done. It is
// pure: the same state and event always give the same answer, and the state
// that it was given stays as it was.
func next(s state, e event) (state, []action) {
	s = s.clone()
	if s.over {
		return s, nil
	}
	m := machine{state: &s}
	m.take(e)
	if s.ending != nil {
		m.tearDown(e.at)
	}
	m.advance(e.at)
	return s, m.todo
}

// machine is one step of next: the state being changed and the actions found.
type machine struct {
	*state
	todo []action
}

func (m *machine) do(k actionKind, role int) { m.todo = append(m.todo, action{k, role}) }

func (m *machine) take(e event) {
	switch e.kind {
	case evBegin:
		m.enter(rundir.PhaseSetup, e.at)
		m.begun = -1
	case evStarted:
		m.takeStarted(e)
	case evNotStarted:
		r := &m.roles[e.role]
		r.state, r.err = rundir.RoleNeverStarted, e.text
		m.note(e.at, r.name, "could not be started: "+e.text)
		if r.optional && !m.awaited(*r) {
			m.left(r, e)
			break
		}
		r.optional = false
		m.begin(e.at, "step of "+r.name+" could not be started", settleTime,
			blame.Event{Role: r.name, Kind: blame.NeverStarted, At: e.at, Text: e.text, Planted: e.planted})
	case evBadTask:
		m.takeBadTask(e)
	case evReady:
		if r := &m.roles[e.role]; r.state == rundir.RoleRunning {
			r.state, r.readyAt = rundir.RoleReady, e.at
			m.note(e.at, r.name, "ready")
		}
	case evEnded:
		m.takeEnded(e)
	case evTold:
		m.takeTold(&m.roles[e.role], e)
	case evDrain:
		m.status = true
		m.through(e.at, "status file is there")
	case evTick:
		if m.lifeline > 0 && e.alone >= m.lifeline && m.ending == nil {
			m.takeSignal(event{at: e.at, alone: e.alone, text: fmt.Sprintf("no sign of life of its driver for %v (jobs.lifeline)", m.lifeline)})
		}
		if m.ending == nil {
			m.deadlines(e)
		}
		if m.ending == nil {
			m.deadServers(e)
		}
	case evSeen:
		m.roles[e.role].server.take(e)
	case evNotKilled:
		m.roles[e.role].killSent, m.roles[e.role].unsent = time.Time{}, true
		m.note(e.at, m.roles[e.role].name, "SIGKILL did not reach it: "+e.text)
	case evProbed:
		m.takeProbed(e)
	case evSignal:
		m.takeSignal(e)
	case evJob:
		if m.ending != nil {
			m.ending.answered, m.ending.job = true, e.job
		}
	case evBroken:
		if m.broken == "" {
			m.broken = e.text
			m.note(e.at, "", "run directory cannot be written: "+e.text)
			m.begin(e.at, "the run directory cannot be written", 0,
				blame.Event{Kind: blame.Storage, At: e.at, Text: e.text, Planted: e.planted})
		}
	case evCollected:
		m.enter(rundir.PhaseDone, e.at)
		m.over = true
		m.do(doFinish, 0)
	}
}

func (m *machine) takeStarted(e event) {
	r := &m.roles[e.role]
	r.state, r.started = rundir.RoleRunning, e.at
	m.note(e.at, r.name, "started")
	if r.wave != waveMain {
		return
	}
	if r.conditional {
		m.do(doWatch, e.role)
		return
	}
	r.state, r.readyAt = rundir.RoleReady, e.at
}

// takeBadTask begins the teardown as soon as one task of a worker has failed.
// Its step lives on until Slurm has ended the other tasks, which takes up to
// KillWait; without this the client's failure would be seen first.
func (m *machine) takeBadTask(e event) {
	r := &m.roles[e.role]
	if !r.live() || !r.stopSent.IsZero() || !r.badAt.IsZero() {
		return
	}
	r.badAt, r.end = e.at, e.end
	m.note(e.at, r.name, "task failed: "+endWords(e.end))
	switch {
	case r.wave != waveMain || m.isClient(*r) || r.optional:
	case m.phase == rundir.PhaseDrain:
		m.noticedFirst(e.at)
	default:
		m.roleDied(r, e)
	}
}

func (m *machine) takeEnded(e event) {
	e.end = ofShell(e.end)
	r := &m.roles[e.role]
	r.state, r.ended, r.end, r.skipped = rundir.RoleEnded, e.at, e.end, e.skipped
	m.note(e.at, r.name, endWords(e.end))
	if e.end.Left != "" {
		m.note(e.at, r.name, e.end.Left)
	}
	if r.optional {
		r.err = e.end.Err
		m.left(r, e)
		return
	}
	m.failed = m.failed || m.isClient(*r) && e.end.Exit != 0
	if e.end.Err != "" && r.stopSent.IsZero() {
		r.err = e.end.Err
		m.begin(e.at, "step of "+r.name+" could not be started", settleTime,
			blame.Event{Role: r.name, Kind: blame.NeverStarted, At: e.at, Text: e.end.Err})
	}
	if e.drain {
		m.status = true
		m.through(e.at, "status file is there")
	}
	switch {
	case m.ending != nil:
		m.endedInTeardown(r, e)
	case r.wave != waveMain:
		m.preparationEnded(r, e)
	case m.isClient(*r):
		m.clientEnded(r, e)
	case m.phase == rundir.PhaseDrain:
		r.drained = true
		m.noticedFirst(e.at)
	default:
		m.roleDied(r, e)
	}
}

// takeTold takes what a role's last output tells of its end.
func (s *state) takeTold(r *role, e event) {
	if r.end = ofShell(e.end); !r.stopSent.IsZero() {
		return
	}
	s.note(e.at, r.name, "by its last output: "+endWords(r.end))
	r.err = e.end.Err
	s.extra = slices.DeleteFunc(s.extra, func(x blame.Event) bool { return x.Role == r.name && x.Kind == blame.NeverStarted })
	if r.err != "" && !r.optional {
		s.extra = append(s.extra, blame.Event{Role: r.name, Kind: blame.NeverStarted, At: r.ended, Text: r.err})
	}
}

// ofShell is an end with the signal that killed a shell's command, which its exit code tells.
func ofShell(e step.End) step.End {
	if e.Signal == 0 && e.Exit > 128 && e.Exit <= 128+64 {
		e.Signal, e.Status = e.Exit-128, true
	}
	return e
}

func (m *machine) endedInTeardown(r *role, e event) {
	if !m.isClient(*r) { // it left because the client had said that it was through, whatever else goes on
		r.drained = m.phase == rundir.PhaseDrain && m.ending.soft || e.drain && e.end.Exit == 0
	}
	if !m.ending.zero || !m.ending.termed.IsZero() {
		return
	}
	if e.end.Exit == 0 && (m.isClient(*r) && !m.working() || m.allSkipped()) {
		m.through(e.at, r.name+" ended")
	}
	if m.ending != nil && !r.skipped {
		m.ending.hurry(e.at.Add(settleAfter(e.end)))
	}
}

// preparationEnded ends the run when what comes before its servers failed.
func (m *machine) preparationEnded(r *role, e event) {
	if e.end.Exit == 0 {
		return
	}
	kind := blame.RoleEnd
	if r.wave == waveInstall {
		kind = blame.InstallFail
	}
	m.begin(e.at, r.name+" failed: "+endWords(e.end), settleTime,
		blame.Event{Role: r.name, Kind: kind, At: e.at, Exit: e.end.Exit, Signal: e.end.Signal, Text: endWords(e.end)})
}

// noticedFirst begins the teardown when the client has failed for a server that died about then: it noticed before
// Slurm had told us, and its word that it is through was no more than that. The others need not be waited for.
func (m *machine) noticedFirst(at time.Time) {
	if !m.failed || m.ending != nil {
		return
	}
	for _, r := range m.roles {
		if r.wave != waveMain || m.isClient(r) || r.optional || !r.stopSent.IsZero() {
			continue
		}
		if (r.state == rundir.RoleEnded || !r.badAt.IsZero()) && r.end.Exit != 0 && r.failedAt().Sub(m.drainAt) < noticed {
			m.begin(at, fmt.Sprintf("%s died (%s), which the client noticed first", r.name, endWords(r.end)), settleTime, blame.Event{})
			return
		}
	}
}

// roleDied begins the teardown: a server ended although the client is not
// through. Exit 0 is unexpected too, but may mean that the server saw the
// client's status file before we did: a network file system shows it to each
// host in its own time. So exit 0 waits a little longer, and much longer where
// the test was skipped: then the client's may be too.
func (m *machine) roleDied(r *role, e event) {
	settle, how := settleAfter(e.end), endWords(e.end)
	if r.skipped {
		settle, how = settleSkip, fmt.Sprintf("%s, all its tests were skipped: waiting up to %v for those of the others", how, settleSkip)
	}
	m.begin(e.at, fmt.Sprintf("%s ended before the client was through: %s", r.name, how), settle, blame.Event{})
	m.ending.zero = e.end.Exit == 0
	r.early = m.ending.zero
}

// settleAfter is how long after an unexpected end the others are let be.
func settleAfter(e step.End) time.Duration {
	if e.Exit == 0 {
		return settleZero
	}
	return settleTime
}

// allSkipped reports whether nothing was tested: every role's tests were skipped.
func (s state) allSkipped() bool {
	return s.count(func(r role) bool { return r.wave == waveMain && !r.optional && !r.skipped }) == 0
}

// clientEnded begins drain, unless the status file has begun it already. The
// servers leave by themselves when they see that file; if the client failed
// without writing one, they never will, and are ended.
func (m *machine) clientEnded(r *role, e event) {
	if m.phase == rundir.PhaseDrain {
		m.noticedFirst(e.at)
		return
	}
	was := m.phase
	if m.drainRole != "" || e.end.Exit != 0 {
		m.through(e.at, r.name+" ended")
	} // else the last of those that work says so
	if e.end.Exit != 0 {
		m.begin(e.at, fmt.Sprintf("%s failed: %s", r.name, endWords(e.end)), settleTime, blame.Event{})
		m.ending.phase = was // it is in the benchmark that the time limit came, if it was that
	}
}

// through notes that the client is through with its work.
func (m *machine) through(at time.Time, how string) {
	if m.ending != nil {
		if !m.ending.zero || !m.ending.termed.IsZero() || at.Sub(m.ending.at) > settleZero && !m.allSkipped() {
			return
		}
		m.note(at, "", "teardown called off: the client is through")
		m.ending = nil
		for i := range m.roles {
			if m.roles[i].wave == waveMain && m.roles[i].state == rundir.RoleEnded {
				m.roles[i].drained = true
			}
		}
	}
	if m.begun != waveMain || m.phase != rundir.PhaseReady && m.phase != rundir.PhaseBenchmark {
		return
	}
	if m.phase == rundir.PhaseReady {
		m.enter(rundir.PhaseBenchmark, at)
	}
	m.drainAt = at
	m.note(at, "", "client is through: "+how)
	m.enter(rundir.PhaseDrain, at)
}

// advance makes the transitions that have become possible.
func (m *machine) advance(at time.Time) {
	if m.over || m.phase == rundir.PhaseCollect {
		return
	}
	m.finished(at)
	live := m.count(role.live)
	if m.ending != nil {
		done := live == 0 || m.ending.gaveUp
		if done && !m.ending.termed.IsZero() && m.jobSettled(at) {
			m.collect(at)
		}
		return
	}
	switch m.phase {
	case rundir.PhaseSetup:
		m.advanceSetup(at)
	case rundir.PhaseReady:
		m.startDue()
		waiting := m.count(func(r role) bool {
			return r.wave == waveMain && !r.optional && (r.state == rundir.RolePending || r.state == rundir.RoleRunning && !m.isClient(r))
		})
		if waiting == 0 {
			m.enter(rundir.PhaseBenchmark, at)
		}
	case rundir.PhaseBenchmark:
		m.startDue() // optional roles, which nobody waits for
	case rundir.PhaseDrain:
		m.stopServing(at)
		if live == 0 {
			m.collect(at)
		}
	default: // benchmark ends by an event, not by itself
	}
}

// advanceSetup starts the next wave once the one before has ended well.
func (m *machine) advanceSetup(at time.Time) {
	for m.phase == rundir.PhaseSetup {
		if m.count(func(r role) bool { return r.wave <= m.begun && r.state != rundir.RoleEnded }) > 0 {
			return
		}
		m.begun++
		if m.begun == waveMain {
			m.enter(rundir.PhaseReady, at)
		}
		m.startDue()
	}
}

// endWords is how a step ended, for people.
func endWords(e step.End) string {
	if e.Lost != "" {
		return "lost with node " + e.Lost
	}
	ending := rundir.Ending{Exit: e.Exit, Signal: e.Signal, OOM: e.OOM}
	if e.First != nil {
		ending.Task, ending.Node = e.First.Task, e.First.Node
	}
	return ending.String()
}
