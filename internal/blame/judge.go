package blame

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// The kinds of finding.
const (
	KindCrash        = "role-crash"    // a role ended with something else than 0
	KindEarlyExit    = "early-exit"    // a role ended with 0 before the client was through
	KindHang         = "hang"          // nothing moved for the configured time
	KindReadyTimeout = "ready-timeout" // a server was not ready within the budget
	KindTimeout      = "phase-timeout" // a phase took longer than its budget
	KindTimeLimit    = "time-limit"    // the job's time limit came
	KindTestFailed   = "test-failed"   // a role's own test failed
	KindCancelled    = "cancelled"     // somebody ended the job
	KindPreempted    = "preempted"     // Slurm ended it for a more important one
	KindNodeFail     = "node-fail"     // a node of the job failed
	KindLaunch       = "launch-failed" // Slurm could not start the job
	KindLost         = "lost"          // nobody knows what became of the job
	KindInstall      = "install-failed"
	KindPrecheck     = "precheck-failed"
	KindNeverStarted = "never-started"
	KindNoResult     = "no-result"
	KindStorage      = "storage" // the run directory could not be written
	KindUnkillable   = "unkillable"
	KindServerDied   = "server-died"      // the server that a role runs died while it was serving
	KindServerSick   = "server-unhealthy" // the server that a role runs answers with errors
	KindPlanted      = "planted"          // a role replaced files or directories of the run
	KindDraftFailed  = "draft-failed"     // a team's own draft, or one of its steps, ended with an error
	KindUnattributed = "unattributed"
)

// DefaultSkew is how close two events must be to count as simultaneous.
const DefaultSkew = 5 * time.Second

// secondHand is how long before its cause a failure may be seen that only says that
// somebody else has gone: a worker of the perf test looks after its server every
// 10 s, and its step then has to end.
const secondHand = time.Minute

// Judge names the root cause of a failed attempt. It is pure.
//
//  1. What happened to the job as a whole comes first: a node's failure, a
//     preemption, a cancellation, the time limit, each end roles that have done
//     nothing. A role that was dead before that stays the root.
//  2. Otherwise the root is the earliest fatal event: the end of a process, a
//     readiness deadline, the end of a failing test. Signals that the agent or
//     Slurm sent because of another event never count.
//  3. Within the skew window order proves nothing. There a node or a preflight
//     goes before a worker, a worker before the router, the router before the
//     client; and whoever reports that somebody else has gone (connection
//     refused, reset by peer) goes last, also before a failure up to a minute
//     later. The client only ever observes.
//     So does it when Slurm lost a node, which it notices long after the fact.
//  4. A failure beside the root is collateral only with evidence: it was
//     stopped, or it says itself that another process had gone, or it is the
//     client and came later. Every other failure is a root of its own; so is an
//     assertion on measured data.
//  5. The class comes from the first failure class that matches a line near the
//     end of the root's log, then from the way it ended. What nothing explains
//     is unknown.
func Judge(ev Evidence) Finding {
	if ev.Skew <= 0 {
		ev.Skew = DefaultSkew
	}
	c := newAnalysis(ev)
	if f, ok := c.wholeJob(); ok {
		return f
	}
	root, ok := c.root()
	if !ok {
		return c.nobody()
	}
	f := c.findingOn(root)
	c.others(&f, root)
	if own, ok := ownVerdict(c.fatal, f); ok {
		f = c.findingOn(own)
		c.others(&f, own)
	}
	return f
}

func nearness(l Line) int {
	if l.Server {
		return 0
	}
	return 1
}

// SortLines puts the lines of one log into the order of the file.
func SortLines(lines []Line) {
	slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Compare(a.Number, b.Number) })
}

// analysis is the evidence, indexed.
type analysis struct {
	ev    Evidence
	roles map[string]Role
	order map[string]int // start order
	lines map[string][]Line
	ends  map[string]Event // RoleEnd by role
	fatal []Event          // in time order; those of unknown time last
}

