package blame

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// wholeJob recognises what ended the job as a whole.
func (c *analysis) wholeJob() (Finding, bool) {
	job := c.ev.Job
	told, isSignalled := signalled(c.ev.Events)
	kind, rule := JobKind(job.State), "job-state"
	switch {
	case kind != "":
	case told.Kind == Abandoned:
		kind, rule = KindCancelled, "lifeline"
	case isSignalled && job.TimeUp:
		kind, rule = KindTimeLimit, "agent-signalled"
	case isSignalled:
		kind, rule = KindCancelled, "agent-signalled"
	case job.State == "COMPLETING": // on its way out while we still run: somebody ended it, Slurm does not say who
		kind = KindCancelled
	case len(c.fatal) > 0 && jobGone(c.fatal[0]):
		kind, rule = KindCancelled, "job-gone"
	default:
		return c.failedNode()
	}
	if c.deadBefore(told.At, isSignalled, kind) {
		return Finding{}, false
	}
	f := Finding{Class: Infra, Kind: kind, Rule: rule, Collateral: c.stopped(), Message: messageOf(job, kind, rule, told.Text)}
	if isSignalled || kind != KindNodeFail { // of which Slurm learns long after it happened
		f.Collateral = c.wentWithJob()
	}
	switch kind {
	case KindNodeFail:
		f.BadNodes = job.FailedNodes
		f.Root = c.onNodes(job.FailedNodes)
		c.missedNode(&f)
	case KindTimeLimit:
		f.Class = Unknown
	}
	return f, true
}

// messageOf says what ended the job, with what is known of it inside the job.
func messageOf(job Job, kind, rule, signal string) string {
	detail, seen := "", ""
	switch {
	case kind == KindNodeFail:
		detail = strings.Join(job.FailedNodes, " ")
	case kind == KindTimeLimit && rule == "agent-signalled":
		seen = "the job was warned of its time limit (" + signal + ")"
	case kind == KindLaunch:
		detail = job.State
	case rule == "lifeline":
		return "the agent ended the attempt: " + signal
	case kind != KindCancelled:
	case job.ByUs:
		detail = "ci-disagg"
	case job.CancelledBy != "":
		detail = "uid " + job.CancelledBy
	case signal != "" && job.State == "":
		seen = "the attempt was ended by " + signal
	case signal != "" && job.State == "RUNNING":
		seen = "the agent received " + signal + " although the job's time was not up"
	}
	if seen != "" {
		return seen + because(job.Reason)
	}
	return JobWords(kind, detail, job.Reason)
}

// missedNode makes collateral of who failed for the lost node before Slurm noticed. Whoever had failed by himself has
// been looked for before.
func (c *analysis) missedNode(f *Finding) {
	delete(f.Collateral, f.Root)
	for _, e := range c.fatal {
		if e.Role == "" || e.Role == f.Root || f.Collateral[e.Role] != "" || !c.observes(e) {
			continue
		}
		if f.Collateral == nil {
			f.Collateral = map[string]string{}
		}
		f.Collateral[e.Role] = what(e)
		if l, ok := c.peerLine(e.Role); ok {
			f.Collateral[e.Role] += ": " + l.Text
		}
	}
}

func signalled(events []Event) (Event, bool) {
	for _, e := range events {
		if e.Kind == Signalled || e.Kind == Abandoned {
			return e, true
		}
	}
	return Event{}, false
}

// deadBefore reports whether a role had failed by itself before the job was ended as a
// whole. Slurm signals the roles and the agent within milliseconds, and the job's
// end, seen only afterwards, has no time of its own: a death by SIGTERM or
// SIGKILL, or any death shortly before the signal, is no proof. Nor is what a
// client says that has missed a role which died so.
func (c *analysis) deadBefore(at time.Time, known bool, kind string) bool {
	if known && slices.ContainsFunc(c.ev.Events, func(e Event) bool { return endedFor(e, at, kind, c.ev.Skew) }) {
		return true
	}
	for _, e := range c.fatal {
		if e.At.IsZero() || e.Weak || e.Kind == ServerSick || jobGone(e) || e.Kind == NodeLost || e.Kind == Unkillable || kind == KindNodeFail && c.observes(e) {
			continue
		}
		bySignal := e.Kind == RoleEnd && EndsJob(e.Signal) || e.Kind == ServerGone && (e.Signal == 0 || EndsJob(e.Signal))
		switch {
		case kind == KindNodeFail && !known:
			return false
		case c.struck(e):
		case known && e.At.Before(at.Add(-2*time.Second)):
			return !bySignal || e.At.Before(at.Add(-c.ev.Skew))
		case !known && !bySignal && e.Kind != NotReady:
			return true
		}
	}
	return false
}

