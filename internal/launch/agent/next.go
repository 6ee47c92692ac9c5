package agent

import (
	"fmt"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/proc"
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
		m.begin(e.at, "step of "+r.name+" could not be started", settleTime,
			blame.Event{Role: r.name, Kind: blame.NeverStarted, At: e.at, Text: e.text})
	case evBadTask:
		m.takeBadTask(e)
	case evReady:
		if r := &m.roles[e.role]; r.state == rundir.RoleRunning {
			r.state, r.readyAt = rundir.RoleReady, e.at
			m.note(e.at, r.name, "ready")
		}
	case evEnded:
		m.takeEnded(e)
	case evDrain:
		m.status = true
		m.through(e.at, "status file is there")
	case evTick:
		if m.ending == nil {
			m.deadlines(e)
		}
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
				blame.Event{Kind: blame.Storage, At: e.at, Text: e.text})
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
	if r.wave == waveMain && !m.isClient(*r) && m.phase != rundir.PhaseDrain {
		m.roleDied(r, e)
	}
}

func (m *machine) takeEnded(e event) {
	r := &m.roles[e.role]
	r.state, r.ended, r.end = rundir.RoleEnded, e.at, e.end
	if r.end.Signal == 0 && r.end.Exit > 128 && r.end.Exit <= 128+64 {
		r.end.Signal = r.end.Exit - 128 // a shell whose command was killed
		e.end = r.end
	}
	m.note(e.at, r.name, endWords(e.end))
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
	if m.ending != nil {
		if !m.isClient(*r) { // it left because the client had said that it was through, whatever else goes on
			r.drained = m.phase == rundir.PhaseDrain && m.ending.soft || e.drain && e.end.Exit == 0
		}
		if m.isClient(*r) && m.ending.zero && e.end.Exit == 0 {
			m.through(e.at, r.name+" ended")
		}
		return
	}
	switch {
	case r.wave != waveMain:
		if e.end.Exit != 0 {
			kind := blame.RoleEnd
			if r.wave == waveInstall {
				kind = blame.InstallFail
			}
			m.begin(e.at, r.name+" failed: "+endWords(e.end), settleTime,
				blame.Event{Role: r.name, Kind: kind, At: e.at, Exit: e.end.Exit, Signal: e.end.Signal, Text: endWords(e.end)})
		}
	case m.isClient(*r):
		m.clientEnded(r, e)
	case m.phase == rundir.PhaseDrain:
		r.drained = true
		m.noticedFirst(e.at)
	default:
		m.roleDied(r, e)
	}
}

// noticedFirst begins the teardown when the client has failed for a server that died about then: it noticed before Slurm
// had told us, and its word that it is through was no more than that. The others need not be waited for.
func (m *machine) noticedFirst(at time.Time) {
	if !m.failed || m.ending != nil {
		return
	}
	for _, r := range m.roles {
		if r.wave == waveMain && !m.isClient(r) && r.state == rundir.RoleEnded && r.end.Exit != 0 && r.fell().Sub(m.drainAt) < noticed {
			m.begin(at, fmt.Sprintf("%s died (%s), which the client noticed first", r.name, endWords(r.end)), settleTime, blame.Event{})
			return
		}
	}
}

// roleDied begins the teardown: a server ended although the client is not
// through. Exit 0 is unexpected too, but may mean that the server saw the
// client's status file before we did: a network file system shows it to each
// host in its own time. So exit 0 waits a little longer.
func (m *machine) roleDied(r *role, e event) {
	settle := settleTime
	if e.end.Exit == 0 {
		settle = settleZero
	}
	m.begin(e.at, fmt.Sprintf("%s ended before the client was through: %s", r.name, endWords(e.end)), settle, blame.Event{})
	m.ending.zero = e.end.Exit == 0
	r.early = m.ending.zero
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
	m.through(e.at, r.name+" ended")
	if e.end.Exit != 0 {
		m.begin(e.at, fmt.Sprintf("%s failed: %s", r.name, endWords(e.end)), settleTime, blame.Event{})
		m.ending.phase = was // it is in the benchmark that the time limit came, if it was that
	}
}