func newAnalysis(ev Evidence) *analysis {
	c := &analysis{ev: ev, roles: map[string]Role{}, order: map[string]int{}, lines: map[string][]Line{}, ends: map[string]Event{}}
	for i, r := range ev.Roles {
		c.roles[r.Name], c.order[r.Name] = r, i
	}
	for _, l := range ev.Lines {
		c.lines[l.Role] = append(c.lines[l.Role], l)
	}
	for _, lines := range c.lines { // the nearer to the cause, the earlier
		slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Compare(nearness(a), nearness(b)) })
	}
	c.ev.Events = interrupted(c)
	for _, e := range c.ev.Events {
		if e.Kind == RoleEnd {
			c.ends[e.Role] = e
		}
	}
	for _, e := range c.ev.Events {
		e = normal(e)
		measures := c.isClient(e.Role) || c.roles[e.Role].Kind == rundir.KindTask
		e.Assert = e.Assert || measures && asserts(e, c.lines[e.Role])
		if e.Kind == ServerGone && e.Signal == 9 && waitedInVain(c.lines[e.Role]) {
			e.Inside = OwnTest
		}
		if c.isFatal(e) {
			c.fatal = append(c.fatal, c.timed(e))
		}
	}
	slices.SortStableFunc(c.fatal, func(a, b Event) int {
		switch {
		case a.At.IsZero() != b.At.IsZero():
			return map[bool]int{true: 1, false: -1}[a.At.IsZero()]
		case !a.At.Equal(b.At):
			return a.At.Compare(b.At)
		}
		return cmp.Compare(c.order[a.Role], c.order[b.Role])
	})
	if !c.missesSomebody() {
		c.fatal = slices.DeleteFunc(c.fatal, func(e Event) bool { return e.Weak })
	}
	return c
}

// missesSomebody reports whether somebody gave up by himself, and nobody failed but such. What died by itself needs no
// other's silence to explain it.
func (c *analysis) missesSomebody() bool {
	gaveUp := false
	for _, e := range c.fatal {
		switch {
		case e.Weak, e.Kind == NoResult:
		case !c.observes(e):
			return false
		default:
			gaveUp = gaveUp || e.Signal == 0
		}
	}
	return gaveUp
}

// normal reads the exit code of a shell whose command was killed: 128 + signal.
func normal(e Event) Event {
	if e.Kind == RoleEnd && e.Signal == 0 && e.Exit > 128 && e.Exit <= 128+64 {
		e.Signal = e.Exit - 128
	}
	return e
}

// timed gives a failing test the time at which its role ended or was told to.
// What a results file says (start of the session, durations of the tests) is
// another host's clock and leaves out what came between: a lower bound. The role's
// end is an upper one, on our own clock.
func (c *analysis) timed(e Event) Event {
	end, ok := c.ends[e.Role]
	if e.Kind != TestFailed || !ok {
		return e
	}
	if e.At = end.At; !end.Stopped.IsZero() && end.Stopped.Before(end.At) {
		e.At = end.Stopped
	}
	return e
}

// isFatal reports whether an event could be the root. An end that was asked for never
// is, unless the step ran out of memory.
func (c *analysis) isFatal(e Event) bool {
	switch e.Kind {
	case RoleEnd:
		switch {
		case e.OOM:
			return true
		case e.ByUs:
			return killedToo(e, c.ends, c.ev.Skew) || setUpFailed(e, c.ends, c.lines)
		}
		return e.Exit != 0 || !e.Expected
	case TestFailed:
		end, ok := c.ends[e.Role]
		stopped := ok && !end.Stopped.IsZero()
		// A test that fails because its process was told to stop: no finding.
		return e.Assert || !stopped || e.At.IsZero() || e.At.Before(end.Stopped.Add(-c.ev.Skew))
	case ServerGone: // with its role, which somebody else has ended, is no crash
		end := c.ends[e.Role]
		return !end.Outside || rundir.Ending{Signal: e.Signal}.Crashed() || e.At.Sub(end.At).Abs() > c.ev.Skew
	case PhaseTimeout, Signalled, Abandoned, Unreached:
		return false // of the job as a whole
	default:
		return true
	}
}