// endedFor reports whether it was for this event that the roles were ended, and a signal came during that. Servers may
// have been told of a preemption long before the agent, and of a node's failure more is known.
func endedFor(e Event, signalled time.Time, kind string, skew time.Duration) bool {
	switch e.Kind {
	case PhaseTimeout:
		return e.At.Before(signalled.Add(-2 * time.Second))
	case ServerSick, NodeLost, Unkillable:
		return kind != KindNodeFail && kind != KindPreempted && !e.At.IsZero() && e.At.Before(signalled.Add(-skew))
	default:
		return false
	}
}

// jobGone reports whether a step could not be started because its job had already been ended, by Slurm's own words.
func jobGone(e Event) bool {
	return e.Kind == NeverStarted && jobGoneWords().MatchString(e.Text)
}

// jobGoneWords are srun's: of a job that is unknown, over or on its way out.
//
//nolint:gochecknoglobals // compiled once, immutable
var jobGoneWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)job \d+ has expired|invalid job id|job/step already complet|job has already finished|allocation .{0,40}has been revoked`)
})

// struck reports whether a failure only tells of the end of others: one of them had died
// by a signal that was not ours, or, by the failure's own words, did so about
// then. A tree of nodes passes on what ends a job in its own time.
func (c *analysis) struck(e Event) bool {
	if !c.observes(e) {
		return false
	}
	_, says := c.peerLine(e.Role)
	for role, o := range c.ends {
		o = normal(o)
		if role == e.Role || o.At.IsZero() || !EndsJob(o.Signal) || !o.Stopped.IsZero() {
			continue
		}
		if late := o.At.Sub(e.At); late <= 0 || says && late <= c.ev.Skew {
			return true
		}
	}
	return false
}

// failedNode: Slurm has given up on a node that the first failing role ran on,
// but does not call the job failed (yet).
func (c *analysis) failedNode() (Finding, bool) {
	root, ok := c.root()
	if !ok || len(c.ev.Job.FailedNodes) == 0 || root.Kind == NodeLost {
		return Finding{}, false
	}
	bad := c.badNodes(root)
	if len(bad) == 0 && c.observes(root) {
		for _, r := range c.ev.Roles { // whom does it miss?
			if e := (Event{Role: r.Name, Kind: NodeLost}); len(c.badNodes(e)) > 0 {
				root, bad = e, c.badNodes(e)
				break
			}
		}
	}
	if len(bad) == 0 {
		return Finding{}, false
	}
	f := Finding{Root: root.Role, Class: Infra, Kind: KindNodeFail, Rule: "node-state", BadNodes: bad}
	f.Message = fmt.Sprintf("[%s] %s; its node failed: %s", root.Role, what(root), strings.Join(bad, " "))
	c.others(&f, root)
	return f, true
}

// badNodes are the nodes of an event's role that Slurm has given up on.
func (c *analysis) badNodes(e Event) []string {
	nodes := c.roles[e.Role].Nodes
	if e.Node != "" {
		nodes = []string{e.Node}
	}
	var bad []string
	for _, n := range nodes {
		if slices.Contains(c.ev.Job.FailedNodes, n) {
			bad = append(bad, n)
		}
	}
	return bad
}

// onNodes is the first role that ended on one of the nodes.
func (c *analysis) onNodes(bad []string) string {
	for _, e := range c.fatal {
		for _, n := range c.roles[e.Role].Nodes {
			if slices.Contains(bad, n) {
				return e.Role
			}
		}
	}
	return ""
}

// stopped is the collateral of what ended everything: each role whose end was
// asked for, or that went by the signal that everybody got.
func (c *analysis) stopped() map[string]string {
	out := map[string]string{}
	for role, e := range c.ends {
		e = normal(e)
		switch {
		case e.ByUs:
			out[role] = stopWords(e)
		case EndsJob(e.Signal):
			out[role] = endWords(e) + " when the job was ended"
		}
	}
	return orNil(out)
}

// EndsJob reports whether a signal is one with which Slurm ends the steps of a job.
func EndsJob(signal int) bool { return signal == 15 || signal == 9 }

// SentWithJob reports whether a role may have got its last signal by the end of its job, of which the agent was told by
// one of the events, if it was. Whoever is preempted, or out of time, may have been told long before the agent.
func SentWithJob(signal int, at time.Time, events []Event, job Job) bool {
	told, known := signalled(events)
	atOnce := known && slices.Contains([]string{"", "CANCELLED", "COMPLETING"}, job.State)
	return EndsJob(signal) && (!atOnce || !at.Before(told.At.Add(-ClockSkew)))
}

// wentWithJob is the collateral of what ended the job as a whole, where nobody had failed before: however a role ended
// then. Its steps may be told before the agent is, and an srun that is ended may well end with an error of its own.
func (c *analysis) wentWithJob() map[string]string {
	out := c.stopped()
	if out == nil {
		out = map[string]string{}
	}
	for _, e := range c.fatal {
		if e.Role != "" && out[e.Role] == "" && !e.Assert && !e.OOM {
			out[e.Role] = what(e) + " when the job was ended"
		}
	}
	return orNil(out)
}

func orNil(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}