// through notes that the client is through with its work.
func (m *machine) through(at time.Time, how string) {
	if m.ending != nil {
		if !m.ending.zero || !m.ending.termed.IsZero() {
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

func (m *machine) takeSignal(e event) {
	m.note(e.at, "", "agent received "+e.text)
	if m.ending != nil && m.ending.signal == "" && !m.ending.soft {
		// Already ending: a job cancelled as a whole signals the roles first, us after.
		m.ending.signal = e.text
		m.ending.grace = min(m.ending.grace, cancelGrace)
		if m.ending.termed.IsZero() {
			m.ending.termAt = e.at
		}
		return
	}
	m.ending = nil
	m.begin(e.at, "agent received "+e.text, 0, blame.Event{Kind: blame.Signalled, At: e.at, Text: e.text})
	m.ending.signal = e.text
	m.ending.grace = min(m.grace, cancelGrace)
}

// begin starts a teardown. A second reason changes nothing: the first event is
// what the run ends for. cause is kept as evidence when it has a kind.
func (m *machine) begin(at time.Time, why string, settle time.Duration, cause blame.Event) {
	if cause.Kind != "" {
		m.extra = append(m.extra, cause)
	}
	if m.ending != nil {
		return
	}
	m.ending = &ending{at: at, phase: m.phase, why: why, cause: cause, termAt: at.Add(settle), grace: m.grace}
	m.note(at, "", "teardown: "+why)
}

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

// tearDown moves a teardown on: SIGTERM when due, SIGKILL after the grace, and
// the question to Slurm, which has the last word on whether a role is to blame.
func (m *machine) tearDown(at time.Time) {
	en := m.ending
	switch {
	case en.termed.IsZero():
		if !at.Before(en.termAt) {
			en.termed = at
			m.signalAll(doTerm, at)
		}
	case en.killed.IsZero():
		if at.Sub(en.termed) >= en.grace {
			en.killed = at
			m.signalAll(doKill, at)
		}
	case at.Sub(en.killed) >= reapBound && !en.gaveUp:
		en.gaveUp = true
		for _, r := range m.roles {
			if r.live() {
				m.note(at, r.name, "did not go away after SIGKILL: given up")
				m.extra = append(m.extra, blame.Event{Role: r.name, Kind: blame.Unkillable, At: at, Text: "its step did not go away after SIGKILL"})
			}
		}
	}
	if en.asks == 0 && at.Sub(en.at) >= askJobAfter {
		m.ask(at)
	}
	if en.asks > 0 && !en.answered && at.Sub(en.askedAt) >= askJobBound {
		en.answered, en.mute = true, true
	}
}

func (m *machine) ask(at time.Time) {
	if !m.askJob || m.ending.soft {
		return
	}
	m.ending.asks++
	m.ending.askedAt, m.ending.answered = at, false
	m.do(doAskJob, 0)
}

func (m *machine) signalAll(k actionKind, at time.Time) {
	for i := range m.roles {
		r := &m.roles[i]
		if !r.live() {
			continue
		}
		if k == doTerm {
			r.stopSent = at
		} else {
			r.killSent = at
			m.note(at, r.name, "SIGKILL: still there after the grace")
		}
		m.do(k, i)
	}
}

// advance makes the transitions that have become possible.
func (m *machine) advance(at time.Time) {
	if m.over || m.phase == rundir.PhaseCollect {
		return
	}
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
		waiting := m.count(func(r role) bool {
			return r.wave == waveMain && (r.state == rundir.RolePending || r.state == rundir.RoleRunning && !m.isClient(r))
		})
		if waiting == 0 {
			m.enter(rundir.PhaseBenchmark, at)
		}
	case rundir.PhaseDrain:
		if live == 0 {
			m.collect(at)
		}
	default: // benchmark ends by an event, not by itself
	}
}

// jobSettled says that Slurm has been asked and has answered, or cannot be. An
// answer from long before the last step went is asked for once more: Slurm takes
// its time to notice a dead node.
func (m *machine) jobSettled(at time.Time) bool {
	en := m.ending
	if !m.askJob || en.soft {
		return true
	}
	if en.answered && !en.mute && en.asks == 1 && at.Sub(en.askedAt) > askJobAgain {
		m.ask(at)
	}
	return en.answered
}

func (m *machine) collect(at time.Time) {
	for i := range m.roles {
		if m.roles[i].state == rundir.RolePending {
			m.roles[i].state = rundir.RoleNeverStarted
		}
	}
	m.enter(rundir.PhaseCollect, at)
	m.do(doCollect, 0)
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
		for i, r := range m.roles {
			if r.wave == m.begun {
				m.do(doStart, i)
			}
		}
	}
}

// endWords is how a step ended, for people.
func endWords(e stepEnd) string {
	words := fmt.Sprintf("exit %d", e.Exit)
	if e.Signal != 0 {
		words = "killed by " + proc.SignalName(e.Signal)
	}
	if e.Lost != "" {
		words = "lost with node " + e.Lost
	}
	if e.OOM {
		words += " (out of memory)"
	}
	if f := e.First; f != nil {
		words += fmt.Sprintf(", task %d", f.Task)
		if f.Node != "" {
			words += " on " + f.Node
		}
		words += " first"
	}
	return words
}
