package agent

import (
	"slices"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/agent/step"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Times that are the agent's own and not the plan's.
const (
	settleTime   = 500 * time.Millisecond  // first unexpected end → SIGTERM: lets a simultaneous death show itself
	settleZero   = 1500 * time.Millisecond // the same after exit 0: the client's status file may still be on its way
	settleSkip   = 2 * time.Minute         // the same where its test was skipped: so may be that of the others, which import for as long
	skipBound    = 2 * time.Second         // its results must say so within that
	askJobAfter  = 2 * time.Second         // first unexpected end → asking Slurm for the job's state
	askJobAgain  = 8 * time.Second         // an answer older than this at the end is asked for again
	probeBound   = 10 * time.Second        // a probe that takes longer is not waited for
	askJobBound  = 15 * time.Second        // no answer by then counts as no answer
	defaultGrace = 20 * time.Second        // SIGTERM → SIGKILL when the plan says nothing
	cancelGrace  = 5 * time.Second         // the same when the whole job is being ended: Slurm's KillWait is running
	sendBound    = 20 * time.Second        // a signal that Slurm has not taken by then is not sent
	reapBound    = 30 * time.Second        // SIGKILL → giving up on a step that does not go away
	statusDelay  = 10 * time.Second        // client's exit 0 → its status file must be there, on whatever file system
	failedDrain  = 30 * time.Second        // the same when the client has failed
	noticed      = 10 * time.Second        // client's word → end of the server that it missed: that long may Slurm take to tell
	drainBound   = 2 * time.Minute         // client through → servers are ended, when the plan has no drain budget
	maxTimeline  = 2000
	standstill   = 15 * time.Second // between two ticks: the agent was stopped, for longer than a busy machine or a slow file server holds it
	maxStalls    = 100
)

// limits are the constants of one attempt, taken from the plan.
type limits struct {
	budgets    rundir.Budgets
	hang       time.Duration
	test       time.Duration // of ready and benchmark together, by the list's TIMEOUT; 0 = no bound
	lifeline   time.Duration // without a driver for so long the job ends itself; 0 = never
	grace      time.Duration
	drainRole  string
	drainFile  string // the client's status file, "" = its end is the sign
	askJob     bool   // there is a Slurm to be asked
	drainBound time.Duration
	// The constants of these names, but in tests.
	askJobBound, probeBound time.Duration
}

// wave is a group of roles that are started together. Every wave but the last
// must end with exit 0 before the next one starts.
type wave int

const (
	waveInstall wave = iota
	wavePre
	waveMain
)

// role is one role's part of the state.
type role struct {
	name  string
	kind  string
	wave  wave
	nodes []string
	lifecycle
	// conditional says that the role is ready only when its conditions hold.
	conditional bool

	state    string // rundir.Role…
	started  time.Time
	readyAt  time.Time
	ended    time.Time
	end      step.End
	badAt    time.Time // when the step's first task ended badly; the step may take a while to follow
	stopSent time.Time
	killSent time.Time
	drained  bool   // ended after the client said it was through
	early    bool   // ended with 0 before that, as far as we could see then
	unsent   bool   // Slurm took no SIGKILL for it
	skipped  bool   // its results say that all its tests were skipped
	err      string // why it never started
	server   sight  // what is seen of its server
}

// lifecycle is when a role starts and how it may end.
type lifecycle struct {
	group      string
	needs      []string // groups that must be there before it is started
	depth      int      // how many starts that makes, one after the other
	asked      bool     // its start has been asked for
	optional   bool     // it may leave
	withClient bool     // it is ended when the client is through
}

// failedAt is when the role's step failed, or ended.
func (r role) failedAt() time.Time {
	if !r.badAt.IsZero() && (r.ended.IsZero() || r.badAt.Before(r.ended)) {
		return r.badAt
	}
	return r.ended
}

func (r role) live() bool { return r.state == rundir.RoleRunning || r.state == rundir.RoleReady }

// ending is a teardown under way.
type ending struct {
	at         time.Time // of the event that began it
	phase      rundir.Phase
	why        string
	cause      blame.Event
	soft       bool // not a failure: servers that had to be ended in drain
	zero       bool // begun by an exit 0: called off if the client turns out to be through
	signal     string
	termAt     time.Time // when SIGTERM is due
	termed     time.Time // when it was sent
	killed     time.Time
	grace      time.Duration
	asks       int       // how often Slurm has been asked for the job's state
	askedAt    time.Time // last
	answered   bool
	unanswered bool // there was no answer in time
	job        blame.Job
	gaveUp     bool
}

// state is all that the agent knows. Only next changes it.
type state struct {
	limits
	phase    rundir.Phase
	since    time.Time
	spans    []rundir.PhaseSpan
	roles    []role
	begun    wave // the last wave that was started
	ending   *ending
	extra    []blame.Event // facts beside the roles' ends: not ready, hang, budget
	probing  time.Time     // a probe is out, since then
	probed   time.Time     // when a hang was last looked for
	overdue  string        // the bound that the benchmark has reached
	drainAt  time.Time     // the client's word that it is through was noticed
	word     time.Time     // it was given, zero = then
	status   bool          // the client's status file was seen
	failed   bool          // the client ended with something else than 0
	timeline []rundir.Event
	broken   string // the run directory cannot be written
	over     bool
}

func (s state) clone() state {
	s.roles = slices.Clone(s.roles)
	s.spans = slices.Clone(s.spans)
	s.extra = slices.Clone(s.extra)
	if s.ending != nil {
		e := *s.ending
		s.ending = &e
	}
	s.timeline = slices.Clip(s.timeline)
	return s
}

func (s *state) note(at time.Time, role, what string) {
	if len(s.timeline) < maxTimeline {
		s.timeline = append(s.timeline, rundir.Event{At: at, Role: role, What: what})
	}
}

func (s *state) enter(p rundir.Phase, at time.Time) {
	if n := len(s.spans); n > 0 && s.spans[n-1].End == nil {
		end := at
		s.spans[n-1].End = &end
	}
	s.phase, s.since = p, at
	if p != rundir.PhaseDone {
		s.spans = append(s.spans, rundir.PhaseSpan{Phase: p, Start: at})
	}
	s.note(at, "", "phase "+string(p))
}

func (s state) count(is func(role) bool) int {
	n := 0
	for _, r := range s.roles {
		if is(r) {
			n++
		}
	}
	return n
}

// isClient reports whether the end of the role's work is what the run waits for: that of
// the client that the plan names, else of everybody who works and must not leave.
func (s state) isClient(r role) bool {
	if s.drainRole != "" {
		return r.name == s.drainRole
	}
	return rundir.Works(r.kind) && !r.optional
}

// eventKind says what happened.
type eventKind int

const (
	evBegin      eventKind = iota
	evStarted              // the step of role runs
	evNotStarted           // it could not be started (text)
	evBadTask              // a task of role ended badly (end); its step will follow
	evReady                // all its conditions hold
	evEnded                // it is gone and reaped (end)
	evTold                 // its last output has come, and tells more of its end (end)
	evDrain                // the client's status file is there
	evTick                 // time has passed (quiet)
	evProbed               // answer to a hang probe (dead)
	evSeen                 // a helper saw something of role's server (seen; quiet: since the role or its server wrote anything)
	evNotKilled            // nobody has taken the SIGKILL for role's step (text)
	evSignal               // the agent itself was signalled (text)
	evJob                  // answer about the job's state (job)
	evBroken               // the run directory cannot be written (text)
	evCollected            // logs are flushed, done files written
)

// event is one thing that happened, with the time at which it did.
type event struct {
	kind    eventKind
	at      time.Time
	role    int // index into state.roles
	end     step.End
	text    string
	planted bool          // evNotStarted, evBroken: something else stands where the agent had made a file or directory
	quiet   time.Duration // evTick: since any role last gave a sign of life
	idle    time.Duration // likewise, any server of those that say what they work on; 0 = none does
	alone   time.Duration // evTick: since the driver was last seen to be alive; 0 = it was never seen
	served  time.Time     // evTick: when a request was first seen to be served, zero = not yet
	// evProbed: servers that did not answer, roles that had work, those whose answers
	// are not taken, and since when each is silent, in words.
	dead, busy, unread []string
	silence            string
	still              []time.Duration // by role
	lacks              []string        // evTick in PhaseReady: by role, what it still lacks to be ready
	job                blame.Job
	seen               rundir.NodeEvent
	drain              bool // evEnded: at that moment the client's status file was there
	skipped            bool // evEnded: with 0, and all its tests were skipped
}

// actionKind says what is to be done.
type actionKind int

const (
	doStart   actionKind = iota // start the role's step
	doWatch                     // watch the role's readiness
	doTerm                      // SIGTERM to the role's step
	doKill                      // SIGKILL
	doAskJob                    // ask Slurm for the job's state
	doProbe                     // ask every server whether it still answers
	doCollect                   // flush logs, write done files
	doFinish                    // close the record and end
)

type action struct {
	kind actionKind
	role int
}