// killedToo reports whether a role that was told to end died of a SIGKILL that nobody here had sent, as another one had
// that nobody had told to: what killed both is no answer to SIGTERM, and how soon the second end is seen is the
// machine's.
func killedToo(e Event, ends map[string]Event, skew time.Duration) bool {
	if e.Signal != 9 || e.Forced || e.Stopped.IsZero() || !e.Killed.IsZero() {
		return false
	}
	for _, o := range ends {
		if killedAlike(e, normal(o), skew) && o.Role != e.Role && !o.ByUs {
			return true
		}
	}
	return false
}

// killedAlike reports whether two died of SIGKILL at about the same time. No peer's end explains that.
func killedAlike(a, b Event, skew time.Duration) bool {
	killed := func(e Event) bool {
		return e.Signal == 9 && !e.Forced && !e.Outside && e.Inside == "" && (e.Kind == RoleEnd || e.Kind == ServerGone)
	}
	return killed(a) && killed(b) && a.At.Sub(b.At).Abs() <= skew
}

// rank orders simultaneous failures: who causes before who suffers.
func (c *analysis) rank(e Event) int {
	switch e.Kind {
	case Storage, InstallFail, Unkillable, NodeLost:
		return 0
	default:
	}
	switch c.roles[e.Role].Kind {
	case rundir.KindPrecheck, rundir.KindInstall:
		return 0
	case rundir.KindServer, rundir.KindTask:
		return 1
	case rundir.KindRouter:
		return 2
	case rundir.KindClient:
		return 3
	}
	return 2
}

func (c *analysis) isClient(role string) bool { return c.roles[role].Kind == rundir.KindClient }

// root is the fatal event that the finding is about.
func (c *analysis) root() (Event, bool) {
	if len(c.fatal) == 0 {
		return Event{}, false
	}
	first := c.first()
	candidates := c.fatal[first : first+1]
	for i, e := range c.fatal[first+1:] {
		if e.At.IsZero() || e.At.Sub(c.fatal[first].At) > c.ev.Skew {
			break
		}
		candidates = c.fatal[first : first+i+2]
	}
	if lost, ok := c.lostNode(); ok && (c.observes(candidates[0]) || candidates[0].Kind == ServerSick) {
		return lost, true
	}
	if f, ok := c.silent(candidates); ok {
		return f, true
	}
	best := candidates[0]
	for _, e := range candidates[1:] {
		if c.before(e, best) {
			best = e
		}
	}
	return best, true
}

// first is the index of the fatal event with which the search for the root
// begins: the earliest, unless that is second-hand and somebody did go soon after.
func (c *analysis) first() int {
	if _, ok := c.peerLine(c.fatal[0].Role); !ok || !c.observes(c.fatal[0]) {
		return 0
	}
	for i, e := range c.fatal {
		if e.At.IsZero() || e.At.Sub(c.fatal[0].At) > secondHand {
			break
		}
		if e.Kind == RoleEnd && c.softness(e) == 0 || e.Kind == ServerGone || e.Kind == ServerSick && !c.observes(e) {
			return i
		}
	}
	return 0
}

// lostNode is the first role whose node Slurm lost, or whose processes nothing
// could end, which is how that looks before Slurm has noticed. Slurm notices that long after
// it happened (SlurmdTimeout), so its time says nothing against it.
func (c *analysis) lostNode() (Event, bool) {
	for _, e := range c.fatal {
		if e.Kind == NodeLost || e.Kind == Unkillable {
			return e, true
		}
	}
	return Event{}, false
}

// silent finds the role that everybody else complains about and that has left
// without a word: when all who failed only say that somebody has gone, and one of
// them names whom, it is that one, even if it ended with 0 at a time when that
// was no fault by itself.
func (c *analysis) silent(candidates []Event) (Event, bool) {
	for _, e := range candidates {
		// That a role left no result is no complaint; of the silent one it is to be expected.
		if e.Kind != NoResult && !c.observes(e) {
			return Event{}, false
		}
	}
	for _, e := range candidates {
		name, line, ok := c.missed(e.Role)
		end, ended := c.ends[name]
		late := end.At.Sub(e.At)
		switch {
		case !ok || !ended:
		case refused().MatchString(line.Text) && end.Exit == 0 && (end.Expected || end.ByUs) && late >= 0 && late <= secondHand:
			// It left well, but only after somebody had found nobody at its address.
			return Event{Role: name, Kind: ServerGone, At: e.At, Node: end.Node, Text: e.Role + " found nobody at its address"}, true
		case !end.ByUs && late <= c.ev.Skew:
			end.Expected = end.Exit != 0
			return normal(end), true
		}
	}
	return Event{}, false
}

