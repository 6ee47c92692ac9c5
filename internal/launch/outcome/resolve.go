package outcome

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ci-disagg/ci-disagg/internal/blame"
	"github.com/ci-disagg/ci-disagg/internal/launch/slurm"
	"github.com/ci-disagg/ci-disagg/internal/rundir"
)

// Resolve says where the attempt stands.
func Resolve(f Facts) Resolution {
	f.Bounds = f.Bounds.orDefaults()
	if unheeded(f) {
		f.Job.Cancel = nil
	}
	r := resolve(f)
	if r.Done {
		r.Ask = 0
		r.Finding = withCollateral(f, r.Finding)
	}
	return r
}

func resolve(f Facts) Resolution {
	if f.Job.Backend == rundir.BackendLocal || f.Local != nil {
		return resolveLocal(f)
	}
	v := look(f)
	r := Resolution{Phase: phaseOf(f, v), State: v.state, Why: v.reason, Exit: v.exit.String(), Nodes: v.nodes}
	r.Queued, r.Started = timePtr(v.queued), timePtr(v.started)
	if f.Agent != nil && len(f.Agent.Nodes) > 0 {
		r.Nodes = f.Agent.Nodes
	}
	if f.Acct.Row != nil {
		r.Suspended = f.Acct.Row.Suspended
	}
	switch {
	case v.over:
		return over(f, v, r)
	case f.Now.Sub(lastWord(f)) >= f.Bounds.Blind:
		return lost(f, v, r, lastWord(f).Add(f.Bounds.Blind), fmt.Sprintf("neither slurmctld nor the agent has said anything for %v", f.Bounds.Blind))
	case v.absent:
		return absent(f, v, r)
	case v.class == slurm.Waiting:
		return waiting(f, v, r)
	default:
		return running(f, v, r)
	}
}

// heard is when squeue or the agent last said anything about the job, or this client began to ask. The others are asked
// in their place, and may not know.
func heard(f Facts) time.Time {
	at := f.Since
	for _, t := range []time.Time{f.Queue.At, f.AgentChanged} {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// view is what Slurm's sources say together.
type view struct {
	state   slurm.State
	class   slurm.Class
	reason  string
	by      string // uid that cancelled it
	user    string // uid whose job it is
	exit    slurm.ExitCode
	derived slurm.ExitCode
	nodes   []string
	queued  time.Time
	started time.Time
	ended   time.Time
	over    bool      // a source that may say so says that the job is over
	absent  bool      // squeue answered without it, and nobody else says it is over
	stuck   bool      // squeue does not let go of it, although nothing of it says anything any more
	since   time.Time // of over, or stuck
	sources []string
}

const maxNodes = 4096

// look reads the sources in the order of trust: squeue says whether it goes on,
// sacct how it ended, scontrol fills in.
func look(f Facts) view {
	var v view
	if q := f.Queue.Row; q != nil {
		v.state, v.class, v.reason, v.queued = q.State, q.State.Class(), q.Reason, q.Submit
		v.nodes = slurm.Nodes(q.NodeList, maxNodes)
		v.sources = []string{"squeue"}
		if v.class != slurm.Waiting {
			v.started = q.Start
		}
	}
	asked := !f.Queue.At.IsZero()
	v.since, v.stuck = lastsSince(f, v)
	switch {
	case f.Queue.Row == nil || v.class == slurm.Terminal:
		v.addControl(f.Control.Row)
		v.addAcct(f.Acct.Row)
	case v.stuck:
		v.addLater(f, v.since)
	case Silent(f):
		v.addLater(f, f.Queue.At)
	}
	v.over = v.class == slurm.Terminal
	if v.over && Silent(f) && f.AbsentSince.IsZero() {
		v.since = knownEnd(f, v)
	}
	if v.over && v.state == slurm.Preempted && !preemptedForGood(f, v) {
		v.over = false
	}
	v.absent = !v.over && asked && f.Queue.Row == nil
	return v
}

// lastsSince is since when squeue has said what it says. A job that is leaving holds nodes, and its agent may still
// write how it ended; stuck is one of which nothing has been heard for long: a process that nobody can end keeps it in
// COMPLETING until an administrator sees to the node. As of then others are asked how it ended.
func lastsSince(f Facts, v view) (since time.Time, stuck bool) {
	since = f.StateSince
	switch {
	case f.Queue.Row == nil:
		return f.AbsentSince, false
	case v.class != slurm.Leaving || since.IsZero() || ended(f):
		return since, false
	case f.AgentChanged.After(since):
		since = f.AgentChanged
	}
	since = since.Add(f.Bounds.Stuck)
	return since, !f.Queue.At.Before(since)
}

// addLater takes what the others say since then of the end: what was said before is not of this one.
func (v *view) addLater(f Facts, since time.Time) {
	if c := f.Control; c.Row != nil && c.Row.State.Class() == slurm.Terminal && !c.At.Before(since) {
		v.addControl(c.Row)
	}
	if !f.Acct.At.Before(since) {
		v.addAcct(f.Acct.Row)
	}
}

// addControl takes what scontrol adds, as long as it says the job is over: an
// older answer from when it ran adds nothing to squeue's.
func (v *view) addControl(c *slurm.ControlJob) {
	if c == nil || c.State.Class() != slurm.Terminal && v.class == slurm.Terminal {
		return
	}
	v.state, v.class, v.exit = c.State, c.State.Class(), c.Exit
	if c.Reason != "" {
		v.reason = c.Reason
	}
	v.fill(c.NodeList, c.Submit, c.Start, c.End)
	v.sources = append(v.sources, "scontrol")
}

// addAcct takes what sacct says of the end. What it says of a job that goes on
// may be old and is not used.
func (v *view) addAcct(a *slurm.AcctRow) {
	if a == nil || a.State.Class() != slurm.Terminal {
		return
	}
	v.state, v.class, v.by, v.user, v.derived = a.State, slurm.Terminal, a.By, a.User, a.Derived
	if a.Exit.Known {
		v.exit = a.Exit
	}
	if a.Reason != "" {
		v.reason = a.Reason
	}
	v.fill(a.NodeList, a.Submit, a.Start, a.End)
	v.sources = append(v.sources, "sacct")
}

// fill takes nodes and times. While a job is on its way out slurmctld and accounting list the nodes that it still
// holds, so the longer list counts.
func (v *view) fill(nodes string, submit, start, end time.Time) {
	if n := slurm.Nodes(nodes, maxNodes); len(n) > 0 && len(n) >= len(v.nodes) {
		v.nodes = n
	}
	for _, p := range []struct {
		to *time.Time
		v  time.Time
	}{{&v.queued, submit}, {&v.started, start}, {&v.ended, end}} {
		if !p.v.IsZero() {
			*p.to = p.v
		}
	}
}

// preemptedForGood: a preempted job may come back under the same id. It is final
// once it has stood in the list as preempted, or been absent from it, for a
// while.
func preemptedForGood(f Facts, v view) bool {
	if Silent(f) {
		return f.toldInstead().Sub(v.since) >= f.Bounds.Preempted
	}
	since := f.AbsentSince
	if f.Queue.Row != nil {
		since = f.StateSince
	}
	return !since.IsZero() && f.Queue.At.Sub(since) >= f.Bounds.Preempted
}

// phaseOf is the phase reached.
func phaseOf(f Facts, v view) rundir.Phase {
	if f.Agent != nil && f.Agent.Phase != "" {
		if f.Agent.Phase == rundir.PhaseDone {
			return rundir.PhaseCollect
		}
		return f.Agent.Phase
	}
	switch v.class {
	case slurm.Active, slurm.Leaving:
		return rundir.PhaseSetup
	case slurm.Terminal:
		if !v.started.IsZero() && len(v.nodes) > 0 {
			return rundir.PhaseSetup
		}
	default:
	}
	return rundir.PhaseQueue
}

// waiting: the job holds nothing yet, or has been put back.
func waiting(f Facts, v view, r Resolution) Resolution {
	// An answer from before the agent's first record is only older than it.
	backInQueue := f.Agent != nil && f.Queue.At.After(f.AgentSeen.Add(blame.ClockSkew))
	if backInQueue || v.state.Restarted() {
		r.end(rundir.CauseRequeued, rundir.OutcomeInfra, "Slurm put the job back into the queue: a restarted run measures something else")
		return r
	}
	if f.Agent != nil {
		return running(f, v, r)
	}
	r.Phase = rundir.PhaseQueue
	stands := !f.StateSince.IsZero() && f.Queue.At.Sub(f.StateSince) >= f.Bounds.Never
	why := ""
	switch c := f.Control.Row; {
	case !stands:
	case slices.Contains(f.Bounds.NeverReasons, v.reason):
		why = Explain(v.reason)
	case v.reason != slurm.PartitionNodeLimit:
	case f.Control.At.IsZero():
		r.Ask = AskControl
	case c != nil && c.Room > 0 && c.Asks > c.Room: // not for nodes that are down
		why = fmt.Sprintf("asks for %d nodes, and partition %s has or allows %d", c.Asks, c.Partition, c.Room)
	}
	if why != "" {
		r.end(rundir.CauseNever, rundir.OutcomeInfra, "the job can never start: "+v.reason+": "+why)
		return r
	}
	if b := f.Budget.Queue.D(); b > 0 && f.Job.Submitted != nil && f.Now.Sub(*f.Job.Submitted) > b {
		r.end(rundir.CauseQueueBudget, rundir.TimeoutOf(rundir.PhaseQueue), fmt.Sprintf("not started within the queue budget of %v (%s)", b, v.reason))
	}
	if Silent(f) {
		r.Ask = f.accounting()
	}
	return r
}

// running: the job holds nodes, or squeue has not been heard of yet, or its word
// is unknown.
func running(f Facts, v view, r Resolution) Resolution {
	if ended(f) && f.Now.Sub(f.EndSeen) >= f.Bounds.Stuck {
		// Slurm does not let go of it, or does not answer; the agent has reaped
		// everything and said how it ended.
		if v.class == slurm.Terminal {
			return combine(f, v, r)
		}
		r = fromAgent(f, v, r)
		if v.class == slurm.Active {
			r.end(rundir.CauseStays, r.Outcome, "the job goes on although its agent has ended")
		}
		return r
	}
	if (v.state == slurm.Suspended || v.state == slurm.Stopped) && !ended(f) {
		// Once it goes on, its budgets are used up, too, and that would be blamed on the test.
		r.end(rundir.CauseSuspended, rundir.OutcomeInfra, "Slurm suspended the job: what it measures is not what it does when it runs")
		return r
	}
	if v.stuck {
		return stuck(f, v, r)
	}
	if Silent(f) {
		r.Ask = f.accounting()
	}
	if v.class == slurm.Unknown && !f.StateSince.IsZero() && f.Queue.At.Sub(f.StateSince) >= f.Bounds.Strange {
		return lost(f, v, r, f.StateSince.Add(f.Bounds.Strange),
			fmt.Sprintf("Slurm has been calling its state %q, which this version does not know, for %v", v.state, f.Bounds.Strange))
	}
	return r
}

// stuck: squeue does not let go of the job, and nobody has said yet how it ended.
func stuck(f Facts, v view, r Resolution) Resolution {
	r.Ask = f.others()
	stands := f.Queue.At.Sub(f.StateSince)
	switch {
	case f.Job.Cancel != nil && (f.AcctOff || stands >= f.Bounds.Strange):
		return ours(f, v, r)
	case stands >= f.Bounds.Strange:
		r = lost(f, v, r, f.StateSince.Add(f.Bounds.Strange),
			fmt.Sprintf("the job has been %s for %v, its agent is silent, and nobody says how it ended", v.state, stands.Round(time.Minute)))
		r.Cancel, r.Cause, r.As = "", "", "" // it is ending
	}
	return r
}

// lost: nobody says any more how the job stands, or ended. Its agent may have written that down, where it could not be
// read since: due is as of when nobody else was to be waited for.
func lost(f Facts, v view, r Resolution, due time.Time, text string) Resolution {
	if unseen(f, v, due) {
		if r = unread(f, v, r, due); r.Done {
			r.end(rundir.CauseLost, rundir.OutcomeInfra, r.Reason)
		}
		return r
	}
	r.end(rundir.CauseLost, rundir.OutcomeLost, text)
	return done(r, rundir.OutcomeLost, KindLost, confidence(f, v), text)
}

func ended(f Facts) bool { return f.Agent != nil && f.Agent.End != nil && !f.EndSeen.IsZero() }

// absent: squeue does not list it, and nobody knows an end.
func absent(f Facts, v view, r Resolution) Resolution {
	r.Ask = f.others()
	gone := f.Queue.At.Sub(f.AbsentSince)
	if ended(f) && gone >= 0 && (f.AcctOff || f.Now.Sub(f.EndSeen) >= f.Bounds.Accounting) {
		if v.class == slurm.Terminal {
			return combine(f, v, r)
		}
		return fromAgent(f, v, r)
	}
	if gone < f.Bounds.Lost || f.AgentChanged.After(f.Now.Add(-f.Bounds.Lost/2)) {
		return r
	}
	text := fmt.Sprintf("neither squeue nor scontrol nor sacct has known an end of the job for %v", f.Bounds.Lost)
	if f.AcctOff {
		text = fmt.Sprintf("neither squeue nor scontrol has known the job for %v, and there is no accounting", f.Bounds.Lost)
	}
	if v.state != "" {
		text += fmt.Sprintf(" (the last word was %s)", v.state)
	}
	return lost(f, v, r, f.AbsentSince.Add(f.Bounds.Lost), text)
}

// over: Slurm says that the job is over.
func over(f Facts, v view, r Resolution) Resolution {
	since := v.since
	waited := f.Now.Sub(since)
	if since.IsZero() {
		waited = f.Bounds.Record
	}
	r.Ended = v.ended
	if waited < f.Bounds.Accounting {
		if !f.AcctOff && !slices.Contains(v.sources, "sacct") {
			r.Ask |= AskAccounting
		}
		// sacct tells the exit code as well; slurmctld is asked only if it does not. It may have been asked before the end.
		c := f.Control.Row
		if !v.exit.Known && (f.Control.At.IsZero() || c != nil && c.State.Class() != slurm.Terminal) && (f.AcctOff || waited >= f.Bounds.Accounting/2) {
			r.Ask |= AskControl
		}
		if f.Trouble.At.IsZero() && len(r.Nodes) > 0 && asksNodes(f, v, waited) {
			r.Ask |= AskNodes
		}
		if r.Ask != 0 {
			return r
		}
	}
	if ended(f) {
		return combine(f, v, r)
	}
	wait := recordWait(f, v)
	due := since.Add(wait)
	switch {
	case waited < wait:
		return r
	case unseen(f, v, due):
		return unread(f, v, r, due)
	}
	return fromSlurm(f, v, r)
}

// lookEvery is how long ago the last look for a record may be where nothing is in its way.
const lookEvery = 4 * time.Second

// unseen reports whether the agent may have written down how it ended without that having been looked for: a file
// server may be away, or a login node. What we ended ourselves is told without, and so is what never began.
func unseen(f Facts, v view, due time.Time) bool {
	// squeue gives a job that was cancelled in the queue the time of that as its start, and no nodes.
	began := v.class != slurm.Terminal || !v.started.IsZero() && len(v.nodes) > 0 || f.Agent != nil
	return began && !f.Draft && f.Job.Cancel == nil && f.Looked.Before(due.Add(-lookEvery))
}

// unread: the job is over, or nobody knows, and what its agent says of that is still to be read. due is when it would
// have been told without.
func unread(f Facts, v view, r Resolution, due time.Time) Resolution {
	what := "the job is over"
	if !v.over && f.Local == nil {
		what = "nobody says how the job ended"
	}
	switch late := f.Now.Sub(due); {
	case late >= f.Bounds.Unread:
		return done(r, rundir.OutcomeInfra, KindUnread, confidence(f, v),
			fmt.Sprintf("%s%s, and the agent's record of it could not be read for %v", what, stateText(v), f.Bounds.Unread))
	case late >= f.Bounds.Accounting:
		r.Waits = fmt.Sprintf("%s, and the agent's record cannot be read: waiting for that, for up to %v", what, f.Bounds.Unread)
	}
	return r
}

// asksNodes reports whether it is to be known what slurmctld has against the job's nodes: one of them may have ended
// it.
func asksNodes(f Facts, v view, waited time.Duration) bool {
	switch v.state {
	case slurm.NodeFail:
		return !ended(f) || f.Agent.End.Outcome == rundir.OutcomeCancelled && f.Job.Cancel == nil && len(missed(f)) == 0
	case slurm.Cancelled: // slurmd's user is root; only sacct names those that have left the job by now
		known := f.AcctOff || slices.Contains(v.sources, "sacct") || waited >= f.Bounds.Accounting/2
		return f.Job.Cancel == nil && !v.started.IsZero() && known && slices.Contains([]string{"", "0"}, v.by)
	default:
		return false
	}
}

// recordWait is how long an end record that has not shown up is waited for: as long as it could change the answer. What
// happened to the job as a whole needs none, and what SIGKILL ended has written nothing more. An agent that says by its
// exit code that it could not keep its record is taken at its word soon.
func recordWait(f Facts, v view) time.Duration {
	if f.Draft || f.Job.Cancel != nil || v.started.IsZero() {
		return 0
	}
	switch v.state {
	case slurm.Failed:
		switch {
		case v.exit.Signal == 9:
			return 0
		case v.exit.Known && v.exit.Code == agentNoRecord:
			return f.Bounds.Accounting
		}
		return f.Bounds.Record
	case slurm.Completed, slurm.Timeout, slurm.OutOfMemory:
		return f.Bounds.Record
	default:
		return 0
	}
}

func confidence(f Facts, v view) string {
	s := []string{}
	if ended(f) {
		s = append(s, "agent")
	}
	for _, k := range []string{"sacct", "scontrol", "squeue"} {
		if slices.Contains(v.sources, k) {
			s = append(s, k)
		}
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, "+")
}

func timePtr(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// done closes a resolution with an outcome of this package's own.
func done(r Resolution, o rundir.Outcome, kind, conf, text string) Resolution {
	r.Done, r.Outcome, r.Confidence, r.Reason = true, o, conf, text
	r.Finding = &rundir.Finding{Class: classOf(o, kind), Kind: kind, Rule: "job-state", Message: text}
	return r
}

func classOf(o rundir.Outcome, kind string) string {
	switch {
	case o == rundir.OutcomePassed:
		return ""
	case o == rundir.OutcomeTestFailed, o == rundir.TimeoutOf(rundir.PhaseReady), o == rundir.TimeoutOf(rundir.PhaseBenchmark), o == rundir.TimeoutOf(rundir.PhaseDrain):
		return "test"
	case kind == KindDisagree, kind == KindIncomplete, kind == KindUnread:
		return "unknown"
	default:
		return "infra"
	}
}