// refused recognises that nobody listens any more where a server had listened.
// Whoever still answers, if only with an error, has not gone.
//
//nolint:gochecknoglobals // compiled once, immutable
var refused = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)refused|connect call failed|cannot connect to host`)
})

// before reports whether, at the same time, a rather than b is the cause. Ties stay in
// time order.
func (c *analysis) before(a, b Event) bool {
	if a.Role == b.Role {
		return weight(a) > weight(b) // several facts about one role: the plainest
	}
	if sa, sb := c.softness(a), c.softness(b); sa != sb {
		return sa < sb
	}
	return c.rank(a) < c.rank(b)
}

// softness orders simultaneous failures by how well they stand for themselves: a
// crash, then a silent exit 0 or an error to the health check, which may be an answer
// to one, then the report that somebody else has gone.
func (c *analysis) softness(e Event) int {
	switch {
	case c.observes(e), e.ByUs && !e.OOM:
		return 2
	case e.Kind == RoleEnd && e.Exit == 0 && !e.OOM, e.Kind == ServerSick, e.Outside:
		return 1
	}
	return 0
}

// weight orders facts about the same role by how much they say.
func weight(e Event) int {
	if e.Outside {
		return 5
	}
	switch e.Kind {
	case NodeLost, Unkillable:
		return 5
	case ServerGone:
		return 4
	case RoleEnd:
		return 3
	case TestFailed:
		return 2
	case NoResult:
		return 0
	default:
		return 1
	}
}

// observes reports whether a failure only reports another one: the client's, and that
// of a process whose first error is that its peer has gone.
func (c *analysis) observes(e Event) bool {
	if e.Kind == ServerSick { // a router has nothing but others to answer with
		return c.roles[e.Role].Kind == rundir.KindRouter
	}
	if e.Kind != RoleEnd && e.Kind != TestFailed {
		return false
	}
	if e.OOM || e.Outside || e.Signal == 9 && !e.Forced {
		return false
	}
	if c.isClient(e.Role) && !e.Assert {
		return true
	}
	_, ok := c.peerLine(e.Role)
	return ok
}

// phaseWords is what a phase did too long. Records of before have its name alone.
func phaseWords(text string) string {
	if !strings.Contains(text, " ") {
		return text + " took longer than its budget"
	}
	return oneLine(text, 600)
}

// nobody is the finding when no role did anything wrong by itself.
func (c *analysis) nobody() Finding {
	for _, e := range c.ev.Events {
		if e.Kind == PhaseTimeout {
			return Finding{
				Class: Unknown, Kind: KindTimeout, Rule: "phase-budget",
				Message:    "phase " + phaseWords(e.Text) + "; no role failed",
				Collateral: c.stopped(),
			}
		}
	}
	if i := slices.IndexFunc(c.ev.Events, func(e Event) bool { return e.Kind == Unreached }); i >= 0 {
		return Finding{
			Class: Infra, Kind: KindUnkillable, Rule: "slurm-away",
			Message: "[" + c.ev.Events[i].Role + "] could not be ended: " + oneLine(c.ev.Events[i].Text, 300),
		}
	}
	for _, e := range c.ev.Events {
		if e.Kind == RoleEnd && e.Exit != 0 {
			return Finding{
				Class: Unknown, Kind: KindUnattributed, Rule: nothingProven,
				Message: "[" + e.Role + "] " + endWords(normal(e)) + ", after it had been told to stop; nothing says why that was",
			}
		}
	}
	return Finding{}
}

// setUpFailed reports whether a role that was not set up gave up by itself. One that we stop while it is being set up
// says the same; it is believed where another one, that nobody had stopped, was not set up either.
func setUpFailed(e Event, ends map[string]Event, lines map[string][]Line) bool {
	if !notSetUp(e, lines[e.Role]) {
		return false
	}
	if !e.ByUs {
		return true
	}
	for _, o := range ends {
		if o.Role != e.Role && !o.ByUs && notSetUp(o, lines[o.Role]) {
			return true
		}
	}
	return false
}
